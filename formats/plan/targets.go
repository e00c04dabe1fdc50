package plan

import (
	"fmt"

	"etc/ir/tensor"
)

// A target is one row of the table of targets: what a program for it holds.
type target struct {
	sm   int          // architecture of a GPU; 0: the CPU
	elem tensor.DType // of matrices and tables
}

// targets are those that this program knows.
var targets = map[string]*target{
	"cpu:f32":    {elem: tensor.F32},
	"sm_80:f16":  {sm: 80, elem: tensor.F16},
	"sm_80:bf16": {sm: 80, elem: tensor.BF16},
	"sm_90:f16":  {sm: 90, elem: tensor.F16},
	"sm_90:bf16": {sm: 90, elem: tensor.BF16},
}

// table is the layout of tables of embeddings.
func (t *target) table() Layout {
	if t.sm == 0 {
		return RowMajor
	}
	return Padded
}

// A form is how an operator takes its matrix, and how it sums over it.
type form struct {
	cpu, gpu Layout
	sum      string // instruction on a GPU; the storage type follows unless it is fma
}

var (
	dense     = &form{Panels, Padded, "mma"}
	tiles     = &form{Tiles, GPUTiles, "mma"}
	csr       = &form{CSR, GPUCSR, fma}
	twoOfFour = &form{NM24, GPU24, "mma.sp"}
)

// fma is a fused multiply-add in float32 for each input.
const fma = "fma-f32"

func (f *form) layout(t *target) Layout {
	if t.sm == 0 {
		return f.cpu
	}
	return f.gpu
}

// reduction is the signature of an operator of this form; empty for nil, the
// form of those without a matrix.
func (f *form) reduction(t *target) Reduction {
	switch {
	case f == nil:
		return Reduction{}
	case t.sm == 0 || f.sum == fma:
		return Reduction{Instruction: fma}
	}
	return Reduction{Instruction: fmt.Sprintf("%s-%v-f32", f.sum, t.elem)}
}

// Matrix is the layout in which o takes its matrix on a target that this
// program knows, and how it sums over it; zero for an operator without one.
func (o Op) Matrix(on string) (Layout, Reduction) {
	f, t := o.info().form, targets[on]
	if f == nil {
		return 0, Reduction{}
	}
	return f.layout(t), f.reduction(t)
}
