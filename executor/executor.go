// Package executor runs plans.
//
// A plan and input rows enter; one result for each row leaves, in input
// order. Rows are tokenised, grouped by bucket within a window, gathered up
// to a budget of tokens into ragged batches and run on a Device; a row's
// result has the same bits whatever it shared a batch with. Memory is bounded
// by the window, not by the input. The package knows kernels, arenas and
// buckets, and nothing of graphs or checkpoints.
//
//	p, err := plan.Open("model.etp")
//	x, err := executor.New(p.Plan, cpu.New(cpu.Options{}), executor.Options{})
//	err = x.Run(ctx, rows.NewReader(ctx, os.Stdin, "", rows.Auto), func(r *executor.Result) error { … })
//	err = x.Close()
package executor

import (
	"fmt"
	"strings"

	"etc/fault"
	"etc/formats/plan"
	"etc/formats/tokenizer"
)

// Options are what a caller may set; the zero value serves.
type Options struct {
	MaxBatchTokens int  // budget of tokens in one batch; 0: the plan's
	Truncate       bool // cut rows that are longer than the longest bucket
	Tokenizers     int  // goroutines that tokenise; 0: 1
	Want           Want
}

// Want names the outputs that are computed only on demand, and the
// probabilities of a classification.
type Want struct {
	Probabilities, Logits, LastLogits, Hidden bool
}

// An Executor runs one plan on one device. It serves one Run at a time.
type Executor struct {
	plan    *plan.Plan
	device  Device
	options Options
	tokens  *tokenizer.Tokenizer // nil: rows of ids only
	single  int                  // special tokens added to one text
	wanted  uint64
	head    head
	batch   Batch
}

// New loads p, which must have passed plan.Check, onto the device.
func New(p *plan.Plan, d Device, o Options) (*Executor, error) {
	x := &Executor{plan: p, device: d, options: o}
	if x.options.MaxBatchTokens <= 0 {
		x.options.MaxBatchTokens = p.MaxBatchTokens
	}
	x.options.Tokenizers = max(1, o.Tokenizers)
	if len(p.Tokenizer) > 0 {
		t, err := tokenizer.Unmarshal(p.Tokenizer)
		if err != nil {
			return nil, err
		}
		x.tokens = t
		x.single, _ = t.Specials()
	}
	if err := x.bind(o.Want); err != nil {
		return nil, err
	}
	if err := d.Load(p, max(x.options.MaxBatchTokens, x.longest())); err != nil {
		return nil, err
	}
	return x, nil
}

// Plan is the plan that runs.
func (x *Executor) Plan() *plan.Plan { return x.plan }

// Device is the device it runs on.
func (x *Executor) Device() Device { return x.device }

// Tokenizer is the plan's tokenizer, or nil.
func (x *Executor) Tokenizer() *tokenizer.Tokenizer { return x.tokens }

// Close frees the device; the plan stays the caller's.
func (x *Executor) Close() error { return x.device.Close() }

// longest is the largest row that any bucket takes.
func (x *Executor) longest() int { return x.plan.Buckets[len(x.plan.Buckets)-1].MaxTokens }

// bucketOf is the smallest bucket that takes n tokens, or -1.
func (x *Executor) bucketOf(n int) int {
	for i, b := range x.plan.Buckets {
		if n <= b.MaxTokens {
			return i
		}
	}
	return -1
}

// bind finds the outputs that are wanted by name.
func (x *Executor) bind(want Want) error {
	x.head = head{model: &x.plan.Model, want: want}
	x.batch.Results = make([][]float32, len(x.plan.Outputs))
	for i, o := range x.plan.Outputs {
		demanded := o.Name == "logits" && want.Logits || o.Name == "last_logits" && want.LastLogits || o.Name == "hidden" && want.Hidden
		if o.When == plan.Always || o.When == plan.OnDemand && demanded {
			x.wanted |= 1 << i
		}
		x.head.outputs = append(x.head.outputs, o.Name)
	}
	for flag, name := range map[string]string{"--hidden": "hidden", "--last-logits": "last_logits", "--logits": "logits"} {
		asked := map[string]bool{"hidden": want.Hidden, "last_logits": want.LastLogits, "logits": want.Logits}[name]
		if asked && x.Output(name) < 0 {
			return fault.Newf(fault.Usage, "%s: this plan has no output %q: it has %s", flag, name, x.outputNames())
		}
	}
	return nil
}

// Output is the index of the output of that name, or -1.
func (x *Executor) Output(name string) int {
	for i, o := range x.plan.Outputs {
		if o.Name == name {
			return i
		}
	}
	return -1
}

// Default names the outputs that are always computed.
func (x *Executor) Default() []string {
	var names []string
	for _, o := range x.plan.Outputs {
		if o.When == plan.Always {
			names = append(names, o.Name)
		}
	}
	return names
}

func (x *Executor) outputNames() string {
	var names []string
	for _, o := range x.plan.Outputs {
		if o.When != plan.Tap {
			names = append(names, fmt.Sprintf("%q", o.Name))
		}
	}
	return strings.Join(names, ", ")
}

// Forward runs rows of ids as one batch of bucket bucketOf(the longest) and
// returns the named outputs, [T or B][width] without gaps. It is the way to
// see taps; benchmarks and verification use it. The slices are valid until
// the next call.
func (x *Executor) Forward(ids, types [][]int32, outputs ...string) ([][]float32, error) {
	b := &x.batch
	b.reset()
	longest := 0
	for i, row := range ids {
		var t []int32
		if types != nil {
			t = types[i]
		}
		x.append(b, row, t)
		longest = max(longest, len(row))
	}
	if b.Bucket = x.bucketOf(longest); b.Bucket < 0 {
		return nil, fault.Newf(fault.Corrupt, "row of %d tokens: the longest bucket is %d", longest, x.longest())
	}
	b.Wanted = 0
	var at []int
	for _, name := range outputs {
		i := x.Output(name)
		if i < 0 {
			return nil, fault.Newf(fault.Usage, "this plan has no output %q", name)
		}
		at = append(at, i)
		b.Wanted |= 1 << i
	}
	if err := x.device.Run(b); err != nil {
		return nil, err
	}
	var results [][]float32
	for _, i := range at {
		results = append(results, b.Results[i])
	}
	return results, nil
}

func (b *Batch) reset() {
	b.IDs, b.Types, b.Positions = b.IDs[:0], b.Types[:0], b.Positions[:0]
	b.Offsets = append(b.Offsets[:0], 0)
}

// append adds a row to b: positions count up from the model's first one, and
// absent type ids are zeros.
func (x *Executor) append(b *Batch, ids, types []int32) {
	b.IDs = append(b.IDs, ids...)
	b.Types = append(b.Types, types...)
	for range len(ids) - len(types) {
		b.Types = append(b.Types, 0)
	}
	for i := range ids {
		b.Positions = append(b.Positions, int32(x.plan.Model.PositionOffset+i))
	}
	b.Offsets = append(b.Offsets, int32(len(b.IDs)))
}
