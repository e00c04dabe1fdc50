package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"etc/compiler/frontend"
	"etc/eval"
	"etc/executor/cpu"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/ir"
	"etc/memo"
	"etc/prune"
	"etc/prune/latency"
	html "etc/prune/report"
)

type pruneFlags struct {
	output, calib, columns, task string
	place                        string // of output
	eval, maxDrop, method        string
	target                       string
	sparsity, speedup            float64
	latencyTable, recipe, report string
	budget                       string
	measure, keepBest, spread    bool
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
	c.Flags().StringVar(&f.calib, "calib", "", "rows whose activations steer the choice (default: the texts of --eval; of a search, of those rows that it may see)")
	c.Flags().StringVar(&f.task, "task", "", "the task it must be: "+strings.Join(taskNames(), ", "))
	c.Flags().StringVar(&f.maxDrop, "max-drop", "", "largest loss allowed: 1% is one point of the metric, 1%r relative")
	c.Flags().Float64Var(&f.sparsity, "sparsity", 0, "share of zeros in the encoder's matrices, from 0 to 1")
	c.Flags().BoolVar(&f.spread, "spread", false, "with --sparsity, not evenly: by what each sublayer loses end to end")
	c.Flags().Float64Var(&f.speedup, "speedup", 0, "how many times as fast as the dense model it must be, by the latency table")
	c.Flags().StringVar(&f.target, "target", cpu.Target, "what it will run on: cpu:f32, cpu:int16, cpu:int8, or a GPU with --latency-table")
	c.Flags().StringVar(&f.latencyTable, "latency-table", "", "what sublayers take on the target (default: the table shipped for this CPU level and model, else a prediction)")
	c.Flags().StringVar(&f.recipe, "recipe", "", "etc-recipe.json of another fine-tune of this model: the same goes, repaired anew")
	c.Flags().StringVar(&f.report, "report", "", "write a page, FILE.html, of what was asked, tried and reached")
	c.Flags().BoolVar(&f.measure, "measure", false, "measure that table now, on this machine")
	c.Flags().StringVar(&f.method, "method", prune.Methods()[0].Name, "what goes: "+prune.StructureNames()+"; with :CRITERION, in what order")
	c.Flags().StringVar(&f.budget, "budget", "", "time for it all, such as 10m: then the search ends, and takes the best so far")
	c.Flags().BoolVar(&f.keepBest, "keep-best", false, "on Ctrl-C, write the best that the search has found so far")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "how --eval is split into search and accept rows")
	p.addForce(c)
	return c
}

// A pruning is one run of etc prune.
type pruning struct {
	*program
	flags     *pruneFlags
	ctx       context.Context
	method    prune.Method
	target    string // of --target, with its storage type
	ckpt      *checkpoint.Checkpoint
	imported  *frontend.Imported
	dense     *ir.Graph // as imported
	model     plan.Model
	names     map[string]bool // of the weights as imported
	data      *rows.Data      // of --eval, or nil
	parts     []*part         // of --eval: what the search may see, what accepts, perhaps a reserve; all of it for a gate
	seen      *rows.Data      // the first of a search's, or nil
	drop      *eval.Drop      // of --max-drop, or nil
	sample    *sample         // of calibration rows, or nil
	stats     *prune.Statistics
	memo      *memo.Memo     // answers of earlier runs
	base      string         // what those depend on
	guarded   string         // the rows that outputs are compared on, "" before
	budget    *budget        // of --budget, or nil
	table     *latency.Table // that speeds were read from, or nil
	measured  []float64      // ratios of times, dense to what was found, by its shapes; or nil
	modelName string
	tried     []*prune.Candidate
	judged    []html.Judgement
	metric    html.Metric
	warnings  []string // what a reader of the report must know
	lines     []string // what the judges saw, for the record
	best      string   // so far, for people
	cut       string   // why the search did not end by itself, "" where it did
}

// pruneGC has garbage collected at half of what is in use, not at as much again:
// what is in use are some large arrays, in which there is nothing to look for.
const pruneGC = 50

func (p *program) prune(ctx context.Context, model string, f *pruneFlags) error {
	if err := f.check(p); err != nil {
		return err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(pruneGC))
	method, err := prune.MethodNamed(f.method)
	if err != nil {
		return err
	}
	r := &pruning{program: p, flags: f, ctx: ctx, method: method, modelName: filepath.Base(filepath.Clean(model)), memo: openMemo()}
	if err := r.readFlags(); err != nil {
		return err
	}
	if r.ckpt, err = checkpoint.Open(model); err != nil {
		return err
	}
	defer r.ckpt.Close()
	if err := r.ckpt.CheckPlace(f.place, p.force); err != nil {
		return err
	}
	if err := r.importModel(); err != nil {
		return err
	}
	if err := r.partRows(); err != nil {
		return err
	}
	if err := r.calibrate(); err != nil {
		return err
	}
	found, err := r.found()
	if r.memo != nil && r.verbose {
		known, kept := r.memo.Counts()
		r.note("cache %s: %d answers known, %d found", r.memo.Folder(), known, kept)
	}
	if err != nil {
		return err
	}
	if err := r.measureSpeed(found); err != nil {
		return err
	}
	if err := r.write(found); err != nil {
		return err
	}
	return r.writeReport(found)
}

// mostSpeedup bounds --speedup: no model keeps its meaning at a hundredth.
const mostSpeedup = 100

// check refuses flags that no model makes right.
func (f *pruneFlags) check(p *program) error {
	switch {
	case f.output == "" || f.output == stdio:
		return fault.Newf(fault.Usage, "no output: -o DIR is wanted")
	case !(f.sparsity >= 0 && f.sparsity < 1):
		return fault.Newf(fault.Usage, "--sparsity %v: want a share from 0 to 1", f.sparsity)
	case f.speedup != 0 && !(f.speedup >= 1 && f.speedup <= mostSpeedup):
		return fault.Newf(fault.Usage, "--speedup %v: want a ratio of times from 1 to %d", f.speedup, mostSpeedup)
	case f.measure && f.latencyTable != "":
		return fault.Newf(fault.Usage, "--measure and --latency-table: want one of them")
	case f.speedup > 0 && f.sparsity > 0:
		return fault.Newf(fault.Usage, "--speedup and --sparsity: want one of them")
	case f.recipe != "" && (f.speedup > 0 || f.sparsity > 0):
		return fault.Newf(fault.Usage, "--recipe says what goes: want no --sparsity and no --speedup beside it")
	case f.sparsity == 0 && f.maxDrop == "" && f.speedup == 0 && f.recipe == "":
		return fault.Newf(fault.Usage, "how much to prune? --sparsity S, --speedup R, or --max-drop D with --eval FILE")
	case f.maxDrop != "" && f.eval == "":
		return fault.Newf(fault.Usage, "--max-drop %s: --eval FILE is wanted to judge it", f.maxDrop)
	case f.spread && f.sparsity > 0 && f.calib == "" && f.eval == "":
		return fault.Newf(fault.Usage, "--spread measures what sublayers lose: --calib FILE is wanted")
	case f.task != "" && !slices.Contains(taskNames(), f.task):
		return unknownTask(f.task)
	}
	if err := f.checkUse(p); err != nil {
		return err
	}
	if f.report != "" {
		if err := p.checkOutput(f.report); err != nil {
			return err
		}
	}
	if err := checkApart(outFlag{}, outFlag{"-o", f.output}, outFlag{"--report", f.report}); err != nil {
		return err
	}
	var err error
	if f.place, err = placeOfFolder(f.output); err != nil {
		return err
	}
	if err := checkpoint.CheckReplaceable(f.place); err != nil { // first: here --force is no way out
		return err
	}
	if _, err := os.Lstat(f.output); err == nil && !p.force {
		return outputExists(f.output)
	}
	return nil
}

// checkUse refuses flags of a search without one, and --spread without --sparsity.
func (f *pruneFlags) checkUse(p *program) error {
	var err error
	if !f.searches() {
		err = p.unused("it is for a search: want --speedup or --max-drop, and neither --sparsity nor --recipe", "budget", "keep-best")
	}
	if err == nil && f.sparsity == 0 {
		err = p.unused("it is for --sparsity; a search spreads anyway", "spread")
	}
	return err
}

// searches tells whether what goes is searched for.
func (f *pruneFlags) searches() bool { return f.recipe == "" && f.sparsity == 0 }

// found is the pruned model by what was asked.
func (r *pruning) found() (*prune.Found, error) {
	switch {
	case r.flags.searches():
		return r.search()
	case r.flags.recipe != "":
		return r.replay()
	}
	return r.fixed()
}

// importModel reads the checkpoint as a graph, and refuses one that is not of --task.
func (r *pruning) importModel() error {
	imported, err := frontend.Import(r.ckpt)
	if err != nil {
		return err
	}
	r.imported = imported
	r.dense, r.model, r.names = imported.Graph, imported.Model, map[string]bool{}
	for _, op := range r.dense.Ops {
		if op.Kind == ir.Weight {
			r.names[op.Result().WeightName()] = true
		}
	}
	return checkTask(&r.model, r.flags.task)
}

func (r *pruning) readFlags() error {
	f := r.flags
	var err error
	if r.target, err = resolveTarget(f.target, ""); err != nil {
		return err
	}
	if r.budget, err = newBudget(f.budget); err != nil {
		return err
	}
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
	r.data, err = loadData("--eval", f.eval, rows.DataOptions{Columns: f.columns})
	return err
}
