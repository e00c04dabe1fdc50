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
	bits, err := runAttention(m, ptxsim.Options{Unchecked: true}, k, b)
	if err != nil {
		t.Fatal(err)
	}
	return bits
}
