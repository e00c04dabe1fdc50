package transform_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"etc/compiler/frontend"
	"etc/compiler/frontend/frontendtest"
	"etc/compiler/transform"
	"etc/formats/checkpoint"
	"etc/ir"
	"etc/ir/irtest"
	"etc/ir/pass"
	"etc/ir/tensor"
)

// Checkpoints that were pruned elsewhere, in whatever way.

const heads, headSize, inner = 4, 3, 10

// gone is what every case takes from the first layer and the second.
var goneHeads, goneNeurons = [][]int{{1}, {0, 3}}, [][]int{{2, 3, 9}, {0}}

// classes stand for all architectures; RoBERTa's layers are those of BERT.
var classes = []string{"BertModel", "DistilBertForSequenceClassification", "GPT2LMHeadModel", "GPT2ForSequenceClassification", "TransformerModel"}

// zero is what a tool does that assigns 0, masked one that multiplies by a
// mask of zeros and ones: of a negative weight it leaves −0.
func zero(float32) float32     { return 0 }
func masked(x float32) float32 { return x * 0 }

// A method prunes features of heads and neurons of a layer.
type method struct {
	name             string
	prune            func(l frontendtest.Layer, features, neurons []int)
	attention, inner bool // whether it prunes heads, neurons
}

var methods = []method{
	{"rows of W_V, biases stay", func(l frontendtest.Layer, f, n []int) { l.Value.Rows(f, zero) }, true, false},
	{"rows of W_V and b_V", func(l frontendtest.Layer, f, n []int) { l.Value.Rows(f, zero); l.Value.Biases(f, zero) }, true, false},
	{"columns of W_O", func(l frontendtest.Layer, f, n []int) { l.Out.Columns(f, zero) }, true, false},
	{"mask on columns of W_O", func(l frontendtest.Layer, f, n []int) { l.Out.Columns(f, masked) }, true, false},
	{"rows of W_V and columns of W_O by turns", func(l frontendtest.Layer, f, n []int) {
		for i, j := range f {
			if i%2 == 0 {
				l.Value.Rows([]int{j}, masked)
			} else {
				l.Out.Columns([]int{j}, zero)
			}
		}
	}, true, false},
	{"rows of W_Q, W_K and W_V, biases stay", func(l frontendtest.Layer, f, n []int) {
		l.Query.Rows(f, masked)
		l.Key.Rows(f, masked)
		l.Value.Rows(f, masked)
	}, true, false},
	{"a head whole", func(l frontendtest.Layer, f, n []int) {
		for _, x := range []frontendtest.Linear{l.Query, l.Key, l.Value} {
			x.Rows(f, zero)
			x.Biases(f, zero)
		}
		l.Out.Columns(f, zero)
	}, true, false},
	{"rows of W1, b1 stays", func(l frontendtest.Layer, f, n []int) { l.Up.Rows(n, zero) }, false, true},
	{"columns of W2", func(l frontendtest.Layer, f, n []int) { l.Down.Columns(n, zero) }, false, true},
	{"rows of W1 and columns of W2 by turns", func(l frontendtest.Layer, f, n []int) {
		for i, j := range n {
			if i%2 == 0 {
				l.Up.Rows([]int{j}, masked)
			} else {
				l.Down.Columns([]int{j}, masked)
			}
		}
	}, false, true},
	{"masks of PyTorch on all matrices and biases", func(l frontendtest.Layer, f, n []int) {
		for _, x := range []frontendtest.Linear{l.Query, l.Key, l.Value} {
			x.Rows(f, masked)
			x.Biases(f, masked)
		}
		l.Out.Columns(f, masked)
		l.Up.Rows(n, masked)
		l.Up.Biases(n, masked)
		l.Down.Columns(n, masked)
	}, true, true},
}

// TestZerosMadeElsewhere: a checkpoint whose heads or neurons somebody else
// made zero, in any of the ways there are, becomes the smaller graph, of the
// same meaning.
func TestZerosMadeElsewhere(t *testing.T) {
	t.Parallel()
	for seed, class := range classes {
		for _, m := range methods {
			t.Run(class+" "+m.name, func(t *testing.T) {
				before := importEdited(t, uint64(seed), class, m.prune)
				after := lowered(before)
				equivalent(t, before, after, uint64(seed))
				for i, got := range shapesOf(t, after) {
					want := shape{heads: heads, d: headSize, dv: headSize, inner: inner}
					if m.attention {
						want.heads -= len(goneHeads[i])
					}
					if m.inner {
						want.inner -= len(goneNeurons[i])
					}
					if got != want {
						t.Errorf("layer %d is %+v, want %+v", i, got, want)
					}
				}
			})
		}
	}
}

// TestScoreFeaturesMadeZeroElsewhere: a feature of q and k that is zero in all
// heads on either side narrows them, whatever bias of k stays; a row of W_Q
// with a bias does not.
func TestScoreFeaturesMadeZeroElsewhere(t *testing.T) {
	t.Parallel()
	every := []int{1, 1 + headSize, 1 + 2*headSize, 1 + 3*headSize} // feature 1 of each head
	for seed, class := range classes {
		for _, c := range []struct {
			name  string
			prune func(l frontendtest.Layer)
			d     int
		}{
			{"rows of W_K, b_K stays", func(l frontendtest.Layer) { l.Key.Rows(every, masked) }, headSize - 1},
			{"rows of W_Q and b_Q", func(l frontendtest.Layer) { l.Query.Rows(every, masked); l.Query.Biases(every, masked) }, headSize - 1},
			{"rows of W_Q, b_Q stays", func(l frontendtest.Layer) { l.Query.Rows(every, masked) }, headSize},
		} {
			t.Run(class+" "+c.name, func(t *testing.T) {
				before := importEdited(t, uint64(seed), class, func(l frontendtest.Layer, _, _ []int) { c.prune(l) })
				after := lowered(before)
				equivalent(t, before, after, uint64(seed))
				for i, got := range shapesOf(t, after) {
					if want := (shape{heads, c.d, headSize, inner}); got != want {
						t.Errorf("layer %d is %+v, want %+v", i, got, want)
					}
				}
			})
		}
	}
}

// TestSavedSmall: what was saved small means the same as the whole model with
// zeros in its place, and both become graphs of the same operators.
func TestSavedSmall(t *testing.T) {
	t.Parallel()
	for seed, class := range classes {
		for name, layers := range map[string]int{"some": 2, "all of a layer": 1} {
			t.Run(class+" "+name, func(t *testing.T) {
				// Of all of a layer, the second has nothing left inside.
				cut := func(i int, features, neurons []int) ([]int, []int) {
					if i < layers {
						return features, neurons
					}
					return upTo(heads * headSize), upTo(inner)
				}
				i, j := 0, 0
				zeros := importEdited(t, uint64(seed), class, func(l frontendtest.Layer, f, n []int) {
					f, n = cut(i, f, n)
					l.Out.Columns(f, zero)
					l.Down.Columns(n, zero)
					i++
				})
				small := importEdited(t, uint64(seed), class, func(l frontendtest.Layer, f, n []int) {
					l.Narrow(cut(j, f, n))
					j++
				})
				irtest.Equivalent(t, zeros, small, uint64(seed))
				fromZeros, fromSmall := lowered(zeros), lowered(small)
				equivalent(t, small, fromSmall, uint64(seed))
				if got, want := operators(fromSmall), operators(fromZeros); !slices.Equal(got, want) {
					t.Errorf("saved small it becomes\n%s\nwith zeros\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		}
	}
}

// importEdited imports a random checkpoint of two layers, after prune saw each
// with the features and neurons that are to go.
func importEdited(t *testing.T, seed uint64, class string, prune func(l frontendtest.Layer, features, neurons []int)) *ir.Graph {
	t.Helper()
	o := frontendtest.Options{Layers: 2, Heads: heads, HeadSize: headSize, Inner: inner}
	dir := frontendtest.Random(t, rand.New(rand.NewPCG(seed, 7)), class, o)
	whole := openCheckpoint(t, dir)
	tensors := map[string]tensor.Tensor{}
	for _, name := range whole.Names() {
		tensors[name], _ = whole.Tensor(name)
	}
	for i, l := range frontendtest.Layers(class, tensors) {
		var features []int
		for _, h := range goneHeads[i] {
			for f := range headSize {
				features = append(features, h*headSize+f)
			}
		}
		prune(l, features, goneNeurons[i])
	}
	frontendtest.WriteTensors(t, dir, tensors)
	im, err := frontend.Import(openCheckpoint(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return im.Graph
}

func openCheckpoint(t *testing.T, dir string) *checkpoint.Checkpoint {
	t.Helper()
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// lowered is g after the passes.
func lowered(g *ir.Graph) *ir.Graph {
	g = g.Clone()
	pass.Run(g, transform.Passes(transform.Options{}), transform.Lowered, nil)
	return g
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// A shape is how wide a layer is inside.
type shape struct{ heads, d, dv, inner int }

// shapesOf reads the attentions of g, and the linears that end in an
// activation, both in the order of the two layers.
func shapesOf(t *testing.T, g *ir.Graph) []shape {
	t.Helper()
	var list []shape
	for _, op := range g.Ops {
		if a, ok := op.Attrs.(*ir.AttentionAttrs); ok {
			list = append(list, shape{a.Heads, a.D, a.Dv, 0})
		}
		if a, ok := op.Attrs.(*ir.LinearAttrs); ok && a.Act != ir.NoAct && strings.HasSuffix(op.Label, "ffn") {
			list[len(list)-1].inner = int(op.Arg("w").Type.Rows())
		}
	}
	if len(list) != 2 {
		t.Fatalf("%d layers, want 2\n%s", len(list), ir.Print(g))
	}
	return list
}

// operators lists kinds and types without weights.
func operators(g *ir.Graph) []string {
	var list []string
	for _, op := range g.Ops {
		if op.Kind != ir.Weight {
			list = append(list, fmt.Sprintf("%s: %v %v", op.Label, op.Kind, op.Result().Type))
		}
	}
	return list
}
