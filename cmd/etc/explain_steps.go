package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"etc/compiler/cost"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/formats/plan"
	"etc/ir"
)

// A stepStory is what a step takes for one row on this machine's CPU.
type stepStory struct {
	Block     string  `json:"block"`
	Op        string  `json:"op"`
	Shape     string  `json:"shape"`
	Predicted float64 `json:"predicted_us"` // 0 where a rate is not known
	Measured  float64 `json:"measured_us"`  // the median
	GFLOPS    float64 `json:"gflops"`       // by the median; 0 where nothing is multiplied by a weight, key or value
}

// explainTokens is the length of the row that steps are timed with, or the
// longest bucket where that is less; explainTime how long that goes on.
const (
	explainTokens = 128
	explainTime   = 300 * time.Millisecond
)

// A stepTime is what the runs of one step told: the times of each run, first
// task to last on any worker, and the multiply-adds of one run.
type stepTime struct {
	times    []time.Duration
	macs     float64
	from, to time.Time // in the run under way
}

// explainSteps runs the CPU program of an open plan and compares what its
// steps take with what the cost model says.
func (e *explanation) explainSteps(file *plan.File) error {
	times := map[int]*stepTime{}
	d, err := cpu.New(cpu.Options{Level: kernel.Best(), Threads: pool.DefaultThreads(), Profile: func(_ *plan.Program, events []cpu.Event) {
		for _, v := range events {
			s := times[v.Step]
			if s == nil {
				s = &stepTime{}
				times[v.Step] = s
			}
			if s.from.IsZero() || v.From.Before(s.from) {
				s.from = v.From
			}
			if v.To.After(s.to) {
				s.to = v.To
			}
			s.macs += v.MACs
		}
	}})
	if err != nil {
		return err
	}
	defer d.Close()
	q, err := d.Program(file.Plan)
	if err != nil {
		return err
	}
	x, err := executor.New(q, d, executor.Options{MaxBatchTokens: 1})
	if err != nil {
		return err
	}
	row := randomRows(q.Model.VocabSize, []int{min(explainTokens, longestBucket(q))})
	for end := time.Now().Add(explainTime); e.runs < 3 || time.Now().Before(end); e.runs++ {
		if _, err := x.Forward(row, nil, x.Default()...); err != nil {
			return err
		}
		for _, s := range times {
			if e.runs > 0 { // the first one warms up
				s.times = append(s.times, s.to.Sub(s.from))
			} else {
				s.macs = 0
			}
			s.from, s.to = time.Time{}, time.Time{}
		}
	}
	e.Device, e.tokens = d.Name(), len(row[0])
	rates := cost.RatesOf(kernel.Best().String())
	for i := range q.Steps {
		t := times[i]
		if t == nil {
			continue
		}
		s := &q.Steps[i]
		macs := t.macs / float64(e.runs-1)
		slices.Sort(t.times)
		median := t.times[len(t.times)/2]
		detail := newStepDetail(q, s, alwaysMask(q))
		if s.Op >= plan.Linear && s.Op <= plan.Sparse24Linear {
			detail.Shape += fmt.Sprintf(" of %d", q.Weights[s.Args[1].Index].Shape[1])
		}
		e.Steps = append(e.Steps, stepStory{
			Block: labelOf(q, s.Label), Op: detail.Op, Shape: detail.Shape,
			Predicted: rates.Seconds(workOf(q, s, macs, e.tokens), pool.DefaultThreads()) * 1e6,
			Measured:  micros(median), GFLOPS: gflops(macs, median),
		})
	}
	return nil
}

// workOf is what step s does for one row of so many tokens.
func workOf(q *plan.Program, s *plan.Step, macs float64, tokens int) cost.Work {
	w := cost.Work{MACs: macs}
	for _, r := range s.Results {
		if r != plan.Unused {
			n := tokens
			if q.Buffers[r].Rows == plan.PerRow {
				n = 1
			}
			w.Elements = float64(n * q.Buffers[r].Width)
		}
	}
	w.Kind, _ = ir.ParseKind(s.Op.String())
	switch s.Op {
	case plan.Linear, plan.BlockSparseLinear, plan.CSRLinear, plan.Sparse24Linear:
		if s.Params.Act != plan.NoAct {
			w.Activations = w.Elements
		}
		weight := &q.Weights[s.Args[1].Index]
		w.Bytes = float64(weight.Size)
		if weight.Layout == plan.IntPanels || weight.Layout == plan.IntTiles {
			w.Bits = 8 * weight.DType.Size()
		}
	case plan.OTFAttention, plan.PartialOTFAttention, plan.FlashAttention:
		w.Exps = macs / float64(s.Params.D+s.Params.Dv)
	}
	return w
}

// printSteps prints the steps that are alike as one line.
func (e *explanation) printSteps(w io.Writer) {
	if len(e.Steps) == 0 {
		return
	}
	fmt.Fprintf(w, "\nstep\ttimes\tpredicted µs\tmeasured µs\tGFLOP/s\tone row of %d tokens, %s, median of %d runs\n", e.tokens, e.Device, e.runs-1)
	type line struct {
		stepStory
		times int
		work  float64
	}
	var lines []*line
	for _, s := range e.Steps {
		i := slices.IndexFunc(lines, func(l *line) bool { return l.Op == s.Op && l.Shape == s.Shape && (l.GFLOPS > 0) == (s.GFLOPS > 0) })
		if i < 0 {
			i = len(lines)
			lines = append(lines, &line{stepStory: stepStory{Op: s.Op, Shape: s.Shape, GFLOPS: s.GFLOPS}})
		}
		l := lines[i]
		l.times++
		l.Predicted += s.Predicted
		l.Measured += s.Measured
		l.work += s.GFLOPS * s.Measured
	}
	predicted, measured := 0.0, 0.0
	for _, l := range lines {
		rate := "–"
		if l.work > 0 {
			rate = fmt.Sprintf("%.1f", l.work/l.Measured)
		}
		fmt.Fprintf(w, "%s %s\t%d\t%.1f\t%.1f\t%s\n", l.Op, l.Shape, l.times, l.Predicted, l.Measured, rate)
		predicted, measured = predicted+l.Predicted, measured+l.Measured
	}
	fmt.Fprintf(w, "all\t%d\t%.1f\t%.1f\n", len(e.Steps), predicted, measured)
}
