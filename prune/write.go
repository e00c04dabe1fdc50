package prune

import (
	"bytes"
	"slices"

	"etc/ir"
	"etc/ir/tensor"
)

// write makes every entry zero in g whose level is at most l, and says what
// was done. g is the graph of the edit, or a clone of it. Matrices are written
// in the order of the model, each from its own levels and moments.
func (e *Edit) write(g *ir.Graph, l level, method string) *Recipe {
	r := &Recipe{Schema: recipeSchema, Method: method}
	zeros, total := 0, 0
	for _, m := range e.matrices {
		record := m.write(g.Ops[m.op], l)
		r.Matrices = append(r.Matrices, record)
		zeros += record.Zeros
		total += m.n * m.k
	}
	r.Sparsity = float64(zeros) / float64(total)
	return r
}

// write replaces the weight and the bias of linear, m's own or its clone.
func (m *matrix) write(linear *ir.Op, l level) Record {
	r := Record{Weight: m.name, Block: m.block, Shape: [2]int{m.n, m.k}}
	w, b := bytes.Clone(m.w.Data), slices.Clone(m.b)
	kept := make([]int, m.k) // entries that stay in each column
	for i := range m.n {
		zeros, moved := m.clearRow(i, l, w, kept)
		r.Zeros += zeros
		if zeros == m.k {
			r.Rows++
		}
		switch {
		case b == nil:
		case m.unread[i] <= l:
			b[i] = 0
		default:
			b[i] += moved
		}
	}
	for _, n := range kept {
		if n == 0 {
			r.Columns++
		}
	}
	if !bytes.Equal(w, m.w.Data) {
		setData(linear.Arg("w"), tensor.Tensor{DType: m.w.DType, Shape: m.w.Shape, Data: w})
	}
	if !slices.Equal(b, m.b) {
		setData(linear.Arg("b"), tensor.FromFloat64s([]int{m.n}, b))
	}
	return r
}

// clearRow makes the zeros of row i +0 in w, the bytes of the weight; entries
// that stay keep theirs. It returns how many zeros there are and what the bias
// must take over so that the output keeps its mean: b += (W − Ŵ)·E[x],
// FLAP's compensation (docs/references.md). Without calibration that
// is only what constant inputs add.
func (m *matrix) clearRow(i int, l level, w []byte, kept []int) (zeros int, moved float64) {
	size := m.w.DType.Size()
	goes := m.levelsOf(i)
	for j, v := range m.row(i) {
		if v != 0 && goes[j] > l {
			kept[j]++
			continue
		}
		at := (i*m.k + j) * size
		clear(w[at : at+size])
		zeros++
		moved += float64(v * m.in.Mean[j]) // rounded, so that no machine fuses it
	}
	return zeros, moved
}

func setData(v *ir.Value, t tensor.Tensor) { v.Def.Attrs.(*ir.WeightAttrs).Data = t }
