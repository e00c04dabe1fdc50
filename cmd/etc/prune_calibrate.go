package main

import (
	"context"
	"iter"

	"etc/executor"
	"etc/executor/cpu"
	"etc/formats/rows"
	"etc/ir"
	"etc/prune"
)

// calibrate draws the calibration rows and collects the moments of what
// products read over them. A search calibrates on no row that judges what it finds.
func (r *pruning) calibrate() error {
	data, source := r.data, r.flags.eval
	if r.seen != nil {
		data, source = r.seen, "the search rows of "+source
	}
	if r.flags.calib != "" {
		var err error
		if data, err = loadData("--calib", r.flags.calib, rows.DataOptions{}); err != nil {
			return err
		}
		source = r.flags.calib
	}
	r.stats = &prune.Statistics{}
	if data != nil {
		reader, err := r.newRowReader()
		if err != nil {
			return err
		}
		if r.sample, err = reader.take(data, r.flags.seed, calibrationRows, calibrationTokens); err != nil {
			return err
		}
	}
	var err error
	if r.base, err = r.memoBase(); err != nil {
		return err
	}
	if r.sample == nil {
		r.warn("no calibration rows: scores are magnitudes, and nothing is repaired (--calib FILE does better)")
		return nil
	}
	if r.stats, err = r.knownStatistics(ask("statistics", r.base), r.collect); err != nil {
		return err
	}
	r.note("calibrated on %d rows, %d tokens of %s", len(r.sample.ids), r.stats.Tokens(), source)
	if widest := r.widest(); r.stats.Tokens() < widest {
		r.warn("only %d calibration tokens for products of %d inputs: repairs hold on to the old weights (--calib FILE with more text does better)", r.stats.Tokens(), widest)
	}
	return nil
}

// collect makes statistics of the calibration rows.
func (r *pruning) collect() (*prune.Statistics, error) {
	stats := &prune.Statistics{}
	x, err := r.open(r.dense, func(name string, in cpu.Rows) {
		for i := range in.Count {
			stats.Add(name, in.Row(i))
		}
	})
	if err != nil {
		return nil, err
	}
	defer x.Close()
	bar, done := r.newProgress("calibrating"), 0
	defer bar.clear()
	err = forwardSample(r.ctx, x, r.sample, func(rows int, _ [][]float32) {
		done += rows
		bar.set(done, len(r.sample.ids))
	})
	return stats, err
}

// widest is the most inputs that a product of the encoder has.
func (r *pruning) widest() int {
	widest := 0
	for _, op := range r.dense.Ops {
		if op.Kind == ir.Linear {
			widest = max(widest, int(op.Arg("w").Type.Shape[1]))
		}
	}
	return widest
}

// forwardSample runs a sample batch by batch; see gets the number of rows and the
// outputs of each.
func forwardSample(ctx context.Context, x *executor.Executor, s *sample, see func(rows int, outputs [][]float32)) error {
	for ids, types := range s.batches(batchTokens) {
		if err := ctx.Err(); err != nil {
			return err
		}
		outputs, err := x.Forward(ids, types, x.Default()...)
		if err != nil {
			return err
		}
		see(len(ids), outputs)
	}
	return nil
}

// recalibrate shows p calibration rows in the model as pruned so far, beside the
// dense one: until it has seen enough, which where one token of a row is read takes all. Without
// calibration rows it is nil.
func (r *pruning) recalibrate(ctx context.Context) prune.Calibrate {
	if r.sample == nil {
		return nil
	}
	pruned := &walk{pruning: r, sample: r.sample, observed: true}
	dense := &walk{pruning: r, sample: r.sample, observed: true}
	return func(g *ir.Graph, p *prune.Pass) error {
		layer := layerOf(g, p.Block())
		see := func(dense bool) observer {
			return func(name string, in cpu.Rows) {
				if p.Wants(name, in.Width) {
					p.See(dense, name, in.Width, in.Count, in.Row)
				}
			}
		}
		next, stop := iter.Pull2(dense.batches(ctx, r.dense, layer, see(true)))
		defer stop()
		for _, err := range pruned.batches(ctx, g, layer, see(false)) {
			if err != nil {
				return err
			}
			if _, err, _ := next(); err != nil {
				return err
			}
			if err := p.End(); err != nil {
				return err
			}
			if p.Rows() >= rebuildTokens {
				break
			}
		}
		return nil
	}
}
