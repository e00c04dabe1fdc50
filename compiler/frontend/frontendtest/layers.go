package frontendtest

import (
	"fmt"
	"slices"
	"strings"

	"etc/ir/tensor"
)

// A Layer is the products of one layer, where a file of f32 holds them. What
// is done to it is done to the tensors.
type Layer struct{ Query, Key, Value, Out, Up, Down Linear }

// A Linear is W [out, in] and b [out]. Files hold it as it is or transposed,
// alone or as one of several parts side by side.
type Linear struct {
	tensors     map[string]tensor.Tensor
	name        string // what "weight" and "bias" follow
	transposed  bool
	part, parts int
}

// names are those of a layer's products, in the order of Layer. The first
// three are one where one tensor holds them.
type names struct {
	class, layer string // what classes begin with; where layer %d stands
	products     [6]string
	transposed   bool
}

var layouts = []names{
	{"Bert", "encoder.layer.%d.", [6]string{"attention.self.query.", "attention.self.key.", "attention.self.value.",
		"attention.output.dense.", "intermediate.dense.", "output.dense."}, false},
	{"DistilBert", "transformer.layer.%d.", [6]string{"attention.q_lin.", "attention.k_lin.", "attention.v_lin.",
		"attention.out_lin.", "ffn.lin1.", "ffn.lin2."}, false},
	{"GPT2", "h.%d.", [6]string{"attn.c_attn.", "attn.c_attn.", "attn.c_attn.", "attn.c_proj.", "mlp.c_fc.", "mlp.c_proj."}, true},
	{"Transformer", "layers.%d.", [6]string{"self_attn.in_proj_", "self_attn.in_proj_", "self_attn.in_proj_",
		"self_attn.out_proj.", "linear1.", "linear2."}, false},
}

// Layers finds the layers of a class in the tensors of its file.
func Layers(class string, tensors map[string]tensor.Tensor) []Layer {
	n := layouts[slices.IndexFunc(layouts, func(n names) bool { return strings.HasPrefix(class, n.class) })]
	var layers []Layer
	for prefix := n.find(tensors, 0); prefix != ""; prefix = n.find(tensors, len(layers)) {
		var l Layer
		for i, to := range []*Linear{&l.Query, &l.Key, &l.Value, &l.Out, &l.Up, &l.Down} {
			*to = Linear{tensors, prefix + n.products[i], n.transposed, 0, 1}
			if i < 3 && n.products[0] == n.products[1] {
				to.part, to.parts = i, 3
			}
		}
		layers = append(layers, l)
	}
	return layers
}

// find is what the names of layer i begin with; empty where there is none.
func (n names) find(tensors map[string]tensor.Tensor, i int) string {
	for name := range tensors {
		if stem, ok := strings.CutSuffix(name, n.products[0]+"weight"); ok && strings.HasSuffix("."+stem, "."+fmt.Sprintf(n.layer, i)) {
			return stem
		}
	}
	return ""
}

// Rows gives f of them to the elements of the listed rows of W.
func (l Linear) Rows(rows []int, f func(float32) float32) {
	l.edit("weight", l.outputs(), l.placed(rows), f)
}

// Columns gives f of them to the elements of the listed columns of W.
func (l Linear) Columns(columns []int, f func(float32) float32) {
	l.edit("weight", 1-l.outputs(), columns, f)
}

// Biases gives f of them to the listed elements of b.
func (l Linear) Biases(rows []int, f func(float32) float32) { l.edit("bias", 0, l.placed(rows), f) }

// Narrow takes features of the heads and neurons out, as a tool does that
// saves a pruned model small.
func (l Layer) Narrow(features, neurons []int) {
	l.Query.take("weight", l.Query.outputs(), features)
	l.Query.take("bias", 0, features)
	if l.Query.parts == 1 { // else all three went
		for _, x := range []Linear{l.Key, l.Value} {
			x.take("weight", x.outputs(), features)
			x.take("bias", 0, features)
		}
	}
	l.Out.take("weight", 1-l.Out.outputs(), features)
	l.Up.take("weight", l.Up.outputs(), neurons)
	l.Up.take("bias", 0, neurons)
	l.Down.take("weight", 1-l.Down.outputs(), neurons)
}

// outputs is the dimension of the outputs in the stored weight.
func (l Linear) outputs() int {
	if l.transposed {
		return 1
	}
	return 0
}

// placed are outputs of this part as outputs of the whole tensor.
func (l Linear) placed(rows []int) []int {
	first := l.part * l.tensors[l.name+"bias"].Shape[0] / l.parts
	var list []int
	for _, r := range rows {
		list = append(list, first+r)
	}
	return list
}

func (l Linear) edit(what string, dim int, list []int, f func(float32) float32) {
	t := l.tensors[l.name+what]
	v := t.Float32s()
	for k, x := range v {
		if slices.Contains(list, position(t.Shape, dim, k)) {
			v[k] = f(x)
		}
	}
	l.tensors[l.name+what] = tensor.FromFloat32s(t.Shape, v)
}

// take leaves the list out of a dimension, of each of the parts there.
func (l Linear) take(what string, dim int, list []int) {
	t := l.tensors[l.name+what]
	parts := 1
	if what == "bias" || dim == l.outputs() {
		parts = l.parts
	}
	part := t.Shape[dim] / parts
	var kept []float32
	for k, x := range t.Float32s() {
		if !slices.Contains(list, position(t.Shape, dim, k)%part) {
			kept = append(kept, x)
		}
	}
	shape := slices.Clone(t.Shape)
	shape[dim] -= parts * len(list)
	l.tensors[l.name+what] = tensor.FromFloat32s(shape, kept)
}

// position is where element k of a vector or matrix stands in a dimension.
func position(shape []int, dim, k int) int {
	width := shape[len(shape)-1]
	if dim == len(shape)-1 {
		return k % width
	}
	return k / width
}
