package ir

import (
	"reflect"
	"slices"
)

// Clone returns a copy of g that shares nothing with it but the bytes of its
// weights, which nobody writes. Value IDs stay.
func (g *Graph) Clone() *Graph {
	c := &Graph{Name: g.Name, values: g.values}
	twin := map[*Value]*Value{}
	for _, op := range g.Ops {
		o := &Op{Kind: op.Kind, Attrs: cloneAttrs(op.Attrs), Label: op.Label}
		for _, a := range op.Args {
			o.Args = append(o.Args, twin[a]) // nil stays nil
		}
		for _, r := range op.Results {
			v := &Value{ID: r.ID, Type: Type{r.Type.DType, slices.Clone(r.Type.Shape)}, Def: o}
			twin[r] = v
			o.Results = append(o.Results, v)
		}
		c.Ops = append(c.Ops, o)
	}
	for _, o := range g.Outputs {
		o.Value = twin[o.Value]
		c.Outputs = append(c.Outputs, o)
	}
	return c
}

// cloneAttrs copies what an attribute pointer points to.
func cloneAttrs(attrs any) any {
	if attrs == nil {
		return nil
	}
	c := reflect.New(reflect.TypeOf(attrs).Elem())
	c.Elem().Set(reflect.ValueOf(attrs).Elem())
	return c.Interface()
}
