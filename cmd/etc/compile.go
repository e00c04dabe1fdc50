package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"etc/compiler"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
)

// compileFlags are the flags that the bytes of a plan depend on.
type compileFlags struct {
	buckets, target, dtype string
	maxBatchTokens         int
	tuning                 string // path of a table
	sourceOnly             bool
}

func (f *compileFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.buckets, "seqlen-buckets", "", "lengths in tokens: 32,64,128 or 32-512*2 or auto:rows.jsonl (default powers of two up to the model's longest row)")
	c.Flags().StringVar(&f.target, "target", "cpu:f32", "what the plan is for: cpu:f32, cpu:int16, cpu:int8, sm_80:f16 …; several with commas between them")
	c.Flags().StringVar(&f.dtype, "dtype", "", "storage type for every target")
	c.Flags().IntVar(&f.maxBatchTokens, "max-batch-tokens", compiler.DefaultMaxBatchTokens, "budget of tokens in one batch, recorded in the plan")
	c.Flags().StringVar(&f.tuning, "tuning", "", "table of measurements (etc tune) that overrides the cost model of GPU targets")
	c.Flags().BoolVar(&f.sourceOnly, "source-only", false, "leave kernels of GPU targets as source: NVRTC is not needed, and nothing runs the plan")
}

func compileCommand(p *program) *cobra.Command {
	var f compileFlags
	var output, dump, emit, signKey string
	var asJSON bool
	c := &cobra.Command{
		Use:   "compile MODEL -o PLAN.etp",
		Short: "Turn a checkpoint into one plan file",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := p.checkOutput(output); err != nil {
				return err
			}
			if err := checkApart(outFlag{"-o", output}, outFlag{"--dump-ir", dump}, outFlag{"--emit-cuda", emit}); err != nil {
				return err
			}
			return p.compile(c.Context(), args[0], output, dump, emit, signKey, &f, asJSON)
		},
	}
	f.add(c)
	c.Flags().StringVarP(&output, "output", "o", "", "where the plan goes")
	c.Flags().StringVar(&dump, "dump-ir", "", "write the graph after each pass into this folder")
	c.Flags().StringVar(&emit, "emit-cuda", "", "write the first GPU program as CUDA for nvcc into this folder")
	c.Flags().StringVar(&signKey, "sign-key", "", "sign the plan with this private ed25519 key, a PEM file")
	c.Flags().BoolVar(&asJSON, "json", false, "print the record as JSON")
	p.addForce(c)
	return c
}

// A compileRecord is what compile --json prints.
type compileRecord struct {
	Schema    int       `json:"schema"`
	Plan      string    `json:"plan"`
	Device    string    `json:"device"`
	Target    string    `json:"target"`
	Bytes     int64     `json:"bytes"`
	Buckets   []int     `json:"buckets"`
	Passes    []passRow `json:"passes"`
	Unclaimed []string  `json:"unclaimed,omitempty"`
}

func (p *program) compile(ctx context.Context, model, output, dump, emit, signKey string, f *compileFlags, asJSON bool) error {
	start := time.Now()
	if err := f.check(p); err != nil {
		return err
	}
	key, err := readKey("--sign-key", signKey, plan.ParseSignKey)
	if err != nil {
		return err
	}
	ckpt, err := checkpoint.Open(model)
	if err != nil {
		return err
	}
	defer ckpt.Close()
	o, err := f.options(ckpt)
	if err != nil {
		return err
	}
	if !o.GPU() {
		emit = ""
	}
	if err := p.checkEmit(emit); err != nil {
		return err
	}
	if err := p.makeDump(dump); err != nil {
		return err
	}
	if err := p.findNVRTC(ctx, &o, f.sourceOnly); err != nil {
		return err
	}
	w := &passWatcher{dump: dump}
	o.Observe = w.observe
	r, err := compiler.Compile(ckpt, o)
	if err == nil {
		err = w.err
	}
	if err != nil {
		return err
	}
	record := &compileRecord{Schema: 1, Device: noDevice, Target: strings.Join(o.Targets, ","), Buckets: bucketLengths(r.Plan.Programs[0]), Passes: w.rows, Unclaimed: r.Unclaimed}
	err = p.create(output, func(out *os.File) error {
		if err := plan.Write(out, r.Plan, plan.WriteOptions{SignKey: key}); err != nil {
			return err
		}
		return record.read(out.Name())
	})
	if err != nil {
		return err
	}
	if err := p.emitCUDA(emit, ckpt, r.Plan, o); err != nil {
		return err
	}
	if p.verbose {
		w.print(p.err)
	}
	if len(r.Unclaimed) > 0 {
		p.note("not used: %s", strings.Join(r.Unclaimed, ", "))
	}
	p.note("%s: %s, %s, buckets %v, %.1f MB, %.2f s", output, r.Plan.Model.Architecture, stepCounts(r.Plan), record.Buckets, float64(record.Bytes)/1e6, time.Since(start).Seconds())
	if asJSON {
		return p.printJSON(record)
	}
	return nil
}

// read opens the plan that was written, to see that it can be, and notes its
// size and ID. What went to a device or a pipe cannot be read again.
func (r *compileRecord) read(path string) error {
	if isSpecial(path) {
		return nil
	}
	file, err := plan.Open(path, plan.OpenOptions{})
	if err != nil {
		return err
	}
	defer file.Close()
	r.Plan, r.Bytes = file.ID(), int64(len(file.Bytes()))
	return nil
}

// stepCounts says how many steps there are: "12 steps", or by target where
// there are several.
func stepCounts(p *plan.Plan) string {
	var counts []string
	for _, q := range p.Programs {
		counts = append(counts, fmt.Sprintf("%s%d steps", labelOf(q, ""), len(q.Steps)))
	}
	return strings.Join(counts, ", ")
}

// labelOf puts the target of p in front of a label, where its plan has others.
func labelOf(p *plan.Program, label string) string {
	if len(p.Programs) < 2 {
		return label
	}
	return p.Target + " " + label
}

func bucketLengths(p *plan.Program) []int {
	var lengths []int
	for _, b := range p.Buckets {
		lengths = append(lengths, b.MaxTokens)
	}
	return lengths
}

// check refuses flags that no checkpoint makes right.
func (f *compileFlags) check(p *program) error {
	if f.maxBatchTokens < 1 || f.maxBatchTokens > plan.MostBatchTokens {
		return fault.Newf(fault.Usage, "--max-batch-tokens %d: want 1 to %d", f.maxBatchTokens, plan.MostBatchTokens)
	}
	if path, ok := strings.CutPrefix(f.buckets, autoBucketsPrefix); ok {
		if err := checkInput("--seqlen-buckets", path); err != nil {
			return err
		}
	} else if f.buckets != "" {
		if _, err := compiler.ParseBuckets(f.buckets); err != nil {
			return err
		}
	}
	targets, err := f.targets()
	if err != nil || slices.ContainsFunc(targets, func(t string) bool { return plan.SM(t) > 0 }) {
		return err
	}
	f.tuning, f.sourceOnly = "", false
	return p.unused(fmt.Sprintf("--target %s has no GPU, --target sm_80 has one", strings.Join(targets, ",")), "tuning", "source-only", "emit-cuda")
}

const autoBucketsPrefix = "auto:"

// options resolves the flags, which passed check, against the checkpoint.
func (f *compileFlags) options(c *checkpoint.Checkpoint) (compiler.Options, error) {
	o := compiler.Options{MaxBatchTokens: f.maxBatchTokens, Version: version}
	var err error
	if o.Targets, err = f.targets(); err != nil {
		return o, err
	}
	if f.tuning != "" {
		if o.Tuning, err = readTuning(f.tuning); err != nil {
			return o, err
		}
	}
	if path, ok := strings.CutPrefix(f.buckets, autoBucketsPrefix); ok {
		o.Buckets, err = autoBuckets(path, c)
	} else if f.buckets != "" {
		o.Buckets, err = compiler.ParseBuckets(f.buckets)
	}
	return o, err
}

// targets reads --target and --dtype.
func (f *compileFlags) targets() ([]string, error) {
	var all []string
	for word := range strings.SplitSeq(f.target, ",") {
		target, err := resolveTarget(word, f.dtype)
		if err != nil {
			return nil, err
		}
		if slices.Contains(all, target) {
			return nil, fault.Newf(fault.Usage, "--target %s: %s is given twice", f.target, target)
		}
		all = append(all, target)
	}
	return all, nil
}

// resolveTarget adds the storage type to a target that has none.
func resolveTarget(target, dtype string) (string, error) {
	device, storage, _ := strings.Cut(target, ":")
	if dtype != "" {
		storage = dtype
	}
	if storage == "" {
		storage = defaultStorage(device)
	}
	resolved := device + ":" + storage
	if !slices.Contains(compiler.Targets, resolved) {
		return "", fault.Newf(fault.Unsupported, "target %q: supported are %s", resolved, strings.Join(compiler.Targets, ", "))
	}
	return resolved, nil
}

// defaultStorage is the storage type of a target that names none.
func defaultStorage(device string) string {
	if strings.HasPrefix(device, "sm_") {
		return "f16"
	}
	return "f32"
}

// autoBuckets chooses buckets from the lengths of the rows in a file.
func autoBuckets(path string, c *checkpoint.Checkpoint) ([]int, error) {
	t, err := c.ReadTokenizer()
	if err != nil {
		return nil, err
	}
	lengths, err := lengthsOf(t, "--seqlen-buckets", path)
	if err != nil {
		return nil, err
	}
	longest, err := compiler.LongestRow(c)
	if err != nil {
		return nil, err
	}
	return compiler.AutoBuckets(lengths, longest), nil
}
