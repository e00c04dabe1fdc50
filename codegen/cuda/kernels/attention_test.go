package kernels

import (
	"bytes"
	"testing"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
	"etc/ir"
	"etc/ir/interp"
)

// only is b with one of its rows, the numbers unchanged.
func (b *attentionBatch) only(row int) *attentionBatch {
	c := *b
	c.meaning = &attentionMeaning{}
	from, to := b.offsets[row], b.offsets[row+1]
	c.lengths, c.offsets = []int{to - from}, []int{0, to - from}
	c.k, c.v = rowsOf(b.k, from, to), rowsOf(b.v, from, to)
	if b.Rows == ir.AllRows {
		c.q = rowsOf(b.q, from, to)
	} else {
		c.q = rowsOf(b.q, row, row+1)
	}
	return &c
}

// rowsOf is some rows of a matrix.
func rowsOf(a *interp.Array, from, to int) *interp.Array {
	w := a.Shape[1]
	return &interp.Array{Shape: []int{to - from, w}, F: a.F[from*w : to*w]}
}

// TestAttentionBatchInvariance: a row has the same bits alone as among others,
// and from every kernel of an operator that may be chosen by the size of a
// batch or of the device.
func TestAttentionBatchInvariance(t *testing.T) {
	for _, group := range [][]attentionEntry{
		{
			{"otf_attention", attentionOf(64, 64, 64, map[string]int{"MAXS": 128}), nil},
			{"otf_attention", attentionOf(64, 64, 16, map[string]int{"MAXS": 128}), nil},
			{"otf_attention", attentionOf(64, 64, 64, map[string]int{"MAXS": 256}), nil},
			{"otf_attention", attentionOf(64, 64, 16, map[string]int{"MAXS": 384}), nil},
		},
		{
			{"flash_attention", attentionOf(64, 64, 64, map[string]int{"KB": 64}), nil},
			{"flash_attention", attentionOf(64, 64, 16, map[string]int{"KB": 64}), nil},
		},
		{{"otf_attention", attentionOf(64, 64, 64, map[string]int{"MAXS": 128, "CAUSAL": 1}), nil}},
		{{"otf_attention", attentionOf(64, 64, 64, map[string]int{"MAXS": 128, "BIAS": 1}), nil}},
		{{"otf_attention", attentionOf(64, 64, 16, map[string]int{"MAXS": 128, "ROWS": 1}), nil}},
		{{"flash_attention", attentionOf(64, 64, 64, map[string]int{"KB": 64, "CAUSAL": 1}), nil}},
		{{"flash_attention", attentionOf(64, 64, 16, map[string]int{"KB": 64, "ROWS": 2, "CAUSAL": 1}), nil}},
		{{"partial_otf_scores", map[string]int{"D": 64, "QB": 64, "SPLIT": 8}, nil}},
		{{"partial_otf_attention", attentionOf(64, 64, 64, nil), nil}},
		{{"vo_attention", map[string]int{"D": 64, "QB": 64, "MAXS": 128, "BN": 64}, nil}},
	} {
		var want []byte
		for _, e := range group {
			k := e.kernel()
			t.Run(k.Entry(), func(t *testing.T) {
				m := goldenModule(t, k)
				b := batchFor(k, heads(2, 30, 70, 1, 128, 64, 17).features(72, true))
				all := attentionBits(t, m, k, b)
				if want == nil {
					want = all
				}
				if !bytes.Equal(all, want) {
					t.Error("the bits differ from those of another kernel of the operator")
				}
				var alone []byte
				for row := range b.lengths {
					alone = append(alone, attentionBits(t, m, k, b.only(row))...)
				}
				if !bytes.Equal(alone, all) {
					t.Error("the bits of rows change with their batch")
				}
			})
		}
	}
}

func attentionBits(t *testing.T, m *ptxsim.Module, k launch.Kernel, b *attentionBatch) []byte {
	r, err := runAttention(m, ptxsim.Options{Unchecked: true}, k, b)
	if err != nil {
		t.Fatal(err)
	}
	return r.bits
}

// TestAttentionCosts: heads of 64 in whole tiles take the fewest products that
// there are, pass over the banks of shared memory hardly more often than
// necessary, and use the sectors of memory that they touch.
func TestAttentionCosts(t *testing.T) {
	const rows, tokens, heads64, d = 2, 128, 2, 64
	product := rows * heads64 * (tokens / 16) * (tokens / 8) * (d / 16) // m16n8k16 of q·kᵀ, and of p·v
	for _, c := range []struct {
		family    string
		constants map[string]int
		mma       int
	}{
		{"otf_attention", attentionOf(d, d, 64, map[string]int{"MAXS": 128}), 2 * product},
		{"otf_attention", attentionOf(d, d, 16, map[string]int{"MAXS": 128}), 2 * product},
		{"otf_attention", attentionOf(d, d, 64, map[string]int{"MAXS": 256}), 2 * product},
		{"otf_attention", attentionOf(d, d, 16, map[string]int{"MAXS": 384}), 2 * product},
		{"otf_attention", attentionOf(d, d, 64, map[string]int{"MAXS": 128, "CAUSAL": 1}), 2 * product / 16 * 9}, // of 8 tiles, 1 to 8: 36 of 64
		{"flash_attention", attentionOf(d, d, 64, map[string]int{"KB": 64}), 2 * product},
		{"partial_otf_scores", map[string]int{"D": d, "QB": 64, "SPLIT": 8}, product},
		{"partial_otf_attention", attentionOf(d, d, 64, nil), product},
		{"vo_attention", map[string]int{"D": d, "QB": 64, "MAXS": 128, "BN": 64}, 2 * product},
	} {
		k := launch.Make(c.family, c.constants)
		t.Run(k.Entry(), func(t *testing.T) {
			b := batchFor(k, heads(heads64, 30, tokens, tokens).features(d, true))
			r, err := runAttention(goldenModule(t, k), ptxsim.Options{Unchecked: true, Count: true}, k, b)
			if err != nil {
				t.Fatal(err)
			}
			n := r.counters
			t.Logf("%d instructions of warps, %d products, %d passes over banks of %d, %d sectors of %d",
				n.WarpInstructions, n.MMA, n.SharedWavefronts, n.IdealWavefronts, n.Sectors, n.IdealSectors)
			if n.MMA != int64(c.mma) {
				t.Errorf("%d products, want %d", n.MMA, c.mma)
			}
			if ratio := float64(n.SharedWavefronts) / float64(n.IdealWavefronts); ratio > 1.05 {
				t.Errorf("%.3f times the fewest passes over the banks of shared memory", ratio)
			}
			if ratio := float64(n.Sectors) / float64(n.IdealSectors); ratio > 1.1 {
				t.Errorf("%.3f times the fewest sectors", ratio)
			}
		})
	}
}
