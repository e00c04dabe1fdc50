package kernels

import (
	"bytes"
	"fmt"
	"math"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
	"etc/ir"
	"etc/ir/interp"
)

// batchFor completes b with what the constants of k say.
func batchFor(k launch.Kernel, b attentionBatch) *attentionBatch {
	b.D, b.Dv, b.Causal, b.bf16 = k.Value("D"), k.Value("DV"), k.Value("CAUSAL") == 1, k.Value("DTYPE") == launch.BF16
	b.Rows, b.bias = ir.RowKind(k.Value("ROWS")), k.Value("BIAS") == 1
	if k.Family == "vo_attention" {
		b.Dv = b.n
	}
	return b.filled(uint64(len(b.lengths)*1000 + b.Heads))
}

// An attentionResult is the bits that a kernel computed, and what it took.
type attentionResult struct {
	bits     []byte
	counters ptxsim.Counters
}

// runAttention runs k on b and compares the result with its meaning.
func runAttention(m *ptxsim.Module, o ptxsim.Options, k launch.Kernel, b *attentionBatch) (attentionResult, error) {
	switch k.Family {
	case "partial_otf_scores":
		return runScores(m, o, k, b)
	case "vo_attention":
		return runVO(m, o, k, b)
	}
	l := b.on(k, o)
	l.matrix("qkv", b.qkv()...)
	if b.Rows != ir.AllRows {
		l.matrix("q", b.q)
	}
	kind, blocks := ir.OTFAttention, 0
	switch k.Family {
	case "flash_attention":
		kind, blocks = ir.FlashAttention, (b.longest()+k.Value("KB")-1)/k.Value("KB")
	case "partial_otf_attention":
		kind = ir.PartialOTFAttention
		l.scores()
	}
	queries, width := b.q.Shape[0], b.Heads*b.Dv
	stride := attentionStride(width)
	y := l.result("y", queries, 2*stride)
	l.int("ldy", stride)
	if err := l.run(m, b.Dv); err != nil {
		return attentionResult{}, err
	}
	got, bits, err := l.rows(y, queries, width, 2, 2*stride)
	if err != nil {
		return attentionResult{}, err
	}
	want := b.meaning
	want.once.Do(func() {
		want.want, want.err = b.means(kind, b.v)
		if want.err == nil {
			want.sizes, want.err = b.means(kind, absolute(b.v))
		}
		want.tolerance = b.tolerance(blocks, false)
	})
	return attentionResult{bits, l.Counters()}, compareAttention(b, got, 1)
}

// compareAttention compares with the meaning; spread is how many means of values are added.
func compareAttention(b *attentionBatch, got []float64, spread int) error {
	if b.meaning.err != nil {
		return b.meaning.err
	}
	want := b.meaning.want
	for i, x := range got {
		if b.foul && b.spoiled(b.queryRow(i/want.Shape[1]), i%want.Shape[1]/b.Dv) {
			continue
		}
		y := want.F[i]
		bound := b.meaning.tolerance.of(y, b.meaning.sizes.F[i], spread)
		if !(math.Abs(x-y) <= bound) {
			return fmt.Errorf("%v: row %d, column %d is %g, want %g within %.2g", b, i/want.Shape[1], i%want.Shape[1], x, y, bound)
		}
	}
	return nil
}

// scores is the operand of partial_otf_attention: what partial_otf_scores
// writes. Where a row has no key it has never been written, but for the last
// 16 keys that hold one.
func (l *attentionLaunch) scores() {
	lds := (l.b.longest() + 15) / 16 * 16
	rows := l.b.meaning.operand("scores", func() [][]byte { return l.b.scoreRows(lds, l.factor()) })
	at := l.memory("scores", 4*lds*len(rows))
	for i, b := range rows {
		l.write(at+uint64(4*lds*i), b)
	}
	l.int("lds", lds)
}

// scoreRows are the scores times factor, as they lie in memory: of each query
// and head up to the row's last 16 keys.
func (b *attentionBatch) scoreRows(lds int, factor float64) (rows [][]byte) {
	all, _ := b.scores(lds)
	for i := 0; i < len(all); i += lds {
		n := b.lengths[b.queryRow(i/lds/b.Heads)]
		var row []byte
		for j := range (n + 15) / 16 * 16 {
			x := 1e30 // a score that would win, were it read
			if j < n {
				x = all[i+j] * factor
			}
			row = append(row, attentionInts(int(math.Float32bits(float32(x))))...)
		}
		rows = append(rows, row)
	}
	return rows
}

// runScores compares scores with their meaning: a product in float32, so
// (D+2)·2⁻²³·Σ|q·k|·scale, of which tensor cores truncate. Past the 16 keys that
// hold the last one that the queries of a warp see, nothing may be written.
func runScores(m *ptxsim.Module, o ptxsim.Options, k launch.Kernel, b *attentionBatch) (attentionResult, error) {
	l := b.on(k, o)
	l.matrix("qkv", b.qkv()...)
	if b.Rows != ir.AllRows {
		l.matrix("q", b.q)
	}
	queries, lds := b.q.Shape[0], (b.longest()+15)/16*16+16
	y := l.result("scores", queries, 4*b.Heads*lds)
	l.int("lds", lds)
	if err := l.run(m, b.Dv); err != nil {
		return attentionResult{}, err
	}
	got, all, err := l.rows(y, queries, b.Heads*lds, 4, 4*b.Heads*lds)
	if err != nil {
		return attentionResult{}, err
	}
	b.meaning.once.Do(func() {
		b.meaning.want, b.meaning.sizes = &interp.Array{}, &interp.Array{}
		b.meaning.want.F, b.meaning.sizes.F = b.scores(lds)
	})
	want, sizes := b.meaning.want.F, b.meaning.sizes.F
	poison := bytes.Repeat([]byte{attentionPoison}, 4)
	var bits []byte // of the scores that mean something
	for i, x := range got {
		query := i / (b.Heads * lds)
		row, position := b.query(query)
		j, keys := i%lds, b.lengths[row]
		if b.Causal {
			keys = min(keys, position/16*16+16) // that some query of the warp sees
		}
		if j >= (keys+15)/16*16 && !bytes.Equal(all[4*i:4*i+4], poison) {
			return attentionResult{}, fmt.Errorf("%v: score %d of query %d, head %d is written, which has %d keys", b, j, query, i/lds%b.Heads, keys)
		}
		if j >= keys || b.Causal && j > position {
			continue
		}
		if b.spoiled(row, i/lds%b.Heads) {
			continue
		}
		bits = append(bits, all[4*i:4*i+4]...)
		bound := float64(b.D+2) * 0x1p-23 * sizes[i] * l.factor()
		if w := want[i] * l.factor(); !(math.Abs(x-w) <= bound) {
			return attentionResult{}, fmt.Errorf("%v: score %d of query %d, head %d is %g, want %g within %.2g", b, i%lds, query, i/lds%b.Heads, x, w, bound)
		}
	}
	return attentionResult{bits, l.Counters()}, nil
}

// runVO runs vo_attention, whose values have b.n features for each head.
func runVO(m *ptxsim.Module, o ptxsim.Options, k launch.Kernel, b *attentionBatch) (attentionResult, error) {
	l := b.on(k, o)
	l.matrix("qk", b.q, b.k)
	l.matrix("vo", b.v)
	var bias []float64
	if b.withBias {
		for i := range b.n {
			bias = append(bias, float64(i%7)-2)
		}
		l.floats("b", bias)
	}
	l.int("N", b.n)
	size := 2 + 2*k.Value("OUT32")
	stride := attentionStride(b.n)
	y := l.result("y", b.tokens(), size*stride)
	l.int("ldy", stride)
	if err := l.run(m, b.n); err != nil {
		return attentionResult{}, err
	}
	got, bits, err := l.rows(y, b.tokens(), b.n, size, size*stride)
	if err != nil {
		return attentionResult{}, err
	}
	want := b.meaning
	want.once.Do(func() {
		want.want, want.err = b.meansVO(b.v, bias)
		if want.err == nil {
			want.sizes, want.err = b.meansVO(absolute(b.v), absolutes(bias))
		}
		want.tolerance = b.tolerance(0, size == 4)
	})
	return attentionResult{bits, l.Counters()}, compareAttention(b, got, b.Heads)
}
