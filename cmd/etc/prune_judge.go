package main

import (
	"fmt"

	"etc/compiler"
	"etc/compiler/frontend"
	"etc/eval"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/rows"
	"etc/ir"
	"etc/prune"
)

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
	if len(search.Examples) == 0 || len(accept.Examples) == 0 {
		return nil, fault.Newf(fault.Corrupt, "%s: %d rows, want more to search on one half and check on the other", r.data.Name, len(search.Examples)+len(accept.Examples))
	}
	bar := r.newProgress("searching")
	q := &prune.Quest{
		Fresh: r.fresh, Stats: r.stats, Method: m,
		Search: r.judge("search half", &search),
		Accept: r.judge("accept half", &accept),
		Tell:   func(done, total int) { bar.set(done, total) },
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
	for i, w := range windows {
		to := []*rows.Data{search, accept}[i%2]
		to.Examples = append(to.Examples, rows.Example{Row: *w})
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
	search := r.progress
	bar := r.newProgress("judging")
	defer func() {
		bar.clear()
		r.progress = search // to be cleared before the next note
	}()
	report, err := evaluate(r.ctx, x, data, bar)
	if err != nil {
		return eval.Metric{}, err
	}
	return report.Primary(), nil
}
