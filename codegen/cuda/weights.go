package cuda

import (
	"encoding/binary"
	"fmt"
	"math"

	"etc/codegen"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/plan/layout"
	"etc/ir"
	"etc/ir/tensor"
)

// A packer packs the weights that the steps of one program read, each once for
// a layout. The first that cannot be packed is err.
type packer struct {
	*codegen.Packer
	elem  tensor.DType
	index map[packKey]int
	err   error
}

// A packKey is a weight in a layout; columns are those that the rows of a
// compressed one are spread over.
type packKey struct {
	value, columns *ir.Value
	layout         plan.Layout
}

// add packs operand i of op. Matrices and tables are of the storage type,
// vectors, tables of scores and lists as they are on the CPU.
func (p *packer) add(op *ir.Op, i int, l plan.Layout) int {
	v := op.Args[i]
	if op.Kind == ir.CSRLinear && ir.OperandName(op.Kind, i) == "columns" {
		return -1 // its weight stands over all columns of x
	}
	if name := ir.OperandName(op.Kind, i); l == plan.RowMajor && isEmbedding(name) {
		l = plan.Padded
	}
	key := packKey{value: v, layout: l}
	if l == plan.GPUCSR {
		key.columns = op.Arg("columns")
	}
	if at, ok := p.index[key]; ok {
		return at
	}
	data, ok := v.Data()
	if !ok || data.Data == nil {
		panic(fmt.Sprintf("bug: codegen/cuda: weight %q has no data", v.WeightName()))
	}
	d, shape, bytes := v.Type.DType, data.Shape, []byte(nil)
	switch {
	case l == plan.RowMajor && d == tensor.I32:
		bytes = data.Data
	case l == plan.RowMajor:
		bytes = data.Convert(tensor.F32).Data
	default:
		d = p.elem
		bytes, shape = p.pack(data, op, key)
	}
	at := p.Add(v.WeightName(), l, d, shape, bytes)
	p.index[key] = at
	return at
}

// isEmbedding reports whether an operand of that name is a table of rows that
// are looked up.
func isEmbedding(name string) bool { return name == "word" || name == "position" || name == "type" }

// pack rounds a matrix to the storage type once and lays it out.
func (p *packer) pack(t tensor.Tensor, op *ir.Op, key packKey) ([]byte, []int) {
	n, k := t.Shape[0], t.Shape[1]
	w := p.round(t, key.value.WeightName())
	switch key.layout {
	case plan.Padded:
		return layout.PackPadded(w, n, k), t.Shape
	case plan.GPUTiles:
		return layout.PackGPUTiles(w, n, k), t.Shape
	case plan.GPU24:
		return layout.PackGPU24(w, n, k), t.Shape
	case plan.GPUCSR:
		columns, gathered := key.columns.Data()
		if !gathered {
			return layout.PackGPUCSR(w, n, k), t.Shape
		}
		list := make([]int, k)
		for i, c := range columns.Int32s() {
			list[i] = int(c)
		}
		return layout.PackGPUCSRGathered(w, n, list), []int{n, op.Arg("x").Type.Width()}
	}
	panic(fmt.Sprintf("bug: codegen/cuda: no layout %d", key.layout))
}

// round gives the bits of t in the storage type. What an f16 cannot hold is
// noted as an error: infinity would make every answer of the model useless.
func (p *packer) round(t tensor.Tensor, name string) []uint16 {
	w := make([]uint16, t.Len())
	const part = 1 << 16 // elements: their float32 stay in the cache
	parts := (len(w) + part - 1) / part
	infinite := make([]int, parts) // index of the first in each part, -1: none
	fault.Parallel(parts, func(i int) {
		infinite[i] = p.roundPart(w[i*part:min((i+1)*part, len(w))], elements(t, i*part, min((i+1)*part, len(w))))
	})
	for i, at := range infinite {
		if at >= 0 && p.err == nil {
			p.err = p.refuse(name, elements(t, i*part+at, i*part+at+1).Float64s()[0])
		}
	}
	return w
}

// roundPart fills w and returns the index of the first that is infinite or not
// a number, -1 where none is.
func (p *packer) roundPart(w []uint16, t tensor.Tensor) int {
	infinite := uint16(0x7c00)
	if p.elem == tensor.BF16 {
		infinite = 0x7f80
	}
	at := -1
	for i, r := 0, t.Convert(p.elem).Data; i < len(w); i++ {
		w[i] = binary.LittleEndian.Uint16(r[2*i:])
		if w[i]&^(1<<15) >= infinite && at < 0 {
			at = i
		}
	}
	return at
}

// elements are those of t from index `from` up to `to`, as a vector.
func elements(t tensor.Tensor, from, to int) tensor.Tensor {
	size := t.DType.Size()
	return tensor.Tensor{DType: t.DType, Shape: []int{to - from}, Data: t.Data[from*size : to*size]}
}

// largestBF16 is the largest number that rounds to a finite bf16.
const largestBF16 = 0x1.fefffep127

// refuse is the error of a value that the storage type cannot hold. Where the
// other type can, it says so.
func (p *packer) refuse(name string, v float64) error {
	err := fault.Newf(fault.Unsupported, "weight %q has a value of %g, which %v cannot hold", name, v, p.elem)
	if p.elem == tensor.F16 && math.Abs(v) <= largestBF16 {
		return err.WithHint("--dtype bf16 has the range of float32")
	}
	return err
}
