package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"etc/executor"
	"etc/executor/cpu"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/tokenizer"
)

// A cell is one shape and what was measured. The JSON names are the ones that
// scripts rely on.
type cell struct {
	Batch     int     `json:"batch"`
	SeqLen    int     `json:"seqlen"`
	Median    float64 `json:"median_ms"`
	Mean      float64 `json:"mean_ms"`
	P90       float64 `json:"p90_ms"`
	P99       float64 `json:"p99_ms"`
	Runs      int     `json:"runs"`
	TokensPS  float64 `json:"tokens_per_s"`
	GFLOPS    float64 `json:"gflops"`
	Peak      float64 `json:"peak_gflops,omitempty"`      // of all threads, before and after this cell: the median
	PeakBest  float64 `json:"peak_best_gflops,omitempty"` // and the best
	Baseline  float64 `json:"baseline_ms,omitempty"`      // median
	Speedup   float64 `json:"speedup,omitempty"`          // baseline / this
	tokens    int
	times     []float64
	otherTime []float64
}

// A shape is the lengths of the rows of one batch.
type shape struct {
	batch, seqlen int
	lengths       []int
}

func (s shape) tokens() int {
	n := 0
	for _, l := range s.lengths {
		n += l
	}
	return n
}

// shapes are the cells of the flags, as far as p takes them.
func (f *benchFlags) shapes(p *plan.Program) ([]shape, error) {
	batches, err := parseSizes("--batch", f.batch)
	if err != nil {
		return nil, err
	}
	if f.lengths != "" {
		return shapesOfFile(p, f.lengths, batches)
	}
	lengths, err := parseSizes("--seqlen", f.seqlen)
	if err != nil {
		return nil, err
	}
	var all []shape
	for _, n := range lengths {
		if longest := longestBucket(p); n > longest {
			return nil, fault.Newf(fault.Usage, "--seqlen %d: the longest bucket is %d", n, longest)
		}
	}
	for _, b := range batches {
		for _, n := range lengths {
			all = append(all, shape{b, n, slices.Repeat([]int{n}, b)})
		}
	}
	return all, nil
}

// shapesOfFile takes the lengths of the first rows of a file; the length
// named in the table is their mean.
func shapesOfFile(p *plan.Program, path string, batches []int) ([]shape, error) {
	var t *tokenizer.Tokenizer
	if len(p.Tokenizer) > 0 {
		var err error
		if t, err = tokenizer.Unmarshal(p.Tokenizer); err != nil {
			return nil, err
		}
	}
	lengths, err := lengthsOf(t, "--lengths", path)
	if err != nil {
		return nil, err
	}
	var all []shape
	for _, b := range batches {
		s := shape{batch: b}
		for i := range b {
			s.lengths = append(s.lengths, min(lengths[i%len(lengths)], longestBucket(p)))
		}
		s.seqlen = s.tokens() / b
		all = append(all, s)
	}
	return all, nil
}

func longestBucket(p *plan.Program) int { return slices.Max(bucketLengths(p)) }

// maxSize bounds the numbers of --batch and --seqlen, so that no product of
// two overflows.
const maxSize = 1 << 20

func parseSizes(flag, list string) ([]int, error) {
	var sizes []int
	for item := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(item))
		if err != nil || n < 1 || n > maxSize {
			return nil, fault.Newf(fault.Usage, "%s %q: want numbers from 1 to %d, such as 1,8", flag, list, maxSize)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// randomRows are ids below vocabulary, the same in every run.
func randomRows(vocabulary int, lengths []int) [][]int32 {
	rng := rand.New(rand.NewPCG(1, 2))
	all := make([][]int32, len(lengths))
	for i, n := range lengths {
		for range n {
			all[i] = append(all[i], int32(rng.IntN(vocabulary)))
		}
	}
	return all
}

// forward runs one batch for the outputs that are always computed.
func forward(s *executor.Executor, ids [][]int32) error {
	_, err := s.Forward(ids, nil, s.Default()...)
	return err
}

// A pace is how long a cell runs: to warm up, and then for a time, three runs at
// least and, unless it is 0, so many at most.
type pace struct {
	warmup, time time.Duration
	runs         int
}

// measureCell runs a shape at a pace. With another model the two
// take turns, so that what else the machine does hits both.
func measureCell(ctx context.Context, s, other *executor.Executor, sh shape, p pace) (*cell, error) {
	vocabulary := s.Program().Model.VocabSize
	if other != nil {
		vocabulary = min(vocabulary, other.Program().Model.VocabSize)
	}
	ids := randomRows(vocabulary, sh.lengths)
	c := &cell{Batch: sh.batch, SeqLen: sh.seqlen, tokens: sh.tokens()}
	once := func(s *executor.Executor, to *[]float64) error {
		start := time.Now()
		err := forward(s, ids)
		*to = append(*to, ms(time.Since(start)))
		return err
	}
	both := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if other != nil {
			if err := once(other, &c.otherTime); err != nil {
				return err
			}
		}
		return once(s, &c.times)
	}
	for end := time.Now().Add(p.warmup); time.Now().Before(end); {
		if err := both(); err != nil {
			return nil, err
		}
	}
	c.times, c.otherTime = nil, nil
	peak := measurePeak(s)
	before := s.Device().Counters().MultiplyAdds
	for end := time.Now().Add(p.time); len(c.times) < 3 || time.Now().Before(end) && len(c.times) != p.runs; {
		if err := both(); err != nil {
			return nil, err
		}
	}
	c.summarise(float64(s.Device().Counters().MultiplyAdds-before) / float64(len(c.times)))
	if peak = append(peak, measurePeak(s)...); len(peak) > 0 {
		slices.Sort(peak)
		c.Peak, c.PeakBest = peak[len(peak)/2], peak[len(peak)-1]
	}
	return c, nil
}

// peakLoops is how often the peak is measured before a cell and after it, each
// about 1 ms.
const peakLoops = 20

// measurePeak is the peak of a CPU in GFLOP/s, several times; none of others.
func measurePeak(s *executor.Executor) []float64 {
	if d, ok := s.Device().(*cpu.Device); ok {
		return d.Peak(peakLoops)
	}
	return nil
}

// summarise turns the times into figures; macs are multiply-adds of one run.
func (c *cell) summarise(macs float64) {
	slices.Sort(c.times)
	at := func(q float64) float64 { return c.times[min(len(c.times)-1, int(q*float64(len(c.times))))] }
	for _, t := range c.times {
		c.Mean += t / float64(len(c.times))
	}
	c.Runs, c.Median, c.P90, c.P99 = len(c.times), at(0.5), at(0.9), at(0.99)
	c.TokensPS = float64(c.tokens) / c.Median * 1e3
	c.GFLOPS = 2 * macs / c.Median / 1e6
	if len(c.otherTime) > 0 {
		slices.Sort(c.otherTime)
		c.Baseline = c.otherTime[len(c.otherTime)/2]
		c.Speedup = c.Baseline / c.Median
	}
}
