// Package plan reads and writes .etp files, the compiled form of a model.
//
// A plan is all that the executor needs: weights in the layouts its kernels
// read, the steps over them, where each step's results lie, the tokenizer and
// the names of the answers. It is data, checked twice: Open refuses a file
// with any changed bit, and Check derives every extent again from operators,
// attributes and shapes, so that a forged plan cannot make a kernel reach
// memory that it does not own. docs/plan-format.md is the specification.
package plan

import (
	"slices"

	"etc/ir/tensor"
)

// A Plan is a model compiled for one or more targets. The programs share its
// weights and kernels.
type Plan struct {
	Model      Model
	Provenance Provenance
	Tokenizer  []byte // tokenizer.Marshal; empty where the checkpoint had none
	Weights    []Weight
	Data       []byte // the weights, each at its offset; a view of the mapped file
	// MaxBatchTokens is the default budget of tokens in one batch. A longer row runs alone.
	MaxBatchTokens int
	Kernels        []Kernel
	Code           []byte // sources and images of the kernels; a view of the mapped file
	Programs       []*Program
}

// A Task says which answers a model gives.
type Task uint8

const (
	Classification      Task = iota + 1 // one label of several: softmax
	MultiLabel                          // each label by itself: sigmoid
	Regression                          // one raw value
	Embedding                           // one vector a row
	CausalLM                            // losses and next-token logits
	TokenClassification                 // a label for each token: open until after issue 5
)

// A Model says how to feed a plan and how to read its answers.
type Model struct {
	Architecture   string // as in config.json, such as "BertForSequenceClassification"
	Task           Task
	Labels         []string // of a classification, by index of the logit
	MaxTokens      int      // longest row the model takes, special tokens included
	VocabSize      int      // ids are below it
	TypeVocabSize  int      // type ids are below it; 0: the model has none
	PositionOffset int      // position id of a row's first token
	Layers, Hidden int
	Padding        []int // ids that do not count at the end of a row: one or none
}

// Unpadded is how many of a row's tokens the model reads: all but those of
// Padding at its end, and of a row that has no others the first.
func (m *Model) Unpadded(ids []int32) int {
	n := len(ids)
	for n > 1 && slices.Contains(m.Padding, int(ids[n-1])) {
		n--
	}
	return n
}

// Provenance says what a plan was made from: everything its bytes depend on.
type Provenance struct {
	Version string   // of etc
	Source  [32]byte // checkpoint digest
	Flags   []Flag   // as resolved, sorted by name
}

// A Flag is one resolved compile option.
type Flag struct{ Name, Value string }

// A Layout says how a weight's elements lie in Data. Package layout packs
// and checks them.
type Layout uint8

const (
	RowMajor  Layout = iota + 1 // f32 or i32, [rows, width]
	Panels                      // f32, panels of 16 output features, k-major
	Tiles                       // f32, 16×16 tiles by block rows
	CSR                         // f32, compressed sparse rows
	NM24                        // f32, 2 of every 4 inputs
	Padded                      // f16 or bf16, [rows, width rounded up to 8]
	GPUTiles                    // f16 or bf16, 16×16 tiles by block rows, for mma
	GPUCSR                      // f16 or bf16, compressed sparse rows
	GPU24                       // f16 or bf16, 2 of every 4 inputs, for mma.sp
	IntPanels                   // i16 or i8 with a unit for each output feature, panels of 16 of these
	IntTiles                    // i16 or i8 with units, 16×16 tiles by block rows
)

// A Weight is one constant. Its offset is a multiple of 64.
type Weight struct {
	Name         string
	Layout       Layout
	DType        tensor.DType // f32, f16, bf16 or i32
	Shape        []int        // [n] or [N,K], before packing
	Offset, Size int64
}
