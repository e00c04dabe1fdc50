// Package compiler turns a checkpoint into a plan.
//
//	checkpoint → frontend → passes → schedule → codegen → plan
//
// The plan is a function of the checkpoint and the options, never of the
// machine, folder, time or number of threads.
package compiler

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"etc/codegen/cpu"
	"etc/compiler/cost"
	"etc/compiler/frontend"
	"etc/compiler/schedule"
	"etc/compiler/transform"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/tokenizer"
	"etc/ir"
	"etc/ir/pass"
)

// DefaultMaxBatchTokens is the budget of tokens in a batch where nothing else
// is asked for: 32 rows of 128, enough for products to run at full rate.
const DefaultMaxBatchTokens = 4096

// Targets are the targets that Compile knows.
var Targets = []string{cost.CPU.Target}

// Options are the resolved flags of a compilation. They are recorded in the plan.
type Options struct {
	Target         string // one of Targets
	Buckets        []int  // ascending; empty: DefaultBuckets
	MaxBatchTokens int    // 0: DefaultMaxBatchTokens
	Dense          bool   // find no structure in zeros, for comparison and statistics
	Version        string // of etc
	Observe        pass.Observer
}

// A Result is a plan and what is worth telling about its making.
type Result struct {
	Plan      *plan.Plan
	Graph     *ir.Graph // lowered
	Unclaimed []string  // tensors of the checkpoint that no operator reads
	Estimates []Estimate
}

// An Estimate is why an attention step has its operator in a bucket.
type Estimate struct {
	Label     string
	MaxTokens int
	Chosen    cost.Estimate
	All       []cost.Estimate
}

// Compile compiles c. Errors are of kind Unsupported, Corrupt or Usage.
func Compile(c *checkpoint.Checkpoint, o Options) (*Result, error) {
	if !slices.Contains(Targets, o.Target) {
		return nil, fault.Newf(fault.Unsupported, "target %q: supported are %s", o.Target, strings.Join(Targets, ", "))
	}
	imported, err := frontend.Import(c)
	if err != nil {
		return nil, err
	}
	p := &plan.Plan{Target: o.Target, Model: imported.Model, MaxBatchTokens: o.MaxBatchTokens}
	if p.MaxBatchTokens == 0 {
		p.MaxBatchTokens = DefaultMaxBatchTokens
	}
	if err := addTokenizer(p, c); err != nil {
		return nil, err
	}
	buckets, err := resolveBuckets(o.Buckets, p.Model.MaxTokens)
	if err != nil {
		return nil, err
	}
	g := imported.Graph
	passes := transform.Passes(passOptions(o, buckets))
	pass.Run(g, passes, transform.Lowered, o.Observe)
	p.Graph = ir.Print(g)

	s := schedule.Make(g)
	cpu.Generate(g, s, p)
	r := &Result{Plan: p, Graph: g, Unclaimed: imported.Unclaimed}
	r.chooseAttention(s, buckets)
	source, err := c.Digest()
	if err != nil {
		return nil, err
	}
	p.Provenance = plan.Provenance{Version: o.Version, Source: source, Flags: flags(o, p, buckets)}
	if err := plan.Check(p); err != nil {
		panic(fmt.Sprintf("bug: compiler: the plan made is refused: %v", err))
	}
	return r, nil
}

// addTokenizer puts the tokenizer into p. A model without one takes rows of ids.
func addTokenizer(p *plan.Plan, c *checkpoint.Checkpoint) error {
	t, err := tokenizer.New(c.Tokenizer)
	if err != nil || t == nil {
		return err
	}
	if t.VocabSize() > p.Model.VocabSize {
		return fault.Newf(fault.Corrupt, "tokenizer: ids up to %d, but the model's vocabulary has %d", t.VocabSize()-1, p.Model.VocabSize)
	}
	if n := t.ModelMaxLength(); n > 0 {
		p.Model.MaxTokens = min(p.Model.MaxTokens, n)
	}
	p.Tokenizer = t.Marshal()
	return nil
}

func resolveBuckets(asked []int, maxTokens int) ([]int, error) {
	if len(asked) == 0 {
		return DefaultBuckets(maxTokens), nil
	}
	if last := asked[len(asked)-1]; last > maxTokens {
		return nil, fault.Newf(fault.Usage, "bucket %d: this model takes at most %d tokens", last, maxTokens)
	}
	return asked, nil
}

// flags are recorded as resolved, so that a rebuild needs no defaults.
func flags(o Options, p *plan.Plan, buckets []int) []plan.Flag {
	var lengths []string
	for _, b := range buckets {
		lengths = append(lengths, strconv.Itoa(b))
	}
	return []plan.Flag{
		{Name: "max-batch-tokens", Value: strconv.Itoa(p.MaxBatchTokens)},
		{Name: "seqlen-buckets", Value: strings.Join(lengths, ",")},
		{Name: "target", Value: o.Target},
	}
}

// chooseAttention makes the buckets of the plan.
func (r *Result) chooseAttention(s *schedule.Schedule, buckets []int) {
	for _, tokens := range buckets {
		b := plan.Bucket{MaxTokens: tokens}
		for i, op := range s.Ops {
			if !op.Kind.IsFusedAttention() {
				continue
			}
			a := op.Attrs.(*ir.AttentionAttrs)
			best := cost.CPU.ChooseAttention(a, tokens)
			code, _ := cpu.Op(best.Kind)
			b.Choices = append(b.Choices, plan.Choice{Step: i, Op: code, Workspace: best.Workspace})
			r.Estimates = append(r.Estimates, Estimate{op.Label, tokens, best, cost.CPU.Attention(a, tokens)})
		}
		r.Plan.Buckets = append(r.Plan.Buckets, b)
	}
}
