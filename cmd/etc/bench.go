package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"etc/executor"
	"etc/fault"
	"etc/formats/rows"
)

type benchFlags struct {
	deviceFlags
	batch, seqlen, lengths, format, output string
	baseline, maxRegress                   string
	seconds                                float64
	json                                   bool
}

func benchCommand(p *program) *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "bench PLAN.etp",
		Short: "Measure a plan on full-length rows of ids",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return p.bench(args[0], &f) },
	}
	f.deviceFlags.add(c)
	c.Flags().StringVar(&f.batch, "batch", "1,8", "numbers of rows")
	c.Flags().StringVar(&f.seqlen, "seqlen", "32,128", "tokens in each row")
	c.Flags().StringVar(&f.lengths, "lengths", "", "take the lengths of the rows in this file instead of --seqlen")
	c.Flags().StringVar(&f.format, "format", "md", "md, json or csv")
	c.Flags().BoolVar(&f.json, "json", false, "same as --format json")
	c.Flags().StringVarP(&f.output, "output", "o", "-", "where the table goes, - for standard output")
	c.Flags().Float64Var(&f.seconds, "seconds", 1, "how long each cell is measured")
	c.Flags().StringVar(&f.baseline, "baseline", "", "an earlier --json record, or a plan that is measured in turns with this one")
	c.Flags().StringVar(&f.maxRegress, "max-regress", "5%", "how much slower than the baseline a cell may be")
	p.addForce(c)
	return c
}

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
	Baseline  float64 `json:"baseline_ms,omitempty"` // median
	Speedup   float64 `json:"speedup,omitempty"`     // baseline / this
	tokens    int
	times     []float64
	otherTime []float64
}

// A benchRecord is what --json prints. Start has the times of opening.
type benchRecord struct {
	Schema  int        `json:"schema"`
	Plan    string     `json:"plan"`
	Device  string     `json:"device"`
	Start   benchStart `json:"start"`
	Results []*cell    `json:"results"`
}

type benchStart struct {
	LoadMs  float64 `json:"load_ms"`         // open, check and bind the plan
	FirstMs float64 `json:"first_answer_ms"` // from there to the answer for one row of 16 tokens
	PeakMB  float64 `json:"peak_mb"`         // resident, after all cells; 0: not known here
}

// warmup is how long a cell runs before it is measured.
const warmup = 200 * time.Millisecond

func (p *program) bench(path string, f *benchFlags) error {
	if f.json {
		f.format = "json"
	}
	if !slices.Contains([]string{"md", "json", "csv"}, f.format) {
		return fault.Newf(fault.Usage, "--format %q: want md, json or csv", f.format)
	}
	limit, err := parsePercent(f.maxRegress)
	if err != nil {
		return err
	}
	start := time.Now()
	s, err := p.openSession(path, &f.deviceFlags, executor.Want{})
	if err != nil {
		return err
	}
	defer s.close()
	record := &benchRecord{Schema: 1, Plan: s.file.ID(), Device: s.Device().Name()}
	record.Start.LoadMs = ms(time.Since(start))
	start = time.Now()
	if err := forward(s, randomRows(s, []int{min(16, longestBucket(s))})); err != nil {
		return err
	}
	record.Start.FirstMs = ms(time.Since(start))
	shapes, err := f.shapes(s)
	if err != nil {
		return err
	}
	other, err := p.openBaseline(f)
	if err != nil {
		return err
	}
	if other != nil {
		defer other.close()
	}
	for _, shape := range shapes {
		c, err := measureCell(s, other, shape, f.seconds)
		if err != nil {
			return err
		}
		record.Results = append(record.Results, c)
	}
	record.Start.PeakMB = peakMB()
	if err := f.addRecorded(record); err != nil {
		return err
	}
	if err := p.printBench(f, record); err != nil {
		return err
	}
	return gate(record, limit, f.baseline != "")
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func longestBucket(s *session) int { return slices.Max(bucketLengths(s.Plan())) }

// A shape is the lengths of the rows of one batch.
type shape struct {
	batch, seqlen int
	lengths       []int
}

func (f *benchFlags) shapes(s *session) ([]shape, error) {
	batches, err := parseSizes("--batch", f.batch)
	if err != nil {
		return nil, err
	}
	if f.lengths != "" {
		return shapesOfFile(s, f.lengths, batches)
	}
	lengths, err := parseSizes("--seqlen", f.seqlen)
	if err != nil {
		return nil, err
	}
	var all []shape
	for _, n := range lengths {
		if n > longestBucket(s) {
			return nil, fault.Newf(fault.Usage, "--seqlen %d: the longest bucket is %d", n, longestBucket(s))
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
func shapesOfFile(s *session, path string, batches []int) ([]shape, error) {
	data, err := rows.LoadFile(path, rows.DataOptions{})
	if err != nil {
		return nil, err
	}
	var lengths []int
	for i := range data.Examples {
		n, err := lengthOf(s.Tokenizer(), &data.Examples[i].Row)
		if err != nil {
			return nil, err
		}
		lengths = append(lengths, min(n, longestBucket(s)))
	}
	if len(lengths) == 0 {
		return nil, fault.Newf(fault.Corrupt, "%s: no rows", path)
	}
	var all []shape
	for _, b := range batches {
		var of []int
		total := 0
		for i := range b {
			of = append(of, lengths[i%len(lengths)])
			total += of[i]
		}
		all = append(all, shape{b, total / b, of})
	}
	return all, nil
}

func parseSizes(flag, list string) ([]int, error) {
	var sizes []int
	for item := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(item))
		if err != nil || n < 1 || n > 1<<20 {
			return nil, fault.Newf(fault.Usage, "%s %q: want numbers such as 1,8", flag, list)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

func parsePercent(s string) (float64, error) {
	x, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !strings.HasSuffix(s, "%") || x < 0 || math.IsInf(x, 0) {
		return 0, fault.Newf(fault.Usage, "--max-regress %q: want a percentage such as 5%%", s)
	}
	return x / 100, nil
}

// randomRows are ids all over the vocabulary, the same in every run.
func randomRows(s *session, lengths []int) [][]int32 {
	rng := rand.New(rand.NewPCG(1, 2))
	all := make([][]int32, len(lengths))
	for i, n := range lengths {
		for range n {
			all[i] = append(all[i], int32(rng.IntN(s.Plan().Model.VocabSize)))
		}
	}
	return all
}

// forward runs one batch for the outputs that are always computed.
func forward(s *session, ids [][]int32) error {
	_, err := s.Forward(ids, nil, s.Default()...)
	return err
}

// openBaseline opens --baseline where it is a plan.
func (p *program) openBaseline(f *benchFlags) (*session, error) {
	if f.baseline == "" || !isPlan(f.baseline) {
		return nil, nil
	}
	return p.openSession(f.baseline, &f.deviceFlags, executor.Want{})
}

// measureCell runs a shape for the given time. With another session the two
// take turns, so that what else the machine does hits both.
func measureCell(s, other *session, sh shape, seconds float64) (*cell, error) {
	ids := randomRows(s, sh.lengths)
	c := &cell{Batch: sh.batch, SeqLen: sh.seqlen}
	for _, n := range sh.lengths {
		c.tokens += n
	}
	once := func(s *session, to *[]float64) error {
		start := time.Now()
		err := forward(s, ids)
		*to = append(*to, ms(time.Since(start)))
		return err
	}
	both := func() error {
		if other != nil {
			if err := once(other, &c.otherTime); err != nil {
				return err
			}
		}
		return once(s, &c.times)
	}
	for end := time.Now().Add(warmup); time.Now().Before(end); {
		if err := both(); err != nil {
			return nil, err
		}
	}
	c.times, c.otherTime = nil, nil
	before := s.Device().Counters().MultiplyAdds
	for end := time.Now().Add(time.Duration(seconds * float64(time.Second))); len(c.times) < 3 || time.Now().Before(end); {
		if err := both(); err != nil {
			return nil, err
		}
	}
	c.summarise(float64(s.Device().Counters().MultiplyAdds-before) / float64(len(c.times)))
	return c, nil
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

// addRecorded fills the baseline from an earlier record.
func (f *benchFlags) addRecorded(r *benchRecord) error {
	if f.baseline == "" || isPlan(f.baseline) {
		return nil
	}
	b, err := os.ReadFile(f.baseline)
	if err != nil {
		return fault.Newf(fault.Usage, "baseline: %v", err)
	}
	var earlier benchRecord
	if err := json.Unmarshal(b, &earlier); err != nil || earlier.Schema != 1 {
		return fault.Newf(fault.Corrupt, "%s: neither a plan nor a record of etc bench --json", f.baseline)
	}
	for _, c := range r.Results {
		for _, e := range earlier.Results {
			if e.Batch == c.Batch && e.SeqLen == c.SeqLen && e.Median > 0 {
				c.Baseline, c.Speedup = e.Median, e.Median/c.Median
			}
		}
	}
	return nil
}

// gate fails where a cell is slower than its baseline by more than allowed.
func gate(r *benchRecord, limit float64, wanted bool) error {
	compared := 0
	for _, c := range r.Results {
		if c.Baseline == 0 {
			continue
		}
		compared++
		if c.Median > c.Baseline*(1+limit) {
			return fault.Newf(fault.Regressed, "%dx%d: %.3f ms, baseline %.3f ms, allowed %.0f %% more", c.Batch, c.SeqLen, c.Median, c.Baseline, 100*limit)
		}
	}
	if wanted && compared == 0 {
		return fault.Newf(fault.Usage, "the baseline has none of the shapes measured")
	}
	return nil
}

func (p *program) printBench(f *benchFlags, r *benchRecord) error {
	var b strings.Builder
	switch f.format {
	case "json":
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		b.Write(append(text, '\n'))
	case "csv":
		b.WriteString("batch,seqlen,median_ms,mean_ms,p90_ms,p99_ms,runs,tokens_per_s,gflops,baseline_ms,speedup\n")
		for _, c := range r.Results {
			fmt.Fprintf(&b, "%d,%d,%g,%g,%g,%g,%d,%g,%g,%g,%g\n", c.Batch, c.SeqLen, c.Median, c.Mean, c.P90, c.P99, c.Runs, c.TokensPS, c.GFLOPS, c.Baseline, c.Speedup)
		}
	default:
		fmt.Fprintf(&b, "%s, plan %.12s: load %.1f ms, first answer %.1f ms, peak %.0f MB\n\n", r.Device, r.Plan, r.Start.LoadMs, r.Start.FirstMs, r.Start.PeakMB)
		b.WriteString("| batch | tokens | median ms | mean | p90 | p99 | runs | tokens/s | GFLOP/s | baseline ms | speed-up |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
		for _, c := range r.Results {
			fmt.Fprintf(&b, "| %d | %d | %.3f | %.3f | %.3f | %.3f | %d | %.0f | %.1f | %s |\n", c.Batch, c.SeqLen, c.Median, c.Mean, c.P90, c.P99, c.Runs, c.TokensPS, c.GFLOPS, c.compared())
		}
	}
	if f.output == "-" {
		_, err := p.out.Write([]byte(b.String()))
		return err
	}
	if err := p.checkOutput(f.output); err != nil {
		return err
	}
	return p.createBytes(f.output, []byte(b.String()))
}

func (c *cell) compared() string {
	if c.Baseline == 0 {
		return "– | –"
	}
	return fmt.Sprintf("%.3f | %.2f×", c.Baseline, c.Speedup)
}
