// Package codegen is what the code generators of all targets share.
//
// Packed weights enter, from one generator after another; the weights of a
// plan leave, each in it once however many programs and steps read it.
package codegen

import (
	"bytes"
	"fmt"
	"slices"

	"etc/formats/plan"
	"etc/formats/plan/layout"
	"etc/ir/tensor"
)

// A Packer collects the weights of a plan. Its zero value is ready.
type Packer struct {
	weights []plan.Weight
	packed  [][]byte
	alike   map[string][]int // indices by all of a weight but its bytes
	size    int64
}

// Add returns the index of a weight of that name, layout, element type, shape
// and bytes in the plan. A second one that is the same in all of these is the
// first one; the name counts, for it says which tensor a step reads. The
// bytes are kept until Finish.
func (p *Packer) Add(name string, l plan.Layout, d tensor.DType, shape []int, b []byte) int {
	if p.alike == nil {
		p.alike = map[string][]int{}
	}
	key := fmt.Sprint(l, d, shape, name)
	for _, i := range p.alike[key] {
		if bytes.Equal(p.packed[i], b) {
			return i
		}
	}
	i := len(p.weights)
	p.alike[key] = append(p.alike[key], i)
	p.weights = append(p.weights, plan.Weight{Name: name, Layout: l, DType: d, Shape: slices.Clone(shape), Offset: p.size, Size: int64(len(b))})
	p.packed = append(p.packed, b)
	p.size += (int64(len(b)) + layout.Align - 1) / layout.Align * layout.Align
	return i
}

// Finish gives the weights to the plan, one after another. The packer is
// empty then.
func (p *Packer) Finish(to *plan.Plan) {
	to.Weights, to.Data = p.weights, make([]byte, p.size)
	for i, b := range p.packed {
		copy(to.Data[to.Weights[i].Offset:], b)
		p.packed[i] = nil // so that not all of them are there twice
	}
	*p = Packer{}
}
