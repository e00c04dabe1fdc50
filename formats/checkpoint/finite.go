package checkpoint

import (
	"encoding/binary"
	"fmt"

	"etc/fault"
	"etc/ir/tensor"
)

// lanes spreads what marks an element as not finite, all exponent bits set,
// over a word of 8 bytes: (word & mask) + one carries into the sign bit of
// exactly those elements, and into no neighbour.
type lanes struct{ mask, one uint64 }

func lanesOf(d tensor.DType) (l lanes, ok bool) {
	const every16, every32 = 0x0001_0001_0001_0001, 0x0000_0001_0000_0001
	switch d {
	case tensor.F16:
		return lanes{0x7c00 * every16, 0x0400 * every16}, true
	case tensor.BF16:
		return lanes{0x7f80 * every16, 0x0080 * every16}, true
	case tensor.F32:
		return lanes{0x7f80_0000 * every32, 0x0080_0000 * every32}, true
	case tensor.F64:
		return lanes{0x7ff0 << 48, 0x0010 << 48}, true
	}
	return lanes{}, false
}

// find is the offset of a word of 8 bytes, the first that holds an element
// which is not finite; -1 where there is none.
func (l lanes) find(data []byte) int {
	signs := l.mask + l.one
	var (
		at   int
		word = func(b []byte) uint64 { return binary.LittleEndian.Uint64(b)&l.mask + l.one }
	)
	const step = 32 // four words with one branch
	for ; at+step <= len(data); at += step {
		b := data[at : at+step : at+step]
		if (word(b)|word(b[8:])|word(b[16:])|word(b[24:]))&signs != 0 {
			break
		}
	}
	for ; at < len(data); at += 8 {
		var last [8]byte // zeros are finite
		copy(last[:], data[at:])
		if word(last[:])&signs != 0 {
			return at
		}
	}
	return -1
}

// CheckFinite looks through the tensors of these names, on all threads, and
// names the first element of the first that is NaN or infinite, as
// fault.Corrupt. Integers are passed over.
func (c *Checkpoint) CheckFinite(names []string) error {
	tensors := make([]tensor.Tensor, len(names))
	for i, name := range names {
		t, ok := c.Tensor(name)
		if !ok {
			panic(fmt.Sprintf("bug: checkpoint: CheckFinite of %q, which is not there", name))
		}
		if t.DType.IsFloat() {
			tensors[i] = t
		}
	}
	chunks := chunksOf(tensors)
	return parallel(len(chunks), func(i int) error {
		k := chunks[i]
		l, ok := lanesOf(tensors[k.tensor].DType)
		if !ok {
			panic("bug: checkpoint: no lanes of " + tensors[k.tensor].DType.String())
		}
		at := l.find(k.data)
		if at < 0 {
			return nil
		}
		return notFinite(names[k.tensor], tensors[k.tensor], k.offset+at)
	})
}

// notFinite names the first element from offset on that is not finite.
func notFinite(name string, t tensor.Tensor, offset int) error {
	size := t.DType.Size()
	for ; ; offset += size {
		one := tensor.Tensor{DType: t.DType, Shape: []int{1}, Data: t.Data[offset : offset+size]}
		if v := one.Float64s()[0]; v-v != 0 { // infinity - infinity is NaN
			return fault.Newf(fault.Corrupt, "weight %q: element %v is %v, want a finite number", name, position(offset/size, t.Shape), v)
		}
	}
}

// position turns the number of an element into its indices.
func position(i int, shape []int) []int {
	at := make([]int, len(shape))
	for d := len(shape) - 1; d >= 0; d-- {
		at[d], i = i%shape[d], i/shape[d]
	}
	return at
}
