package main

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"etc/executor"
	"etc/executor/cpu"
	"etc/fault"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/tensor"
)

// A walk takes the calibration rows through a model layer by layer and keeps
// what the last one put out, so that whoever asks for the layers in order has
// each computed for itself, not with all that lie below it.
type walk struct {
	*pruning
	g      *ir.Graph // nil: not begun
	layer  int       // where it stands: hidden is what this one reads
	hidden []float32 // [T,H] over the tokens of all rows; nil before the first layer
}

// open opens a layer of g with an observer, once the walk stands before it. What
// lies below must not change any more; after a step back, or in another graph, the
// walk begins anew.
func (w *walk) open(ctx context.Context, g *ir.Graph, layer int, see observer) (*executor.Executor, error) {
	if w.g != g || w.layer > layer {
		*w = walk{pruning: w.pruning, g: g}
	}
	if w.layer < layer {
		if err := w.advance(ctx, layer); err != nil {
			return nil, err
		}
	}
	return w.compile(layer, see)
}

// advance goes on to a layer.
func (w *walk) advance(ctx context.Context, layer int) error {
	x, err := w.compile(layer-1, func(string, cpu.Rows) {}) // as products that are observed compute
	if err != nil {
		return err
	}
	defer x.Close()
	var hidden []float32
	for ids, types := range w.batches() {
		if err := ctx.Err(); err != nil {
			return err
		}
		out, err := x.Forward(ids, types, "hidden")
		if err != nil {
			return err
		}
		hidden = append(hidden, out[0]...)
	}
	w.layer, w.hidden = layer, hidden
	return nil
}

// compile opens the layers from where the walk stands to last.
func (w *walk) compile(last int, see observer) (*executor.Executor, error) {
	hidden := tensor.FromFloat32s([]int{w.sample.tokens, w.model.Hidden}, w.hidden)
	g, model, err := between(w.g, w.model, w.layer, last, hidden)
	if err != nil {
		return nil, err
	}
	return w.openAs(model, g, see)
}

// batches are those of the sample. Behind the first layer, a token's id is its number.
func (w *walk) batches() iter.Seq2[[][]int32, [][]int32] {
	if w.hidden == nil {
		return w.sample.batches()
	}
	return func(yield func(ids, types [][]int32) bool) {
		next := int32(0)
		for ids := range w.sample.batches() {
			numbers := make([][]int32, len(ids))
			for i, row := range ids {
				for range row {
					numbers[i] = append(numbers[i], next)
					next++
				}
			}
			if !yield(numbers, nil) {
				return
			}
		}
	}
}

// between is the layers of g from first to last, both included, as a model of
// their own. It puts out what the last one does, or what g does where that is
// the last of all: a head may want one token of each row. Layers above the first
// of all read hidden, what the one below puts out, by number of the token.
func between(g *ir.Graph, model plan.Model, first, last int, hidden tensor.Tensor) (*ir.Graph, plan.Model, error) {
	part := g.Clone()
	edges := boundaries(part)
	if last+1 < len(edges)-1 {
		model = putOut(part, edges[last+1], model)
	}
	if first == 0 {
		part.RemoveDead()
		return part, model, nil
	}
	at := edges[first]
	next := part.Ops[slices.Index(part.Ops, at.Def)+1]
	table := part.NewWeightBefore(next, "hidden", hidden)
	number := part.NewBefore(next, ir.Embed, &ir.EmbedAttrs{}, at.Def.Label, part.InputNamed("ids"), nil, nil, table)
	model.VocabSize = hidden.Shape[0]
	part.ReplaceUses(at, number.Result())
	if part.RemoveDead(); readsTokens(part, number) { // the loss, which compares with the ids of tokens
		model = putOut(part, edges[last+1], model)
		part.RemoveDead()
	}
	if readsTokens(part, number) {
		return nil, model, fault.Newf(fault.Internal, "prune: a layer above %d reads ids, types or positions of tokens", first)
	}
	return part, model, nil
}

// putOut makes v of all tokens what g puts out, beside an embedding: the answer
// that a plan must have. It returns the facts of such a model.
func putOut(g *ir.Graph, v *ir.Value, model plan.Model) plan.Model {
	mean := g.New(ir.Pool, &ir.PoolAttrs{}, "mean", v, g.InputNamed("offsets")).Result()
	g.Outputs = []ir.Output{{Name: "hidden", Value: v}, {Name: "embedding", Value: mean}}
	model.Task, model.Labels = plan.Embedding, nil
	return model
}

// readsTokens tells whether another operator than number reads what is known of tokens.
func readsTokens(g *ir.Graph, number *ir.Op) bool {
	for _, name := range []string{"ids", "types", "positions"} {
		v := g.InputNamed(name)
		if v != nil && slices.ContainsFunc(g.Users(v), func(op *ir.Op) bool { return op != number }) {
			return true
		}
	}
	return false
}

// layerOf is the number of the layer that a block is in.
func layerOf(g *ir.Graph, block string) int {
	at := slices.IndexFunc(g.Ops, func(op *ir.Op) bool { return op.Label == block })
	return slices.IndexFunc(boundaries(g), func(v *ir.Value) bool { return slices.Index(g.Ops, v.Def) > at }) - 1
}

// boundaries are what layers read, in order, and at the end what the last puts out.
func boundaries(g *ir.Graph) []*ir.Value {
	var list []*ir.Value
	for i := 0; ; i++ {
		name := fmt.Sprintf("layer.%d", i)
		at := slices.IndexFunc(g.Outputs, func(o ir.Output) bool { return o.Name == name })
		if at < 0 {
			return list
		}
		list = append(list, g.Outputs[at].Value)
	}
}
