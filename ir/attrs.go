package ir

import (
	"fmt"

	"etc/ir/tensor"
)

// InputNames are the inputs a graph may have; the executor fills them for
// each batch.
//
//	ids       i32[T]    token ids
//	types     i32[T]    token type ids
//	positions i32[T]    position ids, by the architecture's rule
//	offsets   i32[B+1]  cu_seqlens: row b is tokens offsets[b] to offsets[b+1]
var InputNames = []string{"ids", "types", "positions", "offsets"}

// InputAttrs names an input.
type InputAttrs struct{ Name string }

// WeightAttrs names a constant and holds its values, in the type they were
// stored in or computed to; the value's Type is what a kernel gets. Data is
// empty in a graph that was parsed from text without values.
//
// A weight as imported says where it came from, so that pruned values can be
// written back: rows Row.. of the checkpoint's tensor, or of its transpose.
// Weights that a pass computes come from no tensor.
type WeightAttrs struct {
	Name       string
	Data       tensor.Tensor
	Tensor     string
	Row        int
	Transposed bool
}

// An ActKind is an activation function.
type ActKind uint8

const (
	NoAct    ActKind = iota
	GELU             // x·Φ(x), exact erf
	GELUTanh         // ½x(1 + tanh(√(2/π)(x + 0.044715x³)))
	ReLU             // max(x, 0)
	Tanh
)

var actNames = []string{"none", "gelu", "gelu_tanh", "relu", "tanh"}

func (a ActKind) String() string { return actNames[a] }

// MarshalText and UnmarshalText make the kind readable in graph text.
func (a ActKind) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (a *ActKind) UnmarshalText(b []byte) error { return parseName(a, string(b), actNames) }

// A RowKind says which rows of x remain.
type RowKind uint8

const (
	AllRows   RowKind = iota
	FirstRows         // the first token of each row
	LastRows          // the last token of each row
)

var rowNames = []string{"all", "first", "last"}

func (r RowKind) String() string { return rowNames[r] }

// MarshalText and UnmarshalText make the kind readable in graph text.
func (r RowKind) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r *RowKind) UnmarshalText(b []byte) error { return parseName(r, string(b), rowNames) }

func parseName[T ~uint8](v *T, name string, names []string) error {
	for i, n := range names {
		if n == name {
			*v = T(i)
			return nil
		}
	}
	return fmt.Errorf("%q: want one of %q", name, names)
}

type ActivationAttrs struct{ Act ActKind }

// ScatterAttrs: N is the width of the result.
type ScatterAttrs struct{ N int }

// EmbedAttrs: Scale multiplies the word embedding; 0 means 1.
type EmbedAttrs struct{ Scale float64 }

type LayerNormAttrs struct{ Eps float64 }

type EmbedLayerNormAttrs struct{ Scale, Eps float64 }

// LinearAttrs: y = act(x·Wᵀ + b) with the first Scaled features multiplied by
// Scale before act, then + residual.
type LinearAttrs struct {
	Act    ActKind
	Scaled int
	Scale  float64
}

// AttentionAttrs: softmax(Scale·q·kᵀ + bias)·v by heads. With Exp2 the softmax
// is to base 2, so that q carries the factor log2 e. Rows says which query
// rows there are. A causal query sees no later key.
type AttentionAttrs struct {
	Heads, D, Dv int
	Scale        float64
	Causal       bool
	Exp2         bool
	Rows         RowKind
}

type SelectRowsAttrs struct{ Rows RowKind }

// PoolAttrs: the mean over a row's tokens is the only mode.
type PoolAttrs struct{}
