package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/formats/safetensors"
	"etc/ir"
	"etc/ir/tensor"
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
	if err := p.checkOutput(f.output); err != nil {
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

func (r *pruning) readFlags() error {
	f := r.flags
	switch {
	case f.sparsity < 0 || f.sparsity >= 1:
		return fault.Newf(fault.Usage, "--sparsity %v: want a share from 0 to 1", f.sparsity)
	case f.sparsity == 0 && f.maxDrop == "":
		return fault.Newf(fault.Usage, "how much to prune? --sparsity S, or --max-drop D with --eval FILE")
	case f.maxDrop != "" && f.eval == "":
		return fault.Newf(fault.Usage, "--max-drop %s: --eval FILE is wanted to judge it", f.maxDrop)
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
	data, err := rows.LoadFile(f.eval, rows.DataOptions{Columns: f.columns})
	r.data = data
	return err
}

// load compiles c in memory and opens it on all threads.
func (r *pruning) load(c *checkpoint.Checkpoint, o compiler.Options, observe func(label, weight string, in cpu.Rows)) (*executor.Executor, error) {
	o.Target, o.Version = cpu.Target, version
	result, err := compiler.Compile(c, o)
	if err != nil {
		return nil, err
	}
	if err := checkTask(result.Plan, r.flags.task); err != nil {
		return nil, err
	}
	d, err := cpu.New(cpu.Options{Level: kernel.Best(), Threads: pool.DefaultThreads(), Observe: observe})
	if err != nil {
		return nil, err
	}
	return executor.New(result.Plan, d, executor.Options{Truncate: true, Tokenizers: pool.DefaultThreads()})
}

// maxCalibrationRows bounds the rows of --eval that are used where no
// --calib is given: moments settle long before.
const maxCalibrationRows = 2048

// calibrate collects the moments of activations over the calibration rows.
func (r *pruning) calibrate() error {
	data, source := r.data, r.flags.eval
	if r.flags.calib != "" {
		var err error
		if data, err = rows.LoadFile(r.flags.calib, rows.DataOptions{Columns: r.flags.columns}); err != nil {
			return err
		}
		source = r.flags.calib
	}
	r.stats = &prune.Statistics{}
	if data == nil {
		r.note("no calibration rows: scores are magnitudes, and biases are not refitted (--calib FILE does better)")
		return nil
	}
	own, err := r.weightNames()
	if err != nil {
		return err
	}
	x, err := r.load(r.ckpt, compiler.Options{Dense: true}, func(label, weight string, in cpu.Rows) {
		name := weight
		if !own[weight] { // the compiler made it of several in one block
			name = label
		}
		for i := range in.Count {
			r.stats.Add(name, in.Row(i))
		}
	})
	if err != nil {
		return err
	}
	defer x.Close()
	list, err := calibrationRows(x, data)
	if err != nil {
		return err
	}
	bar := r.newProgress()
	err = each(r.ctx, x, source, list, bar, func(int, *executor.Result) {})
	bar.clear()
	r.note("calibrated on %d rows, %d tokens of %s", len(list), r.stats.Tokens, source)
	return err
}

// calibrationRows are the sentences of a data file: both of a pair where the
// model embeds sentences, windows where it is a text.
func calibrationRows(x *executor.Executor, data *rows.Data) ([]*rows.Row, error) {
	var list []*rows.Row
	for i := range data.Examples {
		e := &data.Examples[i]
		if x.Plan().Model.Task == plan.Embedding && e.Pair != nil {
			list = append(list, &rows.Row{Line: e.Line, Text: e.Text}, &rows.Row{Line: e.Line, Text: *e.Pair})
			continue
		}
		list = append(list, &e.Row)
	}
	if data.Text != "" {
		windows, err := windowsOf(x, data.Text)
		if err != nil {
			return nil, err
		}
		for i, ids := range windows {
			list = append(list, &rows.Row{Line: i + 1, IDs: ids})
		}
	}
	if len(list) == 0 {
		return nil, fault.Newf(fault.Corrupt, "%s: no rows to calibrate on", data.Name)
	}
	return list[:min(len(list), maxCalibrationRows)], nil
}

// weightNames are the names of the weights as imported.
func (r *pruning) weightNames() (map[string]bool, error) {
	g, err := r.fresh()
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, op := range g.Ops {
		if op.Kind == ir.Weight {
			names[op.Result().WeightName()] = true
		}
	}
	return names, nil
}

func (r *pruning) fresh() (*ir.Graph, error) {
	imported, err := frontend.Import(r.ckpt)
	if err != nil {
		return nil, err
	}
	return imported.Graph, nil
}

// fixed prunes to --sparsity; --max-drop, if given, is a gate over all rows.
func (r *pruning) fixed(m prune.Method) (*prune.Found, error) {
	g, err := r.fresh()
	if err != nil {
		return nil, err
	}
	recipe, err := prune.Fixed(g, r.stats, m, r.flags.sparsity)
	if err != nil || r.drop == nil {
		return &prune.Found{Graph: g, Recipe: recipe}, err
	}
	ok, err := r.judge("all rows", r.data)(g, recipe)
	if err == nil && !ok {
		err = fault.Newf(fault.Unreachable, "sparsity %.3g costs more than --max-drop %v: %s", recipe.Sparsity, r.drop, r.lines[len(r.lines)-1]).
			WithHint("nothing was written; less --sparsity, or --max-drop alone to find what stays inside")
	}
	return &prune.Found{Graph: g, Recipe: recipe}, err
}

// search finds the largest sparsity inside --max-drop on one half of the rows
// and has the other half confirm it.
func (r *pruning) search(m prune.Method) (*prune.Found, error) {
	search, accept := *r.data, *r.data
	if r.data.Text != "" {
		if err := splitText(r, &search, &accept); err != nil {
			return nil, err
		}
	} else {
		search.Examples, accept.Examples = eval.Split(r.data.Examples, r.flags.seed)
	}
	bar := r.newProgress()
	q := &prune.Quest{
		Fresh: r.fresh, Stats: r.stats, Method: m,
		Search: r.judge("search half", &search),
		Accept: r.judge("accept half", &accept),
		Tell:   func(done, total int) { bar.set("search", done, total) },
	}
	found, err := q.Run()
	bar.clear()
	return found, err
}

// splitText gives every second window of a text to each side.
func splitText(r *pruning, search, accept *rows.Data) error {
	x, err := r.load(r.ckpt, compiler.Options{}, nil)
	if err != nil {
		return err
	}
	defer x.Close()
	windows, err := windowsOf(x, r.data.Text)
	if err != nil {
		return err
	}
	search.Text, accept.Text = "", ""
	for i, ids := range windows {
		to := []*rows.Data{search, accept}[i%2]
		to.Examples = append(to.Examples, rows.Example{Row: rows.Row{Line: i + 1, IDs: ids}})
	}
	return nil
}

// judge compares a pruned graph with the dense model on data.
func (r *pruning) judge(what string, data *rows.Data) prune.Judge {
	return func(g *ir.Graph, recipe *prune.Recipe) (bool, error) {
		dense, ok := r.dense[data]
		if !ok {
			m, err := r.measure(r.ckpt, data)
			if err != nil {
				return false, err
			}
			dense = m
			r.dense[data] = m
		}
		changed, err := frontend.WriteBack(g, r.ckpt)
		if err != nil {
			return false, err
		}
		pruned, err := r.measure(r.ckpt.With(changed), data)
		if err != nil {
			return false, err
		}
		ok = r.drop.Allows(dense, pruned)
		line := fmt.Sprintf("%s: sparsity %.3f: %s %.5g, dense %.5g, allowed %v: %s",
			what, recipe.Sparsity, pruned.Name, pruned.Value, dense.Value, r.drop, map[bool]string{true: "inside", false: "outside"}[ok])
		r.lines = append(r.lines, line)
		r.note("%s", line)
		return ok, nil
	}
}

func (r *pruning) measure(c *checkpoint.Checkpoint, data *rows.Data) (eval.Metric, error) {
	x, err := r.load(c, compiler.Options{}, nil)
	if err != nil {
		return eval.Metric{}, err
	}
	defer x.Close()
	o, err := evaluate(r.ctx, x, data, nil)
	if err != nil {
		return eval.Metric{}, err
	}
	return o.report.Primary(), nil
}

// write puts the folder, the recipe and the masks in place.
func (r *pruning) write(found *prune.Found) error {
	changed, err := frontend.WriteBack(found.Graph, r.ckpt)
	if err != nil {
		return err
	}
	found.Recipe.Scores = "magnitude of the weights"
	if !r.stats.Empty() {
		found.Recipe.Scores = fmt.Sprintf("activation and weight, over %d calibration tokens", r.stats.Tokens)
	}
	source, err := r.ckpt.Digest()
	if err != nil {
		return err
	}
	recipe, err := json.MarshalIndent(struct {
		*prune.Recipe
		Version string   `json:"etc"`
		Source  string   `json:"source"`
		Gates   []string `json:"gates,omitempty"`
	}{found.Recipe, version, fmt.Sprintf("%x", source), r.lines}, "", "\t")
	if err != nil {
		return err
	}
	masks, err := masks(changed)
	if err != nil {
		return err
	}
	extra := map[string][]byte{"etc-recipe.json": append(recipe, '\n'), "etc-masks.safetensors": masks}
	if err := r.ckpt.With(changed).Write(r.flags.output, r.force, extra); err != nil {
		return err
	}
	r.note("%s: %.1f %% of the encoder's weights are zero (method %s)", r.flags.output, 100*found.Recipe.Sparsity, found.Recipe.Method)
	return nil
}

// masks are 1 where a changed matrix keeps an entry, for fine-tuning under
// the mask in PyTorch.
func masks(changed map[string]tensor.Tensor) ([]byte, error) {
	var named []safetensors.Named
	for _, name := range sortedKeys(changed) {
		t := changed[name]
		if len(t.Shape) != 2 {
			continue
		}
		keep := make([]byte, t.Len())
		for i, x := range t.Float32s() {
			if x != 0 {
				keep[i] = 1
			}
		}
		named = append(named, safetensors.Named{Name: name, Tensor: tensor.Tensor{DType: tensor.U8, Shape: t.Shape, Data: keep}})
	}
	var b bytes.Buffer
	err := safetensors.Write(&b, named, map[string]string{"format": "pt"})
	return b.Bytes(), err
}
