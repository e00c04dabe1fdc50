package main

import (
	"bytes"
	"math/rand/v2"

	"etc/compiler/frontend"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/mapped"
	"etc/ir"
	"etc/ir/sparse"
	"etc/ir/tensor"
	"etc/prune"
	"etc/prune/latency"
)

// A latencyLevel is how much layers of a model keep. Zero densities stand
// for products that are not in tiles.
type latencyLevel struct {
	heads, d, dv, width      int
	attentionTiles, ffnTiles float64
}

func denseLevel(d latency.Dimensions) latencyLevel {
	return latencyLevel{heads: d.Heads, d: d.D, dv: d.Dv, width: d.Inner}
}

const (
	mostHeadLevels  = 16 // beside none
	mostWidthLevels = 4  // of d, of dv
	latencyStep     = 16 // of widths: what a kernel takes at a time
)

// latencyInner are the widths that are measured, in sixteenths of the dense one.
var latencyInner = []int{0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16}

// latencyDensities are the shares of tiles that are measured.
var latencyDensities = []float64{0.1, 0.3, 0.5, 0.7, 0.9}

// emptyLatencyTable is a table with the points of a model and no times.
func emptyLatencyTable(d latency.Dimensions, shapes []latency.Shape) *latency.Table {
	t := &latency.Table{Schema: latency.Schema, Model: d, Shapes: shapes}
	for _, h := range numbers(0, d.Heads, 1, mostHeadLevels) {
		t.Attention = append(t.Attention, latency.AttentionTime{Heads: h, D: d.D, Dv: d.Dv})
	}
	for _, n := range widthsBelow(d.D) {
		t.Attention = append(t.Attention, latency.AttentionTime{Heads: d.Heads, D: n, Dv: d.Dv})
	}
	for _, n := range widthsBelow(d.Dv) {
		t.Attention = append(t.Attention, latency.AttentionTime{Heads: d.Heads, D: d.D, Dv: n})
	}
	for i, k := range latencyInner {
		w := (d.Inner*k/16 + latencyStep/2) / latencyStep * latencyStep
		if k == 16 {
			w = d.Inner
		}
		if w <= d.Inner && (i == 0 || w > t.FFN[len(t.FFN)-1].Width) && (k == 16 || w < d.Inner) {
			t.FFN = append(t.FFN, latency.FFNTime{Width: w})
		}
	}
	for _, x := range latencyDensities {
		t.AttentionTiles = append(t.AttentionTiles, latency.TilesTime{Density: x})
		t.FFNTiles = append(t.FFNTiles, latency.TilesTime{Density: x})
	}
	return t
}

// numbers are the numbers from first to last: all, or most steps of about equal
// size, in multiples of unit.
func numbers(first, last, unit, most int) (all []int) {
	n := min(most, (last-first)/unit)
	for i := range n {
		all = append(all, first+(last-first)*i/n/unit*unit)
	}
	return append(all, last)
}

// widthsBelow are the widths of a head that are measured below the dense one.
func widthsBelow(dense int) []int {
	last := (dense - 1) / latencyStep * latencyStep
	if last < latencyStep {
		return nil
	}
	return numbers(latencyStep, last, latencyStep, mostWidthLevels-1)
}

// sublayersOf are the products of a graph's encoder layers, by kind.
func sublayersOf(g *ir.Graph) (attentions, ffns []prune.Products, err error) {
	all, err := prune.Sublayers(g)
	for _, p := range all {
		if p.In == nil {
			attentions = append(attentions, p)
		} else {
			ffns = append(ffns, p)
		}
	}
	if err == nil && (len(attentions) == 0 || len(ffns) == 0) {
		err = fault.Newf(fault.Unsupported, "latency: the model has %d attention and %d feed-forward sublayers, want some of both", len(attentions), len(ffns))
	}
	return attentions, ffns, err
}

func weightOf(linear *ir.Op) tensor.Tensor {
	w, _ := linear.Arg("w").Data()
	return w
}

// atLevel is the checkpoint with its first layers at a level: what goes is zero, the
// last heads and neurons and random tiles; what stays is as it was, because
// kernels may take another time for numbers that no model has.
func atLevel(c *checkpoint.Checkpoint, l latencyLevel, layers int) (*checkpoint.Checkpoint, error) {
	im, err := frontend.Import(c)
	if err != nil {
		return nil, err
	}
	attentions, ffns, err := sublayersOf(im.Graph)
	if err != nil {
		return nil, err
	}
	err = mapped.Guard(func() error { // weights are views of c's files
		for i, p := range attentions[:min(layers, len(attentions))] {
			keepHeads(p, l, uint64(i))
		}
		for i, p := range ffns[:min(layers, len(ffns))] {
			keepNeurons(p, l, uint64(i))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	changed, err := frontend.WriteBack(im.Graph, c)
	if err != nil {
		return nil, err
	}
	return c.With(changed), nil
}

func keepHeads(p prune.Products, l latencyLevel, layer uint64) {
	a := p.Around.Attrs.(*ir.AttentionAttrs)
	score := func(i int) bool { return i/a.D < l.heads && i%a.D < l.d }
	value := func(i int) bool { return i/a.Dv < l.heads && i%a.Dv < l.dv }
	keepRows(p.Q, score)
	keepRows(p.K, score)
	keepRows(p.V, value)
	keepColumns(p.O, value)
	if l.attentionTiles > 0 {
		for i, op := range []*ir.Op{p.Q, p.K, p.V, p.O} {
			keepTiles(op, l.attentionTiles, rand.New(rand.NewPCG(layer, uint64(i))))
		}
	}
}

func keepNeurons(p prune.Products, l latencyLevel, layer uint64) {
	neuron := func(i int) bool { return i < l.width }
	keepRows(p.In, neuron)
	keepColumns(p.Out, neuron)
	if l.ffnTiles > 0 {
		for i, op := range []*ir.Op{p.In, p.Out} {
			keepTiles(op, l.ffnTiles, rand.New(rand.NewPCG(layer, uint64(i))))
		}
	}
}

// keepRows zeroes the outputs of a linear that are not kept, biases included.
func keepRows(linear *ir.Op, kept func(i int) bool) {
	edit(linear.Arg("w"), func(i, _ int) bool { return kept(i) })
	if b := linear.Arg("b"); b != nil {
		edit(b, func(i, _ int) bool { return kept(i) })
	}
}

func keepColumns(linear *ir.Op, kept func(j int) bool) {
	edit(linear.Arg("w"), func(_, j int) bool { return kept(j) })
}

// keepTiles keeps a share of the tiles, drawn without replacement.
func keepTiles(linear *ir.Op, density float64, rng *rand.Rand) {
	w := weightOf(linear)
	down, across := (w.Shape[0]+sparse.Tile-1)/sparse.Tile, (w.Shape[1]+sparse.Tile-1)/sparse.Tile
	kept := make([]bool, down*across)
	for _, t := range rng.Perm(len(kept))[:int(density*float64(len(kept))+0.5)] {
		kept[t] = true
	}
	edit(linear.Arg("w"), func(i, j int) bool { return kept[i/sparse.Tile*across+j/sparse.Tile] })
}

// edit zeroes the entries (row, column) of a weight that are not kept; a
// vector's are rows of one column.
func edit(weight *ir.Value, kept func(i, j int) bool) {
	a := weight.Def.Attrs.(*ir.WeightAttrs)
	t := tensor.Tensor{DType: a.Data.DType, Shape: a.Data.Shape, Data: bytes.Clone(a.Data.Data)}
	columns, size := 1, t.DType.Size()
	if len(t.Shape) == 2 {
		columns = t.Shape[1]
	}
	for k := range t.Len() {
		if !kept(k/columns, k%columns) {
			clear(t.Data[k*size : (k+1)*size])
		}
	}
	a.Data = t
}
