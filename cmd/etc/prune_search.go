package main

import (
	"encoding/json"
	"fmt"
	"os"

	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/fault"
	"etc/prune"
	"etc/prune/latency"
)

// fixed prunes to --sparsity; --max-drop, if given, is a gate over all rows.
func (r *pruning) fixed() (*prune.Found, error) {
	g := r.dense.Clone()
	var calibrate prune.Calibrate
	if r.sample != nil {
		calibrate = r.recalibrate(r.ctx)
	}
	bar := r.newProgress("pruning")
	recipe, err := prune.Fixed(g, r.stats, r.method, r.flags.sparsity, calibrate)
	bar.clear()
	if err != nil {
		return nil, err
	}
	return r.gate(&prune.Found{Graph: g, Recipe: recipe}, fmt.Sprintf("sparsity %.3g", recipe.Sparsity))
}

// gate has all rows of --eval judge what was found without a search.
func (r *pruning) gate(found *prune.Found, what string) (*prune.Found, error) {
	if r.data == nil || r.drop == nil {
		return found, nil
	}
	v, err := r.judge(&part{name: "all rows", data: r.data})(r.ctx, found.Graph)
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
	text, err := os.ReadFile(r.flags.recipe)
	if err != nil {
		return nil, err
	}
	var recipe prune.Recipe
	if err := json.Unmarshal(text, &recipe); err != nil {
		return nil, fault.Newf(fault.Corrupt, "%s: %w", r.flags.recipe, err)
	}
	g := r.dense.Clone()
	var calibrate prune.Calibrate
	if r.sample != nil {
		calibrate = r.recalibrate(r.ctx)
	}
	again, err := prune.Replay(g, r.stats, &recipe, calibrate)
	if err != nil {
		return nil, err
	}
	if r.method, err = prune.MethodNamed(again.Method); err != nil {
		return nil, err
	}
	return r.gate(&prune.Found{Graph: g, Recipe: again}, "the recipe")
}

// search looks for a model of --speedup, or the fastest inside --max-drop.
func (r *pruning) search() (*prune.Found, error) {
	table, err := r.latency()
	if err != nil {
		return nil, err
	}
	q := &prune.Quest{Dense: r.dense, Stats: r.stats, Method: r.method, Latency: table, Speedup: r.flags.speedup}
	if r.sample != nil {
		g, err := r.newGuard()
		if err != nil {
			return nil, err
		}
		q.Damage = g.damage
		q.Calibrate = r.recalibrate(r.ctx)
	}
	if r.data != nil {
		search, accept, reserve, err := r.split()
		if err != nil {
			return nil, err
		}
		q.Search, q.Accept = r.judge(search), r.judge(accept)
		if len(reserve.data.Examples) > 0 {
			q.Reserve = r.judge(reserve)
		}
	}
	var bar *progress
	stage := ""
	q.Tell = func(s string, done, total int) {
		if s != stage {
			bar.clear()
			bar, stage = r.newProgress(s), s
		}
		bar.set(done, total)
	}
	found, err := q.Run(r.ctx)
	bar.clear()
	r.tried = q.Tried
	for _, c := range q.Tried {
		r.note("tried %s: speed-up %.2f, sparsity %.3f, damage %.5f, %s", c.Name, c.Speedup(), c.Sparsity, c.Damage, c.Outcome)
	}
	return found, err
}

// latency is the table that speeds are read from: that of --latency-table, one
// measured now with --measure, or the shipped one.
func (r *pruning) latency() (*latency.Table, error) {
	table, err := latencyTable(r.imported, cpu.Target, kernel.Best(), r.flags.latencyTable)
	if r.flags.measure {
		bar := r.newProgress("measuring kernels")
		table, err = measureLatency(r.ctx, r.ckpt, cpu.Target, kernel.Best(), bar.set)
		bar.clear()
	}
	if err != nil {
		return nil, err
	}
	r.note("speeds by the latency table of %s on %s: %s (%.12s)", table.Target, table.Level, table.Source, table.Digest())
	r.table = table
	return table, nil
}
