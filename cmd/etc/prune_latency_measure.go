package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"etc/compiler/frontend"
	"etc/executor"
	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/prune/latency"
)

// A latencyMeasuring is one run that fills a table.
//
// A level's sublayers are not timed one by one: threads go through a batch in
// groups that do not wait for each other, so a step has no time of its own.
// Many layers of the real checkpoint are brought to the level at once and lose
// their sublayers of the other kind, the model is compiled and whole batches are
// timed; what a sublayer takes is a layer's part of the difference to the model
// that has lost both kinds. So no small time is the difference of two large ones.
// These are all layers, but for the last one of a model that picks a token:
// were its attention gone, no other token would be read in any layer.
type latencyMeasuring struct {
	ctx     context.Context
	ckpt    *checkpoint.Checkpoint
	target  string
	level   kernel.Level
	threads int
	table   *latency.Table
	layers  int
	changed int                        // of these, the first ones, which are brought to levels
	ids     [][][]int32                // of each shape: full rows of random ids
	micros  map[latencyLevel][]float64 // of whole batches, by shape
	fit     []float64                  // what times were scaled by, by shape
	done    func(n, total int)
}

// measureLatency measures the table of a checkpoint, which should be dense,
// on this machine's CPU with all threads. done, which may be nil, hears how
// many models of how many are over. A target of a GPU is fault.Unsupported.
func measureLatency(ctx context.Context, c *checkpoint.Checkpoint, target string, level kernel.Level, done func(n, total int)) (*latency.Table, error) {
	m, err := newLatencyMeasuring(ctx, c, target, level)
	if err != nil {
		return nil, err
	}
	m.done = done
	if err := m.measure(); err != nil {
		return nil, err
	}
	m.table.Target, m.table.Level = target, level.String()
	m.table.Source = fmt.Sprintf("measured %s on %s, %d threads", time.Now().UTC().Format(time.DateOnly), cpuName(), m.threads)
	return m.table, nil
}

func newLatencyMeasuring(ctx context.Context, c *checkpoint.Checkpoint, target string, level kernel.Level) (*latencyMeasuring, error) {
	if !plan.IsCPU(target) {
		return nil, fault.Newf(fault.Unsupported, "latency of %s is not measured here", target).WithHint("--latency-table FILE takes a table for it")
	}
	im, err := frontend.Import(c)
	if err != nil {
		return nil, err
	}
	d, err := dimensionsOf(im)
	if err != nil {
		return nil, err
	}
	m := &latencyMeasuring{
		ctx: ctx, ckpt: c, target: target, level: level, threads: pool.DefaultThreads(),
		table: emptyLatencyTable(d, latencyShapes(&im.Model)), layers: im.Model.Layers,
		micros: map[latencyLevel][]float64{},
	}
	m.changed = m.layers
	if d.Picks && m.layers > 1 {
		m.changed--
	}
	for _, s := range m.table.Shapes {
		m.ids = append(m.ids, randomRows(im.Model.VocabSize, slices.Repeat([]int{s.Tokens}, s.Batch)))
	}
	return m, nil
}

// measure times all levels and works out the table. Other levels are timed
// among them, for who wants to hold the table to whole models.
func (m *latencyMeasuring) measure(others ...latencyLevel) error {
	dense := denseLevel(m.table.Model)
	without := dense
	without.heads, without.width = 0, 0
	last, err := m.sharesOfLast(dense)
	if err != nil {
		return err
	}
	m.table.Last = last
	if err := m.timeLevels(dense, append(m.levels(), others...)); err != nil {
		return err
	}
	norms, err := m.profile(without)
	if err != nil {
		return err
	}
	m.fill(without, norms)
	m.table.Smooth()
	m.fitDense(m.micros[dense])
	m.table.Round()
	return nil
}

// levels are those of the table's points, each once.
func (m *latencyMeasuring) levels() (all []latencyLevel) {
	m.eachPoint(func(l latencyLevel, _ sublayerKind, _ *[]float64) {
		if !slices.Contains(all, l) {
			all = append(all, l)
		}
	})
	return all
}

// A sublayerKind is one of the two kinds of sublayers.
type sublayerKind int

const (
	attentionKind sublayerKind = iota
	ffnKind
)

// eachPoint calls visit for each point of the table with its level, without
// sublayers of the other kind, what it is of, and the place of its times.
func (m *latencyMeasuring) eachPoint(visit func(l latencyLevel, kind sublayerKind, us *[]float64)) {
	attention, ffn := denseLevel(m.table.Model), denseLevel(m.table.Model)
	attention.width, ffn.heads = 0, 0
	for i := range m.table.Attention {
		a, l := &m.table.Attention[i], attention
		l.heads, l.d, l.dv = a.Heads, a.D, a.Dv
		visit(l, attentionKind, &a.Micros)
	}
	for i := range m.table.FFN {
		f, l := &m.table.FFN[i], ffn
		l.width = f.Width
		visit(l, ffnKind, &f.Micros)
	}
	for i := range m.table.AttentionTiles {
		x, l := &m.table.AttentionTiles[i], attention
		l.attentionTiles = x.Density
		visit(l, attentionKind, &x.Micros)
	}
	for i := range m.table.FFNTiles {
		x, l := &m.table.FFNTiles[i], ffn
		l.ffnTiles = x.Density
		visit(l, ffnKind, &x.Micros)
	}
}

// fill works out the table from the times of whole batches, T. Where n layers
// are changed, a sublayer at level l takes
//
//	gone + (T(l) − T(both kinds gone)) / n
//
// where gone is its part, by norms, of the time of the model without both
// kinds, and so is the rest.
func (m *latencyMeasuring) fill(without latencyLevel, norms []blockTimes) {
	base := m.micros[without]
	for i, us := range base {
		m.table.Rest = append(m.table.Rest, us*norms[i].restShare())
	}
	m.eachPoint(func(l latencyLevel, kind sublayerKind, us *[]float64) {
		for i, t := range m.micros[l] {
			gone := base[i] * norms[i].share(kind, m.changed)
			*us = append(*us, max(0, gone+(t-base[i])/float64(m.changed)))
		}
	})
}

// fitDense scales all times of a shape so that they add up to what the dense
// model took: both kinds of sublayers together are a few hundredths slower or
// faster than each alone, by what stays in caches.
func (m *latencyMeasuring) fitDense(micros []float64) {
	whole := m.table.Dense(m.layers)
	m.fit = nil
	for i := range micros {
		m.fit = append(m.fit, micros[i]/whole[i])
		m.table.Rest[i] *= m.fit[i]
	}
	m.eachPoint(func(_ latencyLevel, _ sublayerKind, us *[]float64) {
		for i := range m.fit {
			(*us)[i] *= m.fit[i]
		}
	})
}

const (
	latencyRounds   = 7                     // at least, of which the median counts
	latencyMost     = 25                    // of short batches
	latencySpan     = 60 * time.Millisecond // that rounds of short batches go on by the dense model
	latencyOpen     = 1 << 30               // bytes of weights of models that are open at once
	latencyTogether = 12                    // models that are open at once
)

// timeLevels times batches of the dense model and of all levels, some models
// at once in turns. A level's time is the median of its ratios to the dense
// model in the same round, so that what else the machine does meets both, times
// the dense model's median over all rounds.
func (m *latencyMeasuring) timeLevels(dense latencyLevel, levels []latencyLevel) error {
	first, err := m.open(dense, nil)
	if err != nil {
		return err
	}
	defer first.Close()
	size := int64(1)
	for _, w := range first.Program().Weights {
		size += w.Size
	}
	together := int(min(latencyTogether, max(1, latencyOpen/size)))
	denseTimes := make([][]float64, len(m.ids))
	for n := 0; n < len(levels); n += together {
		some := levels[n:min(n+together, len(levels))]
		if err := m.timeSome(first, some, denseTimes); err != nil {
			return err
		}
		if m.done != nil {
			m.done(n+len(some), len(levels))
		}
	}
	for _, times := range denseTimes {
		m.micros[dense] = append(m.micros[dense], middle(times))
	}
	for _, l := range levels {
		for i, us := range m.micros[dense] {
			m.micros[l][i] *= us
		}
	}
	return nil
}

// timeSome leaves the levels' ratios to the dense model, by shape, in micros
// and adds the dense model's times, by shape.
func (m *latencyMeasuring) timeSome(dense *executor.Executor, levels []latencyLevel, denseTimes [][]float64) error {
	models := []*executor.Executor{dense}
	for _, l := range levels {
		x, err := m.open(l, nil)
		if err != nil {
			return err
		}
		defer x.Close()
		models = append(models, x)
	}
	for shape := range m.ids {
		ratios := make([][]float64, len(levels))
		rounds := latencyRounds
		for round := -1; round < rounds; round++ { // the first one warms up
			times, err := m.round(models, shape)
			if err != nil {
				return err
			}
			if round < 0 {
				rounds = max(latencyRounds, min(latencyMost, int(latencySpan.Seconds()*1e6/times[0])))
				continue
			}
			denseTimes[shape] = append(denseTimes[shape], times[0])
			for i := range levels {
				ratios[i] = append(ratios[i], times[i+1]/times[0])
			}
		}
		for i, l := range levels {
			m.micros[l] = append(m.micros[l], middle(ratios[i]))
		}
	}
	return nil
}

// round runs one batch on each model and returns the times in microseconds.
func (m *latencyMeasuring) round(models []*executor.Executor, shape int) ([]float64, error) {
	var times []float64
	for _, x := range models {
		if err := m.ctx.Err(); err != nil {
			return nil, err
		}
		start := time.Now()
		if _, err := x.Forward(m.ids[shape], nil, x.Default()...); err != nil {
			return nil, err
		}
		times = append(times, micros(time.Since(start)))
	}
	return times, nil
}

// middle is the median; it sorts.
func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
