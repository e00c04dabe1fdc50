package frontend

import (
	"fmt"

	"etc/ir"
	"etc/ir/tensor"
)

// A linear is the weight [N,K] and the bias [N], perhaps nil, of x·Wᵀ + b.
type linear struct{ w, b *ir.Value }

func (m *model) apply(l linear, x *ir.Value) *ir.Value {
	return m.op(ir.Linear, &ir.LinearAttrs{}, x, l.w, l.b)
}

// constant is b for every row of x: what a linear gives whose inputs are all
// gone. No product of no inputs is an operator, so one zero stands for them.
func (m *model) constant(b, x *ir.Value) *ir.Value {
	zeros := func(name string, shape ...int) *ir.Value {
		a := ir.WeightAttrs{Name: name}
		if m.Err() == nil {
			a.Data = tensor.FromFloat32s(shape, make([]float32, m.Hidden))
		}
		return m.place(shape, a)
	}
	nothing := m.apply(linear{w: zeros("nothing in", 1, m.Hidden)}, x)
	return m.apply(linear{zeros("nothing out", m.Hidden, 1), b}, nothing)
}

// linear claims NAME.weight [out, in] and NAME.bias, as nn.Linear has them.
func (m *model) linear(name string, in, out int) linear {
	return linear{m.weight(name+".weight", out, in), m.weight(name+".bias", out)}
}

// linearNoBias is linear without a bias.
func (m *model) linearNoBias(name string, in, out int) linear {
	return linear{w: m.weight(name+".weight", out, in)}
}

// conv1D claims NAME.weight [in, out] and NAME.bias, as GPT-2's Conv1D has
// them: the transpose of a linear.
func (m *model) conv1D(name string, in, out int) linear {
	return m.conv1Ds(name, in, out)[0]
}

// conv1Ds is conv1D with several linears side by side.
func (m *model) conv1Ds(name string, in int, outs ...int) []linear {
	n := sum(outs)
	weight, bias := name+".weight", name+".bias"
	w, b := m.weights.Tensor(weight, in, n), m.weights.Tensor(bias, n)
	return m.cut(weight, transpose(w), bias, b, true, in, outs)
}

// linears claims one weight [Σ outs, in] and one bias that hold several
// linears, one above the other.
func (m *model) linears(weight, bias string, in int, outs ...int) []linear {
	n := sum(outs)
	w, b := m.weights.Tensor(weight, n, in), m.weights.Tensor(bias, n)
	return m.cut(weight, w, bias, b, false, in, outs)
}

// cut divides w [Σ outs, in] and b by rows. Each part is a view.
func (m *model) cut(weight string, w tensor.Tensor, bias string, b tensor.Tensor, transposed bool, in int, outs []int) []linear {
	var parts []linear
	row := 0
	for _, out := range outs {
		wa, ba := m.rows(weight, w, row, out, in), m.rows(bias, b, row, out)
		wa.Transposed = transposed
		parts = append(parts, linear{m.place([]int{out, in}, wa), m.place([]int{out}, ba)})
		row += out
	}
	return parts
}

// rows is rows [row, row+n) of t, the weight of that canonical name.
func (m *model) rows(name string, t tensor.Tensor, row, n int, width ...int) ir.WeightAttrs {
	found := m.weights.Name(name)
	a := ir.WeightAttrs{Name: found, Tensor: found, Row: row}
	if t.Data == nil || n == 0 {
		return a
	}
	if n != t.Shape[0] {
		a.Name = fmt.Sprintf("%s[%d:%d]", found, row, row+n)
	}
	size := len(t.Data) / t.Shape[0]
	a.Data = tensor.Tensor{DType: t.DType, Shape: append([]int{n}, width...), Data: t.Data[row*size : (row+n)*size]}
	return a
}

func sum(list []int) int {
	n := 0
	for _, x := range list {
		n += x
	}
	return n
}

// transpose copies a matrix [R,C] to [C,R].
func transpose(t tensor.Tensor) tensor.Tensor {
	if t.Data == nil {
		return t
	}
	rows, cols, size := t.Shape[0], t.Shape[1], t.DType.Size()
	out := make([]byte, len(t.Data))
	for i := range rows {
		for j := range cols {
			from, to := (i*cols+j)*size, (j*rows+i)*size
			copy(out[to:to+size], t.Data[from:from+size])
		}
	}
	return tensor.Tensor{DType: t.DType, Shape: []int{cols, rows}, Data: out}
}
