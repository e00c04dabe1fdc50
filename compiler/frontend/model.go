package frontend

import (
	"fmt"
	"slices"

	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/tensor"
)

// A model is a graph under construction. Its methods go on after a fault,
// with weights that have a shape and no data, and Err says what was first;
// so an architecture's file reads without error handling.
type model struct {
	config
	g       *ir.Graph
	source  *checkpoint.Checkpoint
	weights *checkpoint.Resolver
	class   class
	task    plan.Task // that of the class, refined by problem_type
	labels  []string
	padding []int                // plan.Model.Padding
	label   string               // of the operators that follow
	loaded  map[string]*ir.Value // by name: a weight used twice is one value
	pruned  map[int]int          // by layer: heads that config.json says are gone; empty where it lists none
	err     error
}

func newModel(c *checkpoint.Checkpoint, cfg config, cl class, prefix string) *model {
	m := &model{
		config: cfg, g: &ir.Graph{Name: cl.name}, source: c, class: cl, task: cl.task,
		weights: checkpoint.NewResolver(c, append([]string{prefix}, commonPrefixes...)...), loaded: map[string]*ir.Value{},
		pruned: map[int]int{},
	}
	m.readPrunedHeads()
	if m.task == plan.Classification {
		m.readProblem()
	}
	return m
}

// Err is the first fault, config.json's before the weights'.
func (m *model) Err() error {
	if err := m.source.Config.Err(); err != nil {
		return err
	}
	if m.err != nil {
		return m.err
	}
	return m.weights.Err()
}

func (m *model) refuse(err error) {
	if m.err == nil {
		m.err = err
	}
}

// facts is what a plan says of the model.
func (m *model) facts() plan.Model {
	longest := m.Positions - m.FirstPosition
	if p := m.source.Pooling; p != nil && p.MaxSeqLength > 0 {
		longest = min(longest, p.MaxSeqLength)
	}
	return plan.Model{
		Architecture: m.class.name, Task: m.task, Labels: m.labels, MaxTokens: longest,
		VocabSize: m.Vocab, TypeVocabSize: m.Types, PositionOffset: m.FirstPosition, Layers: m.Layers, Hidden: m.Hidden,
		Padding: m.padding,
	}
}

// input is the graph input of that name, made on first use.
func (m *model) input(name string) *ir.Value {
	if v := m.g.InputNamed(name); v != nil {
		return v
	}
	if name == "offsets" {
		return m.g.NewInput(name, ir.I32(ir.Ends))
	}
	return m.g.NewInput(name, ir.I32(ir.T))
}

// weight is the checkpoint's tensor of that canonical name, whole.
func (m *model) weight(name string, shape ...int) *ir.Value {
	found := m.weights.Name(name)
	return m.place(shape, ir.WeightAttrs{Name: found, Data: m.weights.Tensor(name, shape...), Tensor: found})
}

// place makes the value of a weight of that shape. One without elements is no
// value of a graph, and nil. After a fault its data is empty.
func (m *model) place(shape []int, a ir.WeightAttrs) *ir.Value {
	if slices.Contains(shape, 0) && m.Err() == nil { // after one, labels may be lacking
		return nil
	}
	if a.Data.Data == nil {
		a.Data = tensor.Tensor{DType: tensor.F32, Shape: shape}
	} else if v := m.loaded[a.Name]; v != nil {
		return v
	}
	v := m.g.NewWeight(a.Name, a.Data)
	*v.Def.Attrs.(*ir.WeightAttrs) = a
	m.loaded[a.Name] = v
	return v
}

// op appends an operator under the current label.
func (m *model) op(kind ir.Kind, attrs any, args ...*ir.Value) *ir.Value {
	return m.g.New(kind, attrs, m.label, args...).Result()
}

// output names a result of the model.
func (m *model) output(name string, v *ir.Value, when ir.When) {
	m.g.Outputs = append(m.g.Outputs, ir.Output{Name: name, Value: v, When: when})
}

// tap marks x as hidden_states[i] of Hugging Face: 0 is the embeddings' output.
func (m *model) tap(i int, x *ir.Value) { m.output(fmt.Sprintf("layer.%d", i), x, ir.Tap) }
