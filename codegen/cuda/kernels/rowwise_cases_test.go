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

// A rowShape is what one run of a rowwise kernel is tried on.
type rowShape struct {
	lengths  []int // tokens of each row of the batch
	width    int
	columns  int     // of x, scattered over the width by skip_layernorm; 0: all
	mean     float64 // of x, whose deviation is 1
	bare     bool    // no operand that may be absent
	capacity int     // rows that the grid is made for; 0: those there are
}

func (s rowShape) String() string {
	return fmt.Sprintf("%vx%d of %d mean %g bare %t", s.lengths, s.width, s.columns, s.mean, s.bare)
}

// rowShapes leave every remainder of what threads and vectors take: widths
// around 128 and its multiples, single values, and rows of one token.
var rowShapes = []rowShape{
	{lengths: []int{1}, width: 1},
	{lengths: []int{2, 1, 3}, width: 7, bare: true, mean: 3},
	{lengths: []int{1, 1}, width: 8, columns: 3},
	{lengths: []int{4, 1}, width: 31, capacity: 64},
	{lengths: []int{1, 5}, width: 33, columns: 32, mean: -2},
	{lengths: []int{3}, width: 127, bare: true},
	{lengths: []int{2, 2}, width: 128, columns: 64},
	{lengths: []int{1, 2}, width: 129, mean: 100},
	{lengths: []int{7, 1, 1}, width: 200, columns: 199, capacity: 16},
	{lengths: []int{2}, width: 256, mean: 100, bare: true},
	{lengths: []int{1, 3}, width: 384, columns: 1},
	{lengths: []int{2, 1}, width: 768, mean: 0.5, columns: 700},
	{lengths: []int{1, 1}, width: 1023},
	{lengths: []int{2}, width: 1040, mean: 10, columns: 1024},
}

// rowFamilies are the kernels of each operator that are tried: the storage
// types, and every flag on and off.
func rowwiseGoldens() []launch.Kernel {
	var all []launch.Kernel
	for family, sets := range map[string][]map[string]int{
		"embed":           {{}, {"OUT32": 1}, {"DTYPE": launch.BF16}},
		"embed_layernorm": {{}, {"OUT32": 1}, {"DTYPE": launch.BF16}},
		"layernorm":       {{}, {"X32": 1}, {"OUT32": 1}, {"DTYPE": launch.BF16, "X32": 1}},
		"skip_layernorm":  {{}, {"R32": 1, "S32": 1}, {"N32": 1, "S32": 1}, {"X32": 1, "R32": 1}, {"DTYPE": launch.BF16}},
		"select_rows":     {{}, {"LAST": 1}, {"X32": 1}, {"X32": 1, "OUT32": 1, "LAST": 1}, {"DTYPE": launch.BF16, "OUT32": 1}},
		"pool":            {{}, {"OUT32": 1}, {"X32": 1, "OUT32": 1}, {"DTYPE": launch.BF16, "OUT32": 1}},
		"normalize":       {{"X32": 1, "OUT32": 1}, {}, {"DTYPE": launch.BF16}},
	} {
		for _, constants := range sets {
			all = append(all, launch.Make(family, constants))
		}
	}
	slices.SortFunc(all, func(a, b launch.Kernel) int { return slices.Compare([]byte(a.Entry()), []byte(b.Entry())) })
	return all
}

func rowwiseCases() []testCase {
	var all []testCase
	for _, k := range rowwiseGoldens() {
		for _, s := range rowShapes {
			if k.Family != "skip_layernorm" {
				s.columns = 0
			}
			all = append(all, testCase{k.Entry() + "/" + s.String(), k, func(m *ptxsim.Module, o ptxsim.Options) error {
				_, err := newRowProblem(k, s).run(m, o)
				return err
			}})
		}
	}
	return all
}

// A rowProblem is a shape with numbers that the storage types can hold, and
// what they mean.
type rowProblem struct {
	rowShape
	kernel  launch.Kernel
	offsets []int
	rng     *rand.Rand
	graph   *ir.Graph
	in      interp.Inputs
	launch  func(l *linearLaunch) // what the kernel has beside vectors
	vectors map[string][]float64
}

func newRowProblem(k launch.Kernel, s rowShape) *rowProblem {
	p := &rowProblem{rowShape: s, kernel: k, offsets: []int{0}, rng: rand.New(rand.NewPCG(uint64(s.width), uint64(len(s.lengths)))),
		graph: &ir.Graph{Name: k.Family}, vectors: map[string][]float64{}}
	for _, n := range s.lengths {
		p.offsets = append(p.offsets, p.offsets[len(p.offsets)-1]+n)
	}
	p.in = interp.Inputs{Offsets: p.offsets, Extra: map[string]*interp.Array{}}
	return p
}

func (p *rowProblem) tokens() int { return p.offsets[len(p.lengths)] }

// array draws a matrix, rounded as it is stored.
func (p *rowProblem) array(rows, width int, mean float64, wide bool) *interp.Array {
	a := &interp.Array{Shape: []int{rows, width}, F: make([]float64, rows*width)}
	for i := range a.F {
		a.F[i] = p.round(p.rng.NormFloat64()+mean, wide)
	}
	return a
}

func (p *rowProblem) round(x float64, wide bool) float64 {
	switch {
	case wide:
		return float64(float32(x))
	case p.kernel.Value("DTYPE") == launch.BF16:
		return float64(tensor.BF16ToF32(tensor.F32ToBF16(float32(x))))
	}
	return float64(tensor.F16ToF32(tensor.F32ToF16(float32(x))))
}

// vector draws a parameter of the norm, f32, and puts it into the graph.
func (p *rowProblem) vector(name string, mean float64) *ir.Value {
	v := make([]float64, p.width)
	for i := range v {
		v[i] = float64(float32(p.rng.NormFloat64() + mean))
	}
	p.vectors[name] = v
	return p.graph.NewWeight(name, tensor.FromFloat64s([]int{p.width}, v))
}

// matrix draws an activation of the tokens and makes it an input of graph and kernel.
func (p *rowProblem) matrix(name string, width int, wide bool) *ir.Value {
	a := p.array(p.tokens(), width, p.mean, wide)
	p.in.Extra["x"+name] = a
	before := p.launch
	p.launch = func(l *linearLaunch) {
		if before != nil {
			before(l)
		}
		l.rows(name, a, wide)
	}
	return p.graph.NewInput("x"+name, ir.F32(ir.T, ir.Dim(width)))
}

// also adds to what the launch has.
func (p *rowProblem) also(f func(l *linearLaunch)) {
	before := p.launch
	p.launch = func(l *linearLaunch) {
		if before != nil {
			before(l)
		}
		f(l)
	}
}

const rowEps = 1e-12

// operator builds the graph of the kernel's operator and returns its values.
func (p *rowProblem) operator() []*ir.Value {
	k, g := p.kernel, p.graph
	wide := func(name string) bool { return k.Value(name) == 1 }
	switch k.Family {
	case "embed", "embed_layernorm":
		return p.embedding(k.Family == "embed_layernorm")
	case "layernorm":
		x := p.matrix("x", p.width, wide("X32"))
		return g.New(ir.LayerNorm, &ir.LayerNormAttrs{Eps: rowEps}, "", x, p.vector("gamma", 1), p.vector("beta", 0)).Results
	case "skip_layernorm":
		return p.skip(wide("X32"), wide("R32"))
	case "select_rows":
		rows := ir.FirstRows
		if wide("LAST") {
			rows = ir.LastRows
		}
		return g.New(ir.SelectRows, &ir.SelectRowsAttrs{Rows: rows}, "", p.matrix("x", p.width, wide("X32")), p.offsetsInput()).Results
	case "pool":
		return g.New(ir.Pool, &ir.PoolAttrs{}, "", p.matrix("x", p.width, wide("X32")), p.offsetsInput()).Results
	}
	return g.New(ir.Normalize, nil, "", p.matrix("x", p.width, wide("X32"))).Results
}

func (p *rowProblem) offsetsInput() *ir.Value {
	p.also(func(l *linearLaunch) { l.put("offsets", linearInts(p.offsets)) })
	return p.graph.NewInput("offsets", ir.I32(ir.Ends))
}

func (p *rowProblem) skip(x32, r32 bool) []*ir.Value {
	m := p.width
	var columns, bias *ir.Value
	if p.columns > 0 && p.columns < p.width {
		m = p.columns
		list := p.rng.Perm(p.width)[:m]
		slices.Sort(list)
		v := make([]int32, m)
		for i, c := range list {
			v[i] = int32(c)
		}
		columns = p.graph.NewWeight("columns", tensor.FromInt32s([]int{m}, v))
		p.also(func(l *linearLaunch) { l.put("columns", linearInts(list)) })
	}
	if !p.bare {
		bias = p.vector("bias", 0.5)
	}
	p.also(func(l *linearLaunch) { l.int("M", m) })
	x, residual := p.matrix("x", m, x32), p.matrix("residual", p.width, r32)
	return p.graph.New(ir.SkipLayerNorm, &ir.LayerNormAttrs{Eps: rowEps}, "", x, residual, p.vector("gamma", 1), p.vector("beta", 0), bias, columns).Results
}

// embedding looks rows up in tables of a few rows, the last of which is used.
func (p *rowProblem) embedding(norm bool) []*ir.Value {
	const words, places, kinds, scale = 11, 9, 2, 1.5
	table := func(name string, rows int) *ir.Value {
		a := p.array(rows, p.width, p.mean, false)
		p.also(func(l *linearLaunch) {
			var all []byte
			for i := range rows {
				all = append(all, l.numbers(a.F[i*p.width:(i+1)*p.width], false)...)
				all = append(all, make([]byte, 2*((p.width+7)/8*8-p.width))...)
			}
			l.put(name, all)
			l.int("ldw", (p.width+7)/8*8)
		})
		return p.graph.NewWeight(name, tensor.FromFloat64s(a.Shape, a.F))
	}
	list := func(name string, below int) ([]int, *ir.Value) {
		v := make([]int, p.tokens())
		for i := range v {
			v[i] = p.rng.IntN(below)
		}
		v[0] = below - 1
		p.also(func(l *linearLaunch) { l.put(name, linearInts(v)) })
		return v, p.graph.NewInput(name, ir.I32(ir.T))
	}
	args := make([]*ir.Value, 6)
	p.in.IDs, args[0] = list("ids", words)
	args[3] = table("word", words)
	if !p.bare {
		p.in.Positions, args[1] = list("positions", places)
		p.in.Types, args[2] = list("types", kinds)
		args[4], args[5] = table("position", places), table("type", kinds)
	}
	p.also(func(l *linearLaunch) { l.args["scale"] = ptxsim.F32(scale) })
	if !norm {
		return p.graph.New(ir.Embed, &ir.EmbedAttrs{Scale: scale}, "", args...).Results
	}
	return p.graph.New(ir.EmbedLayerNorm, &ir.EmbedLayerNormAttrs{Scale: scale, Eps: rowEps}, "", append(args, p.vector("gamma", 1), p.vector("beta", 0))...).Results
}

// rowResults are the names of a kernel's results, of their strides, and of the
// flags that make them f32.
var rowResults = map[string][][3]string{"skip_layernorm": {{"sum", "lds", "S32"}, {"norm", "ldn", "N32"}}}

// run launches the kernel and compares with what the operator means.
func (p *rowProblem) run(m *ptxsim.Module, o ptxsim.Options) ([]byte, error) {
	values := p.operator()
	for i, v := range values {
		p.graph.Outputs = append(p.graph.Outputs, ir.Output{Name: fmt.Sprint(i), Value: v})
	}
	want, err := interp.Run(p.graph, p.in)
	if err != nil {
		return nil, err
	}
	results := rowResults[p.kernel.Family]
	if results == nil {
		results = [][3]string{{"y", "ldy", "OUT32"}}
	}
	l := newLinearLaunch(p.kernel, o)
	rows := want["0"].Shape[0]
	l.put("count", linearInts([]int{rows}))
	l.int("H", p.width)
	l.args["eps"] = ptxsim.F32(float32(rowEps))
	for name, v := range p.vectors {
		l.put(name, l.numbers(v, true))
	}
	p.launch(l)
	stride := strideOfLinear(p.width)
	for _, r := range results {
		l.result(r[0], rows, stride, p.kernel.Value(r[2]) == 1)
		l.int(r[1], stride)
	}
	if err := l.run(m, p.kernel, launch.Size{Rows: max(rows, p.capacity)}); err != nil {
		return nil, err
	}
	var all []byte
	for i, r := range results {
		wide := p.kernel.Value(r[2]) == 1
		got, bits, err := l.read(r[0], rows, p.width, stride, wide)
		if err != nil {
			return nil, err
		}
		w := want[fmt.Sprint(i)]
		for at, x := range got {
			if off, most := math.Abs(x-w.F[at]), p.tolerance(w, at, wide, r[0]); !(off <= most) {
				return nil, fmt.Errorf("%s at row %d, column %d: %g, want %g, off by %g of %g", r[0], at/p.width, at%p.width, x, w.F[at], off, most)
			}
		}
		all = append(all, bits...)
	}
	return all, nil
}

// tolerance is what value at of a result may be off by. Rounding to the
// storage type costs half a unit of its 11 (f16) or 8 (bf16) bits, or of its
// smallest number. In float32: a sum of width numbers around m, 128 of them at
// once and then a tree, is off by at most (width/128+12)·2⁻²⁴·(m+4) on average,
// and a norm, whose deviation is at least 1/4 here, enlarges that four times
// and by gamma, at most 5; a few units of 2⁻²⁴ for the operations on each.
func (p *rowProblem) tolerance(w *interp.Array, at int, wide bool, name string) float64 {
	const unit = 1.0 / (1 << 24)
	y := math.Abs(w.F[at])
	most := 8 * unit * (y + math.Abs(p.mean) + 4)
	switch p.kernel.Family {
	case "pool", "normalize":
		most += float64(len(w.F)+p.tokens()+12) * unit * (y + math.Abs(p.mean))
	case "embed", "select_rows":
	default:
		if name != "sum" {
			deviation := 0.25
			if p.width < 8 {
				deviation = 1e-3 // of few values may be small by chance
			}
			most += (float64(p.width)/128 + 12) * unit * (3*math.Abs(p.mean) + 8) * 5 / deviation
		}
	}
	switch {
	case wide:
		return most
	case p.kernel.Value("DTYPE") == launch.BF16:
		return most + y/(1<<8)
	}
	return most + y/(1<<11) + unit
}
