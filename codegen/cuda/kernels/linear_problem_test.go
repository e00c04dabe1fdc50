package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/tensor"
)

// A linearShape is what one run of linear is tried on.
type linearShape struct {
	rows, n, k int
	capacity   int  // rows that the grid is made for; 0: rows
	bare       bool // no bias, no residual
	scaled     int
	width      int // of x, of which k columns are gathered; 0: k
}

func (s linearShape) String() string { return fmt.Sprintf("%dx%dx%d", s.rows, s.n, s.k) }

// A linearProblem is a shape with numbers that the storage types can hold.
type linearProblem struct {
	linearShape
	kernel         launch.Kernel
	x, w, residual *interp.Array
	bias           []float64
	scale          float64
	columns        []int
}

// linearNumbers draws the numbers of a shape. Rows and features have means
// that are not zero; products reach about 3, where activations bend.
func linearNumbers(k launch.Kernel, s linearShape) *linearProblem {
	rng := rand.New(rand.NewPCG(uint64(s.rows*1000+s.n), uint64(s.k)))
	p := &linearProblem{linearShape: s, kernel: k, scale: float64(float32(1 / math.Sqrt(7)))}
	width := s.k
	if k.Value("GATHER") == 1 {
		width = max(s.width, s.k)
		p.columns = rng.Perm(width)[:s.k]
		slices.Sort(p.columns)
	}
	round := func(x float64, wide int) float64 { return p.round(x, wide == 1) }
	draw := func(rows, width, wide int, spread, mean float64) *interp.Array {
		a := &interp.Array{Shape: []int{rows, width}, F: make([]float64, rows*width)}
		for i := range a.F {
			a.F[i] = round(rng.NormFloat64()*spread+mean, wide)
		}
		return a
	}
	p.x = draw(s.rows, width, 0, 1, 0.25)
	for i := range p.x.F { // columns that are not gathered must not count
		if p.columns != nil && !slices.Contains(p.columns, i%width) {
			p.x.F[i] = math.NaN()
		}
	}
	p.w = draw(s.n, s.k, 0, 1.5/math.Sqrt(float64(s.k)), 0.02)
	if !s.bare {
		p.bias = draw(1, s.n, 1, 1, 0.5).F
		p.residual = draw(s.rows, s.n, k.Value("R32"), 2, -1)
	}
	return p
}

// round gives the nearest number of the storage type or of float32.
func (p *linearProblem) round(x float64, wide bool) float64 {
	l := linearLaunch{bf16: p.kernel.Value("DTYPE") == launch.BF16}
	return l.number(l.numbers([]float64{x}, wide))
}

// rowsOnly is the problem of some of its rows.
func (p *linearProblem) rowsOnly(from, to int) *linearProblem {
	c := *p
	part := func(a *interp.Array) *interp.Array {
		if a == nil {
			return nil
		}
		return &interp.Array{Shape: []int{to - from, a.Shape[1]}, F: a.F[from*a.Shape[1] : to*a.Shape[1]]}
	}
	c.rows, c.x, c.residual = to-from, part(p.x), part(p.residual)
	return &c
}

// run gives the bits of y, after comparing y with its meaning.
func (p *linearProblem) run(m *ptxsim.Module, o ptxsim.Options) ([]byte, ptxsim.Counters, error) {
	k := p.kernel
	l := newLinearLaunch(k, o)
	l.put("count", linearInts([]int{p.rows}))
	l.rows("x", p.x, false)
	l.weights(p.w)
	if p.bias != nil {
		l.put("bias", l.numbers(p.bias, true))
	}
	if p.residual != nil {
		l.rows("residual", p.residual, k.Value("R32") == 1)
	}
	if p.columns != nil {
		l.put("columns", linearInts(p.columns))
	}
	wide, stride := k.Value("OUT32") == 1, strideOfLinear(p.n)+32
	l.result("y", p.rows, stride, wide)
	l.int("N", p.n)
	l.int("K", p.k)
	l.int("ldy", stride)
	l.int("scaled", p.scaled)
	l.args["scale"] = ptxsim.F32(float32(p.scale))
	if err := l.run(m, k, launch.Size{Rows: max(p.rows, p.capacity), N: p.n}); err != nil {
		return nil, ptxsim.Counters{}, fmt.Errorf("%v: %w", p, err)
	}
	got, bits, err := l.read("y", p.rows, p.n, stride, wide)
	if err != nil {
		return nil, ptxsim.Counters{}, fmt.Errorf("%v: %w", p, err)
	}
	return bits, l.Counters(), p.compare(got)
}

// means evaluates the operator in float64.
func (p *linearProblem) means() (*interp.Array, error) {
	g := &ir.Graph{Name: "linear"}
	in := interp.Inputs{Offsets: []int{0, p.rows}, Extra: map[string]*interp.Array{"xin": p.x}}
	args := []*ir.Value{g.NewInput("xin", ir.F32(ir.T, ir.Dim(p.x.Shape[1]))), g.NewWeight("w", tensor.FromFloat64s(p.w.Shape, p.w.F)), nil, nil, nil}
	if p.bias != nil {
		args[2] = g.NewWeight("b", tensor.FromFloat64s([]int{p.n}, p.bias))
	}
	if p.residual != nil {
		in.Extra["xresidual"] = p.residual
		args[3] = g.NewInput("xresidual", ir.F32(ir.T, ir.Dim(p.n)))
	}
	if p.columns != nil {
		list := make([]int32, p.k)
		for i, c := range p.columns {
			list[i] = int32(c)
		}
		args[4] = g.NewWeight("columns", tensor.FromInt32s([]int{p.k}, list))
	}
	attrs := &ir.LinearAttrs{Act: ir.ActKind(p.kernel.Value("ACT")), Scaled: p.scaled, Scale: p.scale}
	return evaluate(g, g.New(ir.Linear, attrs, "", args...), in)
}

func (p *linearProblem) compare(got []float64) error {
	want, err := p.means()
	if err != nil {
		return err
	}
	for i, x := range got {
		if bound := p.bound(i/p.n, i%p.n, want.F[i]); !(math.Abs(x-want.F[i]) <= bound) {
			return fmt.Errorf("%v: row %d, feature %d is %g, want %g within %.2g", p, i/p.n, i%p.n, x, want.F[i], bound)
		}
	}
	return nil
}

// bound is how far value y of a row and feature may lie from its meaning.
//
// Products of elements are exact in float32; K additions of them and one of
// the bias round by 2⁻²⁴ of at most Σ|x·w| + |b|, and one more stands for the
// factor. Activations turn an error into at most 1.13 times it (the steepest
// of them, gelu) and add 4 units in the last place of their argument, as the
// documents say of CUDA's erff and tanhf. The residual's addition rounds once.
// Storing rounds to 11 bits (f16; 2⁻²⁵ is half its smallest number) or 8 (bf16).
func (p *linearProblem) bound(row, n int, y float64) float64 {
	sum, z := 0.0, 0.0
	for i, v := range p.w.F[n*p.k : (n+1)*p.k] {
		c := i
		if p.columns != nil {
			c = p.columns[i]
		}
		t := v * p.x.F[row*p.x.Shape[1]+c]
		sum, z = sum+math.Abs(t), z+t
	}
	if p.bias != nil {
		sum, z = sum+math.Abs(p.bias[n]), z+p.bias[n]
	}
	bound := float64(p.k+2) * 0x1p-24 * sum
	if n < p.scaled {
		bound, z = bound*p.scale, z*p.scale
	}
	if act := ir.ActKind(p.kernel.Value("ACT")); act != ir.NoAct && act != ir.ReLU {
		bound = 1.13*bound + 4*0x1p-24*max(1, math.Abs(z))
	}
	bound += 0x1p-24 * math.Abs(y)
	if p.kernel.Value("OUT32") == 1 {
		return bound
	}
	if p.kernel.Value("DTYPE") == launch.BF16 {
		return bound + 0x1p-8*(math.Abs(y)+bound)
	}
	return bound + 0x1p-11*(math.Abs(y)+bound) + 0x1p-25
}
