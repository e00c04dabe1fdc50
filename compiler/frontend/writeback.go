package frontend

import (
	"bytes"
	"fmt"
	"math"

	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/mapped"
	"etc/ir"
	"etc/ir/tensor"
)

// WriteBack collects the weights of g, a graph that Import made of c, under
// the names, shapes and dtypes of c: the tensors that differ, whole. Values
// are rounded once to the file's dtype; those whose bytes stay the same leave
// the tensor alone, and a new zero is +0, even where a value rounds to it from
// below. A value that the dtype cannot hold is fault.Unsupported.
func WriteBack(g *ir.Graph, c *checkpoint.Checkpoint) (map[string]tensor.Tensor, error) {
	changed := map[string]tensor.Tensor{}
	err := mapped.Guard(func() error {
		for _, op := range g.Ops {
			if a, ok := op.Attrs.(*ir.WeightAttrs); ok && a.Tensor != "" {
				if err := writeBack(changed, a, c); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return changed, err
}

func writeBack(changed map[string]tensor.Tensor, a *ir.WeightAttrs, c *checkpoint.Checkpoint) error {
	whole, ok := c.Tensor(a.Tensor)
	if !ok {
		panic(fmt.Sprintf("bug: frontend: weight %q comes from %q, which the checkpoint does not have", a.Name, a.Tensor))
	}
	part := a.Data.Convert(whole.DType)
	at := placeOf(a, whole)
	if at.contiguous() && bytes.Equal(part.Data, whole.Data[at.first:at.first+len(part.Data)]) {
		return nil
	}
	size := whole.DType.Size()
	into, begun := changed[a.Tensor]
	for k := range part.Len() {
		v, to := part.Data[k*size:(k+1)*size], at.of(k)
		if bytes.Equal(v, whole.Data[to:to+size]) {
			continue
		}
		if !begun {
			into = tensor.Tensor{DType: whole.DType, Shape: whole.Shape, Data: bytes.Clone(whole.Data)}
			changed[a.Tensor], begun = into, true
		}
		if isZero(v) {
			clear(into.Data[to : to+size])
			continue
		}
		copy(into.Data[to:to+size], v)
	}
	return checkRange(a, part)
}

// A place says where the elements of a weight lie in the bytes of its tensor.
type place struct {
	first, width, size int // offset of the first, elements in a row, bytes of one
	rowStep, colStep   int // bytes
}

func placeOf(a *ir.WeightAttrs, whole tensor.Tensor) place {
	size := whole.DType.Size()
	width := 1
	if len(a.Data.Shape) == 2 {
		width = a.Data.Shape[1]
	}
	if !a.Transposed {
		return place{a.Row * width * size, width, size, width * size, size}
	}
	return place{a.Row * size, width, size, size, whole.Shape[1] * size}
}

func (p place) contiguous() bool { return p.colStep == p.size }

// of is the offset of element k.
func (p place) of(k int) int { return p.first + k/p.width*p.rowStep + k%p.width*p.colStep }

// isZero reports whether a little-endian number is +0 or −0.
func isZero(b []byte) bool {
	last := len(b) - 1
	for _, x := range b[:last] {
		if x != 0 {
			return false
		}
	}
	return b[last]&0x7f == 0
}

func checkRange(a *ir.WeightAttrs, rounded tensor.Tensor) error {
	for k, v := range rounded.Float64s() {
		if math.IsInf(v, 0) || math.IsNaN(v) {
			was := a.Data.Float64s()[k]
			return fault.Newf(fault.Unsupported, "weight %q: element %d became %v, which %v, the dtype of the checkpoint, cannot hold", a.Name, k, was, rounded.DType)
		}
	}
	return nil
}
