package main

import (
	"fmt"
	"io"
	"strings"

	"etc/codegen/cuda"
	"etc/compiler/cost"
	"etc/formats/plan"
	"etc/formats/plan/launch"
	"etc/formats/plan/layout"
	"etc/ir"
	"etc/ir/sparse"
	"etc/ir/tensor"
)

// A productStory is why products of one shape are in a form and have tiles, on
// a GPU. Of a plan it has no predictions.
type productStory struct {
	Target  string       `json:"target"`
	Outputs int          `json:"outputs"`
	Inputs  int          `json:"inputs"`
	Op      string       `json:"op"`
	Blocks  []string     `json:"blocks"`
	Forms   []formStory  `json:"forms,omitempty"`
	Tiles   []tileChoice `json:"tiles,omitempty"`
}

// A formStory is what a form of the product is predicted to take for 4096 rows.
type formStory struct {
	Op     string  `json:"op"`
	Micros float64 `json:"us"`
}

// A tileChoice is the tile of a dense product for up to so many rows, 0 for
// any number, and what it is predicted to take; Next is the best of the others.
type tileChoice struct {
	Rows     int             `json:"rows"`
	Tile     string          `json:"tile"`
	Micros   float64         `json:"us,omitempty"`
	Measured bool            `json:"measured,omitempty"`
	Next     *tilePrediction `json:"next,omitempty"`
}

type tilePrediction struct {
	Tile   string  `json:"tile"`
	Micros float64 `json:"us"`
}

// explainGPU adds what is to be told of a program for a GPU. With predictions
// it is the model with that tuning that speaks.
func (e *explanation) explainGPU(q *plan.Program, t *cost.Tuning, predictions bool) {
	g, _ := gpuModel(q.Target, t)
	for _, b := range q.Buckets {
		for _, c := range b.Choices {
			e.Attention = append(e.Attention, attentionChoice(q, g, b.MaxTokens, &c, predictions))
		}
	}
	first := len(e.Products)
	for i := range q.Steps {
		s := &q.Steps[i]
		w := matrixOf(q, s)
		if w == nil {
			continue
		}
		p := newProductStory(q, s, w, g, predictions)
		if same := p.findSame(e.Products[first:]); same != nil {
			same.Blocks = append(same.Blocks, s.Label)
			continue
		}
		e.Products = append(e.Products, p)
	}
}

// findSame is the story that is p's but for blocks, nil where there is none.
func (p *productStory) findSame(list []productStory) *productStory {
	text := func(p productStory) string {
		p.Blocks = nil
		return fmt.Sprint(p.Target, p.Outputs, p.Inputs, p.Op, p.Forms, describeTiles(p.Tiles))
	}
	for i := range list {
		if text(list[i]) == text(*p) {
			return &list[i]
		}
	}
	return nil
}

func describeTiles(all []tileChoice) (words []string) {
	for _, t := range all {
		words = append(words, fmt.Sprint(t.Rows, t.Tile))
	}
	return words
}

// attentionChoice is why an attention step of a GPU program has its operator
// for rows of up to so many tokens.
func attentionChoice(q *plan.Program, g cost.GPU, tokens int, c *plan.Choice, predictions bool) attentionStory {
	s := &q.Steps[c.Step]
	story := attentionStory{Block: labelOf(q, s.Label), Tokens: tokens, Chosen: c.Op.String(), Workspace: c.Workspace, gpu: true}
	if len(c.Launches) > 0 {
		story.Queries = q.Kernels[c.Launches[0].Kernels[0]].Value("QB")
	}
	if !predictions {
		return story
	}
	chosen := fmt.Sprintf("%v %d", c.Op, story.Queries)
	attrs := attentionOf(s.Params)
	for _, way := range g.RankAttention(attrs, tokens) {
		why := "slower"
		switch {
		case way.Variant() == chosen && way.Measured:
			why = "chosen, measured"
		case way.Variant() == chosen:
			why = "chosen"
		}
		story.Predicted = append(story.Predicted, prediction{way.Variant(), way.Seconds * 1e6, why})
	}
	for _, way := range g.Candidates(attrs, tokens) {
		if !g.Fits(way) {
			why := fmt.Sprintf("needs %d KB of shared memory, a block has %d", (way.Shared+1023)>>10, g.MostShared>>10)
			story.Predicted = append(story.Predicted, prediction{way.Variant(), way.Seconds * 1e6, why})
		}
	}
	return story
}

func newProductStory(q *plan.Program, s *plan.Step, w *plan.Weight, g cost.GPU, predictions bool) productStory {
	n, k := w.Shape[0], w.Shape[1]
	p := productStory{Target: q.Target, Outputs: n, Inputs: k, Op: s.Op.String(), Blocks: []string{s.Label}}
	if predictions && s.Op != plan.LinearNLL && s.Op != plan.VOAttention {
		for _, f := range g.Forms(zerosOf(q.Plan, w)) {
			p.Forms = append(p.Forms, formStory{f.Kind.String(), f.Seconds * 1e6})
		}
	}
	tiles := launch.LinearTiles()
	for _, l := range s.Launches {
		at := tileIndex(q.Kernels[l.Kernels[0]].Kernel)
		if at < 0 {
			continue // a form with blocks of one size
		}
		t := tileChoice{Rows: l.Tokens, Tile: tiles[at].Name()}
		if predictions {
			t.predict(g.RankTiles(cuda.Tiles, l.Tokens, n, k), at)
		}
		p.Tiles = append(p.Tiles, t)
	}
	return p
}

// predict fills in what the model says of the tile, and of the best other.
func (t *tileChoice) predict(ranked []cost.TileEstimate, at int) {
	for _, e := range ranked {
		switch {
		case e.Index == at:
			t.Micros, t.Measured = e.Seconds*1e6, e.Measured
		case t.Next == nil:
			t.Next = &tilePrediction{cuda.Tiles[e.Index].Name, e.Seconds * 1e6}
		}
	}
}

// zerosOf is what the form of a product was chosen by, as far as its packed
// weights still show it.
func zerosOf(p *plan.Plan, w *plan.Weight) sparse.Matrix {
	n, k := w.Shape[0], w.Shape[1]
	m := sparse.Matrix{N: n, K: k, NonZeros: n * k, Tiles: layout.Blocks(n) * layout.Blocks(k)}
	switch w.Layout {
	case plan.GPUTiles:
		m.Tiles = (int(w.Size) - layout.GPUTileParts(n, k)["tiles"]) / (2 * sparse.Tile * sparse.Tile)
	case plan.GPU24:
		m.NM24 = true
	case plan.Padded:
		wide := layout.PaddedWidth(k)
		return widthOf(sparse.Survey(tensor.Tensor{DType: w.DType, Shape: []int{n, wide}, Data: p.Data[w.Offset : w.Offset+w.Size]}), k)
	}
	return m
}

// widthOf is the survey of a matrix that was padded with zeros to eight.
func widthOf(m sparse.Matrix, k int) sparse.Matrix {
	m.K = k
	return m
}

// print writes the part of an explanation that GPU programs have.
func (e *explanation) printGPU(w io.Writer) {
	if len(e.Products) == 0 {
		return
	}
	fmt.Fprintln(w, "\nproduct\toutputs × inputs\toperator\trows\ttile\twhy: predicted µs")
	for _, p := range e.Products {
		start := fmt.Sprintf("%s %s\t%d × %d\t%s", p.Target, inShort(p.Blocks), p.Outputs, p.Inputs, p.Op)
		if p.Op != ir.Linear.String() && len(p.Forms) > 0 {
			fmt.Fprintf(w, "%s\t4096\t\t%s\n", start, p.describeForms())
			continue
		}
		if len(p.Tiles) == 0 {
			fmt.Fprintf(w, "%s\n", start)
		}
		for _, t := range p.Tiles {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", start, upTo(t.Rows), t.Tile, t.why())
			start = "\t\t"
		}
		if len(p.Forms) > 0 {
			fmt.Fprintf(w, "\t\t\t4096\t\t%s\n", p.describeForms())
		}
	}
}

// describeForms puts the forms of a product beside one another.
func (p *productStory) describeForms() string {
	var words []string
	for _, f := range p.Forms {
		words = append(words, fmt.Sprintf("%s %.1f", f.Op, f.Micros))
	}
	return strings.Join(words, ", ")
}

func (t *tileChoice) why() string {
	if t.Next == nil {
		return ""
	}
	measured := ""
	if t.Measured {
		measured = ", measured as best"
	}
	return fmt.Sprintf("%.1f%s; next is %s with %.1f", t.Micros, measured, t.Next.Tile, t.Next.Micros)
}

func upTo(rows int) string {
	if rows == 0 {
		return "any"
	}
	return fmt.Sprintf("up to %d", rows)
}

// inShort is the first of some blocks and how many there are.
func inShort(blocks []string) string {
	if len(blocks) == 1 {
		return blocks[0]
	}
	return fmt.Sprintf("%s and %d more", blocks[0], len(blocks)-1)
}

// isGPU reports whether a program is for a GPU.
func isGPU(q *plan.Program) bool { return plan.SM(q.Target) > 0 }
