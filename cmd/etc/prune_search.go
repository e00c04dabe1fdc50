package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"etc/eval"
	"etc/executor/cpu/kernel"
	"etc/fault"
	"etc/formats/plan"
	"etc/ir"
	"etc/prune"
	"etc/prune/latency"
)

// fixed prunes to --sparsity; --max-drop, if given, is a gate over all rows.
func (r *pruning) fixed() (*prune.Found, error) {
	find := r.evenly
	if r.flags.spread {
		find = r.spread
	}
	found, err := find()
	if err != nil {
		return nil, err
	}
	return r.gate(found, fmt.Sprintf("sparsity %.3g", found.Recipe.Sparsity))
}

// evenly prunes all places alike.
func (r *pruning) evenly() (*prune.Found, error) {
	g := r.dense.Clone()
	rebuild, err := r.rebuild()
	if err != nil {
		return nil, err
	}
	bar := r.newProgress("pruning")
	recipe, err := prune.Fixed(g, r.stats, r.method, r.flags.sparsity, rebuild)
	bar.clear()
	if err != nil {
		return nil, err
	}
	return &prune.Found{Graph: g, Recipe: recipe}, nil
}

// rebuild is what it takes to prune stage after stage; nil without calibration rows.
func (r *pruning) rebuild() (*prune.Rebuild, error) {
	if r.sample == nil {
		return nil, nil
	}
	guard, err := r.ready()
	if err != nil {
		return nil, err
	}
	return &prune.Rebuild{Calibrate: r.recalibrate(r.ctx), Damage: func(g *ir.Graph) (float64, error) { return guard.damage(r.ctx, g) }}, nil
}

// spread prunes sublayers by what each of them loses end to end.
func (r *pruning) spread() (*prune.Found, error) {
	g, err := r.ready()
	if err != nil {
		return nil, err
	}
	q := &prune.Quest{Dense: r.dense, Stats: r.stats, Method: r.method, Sparsity: r.flags.sparsity, Damage: g.damage, Calibrate: r.recalibrate(r.ctx), Recall: r.recall}
	clear := r.tellProgress(q)
	found, err := q.Run(r.ctx)
	clear()
	r.noteTried(q)
	return found, err
}

// noteTried tells and keeps what a quest has tried.
func (r *pruning) noteTried(q *prune.Quest) {
	r.tried = q.Tried
	for _, c := range q.Tried {
		speed := ""
		if c.Speedup() > 0 { // not of what is chosen by zeros
			speed = fmt.Sprintf("speed-up %.2f, ", c.Speedup())
		}
		damage := ""
		if q.Damage != nil && c.Looked() {
			damage = fmt.Sprintf("damage %.5f, ", c.Damage)
		}
		r.note("tried %s: %ssparsity %.3f, %s%s", c.Name, speed, c.Sparsity, damage, c.Outcome)
	}
}

// gate has all rows of --eval judge what was found without a search.
func (r *pruning) gate(found *prune.Found, what string) (*prune.Found, error) {
	if len(r.parts) == 0 {
		return found, nil
	}
	v, err := r.heard(r.parts[0])(r.ctx, found.Graph)
	if err == nil && !v.Inside {
		err = fault.Newf(fault.Unreachable, "%s costs more than --max-drop %v: %s", what, r.drop, r.lines[len(r.lines)-1]).
			WithHint("nothing was written; less --sparsity, or --max-drop alone to find what stays inside")
	}
	return found, err
}

// replay prunes as --recipe says; --max-drop, if given, is a gate over all rows.
func (r *pruning) replay() (*prune.Found, error) {
	if err := checkInput("--recipe", r.flags.recipe); err != nil {
		return nil, err
	}
	text, err := readRecipe(r.flags.recipe)
	if err != nil {
		return nil, err
	}
	var recipe prune.Recipe
	if err := json.Unmarshal(text, &recipe); err != nil {
		return nil, fault.Newf(fault.Corrupt, "%s: %w", r.flags.recipe, err)
	}
	g := r.dense.Clone()
	again, err := prune.Replay(g, r.stats, &recipe, r.recalibrate(r.ctx))
	if err != nil {
		return nil, err
	}
	if r.method, err = prune.MethodNamed(again.Method); err != nil {
		return nil, err
	}
	return r.gate(&prune.Found{Graph: g, Recipe: again}, "the recipe")
}

// noticedZeros is the share of zeros from which a model counts as pruned before.
const noticedZeros = 0.01

// recipeBytes bounds a recipe: the masks of single entries of a model of 10⁹ take 170 MB.
const recipeBytes = 1 << 30

// readRecipe reads a file that is no larger than a recipe can be.
func readRecipe(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > recipeBytes {
		err = fault.Newf(fault.Corrupt, "%s: %d bytes, too large for a recipe", path, info.Size())
	}
	if err != nil {
		return nil, err
	}
	text, err := readAtMost(path, recipeBytes)
	if err == nil && len(text) > recipeBytes {
		err = fault.Newf(fault.Corrupt, "%s: more than %d bytes, too large for a recipe", path, recipeBytes)
	}
	return text, err
}

// search looks for a model of --speedup, or the fastest inside --max-drop.
func (r *pruning) search() (*prune.Found, error) {
	table, err := r.latency()
	if err != nil {
		return nil, err
	}
	if r.target != r.executed() {
		r.warn("%s is not here: pruned models are judged by the CPU, in float32", r.target)
	}
	q := &prune.Quest{Dense: r.dense, Stats: r.stats, Method: r.method, Latency: table, Speedup: r.flags.speedup, Recall: r.recall}
	if err := r.setJudges(q); err != nil {
		return nil, err
	}
	clear := r.tellProgress(q)
	found, err := r.run(q)
	clear()
	if q.Before >= noticedZeros {
		r.warn("%.0f %% of the encoder's weights are zero already: speeds are told against the model as it is, its heads and neurons that are zero left out", 100*q.Before)
	}
	r.noteTried(q)
	if q.Stopped && err == nil {
		r.warn("--budget %s ended the search: with more time it may find better", r.flags.budget)
	}
	return found, err
}

// run runs the search, until --budget is used up and, with --keep-best, until
// an interrupt.
func (r *pruning) run(q *prune.Quest) (*prune.Found, error) {
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	if r.flags.measure && plan.IsCPU(r.target) {
		q.Measure = func(ctx context.Context, g *ir.Graph) (float64, error) {
			ratios, err := r.ratios(ctx, g)
			if err != nil {
				return 0, err
			}
			return slices.Min(ratios), nil
		}
	}
	if r.sample != nil {
		g, err := r.ready()
		if err != nil {
			return nil, err
		}
		if r.budget != nil {
			r.budget.setAside(r.finishing(g.pace, g.sample.tokens))
		}
		q.Damage = g.damage
		q.Calibrate = r.recalibrate(ctx)
		q.Ranked = func() { r.stats.Reach = nil } // is large
	}
	if r.budget != nil {
		q.Stop = r.budget.over
	}
	if r.flags.keepBest {
		r.keeper.offer(stop)
	}
	found, err := q.Run(ctx)
	r.keeper.offer(nil)
	if err == nil || r.ctx.Err() != nil || ctx.Err() == nil {
		return found, err
	}
	return r.kept(q)
}

// setJudges has rows of --eval, if there are any, judge what q finds.
func (r *pruning) setJudges(q *prune.Quest) (err error) {
	if len(r.parts) == 0 {
		return nil
	}
	search := r.parts[0]
	q.Search, q.Accept = r.judge(search), r.heard(r.parts[1])
	q.Heard = func(v *prune.Verdict) { r.hear(search, v) }
	if len(r.parts) > 2 {
		q.Reserve = r.heard(r.parts[2])
	}
	q.Rows, err = r.id(search)
	return err
}

// tellProgress shows how far q is; clear ends that.
func (r *pruning) tellProgress(q *prune.Quest) (clear func()) {
	var bar *progress
	stage := ""
	q.Tell = func(s string, done, total int) {
		if s != stage {
			bar.clear()
			bar, stage = r.newProgress(s), s
		}
		if q.Best != nil {
			r.best = bestSoFar(q.Best)
		}
		bar.tell(r.best)
		bar.set(done, total)
	}
	return func() { bar.clear() }
}

// bestSoFar is what people want to know of a candidate before the end.
func bestSoFar(c *prune.Candidate) string {
	text := fmt.Sprintf("best %.2f×", c.Speedup())
	if c.Speedup() == 0 { // by zeros, not by time
		text = fmt.Sprintf("best %.0f %% zeros", 100*c.Sparsity)
	}
	v := c.Verdict
	switch {
	case v == nil:
		return fmt.Sprintf("%s at damage %.3g", text, c.Damage)
	case v.Name == eval.NamePerplexity:
		return fmt.Sprintf("%s at %+.1f %% of perplexity", text, v.Drop)
	}
	return fmt.Sprintf("%s at %+.1f points", text, 0-v.Drop)
}

// latency is the table that speeds are read from: that of --latency-table, one
// measured now with --measure, or the shipped one.
func (r *pruning) latency() (*latency.Table, error) {
	table, err := latencyTable(r.imported, r.target, kernel.Best(), r.flags.latencyTable)
	if r.flags.measure {
		bar := r.newProgress("measuring kernels")
		table, err = measureLatency(r.ctx, r.ckpt, r.target, kernel.Best(), bar.set)
		bar.clear()
	}
	if err != nil {
		return nil, err
	}
	r.note("speeds by the latency table of %s on %s: %s (%.12s)", table.Target, table.Level, table.Source, table.Digest())
	r.table = table
	return table, nil
}
