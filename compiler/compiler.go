// Package compiler turns a checkpoint into a plan.
//
//	checkpoint → frontend → passes → schedule → codegen → plan
//
// The plan is a function of the checkpoint and the options, never of the
// machine, folder, time or number of threads.
package compiler

import (
	"fmt"

	"etc/codegen/cuda"
	"etc/compiler/cost"
	"etc/compiler/frontend"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/mapped"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/pass"
)

// DefaultMaxBatchTokens is the budget of tokens in a batch where nothing else
// is asked for: 32 rows of 128, enough for products to run at full rate.
const DefaultMaxBatchTokens = 4096

// Options are the resolved flags of a compilation. They are recorded in the plan.
type Options struct {
	Targets        []string // some of Targets, each once: the plan has a program for each
	Buckets        []int    // ascending; empty: DefaultBuckets
	MaxBatchTokens int      // 1 to plan.MostBatchTokens; 0: DefaultMaxBatchTokens
	Dense          bool     // find no structure in zeros, for comparison and statistics; not recorded
	Version        string   // of etc
	// NVRTC compiles the kernels of GPU targets; nil: the plan holds their
	// sources only.
	NVRTC   cuda.Compiler
	Tuning  *cost.Tuning // what was measured on GPUs; nil: nothing
	Observe pass.Observer
}

// A Result is a plan and what is worth telling about its making.
type Result struct {
	Plan      *plan.Plan
	Unclaimed []string // tensors of the checkpoint that no operator reads
	Estimates []Estimate
}

// An Estimate is why an attention step has its operator in a bucket.
type Estimate struct {
	Target    string
	Label     string
	MaxTokens int
	Chosen    cost.Estimate
	All       []cost.Estimate
}

// Compile compiles c. Errors are of kind Unsupported, Corrupt or Usage.
func Compile(c *checkpoint.Checkpoint, o Options) (*Result, error) {
	imported, err := frontend.Import(c)
	if err != nil {
		return nil, err
	}
	model := imported.Model
	t, err := ReadTokenizer(c, &model)
	if err != nil {
		return nil, err
	}
	var r *Result
	err = mapped.Guard(func() (err error) { // weights are views of c's files
		r, err = Lower(imported.Graph, model, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.Unclaimed = imported.Unclaimed
	r.Plan.Tokenizer = t
	r.Plan.Provenance.Source, err = c.Digest()
	return r, err
}

// Lower makes the plan of a graph of model operators, of the model described.
// The plan has passed plan.Check; it has no tokenizer and no source.
func Lower(g *ir.Graph, model plan.Model, o Options) (*Result, error) {
	if err := o.resolve(&model); err != nil {
		return nil, err
	}
	if len(g.Outputs) > plan.MostOutputs {
		return nil, fault.Newf(fault.Unsupported, "model of %d layers: a plan has at most %d outputs, and each layer is one", model.Layers, plan.MostOutputs)
	}
	r := &Result{Plan: &plan.Plan{
		Model: model, MaxBatchTokens: o.MaxBatchTokens, Provenance: plan.Provenance{Version: o.Version, Flags: o.flags()},
	}}
	l := &lowering{graph: g, options: o, result: r, done: map[string]lowered{}}
	for _, target := range o.Targets {
		if err := l.add(target); err != nil {
			return nil, err
		}
	}
	l.weights.Finish(r.Plan)
	if err := l.kernels.Finish(r.Plan, o.NVRTC); err != nil {
		return nil, err
	}
	if err := plan.Check(r.Plan); err != nil {
		panic(fmt.Sprintf("bug: compiler: the plan made is refused: %v", err))
	}
	return r, nil
}

// LongestRow is the longest row of c's model in tokens, as positions, pooling
// and tokenizer allow: the last of DefaultBuckets.
func LongestRow(c *checkpoint.Checkpoint) (int, error) {
	imported, err := frontend.Import(c)
	if err != nil {
		return 0, err
	}
	model := imported.Model
	_, err = ReadTokenizer(c, &model)
	return model.MaxTokens, err
}

// ReadTokenizer returns the tokenizer of c as a plan holds it, nil where c has
// none and takes rows of ids only. It may shorten the model's longest row.
func ReadTokenizer(c *checkpoint.Checkpoint, m *plan.Model) ([]byte, error) {
	t, err := c.ReadTokenizer()
	if err != nil || t == nil {
		return nil, err
	}
	if t.VocabSize() > m.VocabSize {
		return nil, fault.Newf(fault.Corrupt, "tokenizer: ids up to %d, but the model's vocabulary has %d", t.VocabSize()-1, m.VocabSize)
	}
	if n := t.ModelMaxLength(); n > 0 {
		m.MaxTokens = min(m.MaxTokens, n)
	}
	if m.TypeVocabSize == 0 {
		t = t.WithoutTypeIDs() // DistilBERT's is BERT's in many folders
	}
	return t.Marshal(), nil
}
