package plan

import (
	"fmt"

	"etc/ir/tensor"
)

// A target is one row of the table of targets: what a program for it holds.
type target struct {
	sm   int          // architecture of a GPU; 0: the CPU
	elem tensor.DType // of matrices; on a GPU of tables too, and of activations besides f32
}

// targets are those that this program knows.
var targets = map[string]*target{
	"cpu:f32":    {elem: tensor.F32},
	"cpu:int16":  {elem: tensor.I16},
	"cpu:int8":   {elem: tensor.I8},
	"sm_80:f16":  {sm: 80, elem: tensor.F16},
	"sm_80:bf16": {sm: 80, elem: tensor.BF16},
	"sm_90:f16":  {sm: 90, elem: tensor.F16},
	"sm_90:bf16": {sm: 90, elem: tensor.BF16},
}

// integers reports whether t takes products in integers. Only linears have
// them; all else is in float32.
func (t *target) integers() bool { return t.elem == tensor.I16 || t.elem == tensor.I8 }

// table is the layout and dtype of tables of embeddings.
func (t *target) table() (Layout, tensor.DType) {
	if t.sm == 0 {
		return RowMajor, tensor.F32
	}
	return Padded, t.elem
}

// activations is the dtype that buffers may have besides f32.
func (t *target) activations() tensor.DType {
	if t.sm == 0 {
		return tensor.F32
	}
	return t.elem
}

// A form is how an operator takes its matrix, and how it sums over it.
type form struct {
	cpu, gpu Layout
	integers Layout // where products are in integers; 0: this one is not
	sum      string // instruction on a GPU; the storage type follows unless it is fma
}

// Single values are not left out of products in integers: csr and 2:4 are dense there.
var (
	dense     = &form{Panels, Padded, IntPanels, "mma"}
	floats    = &form{Panels, Padded, 0, "mma"}
	tiles     = &form{Tiles, GPUTiles, IntTiles, "mma"}
	csr       = &form{CSR, GPUCSR, IntPanels, fma}
	twoOfFour = &form{NM24, GPU24, IntPanels, "mma.sp"}
)

// fma is a fused multiply-add in float32 for each input.
const fma = "fma-f32"

// matrix is the layout of the matrix on t, and its dtype.
func (f *form) matrix(t *target) (Layout, tensor.DType) {
	switch {
	case t.sm != 0:
		return f.gpu, t.elem
	case t.integers() && f.integers != 0:
		return f.integers, t.elem
	}
	return f.cpu, tensor.F32
}

// reduction is the signature of an operator of this form; empty for nil, the
// form of those without a matrix.
func (f *form) reduction(t *target) Reduction {
	switch {
	case f == nil:
		return Reduction{}
	case t.integers() && f.integers != 0:
		return Reduction{Instruction: fmt.Sprintf("dot-%v-i32", t.elem)}
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
	l, _ := f.matrix(t)
	return l, f.reduction(t)
}

// Elem is the dtype of matrices on a target that this program knows: on a CPU
// those of linears.
func Elem(target string) tensor.DType { return targets[target].elem }

// IsCPU reports whether a target that this program knows is a CPU.
func IsCPU(target string) bool {
	t := targets[target]
	return t != nil && t.sm == 0
}

// minor is the lowest minor version of the format that has what p needs.
func (p *Plan) minor() uint16 {
	if len(p.Model.Padding) > 0 {
		return paddingMinor
	}
	for _, q := range p.Programs {
		if t := targets[q.Target]; t != nil && t.integers() {
			return integersMinor
		}
	}
	return 0
}
