package cpu

import (
	"fmt"

	"etc/formats/plan"
	"etc/formats/plan/layout"
	"etc/ir"
	"etc/ir/tensor"
)

// A packer collects the weights that steps read, each once for a layout.
type packer struct {
	plan   *plan.Plan
	index  map[packKey]int
	packed [][]byte
	size   int64
}

type packKey struct {
	value  *ir.Value
	layout plan.Layout
}

// add returns the index of v in the given layout; 0 stands for RowMajor.
func (p *packer) add(v *ir.Value, l plan.Layout) int {
	if l == 0 {
		l = plan.RowMajor
	}
	key := packKey{v, l}
	if i, ok := p.index[key]; ok {
		return i
	}
	data, ok := v.Data()
	if !ok || data.Data == nil {
		panic(fmt.Sprintf("bug: codegen/cpu: weight %q has no data", v.WeightName()))
	}
	bytes := pack(data, l)
	i := len(p.plan.Weights)
	p.index[key] = i
	p.plan.Weights = append(p.plan.Weights, plan.Weight{
		Name: v.WeightName(), Layout: l, DType: v.Type.DType, Shape: data.Shape,
		Offset: p.size, Size: int64(len(bytes)),
	})
	p.packed = append(p.packed, bytes)
	p.size += (int64(len(bytes)) + layout.Align - 1) / layout.Align * layout.Align
	return i
}

// pack rounds the elements to f32 once and lays them out.
func pack(t tensor.Tensor, l plan.Layout) []byte {
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
	case plan.NM24:
		return layout.PackSparse24(t.Float32s(), t.Shape[0], t.Shape[1])
	}
	panic(fmt.Sprintf("bug: codegen/cpu: no layout %d", l))
}

// finish lays the packed weights one after another.
func (p *packer) finish() {
	p.plan.Data = make([]byte, p.size)
	for i, b := range p.packed {
		copy(p.plan.Data[p.plan.Weights[i].Offset:], b)
		p.packed[i] = nil
	}
}
