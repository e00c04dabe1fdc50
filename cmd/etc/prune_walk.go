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

// A walk takes rows through a model layer by layer and keeps
// what the last one put out, so that whoever asks for the layers in order has
// each computed for itself, not with all that lie below it.
type walk struct {
	*pruning
	sample   *sample
	observed bool      // layers are compiled as those that are observed
	g        *ir.Graph // nil: not begun
	layer    int       // where it stands: hidden is what this one reads
	hidden   []float32 // [T,H] over the tokens of all rows; nil before the first layer
}

// chunkTokens is how many tokens' hidden states are in one table: it is copied
// as a model is compiled.
const chunkTokens = 16 << 10

// batches runs a layer of g with an observer on the sample, batch by batch, and
// yields what it puts out, valid until the next one. What lies below the layer must
// not change any more.
func (w *walk) batches(ctx context.Context, g *ir.Graph, layer int, see observer) iter.Seq2[[][]float32, error] {
	return func(yield func([][]float32, error) bool) {
		if err := w.to(ctx, g, layer); err != nil {
			yield(nil, err)
			return
		}
		w.run(ctx, g, layer, see, yield)
	}
}

// outputs runs g from a layer on, batch by batch, and yields what it puts out.
// Below the layer it is as dense, which the walk goes through.
func (w *walk) outputs(ctx context.Context, dense, g *ir.Graph, layer int) iter.Seq2[[][]float32, error] {
	return func(yield func([][]float32, error) bool) {
		if err := w.to(ctx, dense, layer); err != nil {
			yield(nil, err)
			return
		}
		w.run(ctx, g, len(boundaries(g))-2, nil, yield)
	}
}

// to goes to a layer of g. After a step back, or in another graph, the walk begins anew.
func (w *walk) to(ctx context.Context, g *ir.Graph, layer int) error {
	if w.g != g || w.layer > layer {
		*w = walk{pruning: w.pruning, sample: w.sample, observed: w.observed, g: g}
	}
	if w.layer == layer {
		return nil
	}
	return w.advance(ctx, layer)
}

// advance goes on to a layer. Hidden states are replaced where they lie: a table
// of those that a batch reads is a copy.
func (w *walk) advance(ctx context.Context, layer int) (err error) {
	hidden := w.hidden
	if hidden == nil {
		hidden = make([]float32, w.sample.tokens*w.model.Hidden)
	}
	done := 0
	var unseen observer
	if w.observed {
		unseen = func(string, cpu.Rows) {}
	}
	w.run(ctx, w.g, layer-1, unseen, func(out [][]float32, failed error) bool {
		if err = failed; err == nil {
			done += copy(hidden[done:], out[0])
		}
		return err == nil
	})
	if err != nil {
		w.g = nil // to begin anew: some are of another layer
		return err
	}
	w.layer, w.hidden = layer, hidden
	return nil
}

// run runs the layers of g from where the walk stands to last.
func (w *walk) run(ctx context.Context, g *ir.Graph, last int, see observer, yield func([][]float32, error) bool) {
	var x *executor.Executor
	defer func() {
		if x != nil {
			x.Close()
		}
	}()
	first, end, next := 0, 0, 0 // tokens in x's table, and that of the batch
	for ids, types := range w.sample.batches(batchTokens) {
		n := 0
		for _, row := range ids {
			n += len(row)
		}
		err := ctx.Err()
		if err == nil && (x == nil || w.hidden != nil && next+n > end) {
			if x != nil {
				x.Close()
			}
			first, end = next, min(next+max(n, chunkTokens), w.sample.tokens)
			x, err = w.compile(g, last, first, end, see)
		}
		var out [][]float32
		if err == nil {
			if w.hidden != nil {
				ids, types = numbered(ids, next-first), nil
			}
			out, err = x.Forward(ids, types, x.Default()...)
		}
		next += n
		if !yield(out, err) || err != nil {
			return
		}
	}
}

// numbered are rows as long as those given, of tokens that count on from a number.
func numbered(rows [][]int32, from int) [][]int32 {
	numbers := make([][]int32, len(rows))
	for i, row := range rows {
		for range row {
			numbers[i] = append(numbers[i], int32(from))
			from++
		}
	}
	return numbers
}

// compile opens the layers of g from where the walk stands to last, for the
// tokens from first to end.
func (w *walk) compile(g *ir.Graph, last, first, end int, see observer) (*executor.Executor, error) {
	var hidden tensor.Tensor
	if w.hidden != nil {
		width := w.model.Hidden
		hidden = tensor.FromFloat32s([]int{end - first, width}, w.hidden[first*width:end*width])
	}
	part, model, err := between(g, w.model, w.layer, last, hidden)
	if err != nil {
		return nil, err
	}
	return w.openAs(model, part, see)
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
	model.VocabSize, model.Padding = hidden.Shape[0], nil
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
	model.Task, model.Labels, model.Padding = plan.Embedding, nil, nil
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
	return layerAt(g, slices.IndexFunc(g.Ops, func(op *ir.Op) bool { return op.Label == block }))
}

// layerAt is the number of the layer that operator number at is in; below the
// layers it is -1, above them -2.
func layerAt(g *ir.Graph, at int) int {
	return slices.IndexFunc(boundaries(g), func(v *ir.Value) bool { return slices.Index(g.Ops, v.Def) > at }) - 1
}

// firstChanged is the number of the first layer in which a clone of dense has
// other weights; 0 where it has none, or has them outside of layers.
func firstChanged(dense, g *ir.Graph) int {
	first := len(g.Ops)
	for i, op := range g.Ops {
		if op.Kind != ir.Weight {
			continue
		}
		was, is := dense.Ops[i].Attrs.(*ir.WeightAttrs).Data.Data, op.Attrs.(*ir.WeightAttrs).Data.Data
		if len(is) > 0 && &was[0] == &is[0] {
			continue
		}
		for _, user := range g.Users(op.Result()) {
			first = min(first, slices.Index(g.Ops, user))
		}
	}
	return max(0, layerAt(g, first))
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
