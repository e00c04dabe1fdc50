package main

import (
	"maps"
	"strings"

	"etc/codegen/cuda"
	"etc/compiler/cost"
	"etc/formats/plan"
	"etc/formats/plan/launch"
	"etc/formats/plan/layout"
	"etc/ir"
)

// trialsOf are what there is to measure for a program: every shape of a dense
// product with every class of rows, by all tiles, and every attention with
// every bucket, by all operators that fit. Rows of a batch are up to tokens.
func trialsOf(q *plan.Program, g cost.GPU, classes []int, tokens int) []trial {
	var all []trial
	seen := map[string]bool{}
	add := func(t trial) {
		if !seen[t.key] {
			seen[t.key] = true
			all = append(all, t)
		}
	}
	for i := range q.Steps {
		s := &q.Steps[i]
		if len(s.Launches) == 0 {
			continue
		}
		if k := q.Kernels[s.Launches[0].Kernels[0]].Kernel; k.Family == "linear" {
			for _, rows := range classes {
				add(productTrial(q, s, k, g, rows))
			}
		}
	}
	for _, b := range q.Buckets {
		for _, c := range b.Choices {
			add(attentionTrial(q, &q.Steps[c.Step], g, b.MaxTokens, max(1, tokens/b.MaxTokens)))
		}
	}
	return all
}

// productTrial is a step's product, with its epilogue, for up to so many rows;
// k is one of the kernels that the step may run.
func productTrial(q *plan.Program, s *plan.Step, k launch.Kernel, g cost.GPU, rows int) trial {
	w := matrixOf(q, s)
	p := product{step: s, program: q, n: w.Shape[0], k: w.Shape[1], rows: rows, dtype: g.DType}
	if rows == 0 {
		p.rows = cost.ManyRows
	}
	t := trial{key: cost.LinearKey(g.SM, g.DType, rows, p.n, p.k), reserve: p.reserve}
	t.model = cuda.Tiles[g.Tile(cuda.Tiles, rows, p.n, p.k)].Name
	constants := map[string]int{}
	for _, d := range k.Defines {
		constants[d.Name] = d.Value
	}
	for _, tile := range launch.LinearTiles() {
		maps.Copy(constants, tile.Constants())
		if k := launch.Make("linear", constants); k.Fits(g.MostShared) {
			t.variants = append(t.variants, variant{tile.Name(), []launch.Kernel{k}})
		}
	}
	return t
}

// A product is the operands of a dense product: those that its step has.
type product struct {
	step       *plan.Step
	program    *plan.Program
	n, k, rows int
	dtype      string
}

// has says whether the step has an operand, which vo_attention's product, a
// plain one, never has.
func (p *product) has(name string) bool {
	return p.step.Op == plan.Linear && operandOf(p.step, name).Kind != plan.None
}

// operandOf is the operand of that name, absent where the step has none.
func operandOf(s *plan.Step, name string) plan.Arg {
	for i, operand := range s.Op.Operands() {
		if strings.TrimSuffix(operand, "?") == name {
			return s.Args[i]
		}
	}
	return plan.Arg{}
}

// A filling puts operands into memory, until one does not fit.
type filling struct {
	arguments
	err error
}

func (f *filling) put(name string, make func() (uint64, error)) {
	if f.err == nil {
		f.arguments[name], f.err = make()
	}
}

// mostPlaces bounds how often a small matrix is there.
const mostPlaces = 64

func (p *product) reserve(m *cardMemory) (operands, error) {
	width := p.k
	if p.has("columns") {
		width = p.program.Buffers[operandOf(p.step, "x").Index].Width
	}
	ldx, ldy, ldw := line(width), line(p.n), layout.PaddedWidth(p.k)
	f := filling{arguments: arguments{
		"bias": 0, "residual": 0, "columns": 0, "N": int32Bits(p.n), "K": int32Bits(p.k),
		"ldx": int32Bits(ldx), "ldy": int32Bits(ldy), "ldr": int32Bits(ldy), "ldw": int32Bits(ldw),
		"scaled": int32Bits(p.step.Params.Scaled), "scale": float32Bits(0.5),
	}}
	f.put("count", func() (uint64, error) { return m.ints("count", p.rows) })
	f.put("x", func() (uint64, error) { return m.numbers("x", p.rows*ldx, p.dtype) })
	f.put("y", func() (uint64, error) { return m.empty("y", p.rows*ldy*4) })
	if p.has("b") {
		f.put("bias", func() (uint64, error) { return m.numbers("bias", p.n, "f32") })
	}
	if p.has("residual") { // of either width: these bits are small as float32 too
		f.put("residual", func() (uint64, error) { return m.numbers("residual", p.rows*ldy*2, p.dtype) })
	}
	if p.has("columns") {
		f.put("columns", func() (uint64, error) { return m.ints("columns", spreadOver(width, p.k)...) })
	}
	if f.err != nil {
		return operands{}, f.err
	}
	places, err := m.weights("w", p.n*ldw, p.dtype, mostPlaces)
	o := operands{
		size: func(launch.Kernel) launch.Size { return launch.Size{Rows: p.rows, N: p.n} },
		of:   func(_ launch.Kernel, a arguments) arguments { return a },
	}
	for _, w := range places {
		set := maps.Clone(f.arguments)
		set["w"] = w
		o.sets = append(o.sets, set)
	}
	return o, err
}

// line is the distance of rows of width elements of two bytes: a multiple of
// 64 bytes.
func line(width int) int { return (width + 31) / 32 * 32 }

// spreadOver is k columns of width, ascending.
func spreadOver(width, k int) []int {
	var all []int
	for i := range k {
		all = append(all, i*width/k)
	}
	return all
}

// attentionTrial is an attention step for rows of that many tokens.
func attentionTrial(q *plan.Program, s *plan.Step, g cost.GPU, tokens, rows int) trial {
	attrs := attentionOf(s.Params)
	p := attention{attrs, operandOf(s, "bias").Kind != plan.None, tokens, rows, g.DType}
	t := trial{key: cost.AttentionKey(g.SM, g.DType, attrs, tokens), reserve: p.reserve}
	for _, e := range g.RankAttention(attrs, tokens) {
		t.variants = append(t.variants, variant{e.Variant(), g.AttentionKernels(attrs, p.bias, e, tokens)})
	}
	t.model = t.variants[0].name
	return t
}

// An attention is the operands of an attention over rows of the same length.
type attention struct {
	attrs        *ir.AttentionAttrs
	bias         bool
	tokens, rows int
	dtype        string
}

func (p *attention) reserve(m *cardMemory) (operands, error) {
	t, queries := p.tokens*p.rows, p.tokens*p.rows
	heads, d, dv := p.attrs.Heads, p.attrs.D, p.attrs.Dv
	wide := heads * (2*d + dv)
	if p.attrs.Rows != ir.AllRows {
		wide, queries = heads*(d+dv), p.rows
	}
	ld, ldq, ldy, lds := line(wide), line(heads*d), line(heads*dv), launch.ScoresStride(p.tokens)
	f := filling{arguments: arguments{
		"heads": int32Bits(heads), "ldqkv": int32Bits(ld), "ldq": int32Bits(ldq), "ldy": int32Bits(ldy), "lds": int32Bits(lds),
		"S": int32Bits(p.tokens), "scale": float32Bits(0.125), "bias_scale": float32Bits(1), "q": 0, "bias": 0,
	}}
	offsets := make([]int, p.rows+1)
	for i := range offsets {
		offsets[i] = i * p.tokens
	}
	tiles16, tiles64 := p.tiles(16), p.tiles(64)
	f.put("batch", func() (uint64, error) { return m.ints("batch", t, p.rows, len(tiles16)/2, len(tiles64)/2) })
	f.put("offsets", func() (uint64, error) { return m.ints("offsets", offsets...) })
	f.put("tiles16", func() (uint64, error) { return m.ints("tiles", tiles16...) })
	f.put("tiles64", func() (uint64, error) { return m.ints("tiles", tiles64...) })
	f.put("qkv", func() (uint64, error) { return m.numbers("qkv", t*ld, p.dtype) })
	if p.attrs.Rows != ir.AllRows {
		f.put("q", func() (uint64, error) { return m.numbers("q", queries*ldq, p.dtype) })
	}
	if p.bias {
		f.put("bias", func() (uint64, error) { return m.numbers("bias", heads*(2*p.tokens-1), "f32") })
	}
	f.put("y", func() (uint64, error) { return m.empty("y", queries*ldy*2) })
	f.put("scores", func() (uint64, error) { return m.empty("scores", queries*heads*lds*4) })
	return operands{[]arguments{f.arguments}, p.size, tilesOf}, f.err
}

// tiles are the blocks of queries of all rows: the row, and its first query.
func (p *attention) tiles(queries int) (list []int) {
	for r := range p.rows {
		for q := 0; q < p.tokens; q += queries {
			list = append(list, r, q)
		}
	}
	return list
}

func (p *attention) size(k launch.Kernel) launch.Size {
	z := launch.Size{Rows: p.tokens * p.rows, Heads: p.attrs.Heads, N: p.attrs.Dv, Tiles: p.rows}
	if p.attrs.Rows == ir.AllRows {
		z.Tiles = len(p.tiles(k.Value("QB"))) / 2
	}
	return z
}

// tilesOf adds the list for the block of queries of a kernel.
func tilesOf(k launch.Kernel, a arguments) arguments {
	a = maps.Clone(a)
	a["tiles"] = a["tiles16"]
	if k.Value("QB") == 64 {
		a["tiles"] = a["tiles64"]
	}
	return a
}
