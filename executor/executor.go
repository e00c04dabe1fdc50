// Package executor runs plans.
//
// A plan and input rows enter; one result for each row leaves, in input
// order. Rows are tokenised, grouped by bucket within a window, gathered up
// to a budget of tokens into ragged batches and run on a Device; a row's
// result has the same bits whatever it shared a batch with. Memory is bounded
// by the window, not by the input. The package knows kernels, arenas and
// buckets, and nothing of graphs or checkpoints.
//
// Open, Run and Close are all that most callers need; the example shows them.
// New is for a plan that is open already.
package executor

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"sync/atomic"

	"etc/fault"
	"etc/formats/mapped"
	"etc/formats/plan"
	"etc/formats/tokenizer"
)

// Options are what a caller may set; the zero value serves.
type Options struct {
	MaxBatchTokens int  // budget of tokens in one batch; 0: the plan's
	Truncate       bool // cut rows that are longer than the longest bucket
	Tokenizers     int  // goroutines that tokenise; 0: 1
	Want           Want
	Trust          ed25519.PublicKey // for Open: who must have signed the plan; nil: any plan will do
}

// Want names the outputs that are computed only on demand, and the
// probabilities of a classification.
type Want struct {
	Probabilities, Logits, LastLogits, Hidden bool
}

// demands lists the outputs that are computed only on demand.
func (w *Want) demands() []demand {
	return []demand{{"hidden", "--hidden", w.Hidden}, {"last_logits", "--last-logits", w.LastLogits}, {"logits", "--logits", w.Logits}}
}

// A demand is one output, the flag that asks for it, and whether it does.
type demand struct {
	output, flag string
	asked        bool
}

// An Executor runs one program of a plan on one device. It serves one Run at a time.
type Executor struct {
	program *plan.Program
	file    *plan.File // to close; nil: the plan is the caller's
	device  Device
	options Options
	tokens  *tokenizer.Tokenizer // nil: rows of ids only
	single  int                  // special tokens added to one text
	wanted  uint64
	budget  int // tokens in one batch
	// perToken and perRow are the values that a result keeps of each token and of
	// its row.
	perToken, perRow int
	head             head
	flights          [2]flight
	turn             int // the flight that begins next; the other one may be under way

	times     Times // but for Tokenise
	tokenised atomic.Int64
}

// New loads p, whose plan must have passed plan.Check and must outlive the
// executor, onto the device.
func New(p *plan.Program, d Device, o Options) (*Executor, error) {
	if o.MaxBatchTokens < 0 || o.MaxBatchTokens > plan.MostBatchTokens {
		return nil, fault.Newf(fault.Usage, "%d tokens in a batch, want 1 to %d", o.MaxBatchTokens, plan.MostBatchTokens)
	}
	x := &Executor{program: p, device: d, options: o}
	x.options.Tokenizers = max(1, o.Tokenizers)
	if err := x.loadTokenizer(); err != nil {
		return nil, err
	}
	if err := x.bind(o.Want); err != nil {
		return nil, err
	}
	x.setBudget()
	if err := d.Load(p, max(x.budget, x.longest()), x.wanted); err != nil {
		return nil, err
	}
	return x, nil
}

// loadTokenizer reads the plan's tokenizer, which may lie in a mapped file.
func (x *Executor) loadTokenizer() error {
	if len(x.program.Tokenizer) == 0 {
		return nil
	}
	return mapped.Guard(func() (err error) {
		if x.tokens, err = tokenizer.Unmarshal(x.program.Tokenizer); err == nil {
			x.single, _ = x.tokens.Specials()
		}
		return err
	})
}

// maxResultBytes bounds the results of the tokens of one batch, and maxWindowBytes those
// of a window, but for one row. Only what is wanted of every token is as large, and logits:
// 200 KB for a vocabulary of 50 000.
const (
	maxResultBytes = 16 << 20
	maxWindowBytes = 32 << 20
)

// setBudget is what was asked for, else the plan's, less where the results
// wanted are so large that a window of them would fill the memory.
func (x *Executor) setBudget() {
	x.budget = x.options.MaxBatchTokens
	if x.budget == 0 {
		x.budget = x.program.MaxBatchTokens
	}
	x.perToken, x.perRow = 0, 0
	for i, o := range x.program.Outputs {
		switch b := x.program.Buffers[o.Buffer]; {
		case x.wanted>>i&1 == 0:
		case b.Rows == plan.PerToken:
			x.perToken += b.Width
		default:
			x.perRow += b.Width
		}
	}
	if x.options.Want.Probabilities {
		x.perRow += len(x.program.Model.Labels)
	}
	if x.perToken > 0 {
		x.budget = min(x.budget, max(1, maxResultBytes/(4*x.perToken)))
	}
}

// Program is the program that runs.
func (x *Executor) Program() *plan.Program { return x.program }

// Device is the device it runs on.
func (x *Executor) Device() Device { return x.device }

// Tokenizer is the plan's tokenizer, or nil.
func (x *Executor) Tokenizer() *tokenizer.Tokenizer { return x.tokens }

// longest is the largest row that any bucket takes.
func (x *Executor) longest() int { return x.program.Buckets[len(x.program.Buckets)-1].MaxTokens }

// bucketOf is the smallest bucket that takes n tokens, or -1.
func (x *Executor) bucketOf(n int) int {
	for i, b := range x.program.Buckets {
		if n <= b.MaxTokens {
			return i
		}
	}
	return -1
}

// bind finds the outputs that are wanted by name.
func (x *Executor) bind(want Want) error {
	x.head = head{model: &x.program.Model, probabilities: want.Probabilities}
	for i := range x.flights {
		x.flights[i].batch.Results = make([][]float32, len(x.program.Outputs))
	}
	for i, o := range x.program.Outputs {
		if o.When == plan.Always {
			x.wanted |= 1 << i
		}
		x.head.outputs = append(x.head.outputs, o.Name)
	}
	for _, d := range want.demands() {
		if !d.asked {
			continue
		}
		i := x.Output(d.output)
		if i < 0 {
			return fault.Newf(fault.Usage, "%s: this plan has no output %q: it has %s", d.flag, d.output, x.outputNames())
		}
		x.wanted |= 1 << i
	}
	return nil
}

// Output is the index of the output of that name, or -1.
func (x *Executor) Output(name string) int {
	for i, o := range x.program.Outputs {
		if o.Name == name {
			return i
		}
	}
	return -1
}

// Default names the outputs that are always computed.
func (x *Executor) Default() []string {
	var names []string
	for _, o := range x.program.Outputs {
		if o.When == plan.Always {
			names = append(names, o.Name)
		}
	}
	return names
}

func (x *Executor) outputNames() string {
	var names []string
	for _, o := range x.program.Outputs {
		if o.When != plan.Tap {
			names = append(names, fmt.Sprintf("%q", o.Name))
		}
	}
	return strings.Join(names, ", ")
}

// Forward runs rows of ids as one batch of bucket bucketOf(the longest) and
// returns the named outputs, [T or B][width] without gaps. It is the way to
// see taps; benchmarks and verification use it. Nil types are zeros. The
// slices are valid until the next call. Rows that the model does not take are
// fault.Corrupt, an output that it does not have is fault.Usage.
func (x *Executor) Forward(ids, types [][]int32, outputs ...string) ([][]float32, error) {
	b := &x.flights[0].batch
	if err := x.gatherBatch(b, ids, types); err != nil {
		return nil, err
	}
	at := make([]int, len(outputs))
	b.Wanted = 0
	for i, name := range outputs {
		if at[i] = x.Output(name); at[i] < 0 {
			return nil, fault.Newf(fault.Usage, "this plan has no output %q", name)
		}
		b.Wanted |= 1 << at[i]
	}
	if err := x.device.Run(b); err != nil {
		return nil, err
	}
	results := make([][]float32, len(outputs))
	for i, o := range at {
		results[i] = b.Results[o]
	}
	return results, nil
}

// gatherBatch fills b with all rows, whatever the budget.
func (x *Executor) gatherBatch(b *Batch, ids, types [][]int32) error {
	if len(ids) == 0 || types != nil && len(types) != len(ids) {
		return fault.Newf(fault.Corrupt, "batch of %d rows with %d rows of types", len(ids), len(types))
	}
	b.reset()
	longest, total := 0, 0
	for i, row := range ids {
		enc := tokenizer.Encoding{IDs: row}
		if types != nil {
			enc.TypeIDs = types[i]
		}
		if err := x.CheckIDs(&enc); err != nil {
			return err
		}
		longest, total = max(longest, len(row)), total+len(row)
		if total > plan.MostBatchTokens { // for which sizes of plans are bounded
			return fault.Newf(fault.Corrupt, "batch of more than %d tokens", plan.MostBatchTokens)
		}
		x.append(b, &enc)
	}
	b.Bucket = x.bucketOf(longest)
	return nil
}

func (b *Batch) reset() {
	b.IDs, b.Types, b.Positions = b.IDs[:0], b.Types[:0], b.Positions[:0]
	b.Offsets = append(b.Offsets[:0], 0)
}

// append adds a row to b: positions count up from the model's first one, and
// absent type ids are zeros.
func (x *Executor) append(b *Batch, row *tokenizer.Encoding) {
	b.IDs = append(b.IDs, row.IDs...)
	b.Types = append(b.Types, row.TypeIDs...)
	for range len(row.IDs) - len(row.TypeIDs) {
		b.Types = append(b.Types, 0)
	}
	for i := range row.IDs {
		b.Positions = append(b.Positions, int32(x.program.Model.PositionOffset+i))
	}
	b.Offsets = append(b.Offsets, int32(len(b.IDs)))
}
