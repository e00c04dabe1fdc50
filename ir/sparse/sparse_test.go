package sparse_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"etc/ir/sparse"
	"etc/ir/tensor"
)

var floats = []tensor.DType{tensor.F64, tensor.F32, tensor.F16, tensor.BF16}

// random is a matrix with many zeros of both signs, some rows and columns of
// nothing else, and values that are subnormal in every dtype.
func random(rng *rand.Rand, dtype tensor.DType, n, k int) (tensor.Tensor, []float64) {
	v := make([]float64, n*k)
	dense := rng.IntN(4)
	for i := range v {
		switch {
		case rng.IntN(4) < dense:
			v[i] = rng.NormFloat64() + 3
		case rng.IntN(2) == 0:
			v[i] = math.Copysign(0, -1)
		case rng.IntN(40) == 0:
			v[i] = 0x1p-24 // the smallest of f16
		}
	}
	for range rng.IntN(4) {
		r, c := rng.IntN(n), rng.IntN(k)
		for j := range k {
			v[r*k+j] = math.Copysign(0, float64(rng.IntN(2))-0.5)
		}
		for i := range n {
			v[i*k+c] = math.Copysign(0, float64(rng.IntN(2))-0.5)
		}
	}
	t := tensor.FromFloat64s([]int{n, k}, v).Convert(dtype)
	return t, t.Float64s()
}

// TestZeros compares every finder with its definition, for sizes around words and tiles.
func TestZeros(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for trial := range 600 {
		n, k := 1+rng.IntN(50), 1+rng.IntN(50)
		m, v := random(rng, floats[trial%4], n, k)
		want := sparse.Matrix{N: n, K: k, NM24: true}
		rows, columns := make([]bool, n), make([]bool, k)
		for i := range rows {
			rows[i] = true
		}
		for j := range columns {
			columns[j] = true
		}
		tiles, groups := map[[2]int]bool{}, map[[2]int]int{}
		for i := range n {
			for j := range k {
				if v[i*k+j] == 0 {
					continue
				}
				rows[i], columns[j] = false, false
				want.NonZeros++
				tiles[[2]int{i / 16, j / 16}] = true
				groups[[2]int{i, j / 4}]++
				want.NM24 = want.NM24 && groups[[2]int{i, j / 4}] <= 2
			}
		}
		want.Tiles = len(tiles)
		if got := sparse.Survey(m); got != want {
			t.Fatalf("%v: survey %+v, want %+v", m, got, want)
		}
		if got := sparse.ZeroRows(m); !slices.Equal(got, rows) {
			t.Fatalf("%v: zero rows %v, want %v", m, got, rows)
		}
		if got := sparse.ZeroColumns(m); !slices.Equal(got, columns) {
			t.Fatalf("%v: zero columns %v, want %v", m, got, columns)
		}
		if got := sparse.AllZero(m); got != (want.NonZeros == 0) {
			t.Fatalf("%v: all zero %v with %d others", m, got, want.NonZeros)
		}
	}
}

// TestNM24 needs a matrix that is 2:4, which random ones hardly are.
func TestNM24(t *testing.T) {
	for _, dtype := range floats {
		v := []float64{1, 2, 0, 0, 0, 0, 3, 4, 5, 0, // the last group is short
			0, 0, 0, 0, 0, 7, 0, 8, 0, 9}
		m := tensor.FromFloat64s([]int{2, 10}, v).Convert(dtype)
		if s := sparse.Survey(m); !s.NM24 || s.NonZeros != 8 || s.Tiles != 1 {
			t.Errorf("%v: %+v", dtype, s)
		}
		v[2] = 1
		if s := sparse.Survey(tensor.FromFloat64s([]int{2, 10}, v).Convert(dtype)); s.NM24 {
			t.Errorf("%v: three of four pass", dtype)
		}
	}
}

// TestSurveyAnyProcessors: the counts do not depend on how the work is cut.
func TestSurveyAnyProcessors(t *testing.T) {
	m, _ := random(rand.New(rand.NewPCG(3, 4)), tensor.F32, 210, 77)
	want := sparse.Survey(m)
	for p := 1; p < 6; p++ {
		t.Run(fmt.Sprint(p), func(t *testing.T) {
			before := runtime.GOMAXPROCS(p)
			defer runtime.GOMAXPROCS(before)
			if got := sparse.Survey(m); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func TestEmpty(t *testing.T) {
	m := sparse.Zeros(tensor.F32, 0, 5)
	if got := sparse.Survey(m); got != (sparse.Matrix{K: 5, NM24: true}) {
		t.Errorf("%+v", got)
	}
	if rows := sparse.ZeroRows(m); len(rows) != 0 {
		t.Error(rows)
	}
}

func TestRows(t *testing.T) {
	m := tensor.FromFloat32s([]int{4, 2}, []float32{0, 1, 2, 3, 4, 5, 6, 7})
	check(t, sparse.Rows(m, []int{0, 3}), tensor.F32, []int{2, 2}, 0, 1, 6, 7)
	check(t, sparse.Rows(m, nil), tensor.F32, []int{0, 2})
	view := sparse.Rows(m, []int{1, 2})
	check(t, view, tensor.F32, []int{2, 2}, 2, 3, 4, 5)
	if &view.Data[0] != &m.Data[8] {
		t.Error("neighbouring rows are copied")
	}
	check(t, sparse.Rows(tensor.FromFloat32s([]int{3}, []float32{7, 8, 9}), []int{0, 2}), tensor.F32, []int{2}, 7, 9)
	if got := sparse.Rows(tensor.FromInt32s([]int{3}, []int32{7, 8, 9}), []int{0, 2}).Int32s(); !slices.Equal(got, []int32{7, 9}) {
		t.Error(got)
	}
}

func TestColumns(t *testing.T) {
	m := tensor.FromFloat32s([]int{2, 3}, []float32{0, 1, 2, 3, 4, 5}).Convert(tensor.F16)
	check(t, sparse.Columns(m, []int{0, 2}), tensor.F16, []int{2, 2}, 0, 2, 3, 5)
	if all := sparse.Columns(m, []int{0, 1, 2}); &all.Data[0] != &m.Data[0] {
		t.Error("all columns are copied")
	}
}

func TestStack(t *testing.T) {
	a := tensor.FromFloat32s([]int{1, 2}, []float32{1, 2})
	b := tensor.FromFloat32s([]int{2, 2}, []float32{3, 4, 5, 6})
	check(t, sparse.Stack(a, b), tensor.F32, []int{3, 2}, 1, 2, 3, 4, 5, 6)
	check(t, sparse.Stack(a.Convert(tensor.BF16), b), tensor.F64, []int{3, 2}, 1, 2, 3, 4, 5, 6)
}

func TestScale(t *testing.T) {
	check(t, sparse.Scale(tensor.FromFloat32s([]int{2}, []float32{1, -2}), 0.5), tensor.F64, []int{2}, 0.5, -1)
}

func check(t *testing.T, got tensor.Tensor, dtype tensor.DType, shape []int, v ...float64) {
	t.Helper()
	if got.DType != dtype || !slices.Equal(got.Shape, shape) || !slices.Equal(got.Float64s(), v) {
		t.Errorf("%v %v, want %v%v %v", got, got.Float64s(), dtype, shape, v)
	}
}

func TestKept(t *testing.T) {
	if got := sparse.Kept([]bool{true, false, false, true, false}); !slices.Equal(got, []int{1, 2, 4}) {
		t.Error(got)
	}
}

// BenchmarkSurvey reads 100 MB, half of it zeros in no order.
func BenchmarkSurvey(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 6))
	v := make([]float32, 25_000_000)
	for i := range v {
		v[i] = float32(rng.IntN(2))
	}
	m := tensor.FromFloat32s([]int{5000, 5000}, v)
	b.SetBytes(int64(len(m.Data)))
	for b.Loop() {
		sparse.Survey(m)
	}
}
