// Package ir is the intermediate representation of a transformer encoder: a
// list of operators in static single assignment form, without control flow.
//
// A frontend builds a Graph of model operators from a checkpoint; passes
// rewrite it in place; what is left at the end are kernel operators, one a
// launch. Activations are ragged, [T, H] over the tokens of all rows, so no
// operator but attention and those that pick rows sees a length. Print and
// Parse convert a Graph to and from the text form of docs/ir.md; Verify
// reports the first broken invariant; package interp says what a graph means.
package ir

import (
	"fmt"
	"slices"
	"strings"

	"etc/ir/tensor"
)

// A Graph is one model. Definitions precede uses in Ops.
type Graph struct {
	Name    string
	Ops     []*Op
	Outputs []Output
	values  int // next Value.ID
}

// An Op applies an operator to earlier values.
type Op struct {
	Kind    Kind
	Args    []*Value // nil where an optional operand is absent
	Results []*Value
	Attrs   any    // a pointer to the attribute struct of the kind, or nil
	Label   string // the block of the model it came from, such as "layer 0 attention"
}

// A Value is one result of an Op.
type Value struct {
	ID   int
	Type Type
	Def  *Op
}

// An Output names a value that leaves the graph.
type Output struct {
	Name  string
	Value *Value
	When  When
}

// When says when an output is computed.
type When uint8

const (
	Always   When = iota
	OnDemand      // only when it is asked for
	Tap           // copied as it passes by, for verification; keeps nothing alive
)

var whenNames = []string{"output", "ondemand", "tap"}

func (w When) String() string { return whenNames[w] }

// New appends an operator whose result types follow from its operands. It
// panics where Verify would complain: the caller is a frontend or a pass.
func (g *Graph) New(kind Kind, attrs any, label string, args ...*Value) *Op {
	return g.insert(len(g.Ops), kind, attrs, label, args)
}

// NewBefore is New, placed before the operator at.
func (g *Graph) NewBefore(at *Op, kind Kind, attrs any, label string, args ...*Value) *Op {
	return g.insert(slices.Index(g.Ops, at), kind, attrs, label, args)
}

func (g *Graph) insert(i int, kind Kind, attrs any, label string, args []*Value) *Op {
	op := &Op{Kind: kind, Attrs: attrs, Label: label, Args: make([]*Value, len(operandsOf(kind)))}
	copy(op.Args, args)
	if err := checkOperands(op); err != nil {
		panic(fmt.Sprintf("bug: ir: %v", err))
	}
	types, err := inferTypes(op)
	if err != nil {
		panic(fmt.Sprintf("bug: ir: %v", err))
	}
	for _, t := range types {
		op.Results = append(op.Results, &Value{ID: g.values, Type: t, Def: op})
		g.values++
	}
	g.Ops = slices.Insert(g.Ops, i, op)
	return op
}

// NewInput appends an input.
func (g *Graph) NewInput(name string, t Type) *Value {
	return g.source(len(g.Ops), Input, &InputAttrs{name}, t)
}

// NewWeight appends a constant. Floats become f32 values whatever data's dtype.
func (g *Graph) NewWeight(name string, data tensor.Tensor) *Value {
	return g.source(len(g.Ops), Weight, &WeightAttrs{Name: name, Data: data}, weightType(data))
}

// NewWeightBefore is NewWeight, placed before the operator at.
func (g *Graph) NewWeightBefore(at *Op, name string, data tensor.Tensor) *Value {
	return g.source(slices.Index(g.Ops, at), Weight, &WeightAttrs{Name: name, Data: data}, weightType(data))
}

func weightType(data tensor.Tensor) Type {
	t := Type{DType: data.DType}
	if t.DType.IsFloat() {
		t.DType = tensor.F32
	}
	for _, d := range data.Shape {
		t.Shape = append(t.Shape, Dim(d))
	}
	return t
}

func (g *Graph) source(i int, kind Kind, attrs any, t Type) *Value {
	v := &Value{ID: g.values, Type: t}
	g.values++
	v.Def = &Op{Kind: kind, Attrs: attrs, Results: []*Value{v}}
	g.Ops = slices.Insert(g.Ops, i, v.Def)
	return v
}

// InputNamed returns the input of that name, or nil.
func (g *Graph) InputNamed(name string) *Value {
	for _, op := range g.Ops {
		if op.Kind == Input && op.Attrs.(*InputAttrs).Name == name {
			return op.Results[0]
		}
	}
	return nil
}

// ReplaceUses makes every operand and output that is old be by instead.
// Labels of new stay. old is left in place, dead.
func (g *Graph) ReplaceUses(old, by *Value) {
	for _, op := range g.Ops {
		for i, a := range op.Args {
			if a == old {
				op.Args[i] = by
			}
		}
	}
	for i := range g.Outputs {
		if g.Outputs[i].Value == old {
			g.Outputs[i].Value = by
		}
	}
}

// Users returns the operators that read v, in order, each once.
func (g *Graph) Users(v *Value) []*Op {
	var users []*Op
	for _, op := range g.Ops {
		if slices.Contains(op.Args, v) {
			users = append(users, op)
		}
	}
	return users
}

// IsOutput reports whether v leaves the graph by other than a tap.
func (g *Graph) IsOutput(v *Value) bool {
	return slices.ContainsFunc(g.Outputs, func(o Output) bool { return o.Value == v && o.When != Tap })
}

// OnlyUser returns the one operator that reads v, or nil where there are
// none or several or v leaves the graph (taps included).
func (g *Graph) OnlyUser(v *Value) *Op {
	if slices.ContainsFunc(g.Outputs, func(o Output) bool { return o.Value == v }) {
		return nil
	}
	users := g.Users(v)
	if len(users) != 1 {
		return nil
	}
	return users[0]
}

// RemoveDead drops every operator none of whose results is used, and returns
// how many. A tap on a value that nothing else needs goes with it.
func (g *Graph) RemoveDead() int {
	live := map[*Op]bool{}
	var mark func(v *Value)
	mark = func(v *Value) {
		if v == nil || live[v.Def] {
			return
		}
		live[v.Def] = true
		for _, a := range v.Def.Args {
			mark(a)
		}
	}
	for _, o := range g.Outputs {
		if o.When != Tap {
			mark(o.Value)
		}
	}
	before := len(g.Ops)
	g.Ops = slices.DeleteFunc(g.Ops, func(op *Op) bool { return !live[op] })
	g.Outputs = slices.DeleteFunc(g.Outputs, func(o Output) bool { return !live[o.Value.Def] })
	return before - len(g.Ops)
}

// Arg returns the operand of that name, or nil where it is absent.
func (op *Op) Arg(name string) *Value { return op.Args[op.operand(name)] }

// SetArg replaces the operand of that name; nil makes it absent.
func (op *Op) SetArg(name string, v *Value) { op.Args[op.operand(name)] = v }

func (op *Op) operand(name string) int {
	i := slices.IndexFunc(operandsOf(op.Kind), func(s string) bool { return strings.TrimSuffix(s, "?") == name })
	if i < 0 {
		panic(fmt.Sprintf("bug: ir: %v has no operand %q", op.Kind, name))
	}
	return i
}

// Result is the only result of op.
func (op *Op) Result() *Value { return op.Results[0] }

// Data returns the tensor of a weight value, or false for any other value.
func (v *Value) Data() (tensor.Tensor, bool) {
	if v == nil || v.Def.Kind != Weight {
		return tensor.Tensor{}, false
	}
	return v.Def.Attrs.(*WeightAttrs).Data, true
}

// WeightName is the name of a weight value, "" for any other value.
func (v *Value) WeightName() string {
	if v == nil || v.Def.Kind != Weight {
		return ""
	}
	return v.Def.Attrs.(*WeightAttrs).Name
}

func operandsOf(k Kind) []string { return strings.Fields(table[k].operands) }

// OperandName is the name of operand i of kind k.
func OperandName(k Kind, i int) string { return strings.TrimSuffix(operandsOf(k)[i], "?") }
