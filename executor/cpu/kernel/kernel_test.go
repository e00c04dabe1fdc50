package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// tables are those that this machine supports, Generic first.
func tables() []*Table {
	var all []*Table
	for l := Generic; l <= AVX512; l++ {
		if Supported(l) {
			all = append(all, For(l))
		}
	}
	return all
}

// A guarded slice lies between guards whose bits must not change; in inputs
// they are NaN, so that a read outside shows in the result.
type guarded struct {
	all  []float32
	data []float32
}

const guard = 64

var nan = math.Float32frombits(0x7fc0beef)

func guardedSlice(n int) guarded {
	all := make([]float32, n+2*guard)
	for i := range all {
		all[i] = nan
	}
	return guarded{all, all[guard : guard+n : guard+n]}
}

func (g guarded) check(t *testing.T, what string) {
	t.Helper()
	for i, v := range g.all {
		if (i < guard || i >= guard+len(g.data)) && math.Float32bits(v) != math.Float32bits(nan) {
			t.Fatalf("%s: wrote outside, at %d of %d", what, i-guard, len(g.data))
		}
	}
}

// matrix is [rows, n] with a stride; between its rows lies NaN.
func matrix(r *rand.Rand, rows, n, stride int) guarded {
	g := guardedSlice(max(0, (rows-1)*stride+n))
	for i := range rows {
		for j := range n {
			g.data[i*stride+j] = float32(r.NormFloat64())
		}
	}
	return g
}

func sameBits(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) && !(a[i] != a[i] && b[i] != b[i]) {
			return false
		}
	}
	return true
}

func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// alignedBytes copies b to where the 8-byte masks of CSR may lie.
func alignedBytes(b []byte) []byte {
	line := make([]uint64, (len(b)+7)/8+1)
	v := unsafe.Slice((*byte)(unsafe.Pointer(&line[0])), len(b))
	copy(v, b)
	return v
}

func TestLevelNames(t *testing.T) {
	for l := Generic; l <= AVX512VNNI; l++ {
		if got, err := ParseLevel(l.String()); err != nil || got != l {
			t.Errorf("ParseLevel(%q) = %v, %v", l, got, err)
		}
	}
	if _, err := ParseLevel("avx10"); err == nil {
		t.Error("ParseLevel takes a name that is none")
	}
	if !Supported(Generic) || !Supported(Best()) {
		t.Error("Generic or Best is not supported")
	}
}
