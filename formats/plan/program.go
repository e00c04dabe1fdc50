package plan

import (
	"strings"

	"etc/ir/tensor"
)

// A Program is the steps of a plan for one target, over the weights and
// kernels of the plan, which it embeds.
type Program struct {
	*Plan
	Target  string // such as "cpu:f32"
	Graph   string // text of the lowered graph, for people; never parsed to run
	Buffers []Buffer
	Steps   []Step   // in order; those of an output that is not asked for are passed over
	Buckets []Bucket // ascending; rows choose theirs by length
	Outputs []Output
}

// Program is the first program of p for a target, which may leave out the
// storage type: "cpu:f32" or "cpu". It is nil where there is none.
func (p *Plan) Program(target string) *Program {
	for _, q := range p.Programs {
		if q.Target == target || strings.HasPrefix(q.Target, target+":") {
			return q
		}
	}
	return nil
}

// Targets are the targets of p's programs, in order.
func (p *Plan) Targets() []string {
	var targets []string
	for _, q := range p.Programs {
		targets = append(targets, q.Target)
	}
	return targets
}

// Add makes q a program of p.
func (p *Plan) Add(q *Program) {
	q.Plan = p
	p.Programs = append(p.Programs, q)
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
	DType  tensor.DType // f32, f16 or bf16
	Width  int          // elements
	Stride int          // bytes, a multiple of 64
	Offset int          // bytes a row, a multiple of 64
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
	Needed    uint64   // bit i: output i needs this step
	Launches  []Launch // on a GPU, but for steps with choices
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
	Workspace int64    // bytes for each task that runs at once
	Launches  []Launch // on a GPU
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
