package plan

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"etc/fault"
)

// A codec walks the fields of a record in the order of the file. The same
// walk writes and reads, so that the two cannot disagree.
//
// Integers and floats take 8 bytes, little-endian; booleans and enumerations
// one; a string or list is its length and then its bytes or items.
type codec struct {
	reading bool
	minor   uint16 // of the format
	b       []byte // writing: what there is so far; reading: what is left
	size    int    // reading: bytes at the start
	err     error  // reading: the first fault; nothing is read after it
}

func (c *codec) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fault.Newf(fault.Corrupt, "byte %d: %s", c.size-len(c.b), fmt.Sprintf(format, args...))
		c.b = nil
	}
}

// take is the next n bytes; nil where they are not there.
func (c *codec) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n > len(c.b) {
		c.fail("the section ends in the middle of a field")
		return nil
	}
	taken := c.b[:n]
	c.b = c.b[n:]
	return taken
}

func (c *codec) bits(v *uint64) {
	if !c.reading {
		c.b = binary.LittleEndian.AppendUint64(c.b, *v)
	} else if b := c.take(8); b != nil {
		*v = binary.LittleEndian.Uint64(b)
	}
}

func (c *codec) int(v *int) {
	u := uint64(*v)
	c.bits(&u)
	*v = int(u)
}

func (c *codec) int64(v *int64) {
	u := uint64(*v)
	c.bits(&u)
	*v = int64(u)
}

func (c *codec) float(v *float64) {
	u := math.Float64bits(*v)
	c.bits(&u)
	*v = math.Float64frombits(u)
}

func enum[T ~uint8](c *codec, v *T) {
	if !c.reading {
		c.b = append(c.b, byte(*v))
	} else if b := c.take(1); b != nil {
		*v = T(b[0])
	}
}

func (c *codec) bool(v *bool) {
	var b uint8
	if *v {
		b = 1
	}
	enum(c, &b)
	if b > 1 {
		c.fail("boolean is %d, want 0 or 1", b)
	}
	*v = b == 1
}

// length walks the length of something whose items have at least one byte
// each, so that what is read is in proportion to what is there.
func (c *codec) length(n int) int {
	c.int(&n)
	if c.reading && (n < 0 || n > len(c.b)) {
		c.fail("length is %d, %d bytes are left", n, len(c.b))
		return 0
	}
	return n
}

func (c *codec) string(s *string) {
	n := c.length(len(*s))
	if !c.reading {
		c.b = append(c.b, *s...)
		return
	}
	if *s = string(c.take(n)); !utf8.ValidString(*s) {
		c.fail("text %q is not UTF-8", *s)
	}
}

func (c *codec) fixed(b []byte) {
	if !c.reading {
		c.b = append(c.b, b...)
	} else {
		copy(b, c.take(len(b)))
	}
}

func list[T any](c *codec, items *[]T, item func(*T)) {
	n := c.length(len(*items))
	for i := 0; i < n && c.err == nil; i++ {
		if c.reading {
			*items = append(*items, *new(T))
		}
		item(&(*items)[i])
	}
}

// end is the first fault of reading. Bytes that are left are one.
func (c *codec) end() error {
	if c.err == nil && len(c.b) > 0 {
		c.fail("the section goes on after its last field")
	}
	return c.err
}

func written(minor uint16, walk func(*codec)) []byte {
	c := &codec{minor: minor}
	walk(c)
	return c.b
}

func read(minor uint16, b []byte, walk func(*codec)) error {
	c := &codec{reading: true, minor: minor, b: b, size: len(b)}
	walk(c)
	return c.end()
}
