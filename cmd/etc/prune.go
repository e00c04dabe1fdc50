package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"etc/compiler"
	"etc/compiler/frontend"
	"etc/eval"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/rows"
	"etc/prune"
)

type pruneFlags struct {
	output, calib, columns, task string
	eval, maxDrop, method        string
	sparsity                     float64
	seed                         uint64
}

func pruneCommand(p *program) *cobra.Command {
	var f pruneFlags
	c := &cobra.Command{
		Use:   "prune MODEL -o DIR",
		Short: "Zero the weights that the model can best do without",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return p.prune(c.Context(), args[0], &f) },
	}
	c.Flags().StringVarP(&f.output, "output", "o", "", "folder for the pruned checkpoint")
	c.Flags().StringVar(&f.eval, "eval", "", "labelled rows that judge the drop")
	c.Flags().StringVar(&f.columns, "columns", "", "where things stand in a TSV, such as text=1,label=2")
	c.Flags().StringVar(&f.calib, "calib", "", "rows whose activations steer the choice (default: the texts of --eval)")
	c.Flags().StringVar(&f.task, "task", "", "the task it must be: "+strings.Join(taskNames(), ", "))
	c.Flags().StringVar(&f.maxDrop, "max-drop", "", "largest loss allowed: 1% is one point of the metric, 1%r relative")
	c.Flags().Float64Var(&f.sparsity, "sparsity", 0, "share of zeros in the encoder's matrices, from 0 to 1")
	c.Flags().StringVar(&f.method, "method", prune.Methods[0].Name, "what goes: "+methodNames())
	c.Flags().Uint64Var(&f.seed, "seed", 0, "how --eval is split into search and accept rows")
	p.addForce(c)
	return c
}

func methodNames() string {
	var names []string
	for _, m := range prune.Methods {
		names = append(names, m.Name)
	}
	return strings.Join(names, ", ")
}

// A pruning is one run of etc prune.
type pruning struct {
	*program
	flags *pruneFlags
	ctx   context.Context
	ckpt  *checkpoint.Checkpoint
	data  *rows.Data // of --eval, or nil
	drop  *eval.Drop // of --max-drop, or nil
	stats *prune.Statistics
	dense map[*rows.Data]eval.Metric // the dense model on each part
	lines []string                   // what the gates saw, for the record
}

func (p *program) prune(ctx context.Context, model string, f *pruneFlags) error {
	if err := f.check(p); err != nil {
		return err
	}
	method, err := prune.MethodNamed(f.method)
	if err != nil {
		return err
	}
	r := &pruning{program: p, flags: f, ctx: ctx, dense: map[*rows.Data]eval.Metric{}}
	if err := r.readFlags(); err != nil {
		return err
	}
	if r.ckpt, err = checkpoint.Open(model); err != nil {
		return err
	}
	defer r.ckpt.Close()
	if err := r.ckpt.CheckPlace(f.output, p.force); err != nil {
		return err
	}
	if err := r.checkTask(); err != nil {
		return err
	}
	if err := r.calibrate(); err != nil {
		return err
	}
	var found *prune.Found
	if f.sparsity > 0 {
		found, err = r.fixed(method)
	} else {
		found, err = r.search(method)
	}
	if err != nil {
		return err
	}
	return r.write(found)
}

// check refuses flags that no model makes right.
func (f *pruneFlags) check(p *program) error {
	switch {
	case f.output == "" || f.output == stdio:
		return fault.Newf(fault.Usage, "no output: -o DIR is wanted")
	case !(f.sparsity >= 0 && f.sparsity < 1):
		return fault.Newf(fault.Usage, "--sparsity %v: want a share from 0 to 1", f.sparsity)
	case f.sparsity == 0 && f.maxDrop == "":
		return fault.Newf(fault.Usage, "how much to prune? --sparsity S, or --max-drop D with --eval FILE")
	case f.maxDrop != "" && f.eval == "":
		return fault.Newf(fault.Usage, "--max-drop %s: --eval FILE is wanted to judge it", f.maxDrop)
	case f.task != "" && !slices.Contains(taskNames(), f.task):
		return unknownTask(f.task)
	}
	if _, err := os.Lstat(f.output); err == nil && !p.force {
		return fault.Newf(fault.Usage, "%s exists", f.output).WithHint("--force replaces it")
	}
	return checkFolder(filepath.Clean(f.output))
}

// checkTask refuses a model that is not of --task.
func (r *pruning) checkTask() error {
	imported, err := frontend.Import(r.ckpt)
	if err != nil {
		return err
	}
	return checkTask(&imported.Model, r.flags.task)
}

func (r *pruning) readFlags() error {
	f := r.flags
	if f.maxDrop != "" {
		drop, err := eval.ParseDrop(f.maxDrop)
		if err != nil {
			return err
		}
		r.drop = &drop
	}
	if f.eval == "" {
		return nil
	}
	data, err := loadData("--eval", f.eval, rows.DataOptions{Columns: f.columns})
	r.data = data
	return err
}

// load compiles c in memory and opens it on all threads.
func (r *pruning) load(c *checkpoint.Checkpoint, o compiler.Options, observe func(label, weight string, in cpu.Rows)) (*executor.Executor, error) {
	o.Targets, o.Version = []string{cpu.Target}, version
	result, err := compiler.Compile(c, o)
	if err != nil {
		return nil, err
	}
	d, err := cpu.New(cpu.Options{Level: kernel.Best(), Threads: pool.DefaultThreads(), Observe: observe})
	if err != nil {
		return nil, err
	}
	x, err := executor.New(result.Plan.Program(cpu.Target), d, executor.Options{Truncate: true, Tokenizers: pool.DefaultThreads()})
	if err != nil {
		d.Close()
	}
	return x, err
}
