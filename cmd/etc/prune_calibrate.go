package main

import (
	"etc/compiler"
	"etc/compiler/frontend"
	"etc/executor"
	"etc/executor/cpu"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/ir"
	"etc/prune"
)

// maxCalibrationRows bounds the rows that are used: moments settle long
// before.
const maxCalibrationRows = 2048

// calibrate collects the moments of activations over the calibration rows.
func (r *pruning) calibrate() error {
	data, source := r.data, r.flags.eval
	if r.flags.calib != "" {
		var err error
		if data, err = loadData("--calib", r.flags.calib, rows.DataOptions{}); err != nil {
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
	bar := r.newProgress("calibrating")
	err = each(r.ctx, x, source, list, bar, func(int, *executor.Result) {})
	bar.clear()
	if err != nil {
		return err
	}
	r.note("calibrated on %d rows, %d tokens of %s", len(list), r.stats.Tokens, source)
	return nil
}

// calibrationRows are the sentences of a data file: both of a pair where the
// model embeds sentences. A text is windows for a language model, and lines
// for others.
func calibrationRows(x *executor.Executor, data *rows.Data) ([]*rows.Row, error) {
	var list []*rows.Row
	for i := range data.Examples {
		e := &data.Examples[i]
		if x.Program().Model.Task == plan.Embedding && e.Pair != nil {
			list = append(list, &rows.Row{Line: e.Line, Text: e.Text}, &rows.Row{Line: e.Line, Text: *e.Pair})
			continue
		}
		list = append(list, &e.Row)
	}
	if x.Program().Model.Task != plan.CausalLM {
		list = append(list, linesOf(data)...)
	} else if data.Text != "" {
		windows, err := windowsOf(x, data.Text)
		if err != nil {
			return nil, err
		}
		list = append(list, windows...)
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
