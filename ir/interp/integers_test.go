package interp

import (
	"math"
	"slices"
	"testing"

	"etc/ir"
	"etc/ir/tensor"
)

// TestQuantise: rows worked out by hand.
func TestQuantise(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		d tensor.DType
		x []float64
		q []int
		u float64
	}{
		{tensor.I8, []float64{1, -127, 0.5, 1.5, -2.5}, []int{1, -127, 0, 2, -2}, 1}, // ties to even
		{tensor.I8, []float64{254, -1, 3}, []int{127, 0, 2}, 2},
		{tensor.I8, []float64{0, 0}, []int{0, 0}, 0},
		{tensor.I8, []float64{0x1p-101, 0}, []int{0, 0}, 0},
		{tensor.I8, []float64{1, -inf}, []int{0, 0}, nan},
		{tensor.I16, []float64{3, 4}, []int{19620, 26160}, float64(float32(5.0 / 32700))},
		{tensor.I16, []float64{0, -7}, []int{0, -32700}, float64(float32(7.0 / 32700))},
		{tensor.I16, []float64{1, nan}, []int{0, 0}, nan},
	} {
		q, u := Quantise(c.d, c.x)
		if !slices.Equal(q, c.q) || u != c.u && !(u != u && c.u != c.u) {
			t.Errorf("%v %v: %v, unit %v, want %v, %v", c.d, c.x, q, u, c.q, c.u)
		}
	}
}

// TestQuantisedLinear: the product is that of integers where these are asked
// for. x, [1 -127 0.5], is 1·[1 -127 0]; the rows of w are 2·[127 0 2] and
// 1·[1 1 127].
func TestQuantisedLinear(t *testing.T) {
	g := &ir.Graph{Name: "product"}
	x := g.NewInput("x", ir.F32(ir.T, 3))
	w := g.NewWeight("w", tensor.FromFloat32s([]int{2, 3}, []float32{254, -1, 3, 1, 1, 127}))
	b := g.NewWeight("b", tensor.FromFloat32s([]int{2}, []float32{0.5, 1}))
	g.Outputs = []ir.Output{{Name: "y", Value: g.New(ir.Linear, &ir.LinearAttrs{Act: ir.ReLU}, "", x, w, b).Result()}}
	p, err := Load(g)
	if err != nil {
		t.Fatal(err)
	}
	in := Inputs{Offsets: []int{0, 1}, IDs: []int{0}, Types: []int{0}, Positions: []int{0},
		Extra: map[string]*Array{"x": {Shape: []int{1, 3}, F: []float64{1, -127, 0.5}}}}
	for _, c := range []struct {
		p    *Program
		want []float64
	}{{p, []float64{254 + 127 + 1.5 + 0.5, 0}}, {p.Quantised(tensor.I8), []float64{2*127 + 0.5, 0}}} {
		out, err := c.p.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(out["y"].F, c.want) {
			t.Errorf("%v, want %v", out["y"].F, c.want)
		}
	}
}
