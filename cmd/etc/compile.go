package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"etc/compiler"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/formats/tokenizer"
	"etc/ir"
	"etc/ir/pass"
)

// compileFlags are the flags that the bytes of a plan depend on.
type compileFlags struct {
	buckets, target, dtype string
	maxBatchTokens         int
}

func (f *compileFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.buckets, "seqlen-buckets", "", "lengths in tokens: 32,64,128 or 32-512*2 or auto:rows.jsonl (default powers of two up to the model's longest row)")
	c.Flags().StringVar(&f.target, "target", "cpu:f32", "what the plan is for")
	c.Flags().StringVar(&f.dtype, "dtype", "", "storage type for every target")
	c.Flags().IntVar(&f.maxBatchTokens, "max-batch-tokens", compiler.DefaultMaxBatchTokens, "budget of tokens in one batch, recorded in the plan")
}

func compileCommand(p *program) *cobra.Command {
	var f compileFlags
	var output, dump string
	var asJSON bool
	c := &cobra.Command{
		Use:   "compile MODEL -o PLAN.etp",
		Short: "Turn a checkpoint into one plan file",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := p.checkOutput(output); err != nil {
				return err
			}
			return p.compile(args[0], output, dump, &f, asJSON)
		},
	}
	f.add(c)
	c.Flags().StringVarP(&output, "output", "o", "", "where the plan goes")
	c.Flags().StringVar(&dump, "dump-ir", "", "write the graph after each pass into this folder")
	c.Flags().BoolVar(&asJSON, "json", false, "print the record as JSON")
	p.addForce(c)
	return c
}

func (p *program) compile(model, output, dump string, f *compileFlags, asJSON bool) error {
	ckpt, err := checkpoint.Open(model)
	if err != nil {
		return err
	}
	defer ckpt.Close()
	o, err := f.options(ckpt)
	if err != nil {
		return err
	}
	w := &passWatcher{dump: dump}
	if dump != "" {
		if err := os.MkdirAll(dump, 0o755); err != nil {
			return err
		}
	}
	o.Observe = w.observe
	start := time.Now()
	r, err := compiler.Compile(ckpt, o)
	if err != nil {
		return err
	}
	if w.err != nil {
		return w.err
	}
	if err := p.create(output, func(out io.Writer) error { return plan.Write(out, r.Plan) }); err != nil {
		return err
	}
	file, err := plan.Open(output) // what was written can be read
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := os.Stat(output)
	if err != nil {
		return err
	}
	if p.verbose {
		w.print(p.err)
	}
	if len(r.Unclaimed) > 0 {
		p.note("not used: %s", strings.Join(r.Unclaimed, ", "))
	}
	p.note("%s: %s, %d steps, buckets %v, %.1f MB, %.2f s", output, r.Plan.Model.Architecture, len(r.Plan.Steps), bucketLengths(r.Plan), float64(info.Size())/1e6, time.Since(start).Seconds())
	if !asJSON {
		return nil
	}
	return json.NewEncoder(p.out).Encode(struct {
		Schema    int       `json:"schema"`
		Plan      string    `json:"plan"`
		Target    string    `json:"target"`
		Bytes     int64     `json:"bytes"`
		Buckets   []int     `json:"buckets"`
		Passes    []passRow `json:"passes"`
		Unclaimed []string  `json:"unclaimed"`
	}{1, file.ID(), r.Plan.Target, info.Size(), bucketLengths(r.Plan), w.rows, r.Unclaimed})
}

func bucketLengths(p *plan.Plan) []int {
	var lengths []int
	for _, b := range p.Buckets {
		lengths = append(lengths, b.MaxTokens)
	}
	return lengths
}

// options resolves the flags against the checkpoint.
func (f *compileFlags) options(c *checkpoint.Checkpoint) (compiler.Options, error) {
	o := compiler.Options{MaxBatchTokens: f.maxBatchTokens, Version: version}
	if f.maxBatchTokens < 1 {
		return o, fault.Newf(fault.Usage, "--max-batch-tokens %d: want at least 1", f.maxBatchTokens)
	}
	target, err := resolveTarget(f.target, f.dtype)
	if err != nil {
		return o, err
	}
	o.Target = target
	if path, ok := strings.CutPrefix(f.buckets, "auto:"); ok {
		o.Buckets, err = autoBuckets(path, c, o)
	} else if f.buckets != "" {
		o.Buckets, err = compiler.ParseBuckets(f.buckets)
	}
	return o, err
}

// resolveTarget adds the storage type to a target that has none.
func resolveTarget(target, dtype string) (string, error) {
	device, storage, _ := strings.Cut(target, ":")
	if dtype != "" {
		storage = dtype
	}
	if storage == "" {
		storage = "f32"
	}
	resolved := device + ":" + storage
	if !slices.Contains(compiler.Targets, resolved) {
		return "", fault.Newf(fault.Unsupported, "target %q: supported are %s", resolved, strings.Join(compiler.Targets, ", "))
	}
	return resolved, nil
}

// autoBuckets chooses buckets from the lengths of the rows in a file.
func autoBuckets(path string, c *checkpoint.Checkpoint, o compiler.Options) ([]int, error) {
	data, err := rows.LoadFile(path, rows.DataOptions{})
	if err != nil {
		return nil, err
	}
	t, err := tokenizer.New(c.Tokenizer)
	if err != nil {
		return nil, err
	}
	r, err := compiler.Compile(c, o) // for the longest row, which task and files decide
	if err != nil {
		return nil, err
	}
	var lengths []int
	for i := range data.Examples {
		n, err := lengthOf(t, &data.Examples[i].Row)
		if err != nil {
			return nil, err
		}
		lengths = append(lengths, n)
	}
	if len(lengths) == 0 {
		return nil, fault.Newf(fault.Corrupt, "%s: no rows to choose buckets from", path)
	}
	return compiler.AutoBuckets(lengths, r.Plan.Model.MaxTokens), nil
}

func lengthOf(t *tokenizer.Tokenizer, r *rows.Row) (int, error) {
	if len(r.IDs) > 0 {
		return len(r.IDs), nil
	}
	if t == nil {
		return 0, fault.Newf(fault.Corrupt, "line %d: text row, but the checkpoint has no tokenizer", r.Line)
	}
	var enc tokenizer.Encoding
	err := t.NewEncoder().Encode(&enc, r.Text, r.Pair, 0)
	return len(enc.IDs), err
}

// A passWatcher dumps the graph after each pass and keeps the pass table.
type passWatcher struct {
	dump string
	rows []passRow
	err  error
}

type passRow struct {
	Name    string  `json:"name"`
	Changed int     `json:"changed"`
	Before  int     `json:"operators_before"`
	After   int     `json:"operators_after"`
	Ms      float64 `json:"ms"`
}

func (w *passWatcher) observe(r pass.Report, g *ir.Graph) {
	w.rows = append(w.rows, passRow{r.Pass.Name, r.Changed, r.Before, r.After, float64(r.Elapsed.Microseconds()) / 1e3})
	if w.dump == "" || w.err != nil {
		return
	}
	name := fmt.Sprintf("%02d-%s.ir", r.Index, r.Pass.Name)
	w.err = os.WriteFile(filepath.Join(w.dump, name), []byte(ir.Print(g)), 0o644)
}

func (w *passWatcher) print(out io.Writer) {
	b := bufio.NewWriter(out)
	defer b.Flush()
	fmt.Fprintf(b, "%-26s %8s %12s %9s\n", "pass", "changed", "operators", "ms")
	for _, r := range w.rows {
		fmt.Fprintf(b, "%-26s %8d %5d → %4d %9.2f\n", r.Name, r.Changed, r.Before, r.After, r.Ms)
	}
}
