package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"etc/ir"
	"etc/ir/interp"
	"etc/ir/tensor"
)

// An attentionBatch is a ragged batch and an attention over it.
type attentionBatch struct {
	lengths []int
	ir.AttentionAttrs
	bias bool
	bf16 bool    // storage type
	peak float64 // about the largest score, to base 2
	low  bool    // all scores are far below 0
	turn bool    // with one query a row: the largest score of row i is that of key i
	foul bool    // nothing of the even rows and heads is a number, and operands end with their last number

	n        int  // of vo_attention: features
	withBias bool // of vo_attention: b is there

	offsets []int
	q, k, v *interp.Array // [queries, heads·d], [T, heads·d], [T, heads·dv], rounded to the storage type
	table   *interp.Array // [heads, 2S-1] or nil
	meaning *attentionMeaning
}

// An attentionMeaning keeps what a batch means: it is asked for again for each
// mutant of a kernel.
type attentionMeaning struct {
	once        sync.Once
	want, sizes *interp.Array // sizes: the same of |v|
	tolerance   attentionTolerance
	err         error

	mutex sync.Mutex
	rows  map[string][][]byte // operands as they lie in memory, by name
}

// operand is the rows of an operand; list makes them the first time.
func (m *attentionMeaning) operand(name string, list func() [][]byte) [][]byte {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.rows == nil {
		m.rows = map[string][][]byte{}
	}
	if m.rows[name] == nil {
		m.rows[name] = list()
	}
	return m.rows[name]
}

// filled draws the numbers of b: normal with means that are not zero, each head
// with its own largest score, so that some softmaxes are flat and some peaked.
func (b attentionBatch) filled(seed uint64) *attentionBatch {
	rng := rand.New(rand.NewPCG(seed, 7))
	b.offsets = []int{0}
	for _, n := range b.lengths {
		b.offsets = append(b.offsets, b.offsets[len(b.offsets)-1]+n)
	}
	longest := b.longest()
	tokens, queries := b.tokens(), b.tokens()
	if b.Rows != ir.AllRows {
		queries = len(b.lengths)
	}
	mean := 0.1
	if b.low {
		mean = -2
	}
	b.q, b.k, b.v = b.random(rng, queries, b.D, math.Abs(mean)), b.random(rng, tokens, b.D, mean), b.random(rng, tokens, b.Dv, 0.5)
	if b.turn {
		for row, n := range b.lengths {
			key := b.offsets[row] + row%n
			for i, x := range rowsOf(b.q, row, row+1).F {
				b.k.F[key*b.Heads*b.D+i] = b.round(2 * x)
			}
		}
	}
	if b.foul {
		b.spoil(b.q, b.D, b.queryRow)
		b.spoil(b.k, b.D, b.tokenRow)
		b.spoil(b.v, b.Dv, b.tokenRow)
	}
	if b.Scale == 0 {
		b.Scale = b.peak / (3 * math.Sqrt(float64(b.D)))
	}
	if b.bias {
		b.table = &interp.Array{Shape: []int{b.Heads, 2*longest - 1}}
		for range b.Heads * (2*longest - 1) {
			b.table.F = append(b.table.F, float64(float32(rng.NormFloat64()*b.peak/15+1)))
		}
	}
	b.meaning = &attentionMeaning{}
	return &b
}

// random is a matrix of heads of that width. Odd heads vary a tenth as much,
// but in a foul batch, whose even heads are not looked at.
func (b *attentionBatch) random(rng *rand.Rand, rows, width int, mean float64) *interp.Array {
	a := &interp.Array{Shape: []int{rows, b.Heads * width}, F: make([]float64, rows*b.Heads*width)}
	for i := range a.F {
		spread := 1.0
		if i/width%b.Heads%2 == 1 && !b.foul {
			spread = 0.1
		}
		a.F[i] = b.round(rng.NormFloat64()*spread + mean)
	}
	return a
}

// spoil makes the rows and heads of a matrix no numbers that a foul batch has none in.
func (b *attentionBatch) spoil(a *interp.Array, width int, rowOf func(int) int) {
	for i := range a.F {
		if b.spoiled(rowOf(i/a.Shape[1]), i%a.Shape[1]/width) {
			a.F[i] = math.NaN()
		}
	}
}

// spoiled tells that a head of a row of the batch means nothing. Those beside
// it must be right all the same. vo_attention adds its heads, so that one
// would spoil all.
func (b *attentionBatch) spoiled(row, head int) bool {
	return b.foul && (row%2 == 0 || head%2 == 0 && b.n == 0)
}

func (b *attentionBatch) queryRow(query int) int {
	row, _ := b.query(query)
	return row
}

func (b *attentionBatch) tokenRow(token int) (row int) {
	for b.offsets[row+1] <= token {
		row++
	}
	return row
}

func (b *attentionBatch) tokens() int { return b.offsets[len(b.offsets)-1] }

// round gives the nearest number of the storage type.
func (b *attentionBatch) round(x float64) float64 {
	if b.bf16 {
		return float64(tensor.BF16ToF32(tensor.F32ToBF16(float32(x))))
	}
	return float64(tensor.F16ToF32(tensor.F32ToF16(float32(x))))
}

// unit is the largest relative error of rounding to the storage type, and
// least the largest error where it has no more digits.
func (b *attentionBatch) unit() (unit, least float64) {
	if b.bf16 {
		return 0x1p-8, 0x1p-134
	}
	return 0x1p-11, 0x1p-25
}

// packed is the operand qkv: matrices of the same rows side by side.
func packed(parts ...*interp.Array) *interp.Array {
	width := 0
	for _, p := range parts {
		width += p.Shape[1]
	}
	a := &interp.Array{Shape: []int{parts[0].Shape[0], width}}
	for row := range a.Shape[0] {
		for _, p := range parts {
			w := p.Shape[1]
			a.F = append(a.F, p.F[row*w:(row+1)*w]...)
		}
	}
	return a
}

// qkv is the parts of an operand of the kernels: without q where that stands alone.
func (b *attentionBatch) qkv() []*interp.Array {
	if b.Rows != ir.AllRows {
		return []*interp.Array{b.k, b.v}
	}
	return []*interp.Array{b.q, b.k, b.v}
}

// means evaluates the operator in float64, with v in the place of the values.
func (b *attentionBatch) means(kind ir.Kind, v *interp.Array) (*interp.Array, error) {
	c := *b
	c.v = v
	g := &ir.Graph{Name: "attention"}
	offsets := g.NewInput("offsets", ir.I32(ir.Ends))
	qkv := packed(c.qkv()...)
	extra := map[string]*interp.Array{"xqkv": qkv}
	args := []*ir.Value{g.NewInput("xqkv", ir.F32(ir.T, ir.Dim(qkv.Shape[1]))), offsets, nil, nil}
	if b.Rows != ir.AllRows {
		extra["xq"] = b.q
		args[2] = g.NewInput("xq", ir.F32(ir.B, ir.Dim(b.q.Shape[1])))
	}
	if b.table != nil {
		args[3] = g.NewWeight("bias", tensor.FromFloat64s(b.table.Shape, b.table.F))
	}
	return evaluateAttention(g, g.New(kind, &c.AttentionAttrs, "", args...), interp.Inputs{Offsets: b.offsets, Extra: extra})
}

// meansVO evaluates vo_attention, where v is the values of all heads: x, with
// the identity for the precomputed weights.
func (b *attentionBatch) meansVO(v *interp.Array, bias []float64) (*interp.Array, error) {
	g := &ir.Graph{Name: "vo"}
	offsets := g.NewInput("offsets", ir.I32(ir.Ends))
	qk := packed(b.q, b.k)
	n := b.Heads * b.Dv
	one := make([]float64, n*n)
	for i := range n {
		one[i*n+i] = 1
	}
	args := []*ir.Value{g.NewInput("xqk", ir.F32(ir.T, ir.Dim(qk.Shape[1]))), g.NewInput("xvo", ir.F32(ir.T, ir.Dim(n))),
		g.NewWeight("m", tensor.FromFloat64s([]int{n, n}, one)), offsets, nil}
	if bias != nil {
		args[4] = g.NewWeight("b", tensor.FromFloat64s([]int{len(bias)}, bias))
	}
	attrs := b.AttentionAttrs
	return evaluateAttention(g, g.New(ir.VOAttention, &attrs, "", args...),
		interp.Inputs{Offsets: b.offsets, Extra: map[string]*interp.Array{"xqk": qk, "xvo": v}})
}

func evaluateAttention(g *ir.Graph, op *ir.Op, in interp.Inputs) (*interp.Array, error) {
	g.Outputs = []ir.Output{{Name: "y", Value: op.Result()}}
	out, err := interp.Run(g, in)
	if err != nil {
		return nil, err
	}
	return out["y"], nil
}

func absolutes(list []float64) []float64 {
	var all []float64
	for _, x := range list {
		all = append(all, math.Abs(x))
	}
	return all
}

func absolute(a *interp.Array) *interp.Array {
	return &interp.Array{Shape: a.Shape, F: absolutes(a.F)}
}

// scores are the products scale·q·k of a kernel that writes them, [queries][heads][lds]
// from the row's first key on, and NaN where the row has no key. sizes are the
// same sums over |q·k|.
func (b *attentionBatch) scores(lds int) (scores, sizes []float64) {
	scores, sizes = make([]float64, b.q.Shape[0]*b.Heads*lds), make([]float64, b.q.Shape[0]*b.Heads*lds)
	for i := range scores {
		scores[i] = math.NaN()
	}
	for out := range b.q.Shape[0] {
		row, _ := b.query(out)
		for head := range b.Heads {
			for j := range b.lengths[row] {
				q := b.q.F[out*b.Heads*b.D+head*b.D:][:b.D]
				k := b.k.F[(b.offsets[row]+j)*b.Heads*b.D+head*b.D:][:b.D]
				var s, size float64
				for i, x := range q {
					s += x * k[i]
					size += math.Abs(x * k[i])
				}
				at := (out*b.Heads+head)*lds + j
				scores[at], sizes[at] = s*b.Scale, size*b.Scale
			}
		}
	}
	return scores, sizes
}

// query is the row of the batch and the position in it of query `out`.
func (b *attentionBatch) query(out int) (row, position int) {
	switch b.Rows {
	case ir.FirstRows:
		return out, 0
	case ir.LastRows:
		return out, b.lengths[out] - 1
	}
	row = b.tokenRow(out)
	return row, out - b.offsets[row]
}

func (b *attentionBatch) String() string {
	foul := ""
	if b.foul {
		foul = ", foul neighbours"
	}
	return fmt.Sprintf("heads %d of %d and %d, rows %v of %d tokens%s", b.Heads, b.D, b.Dv, b.Rows, b.lengths, foul)
}

// An attentionTolerance bounds the error of a weighted mean of values.
//
// With u the unit of the storage type, p the weights, A = Σ p·|v| and M the
// largest Σ|q·k|·scale + |bias| of the batch:
//
//	u·A           weights are rounded to the storage type, before they are divided by their sum
//	least·Σ|v|    those below its normal numbers; the largest weight is 1, so the sum is at least 1
//	2·ln2·e·A     scores are off by e = (D+8)·2⁻²³·M, in a weight and in the sum of weights: a sum of D products
//	              in float32, of which tensor cores truncate, scale, bias, difference from the largest
//	4·2⁻²²·A      ex2.approx is off by 2 units in the last place, twice; flash_attention also shrinks earlier sums, twice a block
//	(2·n+h)·2⁻²³·A  sums over n keys and h heads in float32
//	u·|y|+least   the result is rounded to the storage type
type attentionTolerance struct {
	b       *attentionBatch
	most    float64 // M
	longest int     // row
	blocks  int     // times that earlier sums shrink
	wide    bool    // the result is float32
}

func (b *attentionBatch) tolerance(blocks int, wide bool) attentionTolerance {
	_, sizes := b.scores(b.longest())
	t := attentionTolerance{b: b, longest: b.longest(), blocks: blocks, wide: wide}
	for _, s := range sizes {
		if !math.IsNaN(s) {
			t.most = max(t.most, s)
		}
	}
	if b.table != nil {
		bias := 0.0
		for _, x := range b.table.F {
			bias = max(bias, math.Abs(x))
		}
		t.most += bias
	}
	if !b.Exp2 {
		t.most *= math.Log2E
	}
	return t
}

func (b *attentionBatch) longest() int { return slices.Max(b.lengths) }

// of is the bound for a result y whose mean of |v| is size; spread is how many
// such means are added.
func (t attentionTolerance) of(y, size float64, spread int) float64 {
	u, least := t.b.unit()
	n := float64(t.longest)
	score := float64(t.b.D+8) * 0x1p-23 * t.most
	tolerance := size*(u+2*math.Ln2*score+float64(4+4*t.blocks)*0x1p-22+float64(2*int(n)+spread)*0x1p-23) + least*n*4*float64(spread)
	if t.wide {
		return tolerance + 0x1p-23*math.Abs(y)
	}
	return tolerance + u*math.Abs(y) + least
}
