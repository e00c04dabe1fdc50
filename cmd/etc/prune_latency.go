package main

import (
	"etc/compiler/frontend"
	"etc/executor/cpu/kernel"
	"etc/fault"
	"etc/formats/plan"
	"etc/ir"
	"etc/prune/latency"
)

// latencyTable is the table that prune goes by where it does not measure one:
// that of the file, if one is named; else the shipped one for the target, the
// CPU level and the model; else what the cost model predicts.
func latencyTable(im *frontend.Imported, target string, level kernel.Level, file string) (*latency.Table, error) {
	d, err := dimensionsOf(im)
	if err != nil {
		return nil, err
	}
	if file != "" {
		return readLatencyTable(file, target, d)
	}
	if t, ok := latency.Shipped(target, levelOf(target, level), d); ok {
		return t, nil
	}
	return predictLatency(d, target, level, latencyShapes(&im.Model))
}

// levelOf is the name of a CPU level in tables: a GPU has none.
func levelOf(target string, level kernel.Level) string {
	if plan.IsCPU(target) {
		return level.String()
	}
	return ""
}

// readLatencyTable reads the file of --latency-table, which must be for the
// target and a model of these dimensions. It may be of another CPU level than
// this machine's: pruning for another machine is what files are for.
func readLatencyTable(path, target string, d latency.Dimensions) (*latency.Table, error) {
	if err := checkInput("--latency-table", path); err != nil {
		return nil, err
	}
	b, err := readAtMost(path, latency.MaxBytes)
	if err != nil {
		return nil, err
	}
	t, err := latency.Read(b)
	if err != nil {
		return nil, fault.Newf(fault.KindOf(err), "--latency-table %s: %w", path, err)
	}
	if t.Target != target {
		return nil, fault.Newf(fault.Unfit, "--latency-table %s is for %s, --target is %s", path, t.Target, target)
	}
	if err := t.Fits(d); err != nil {
		return nil, fault.Newf(fault.KindOf(err), "--latency-table %s: %w", path, err)
	}
	return t, nil
}

// dimensionsOf are those of an imported model: of its largest layer, where
// they differ. A model without both sublayers is fault.Unsupported.
func dimensionsOf(im *frontend.Imported) (latency.Dimensions, error) {
	d := latency.Dimensions{Hidden: im.Model.Hidden, Picks: picksToken(im.Graph)}
	if im.Model.Task == plan.CausalLM {
		d.Vocab = im.Model.VocabSize
	}
	attentions, ffns, err := sublayersOf(im.Graph)
	for _, p := range attentions {
		a := p.Around.Attrs.(*ir.AttentionAttrs)
		d.Heads, d.D, d.Dv = max(d.Heads, a.Heads), max(d.D, a.D), max(d.Dv, a.Dv)
		d.Causal = d.Causal || a.Causal
	}
	for _, p := range ffns {
		d.Inner = max(d.Inner, weightOf(p.In).Shape[0])
	}
	return d, err
}

// picksToken reports whether what is always computed reads one token of each
// row behind the last attention.
func picksToken(g *ir.Graph) bool {
	var picks func(v *ir.Value) bool
	picks = func(v *ir.Value) bool {
		if v == nil || v.Def.Kind == ir.Attention {
			return false
		}
		if v.Def.Kind == ir.SelectRows {
			return true
		}
		for _, a := range v.Def.Args {
			if picks(a) {
				return true
			}
		}
		return false
	}
	for _, o := range g.Outputs {
		if o.When == ir.Always && picks(o.Value) {
			return true
		}
	}
	return false
}

// latencyShapes are those that --speedup is judged at, each cut to the longest
// row that the model takes.
func latencyShapes(m *plan.Model) (shapes []latency.Shape) {
	for _, s := range []latency.Shape{{Batch: 1, Tokens: 32}, {Batch: 1, Tokens: 128}, {Batch: 8, Tokens: 128}} {
		s.Tokens = min(s.Tokens, m.MaxTokens)
		if n := len(shapes); n == 0 || shapes[n-1] != s {
			shapes = append(shapes, s)
		}
	}
	return shapes
}
