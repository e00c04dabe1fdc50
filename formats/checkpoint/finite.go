package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"

	"etc/fault"
	"etc/ir/tensor"
)

// lanes spreads what marks an element as not finite, all exponent bits set,
// over a word of 8 bytes: (word & mask) + one carries into the sign bit of
// exactly those elements, and into no neighbour. Of float64 it marks all that
// float32, in which everything computes, rounds to infinity.
type lanes struct{ mask, one, signs uint64 }

func lanesOf(d tensor.DType) (l lanes, ok bool) {
	const every16, every32 = 0x0001_0001_0001_0001, 0x0000_0001_0000_0001
	switch d {
	case tensor.F16:
		return lanes{0x7c00 * every16, 0x0400 * every16, 0x8000 * every16}, true
	case tensor.BF16:
		return lanes{0x7f80 * every16, 0x0080 * every16, 0x8000 * every16}, true
	case tensor.F32:
		return lanes{0x7f80_0000 * every32, 0x0080_0000 * every32, 0x8000_0000 * every32}, true
	case tensor.F64:
		return lanes{math.MaxInt64, 1<<63 - tooLarge, 1 << 63}, true
	}
	return lanes{}, false
}

// tooLarge are the bits of the first float64 that float32 rounds to infinity:
// half a step above its largest number.
const tooLarge = 0x47ef_ffff_f000_0000

// find is the offset of a word of 8 bytes, the first that holds an element
// which is not finite; -1 where there is none.
func (l lanes) find(data []byte) int {
	var (
		at   int
		word = func(b []byte) uint64 { return binary.LittleEndian.Uint64(b)&l.mask + l.one }
	)
	const step = 32 // four words with one branch
	for ; at+step <= len(data); at += step {
		b := data[at : at+step : at+step]
		if (word(b)|word(b[8:])|word(b[16:])|word(b[24:]))&l.signs != 0 {
			break
		}
	}
	for ; at < len(data); at += 8 {
		var last [8]byte // zeros are finite
		copy(last[:], data[at:])
		if word(last[:])&l.signs != 0 {
			return at
		}
	}
	return -1
}

// CheckFinite looks through the tensors of these names, on all threads, and
// names the first element of the first that is NaN, infinite or too large for
// float32, as fault.Corrupt. Integers are passed over.
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

// notFinite names the first element from offset on that CheckFinite refuses.
func notFinite(name string, t tensor.Tensor, offset int) error {
	size := t.DType.Size()
	for ; ; offset += size {
		one := tensor.Tensor{DType: t.DType, Shape: []int{1}, Data: t.Data[offset : offset+size]}
		v, want := one.Float64s()[0], "a finite number"
		if v-v == 0 { // infinity - infinity is NaN
			want = "a number that float32 holds"
		}
		if x := one.Float32s()[0]; x-x != 0 {
			return fault.Newf(fault.Corrupt, "weight %q: element %v is %v, want %s", name, position(offset/size, t.Shape), v, want)
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
