package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"etc/formats/plan/launch"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/tensor"
)

// A rowProblem is a shape with numbers that the storage types can hold.
type rowProblem struct {
	rowShape
	kernel  launch.Kernel
	offsets []int
	rng     *rand.Rand
	inputs  map[string]*interp.Array // activations x and residual, [tokens][width]
	tables  map[string]*interp.Array // of embeddings: word, position, type
	lists   map[string][]int         // rows of the tables: ids, positions, types
	vectors map[string][]float64     // gamma, beta, bias: float32
	places  []int                    // columns of the sum that those of x belong to; nil: all
}

// Of embeddings: entries of each table, and the factor of word.
var rowTables = []struct {
	table, list string
	entries     int
}{{"word", "ids", 11}, {"position", "positions", 9}, {"type", "types", 2}}

const rowScale = 1.5

func newRowProblem(k launch.Kernel, s rowShape) *rowProblem {
	p := &rowProblem{rowShape: s, kernel: k, offsets: []int{0}, rng: rand.New(rand.NewPCG(uint64(s.width), uint64(len(s.lengths)))),
		inputs: map[string]*interp.Array{}, tables: map[string]*interp.Array{}, lists: map[string][]int{}, vectors: map[string][]float64{}}
	for _, n := range s.lengths {
		p.offsets = append(p.offsets, p.offsets[len(p.offsets)-1]+n)
	}
	if p.spread == 0 {
		p.spread = 1
	}
	if p.eps == 0 {
		p.eps = 1e-12
	}
	switch k.Family {
	case "embed", "embed_layernorm":
		p.drawTables()
	case "skip_layernorm":
		p.drawSkip()
	default:
		p.inputs["x"] = p.array(p.tokens(), p.width, p.wide("x"))
	}
	if slices.Contains([]string{"layernorm", "embed_layernorm", "skip_layernorm"}, k.Family) {
		p.vectors["gamma"], p.vectors["beta"] = p.vector(1), p.vector(0)
	}
	return p
}

func (p *rowProblem) tokens() int { return p.offsets[len(p.lengths)] }

// wide is whether an operand or result is float32.
func (p *rowProblem) wide(name string) bool {
	return p.kernel.Value(map[string]string{"x": "X32", "residual": "R32", "sum": "S32", "norm": "N32", "y": "OUT32"}[name]) == 1
}

// drawTables uses the last entry of each table first.
func (p *rowProblem) drawTables() {
	for _, t := range rowTables {
		if !p.has(t.table) {
			continue
		}
		p.tables[t.table] = p.array(t.entries, p.width, false)
		list := make([]int, p.tokens())
		for i := range list {
			list[i] = p.rng.IntN(t.entries)
		}
		list[0] = t.entries - 1
		p.lists[t.list] = list
	}
}

func (p *rowProblem) drawSkip() {
	m := p.width
	if p.columns > 0 && p.columns < p.width {
		m = p.columns
		p.places = p.rng.Perm(p.width)[:m]
		slices.Sort(p.places)
	}
	p.inputs["x"], p.inputs["residual"] = p.array(p.tokens(), m, p.wide("x")), p.array(p.tokens(), p.width, p.wide("residual"))
	if p.has("bias") {
		p.vectors["bias"] = p.vector(0.5)
		for i := range p.vectors["bias"] {
			switch p.draw {
			case constant:
				p.vectors["bias"][i] = 0.75
			case zeros:
				p.vectors["bias"][i] = 0
			}
		}
	}
}

// array draws a matrix, rounded as it is stored.
func (p *rowProblem) array(rows, width int, wide bool) *interp.Array {
	a := &interp.Array{Shape: []int{rows, width}, F: make([]float64, rows*width)}
	for i := range a.F {
		if p.draw == constant && i%width != 0 {
			a.F[i] = a.F[i-1]
			continue
		}
		v := p.number(wide)
		if p.draw == heavy && (i+1)%width == 0 {
			v += 64
		}
		a.F[i] = p.round(v, wide)
	}
	return a
}

func (p *rowProblem) number(wide bool) float64 {
	switch p.draw {
	case large: // the largest f16 is 65504
		most := map[string]float64{"embed": 65000 / (rowScale + 2), "embed_layernorm": 65000 / (rowScale + 2), "skip_layernorm": 32000}[p.kernel.Family]
		if most == 0 {
			most = 65504
		}
		return most * (2*p.rng.Float64() - 1)
	case tiny:
		return p.smallest(wide) * float64(p.rng.IntN(17)-8)
	case zeros:
		return 0
	}
	return p.rng.NormFloat64()*p.spread + p.mean
}

// smallest is the smallest number that is not zero.
func (p *rowProblem) smallest(wide bool) float64 {
	switch {
	case wide:
		return 0x1p-149
	case p.kernel.Value("DTYPE") == launch.BF16:
		return 0x1p-133
	}
	return 0x1p-24
}

func (p *rowProblem) round(x float64, wide bool) float64 {
	l := linearLaunch{bf16: p.kernel.Value("DTYPE") == launch.BF16}
	return l.number(l.numbers([]float64{x}, wide))
}

func (p *rowProblem) vector(mean float64) []float64 {
	v := make([]float64, p.width)
	for i := range v {
		v[i] = float64(float32(p.rng.NormFloat64() + mean))
	}
	return v
}

// only is the problem of some rows of the batch.
func (p *rowProblem) only(from, to int) *rowProblem {
	c := *p
	first, end := p.offsets[from], p.offsets[to]
	c.lengths, c.offsets = p.lengths[from:to], nil
	for _, o := range p.offsets[from : to+1] {
		c.offsets = append(c.offsets, o-first)
	}
	c.inputs, c.lists = map[string]*interp.Array{}, map[string][]int{}
	for name, a := range p.inputs {
		w := a.Shape[1]
		c.inputs[name] = &interp.Array{Shape: []int{end - first, w}, F: a.F[first*w : end*w]}
	}
	for name, list := range p.lists {
		c.lists[name] = list[first:end]
	}
	return &c
}

// rowResults are the names of a kernel's results.
func rowResults(family string) []string {
	if family == "skip_layernorm" {
		return []string{"sum", "norm"}
	}
	return []string{"y"}
}

// means evaluates the operator in float64: each result by its name.
func (p *rowProblem) means() (map[string]*interp.Array, error) {
	g := &ir.Graph{Name: p.kernel.Family}
	in := interp.Inputs{Offsets: p.offsets, IDs: p.lists["ids"], Positions: p.lists["positions"], Types: p.lists["types"], Extra: map[string]*interp.Array{}}
	for i, v := range p.operator(g, in).Results {
		g.Outputs = append(g.Outputs, ir.Output{Name: rowResults(p.kernel.Family)[i], Value: v})
	}
	return interp.Run(g, in)
}

// operator adds the kernel's operator to the graph, and its activations to in.
func (p *rowProblem) operator(g *ir.Graph, in interp.Inputs) *ir.Op {
	input := func(name string) *ir.Value {
		a := p.inputs[name]
		in.Extra["x"+name] = a
		return g.NewInput("x"+name, ir.F32(ir.T, ir.Dim(a.Shape[1])))
	}
	vector := func(name string) *ir.Value {
		if p.vectors[name] == nil {
			return nil
		}
		return g.NewWeight(name, tensor.FromFloat64s([]int{p.width}, p.vectors[name]))
	}
	ends := func() *ir.Value { return g.NewInput("offsets", ir.I32(ir.Ends)) }
	switch p.kernel.Family {
	case "embed":
		return g.New(ir.Embed, &ir.EmbedAttrs{Scale: rowScale}, "", p.embedding(g)...)
	case "embed_layernorm":
		return g.New(ir.EmbedLayerNorm, &ir.EmbedLayerNormAttrs{Scale: rowScale, Eps: p.eps}, "", append(p.embedding(g), vector("gamma"), vector("beta"))...)
	case "layernorm":
		return g.New(ir.LayerNorm, &ir.LayerNormAttrs{Eps: p.eps}, "", input("x"), vector("gamma"), vector("beta"))
	case "skip_layernorm":
		return g.New(ir.SkipLayerNorm, &ir.LayerNormAttrs{Eps: p.eps}, "", input("x"), input("residual"), vector("gamma"), vector("beta"), vector("bias"), p.placesWeight(g))
	case "select_rows":
		rows := ir.FirstRows
		if p.kernel.Value("LAST") == 1 {
			rows = ir.LastRows
		}
		return g.New(ir.SelectRows, &ir.SelectRowsAttrs{Rows: rows}, "", input("x"), ends())
	case "pool":
		return g.New(ir.Pool, &ir.PoolAttrs{}, "", input("x"), ends())
	case "normalize":
		return g.New(ir.Normalize, nil, "", input("x"))
	}
	panic(fmt.Sprintf("no operator of %s", p.kernel.Family))
}

// embedding are the operands of embed: three lists, then their tables.
func (p *rowProblem) embedding(g *ir.Graph) []*ir.Value {
	args := make([]*ir.Value, 2*len(rowTables))
	for i, t := range rowTables {
		if a := p.tables[t.table]; a != nil {
			args[i] = g.NewInput(t.list, ir.I32(ir.T))
			args[len(rowTables)+i] = g.NewWeight(t.table, tensor.FromFloat64s(a.Shape, a.F))
		}
	}
	return args
}

func (p *rowProblem) placesWeight(g *ir.Graph) *ir.Value {
	if p.places == nil {
		return nil
	}
	list := make([]int32, len(p.places))
	for i, c := range p.places {
		list[i] = int32(c)
	}
	return g.NewWeight("columns", tensor.FromInt32s([]int{len(list)}, list))
}
