// Package plan reads and writes .etp files, the compiled form of a model.
//
// A plan is all that the executor needs: weights in the layouts its kernels
// read, the steps over them, where each step's results lie, the tokenizer and
// the names of the answers. It is data, checked twice: Open refuses a file
// with any changed bit, and Check derives every extent again from operators,
// attributes and shapes, so that a forged plan cannot make a kernel reach
// memory that it does not own. docs/plan-format.md is the specification.
package plan

import "etc/ir/tensor"

// A Plan is a model compiled for one target.
type Plan struct {
	Target     string // such as "cpu:f32"
	Model      Model
	Provenance Provenance
	Graph      string // text of the lowered graph, for people; never parsed to run
	Tokenizer  []byte // tokenizer.Marshal; empty where the checkpoint had none
	Weights    []Weight
	Data       []byte // the weights, each at its offset; a view of the mapped file
	Buffers    []Buffer
	Steps      []Step   // in order; those of an output that is not asked for are passed over
	Buckets    []Bucket // ascending; rows choose theirs by length
	Outputs    []Output
	// MaxBatchTokens is the default budget of tokens in one batch. A longer row runs alone.
	MaxBatchTokens int
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
	RowMajor Layout = iota + 1 // f32 or i32, [rows, width]
	Panels                     // f32, panels of 16 output features, k-major
	Tiles                      // f32, 16×16 tiles by block rows
	CSR                        // f32, compressed sparse rows
	NM24                       // f32, 2 of every 4 inputs
)

// A Weight is one constant. Its offset is a multiple of 64.
type Weight struct {
	Name         string
	Layout       Layout
	DType        tensor.DType // f32 or i32
	Shape        []int        // [n] or [N,K], before packing
	Offset, Size int64
}

// Rows says which run-time size a buffer has.
type Rows uint8

const (
	PerToken Rows = iota + 1 // T
	PerRow                   // B
)

// A Buffer is the place of one value in the arena of its kind: row r starts
// at Offset·rows + r·Stride bytes, so one table serves every batch.
type Buffer struct {
	Rows   Rows
	Width  int // elements of 4 bytes
	Stride int // bytes, a multiple of 64
	Offset int // bytes a row, a multiple of 64
}

// An Op is a kernel operator. The names are those of ir.
type Op uint8

const (
	Embed Op = iota + 1
	EmbedLayerNorm
	LayerNorm
	SkipLayerNorm
	Linear
	BlockSparseLinear
	CSRLinear
	Sparse24Linear
	OTFAttention
	PartialOTFAttention
	FlashAttention
	VOAttention
	SelectRows
	Pool
	Normalize
	LinearNLL
)

// An ArgKind says what an operand is.
type ArgKind uint8

const (
	None          ArgKind = iota // an optional operand that is absent
	FromBuffer                   // Index into Buffers
	FromWeight                   // Index into Weights
	FromIDs                      // i32[T]
	FromTypes                    // i32[T]
	FromPositions                // i32[T]
	FromOffsets                  // i32[B+1]
)

// An Arg is one operand of a step, in the order of the operator's operands.
type Arg struct {
	Kind  ArgKind
	Index int
}

// An Act is an activation function, in the numbering of ir.ActKind.
type Act uint8

const (
	NoAct Act = iota
	GELU
	GELUTanh
	ReLU
	Tanh
)

// A RowChoice says which query rows there are, in the numbering of ir.RowKind.
type RowChoice uint8

const (
	AllRows RowChoice = iota
	FirstRows
	LastRows
)

// Params are the attributes of a step. Go has no unions and the file has
// fixed fields, so one struct serves all operators; those an operator does
// not have are zero, and Check insists.
type Params struct {
	Act          Act
	Rows         RowChoice
	Causal, Exp2 bool
	Scaled       int // features of a linear that Scale multiplies
	Heads, D, Dv int
	Scale        float64
	Eps          float64
}

// A Reduction is what fixes the bits of a sum: the instruction, and the
// lengths of the segments that K is cut into, each summed from zero in
// ascending order and added in ascending order. Kernels of one signature may
// stand in for each other; docs/rationale.md says why that matters.
type Reduction struct {
	Instruction string // "fma-f32"; empty for operators that do not multiply by a weight matrix
	Segment     int    // inputs in each segment; 0: K in one
}

// A Step runs one kernel.
type Step struct {
	Op        Op
	Label     string // the block of the model, such as "layer 0 attention"
	Args      []Arg
	Results   []int // indices into Buffers; Unused where no step reads the result
	Params    Params
	Reduction Reduction
	Needed    uint64 // bit i: output i needs this step
}

// Unused stands for a result that has no buffer: the kernel does not store it.
const Unused = -1

// A Bucket holds what depends on the length of rows: which operator each
// attention step is. Choices has one entry for each attention step, in order.
type Bucket struct {
	MaxTokens int
	Choices   []Choice
}

// A Choice selects the operator of an attention step for one bucket.
type Choice struct {
	Step      int
	Op        Op
	Workspace int64 // bytes for each task that runs at once
}

// An Output is a buffer that leaves the plan once step After has run.
type Output struct {
	Name   string // logits, embedding, hidden, nll, hit, last_logits, layer.0 …
	Buffer int
	After  int // index of the step that defines it; a later one may reuse its place
	When   When
}

// When says when an output is computed, in the numbering of ir.When.
type When uint8

const (
	Always   When = iota
	OnDemand      // when it is asked for
	Tap           // copied as it passes by, for verify --layers
)
