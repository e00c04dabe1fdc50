package cpu

import (
	"fmt"

	"etc/codegen"
	"etc/formats/plan"
	"etc/formats/plan/layout"
	"etc/ir"
	"etc/ir/tensor"
)

// A packer packs the weights that the steps of one program read, each once
// for a layout.
type packer struct {
	*codegen.Packer
	elem  tensor.DType // of matrices of linears
	index map[packKey]int
}

type packKey struct {
	value  *ir.Value
	layout plan.Layout
}

// add returns the index of v in the given layout.
func (p *packer) add(v *ir.Value, l plan.Layout) int {
	key := packKey{v, l}
	if i, ok := p.index[key]; ok {
		return i
	}
	data, ok := v.Data()
	if !ok || data.Data == nil {
		panic(fmt.Sprintf("bug: codegen/cpu: weight %q has no data", v.WeightName()))
	}
	dtype := v.Type.DType
	if l == plan.IntPanels || l == plan.IntTiles {
		dtype = p.elem
	}
	i := p.Add(v.WeightName(), l, dtype, data.Shape, pack(data, l, layout.Int(dtype.Size())))
	p.index[key] = i
	return i
}

// pack rounds the elements to f32 once and lays them out; integers are those
// of the layouts that have them.
func pack(t tensor.Tensor, l plan.Layout, integers layout.Int) []byte {
	switch l {
	case plan.RowMajor:
		if t.DType.IsFloat() {
			t = t.Convert(tensor.F32)
		}
		return t.Data
	case plan.Panels:
		n, k := t.Shape[0], t.Shape[1]
		dst := make([]byte, layout.PanelBytes(n, k))
		layout.PackPanels(dst, t.Float32s(), n, k)
		return dst
	case plan.Tiles:
		return layout.PackTiles(t.Float32s(), t.Shape[0], t.Shape[1])
	case plan.CSR:
		return layout.PackCSR(t.Float32s(), t.Shape[0], t.Shape[1])
	case plan.IntPanels:
		return layout.PackIntPanels(integers, t.Float32s(), t.Shape[0], t.Shape[1])
	case plan.IntTiles:
		return layout.PackIntTiles(integers, t.Float32s(), t.Shape[0], t.Shape[1])
	case plan.NM24:
		return layout.PackSparse24(t.Float32s(), t.Shape[0], t.Shape[1])
	}
	panic(fmt.Sprintf("bug: codegen/cpu: no layout %d", l))
}
