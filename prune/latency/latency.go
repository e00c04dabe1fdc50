// Package latency says what the sublayers of a model take at each level of
// pruning, so that a search knows what a level is worth.
//
// A Table is measured on the kernels that will run, or predicted, elsewhere;
// here it is data: a file with one canonical form and a hash, checks that a
// forged one does not pass, and times between the points it has. Times are
// microseconds for a whole batch, one for each of the table's shapes.
//
// A model takes what pruning leaves, and one attention and one feed-forward
// sublayer in each layer:
//
//	rest + Σ attention(heads, d, dv) + Σ ffn(width)
//
// In its last layer a model that reads a single token of each row computes
// little else of the others, so the last layer has shares of its own, Last.
// What goes saves time and never costs any: see Smooth.
package latency

import "etc/fault"

// A Table is what the sublayers of a model take on a target at each level.
// Slices of times are in the order of Shapes. Read checks all that is said here.
type Table struct {
	Schema int        `json:"schema"`
	Target string     `json:"target"` // such as cpu:f32
	Level  string     `json:"level"`  // of the CPU, such as avx2; empty for a GPU
	Source string     `json:"source"` // where the times come from, for people
	Model  Dimensions `json:"model"`
	Shapes []Shape    `json:"shapes"`
	Rest   []float64  `json:"rest_us"` // what pruning leaves: embedding, pooling, head; not the norms of sublayers
	Last   Last       `json:"last"`
	// Attention has three lines, one behind the other: heads from 0 to all at
	// the dense widths; d ascending, below the dense one, with all heads; dv likewise.
	Attention []AttentionTime `json:"attention"`
	FFN       []FFNTime       `json:"ffn"` // from width 0 to Model.Inner
	// All products of a sublayer in tiles, densities ascending between 0 and 1.
	AttentionTiles []TilesTime `json:"attention_tiles"`
	FFNTiles       []TilesTime `json:"ffn_tiles"`
}

// Schema is the version of the file.
const Schema = 1

// Dimensions are those of the dense model, as far as times depend on them. The
// number of layers is not among them, nor is the activation: the exact GELU is
// a few hundredths of a feed-forward sublayer.
type Dimensions struct {
	Hidden int  `json:"hidden"`
	Heads  int  `json:"heads"`
	D      int  `json:"d"`  // of queries and keys in a head
	Dv     int  `json:"dv"` // of values in a head
	Inner  int  `json:"inner"`
	Causal bool `json:"causal"`
	Picks  bool `json:"picks"` // one token of each row is read behind the last layer
	Vocab  int  `json:"vocab"` // of a language model's head, which sees every token; else 0
}

// A Shape is a batch of rows of the same length.
type Shape struct {
	Batch  int `json:"batch"`
	Tokens int `json:"tokens"` // of each row
}

// Last is what the sublayers of the last layer take, as shares of the same
// sublayers elsewhere: 1 where all tokens are read.
type Last struct {
	Attention []float64 `json:"attention"`
	FFN       []float64 `json:"ffn"`
}

// An AttentionTime is what one attention sublayer takes, its residual sum and
// norm included. With no heads the sublayer is gone but for these.
type AttentionTime struct {
	Heads  int       `json:"heads"`
	D      int       `json:"d"`
	Dv     int       `json:"dv"`
	Micros []float64 `json:"us"`
}

// An FFNTime is what one feed-forward sublayer of a width takes, its residual
// sum and norm included. With width 0 it is gone but for these.
type FFNTime struct {
	Width  int       `json:"width"`
	Micros []float64 `json:"us"`
}

// A TilesTime is what one sublayer takes whose products all have 16×16 tiles,
// of which this share is kept.
type TilesTime struct {
	Density float64   `json:"density"`
	Micros  []float64 `json:"us"`
}

// Fits refuses, as fault.Unfit, a model of other dimensions than the table's.
func (t *Table) Fits(d Dimensions) error {
	if t.Model != d {
		return fault.Newf(fault.Unfit, "latency table is for a model of %+v, this one is %+v", t.Model, d).
			WithHint("--measure makes one that fits")
	}
	return nil
}
