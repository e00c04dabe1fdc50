package main

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"etc/executor"
	"etc/fault"
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
		RunE:  func(c *cobra.Command, args []string) error { return p.bench(c.Context(), args[0], &f) },
	}
	c.Flags().StringVar(&f.batch, "batch", "1,8", "numbers of rows")
	c.Flags().StringVar(&f.seqlen, "seqlen", "32,128", "tokens in each row")
	c.Flags().StringVar(&f.lengths, "lengths", "", "take the lengths of the rows in this file instead of --seqlen")
	c.Flags().StringVar(&f.format, "format", formatMarkdown, "md, json or csv")
	c.Flags().BoolVar(&f.json, "json", false, "same as --format json")
	c.Flags().StringVarP(&f.output, "output", "o", stdio, "where the table goes, - for standard output")
	c.Flags().Float64Var(&f.seconds, "seconds", 1, "how long each cell is measured")
	c.Flags().StringVar(&f.baseline, "baseline", "", "an earlier --json record, or a plan that is measured in turns with this one")
	c.Flags().StringVar(&f.maxRegress, "max-regress", defaultRegress, "how much slower than the baseline a cell may be")
	f.deviceFlags.add(c)
	p.addForce(c)
	return c
}

// A benchRecord is what --json prints. Start has the times of opening.
type benchRecord struct {
	Schema  int        `json:"schema"`
	Plan    string     `json:"plan"`
	Device  string     `json:"device"`
	Target  string     `json:"target"`
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

// maxSeconds bounds --seconds for one cell.
const maxSeconds = 3600

// check refuses flags that no plan makes right.
func (f *benchFlags) check(p *program) error {
	if f.json {
		f.format = formatJSON
	}
	switch {
	case !slices.Contains([]string{formatMarkdown, formatJSON, formatCSV}, f.format):
		return fault.Newf(fault.Usage, "--format %q: want md, json or csv", f.format)
	case !(f.seconds > 0 && f.seconds <= maxSeconds):
		return fault.Newf(fault.Usage, "--seconds %v: want more than 0 and at most %d", f.seconds, maxSeconds)
	}
	var err error
	if f.baseline == "" {
		err = p.unused("--baseline FILE is wanted to compare with", "max-regress")
	} else {
		err = checkInput("--baseline", f.baseline)
	}
	if err != nil {
		return err
	}
	if f.output != stdio {
		return p.checkOutput(f.output)
	}
	return nil
}

const (
	formatMarkdown = "md"
	formatJSON     = "json"
	formatCSV      = "csv"
	defaultRegress = "5%"
)

func (p *program) bench(ctx context.Context, path string, f *benchFlags) error {
	if err := f.check(p); err != nil {
		return err
	}
	limit, err := parsePercent(f.maxRegress)
	if err != nil {
		return err
	}
	baseline, err := f.readBaseline()
	if err != nil {
		return err
	}
	start := time.Now()
	s, shapes, err := p.openBench(path, f)
	if err != nil {
		return err
	}
	defer s.close()
	record := &benchRecord{Schema: 1, Plan: s.file.ID(), Device: s.Device().Name(), Target: s.Program().Target}
	if err := baseline.check(f.baseline, record.Device, shapes); err != nil {
		return err
	}
	record.Start.LoadMs = ms(time.Since(start))
	start = time.Now()
	if err := forward(s.Executor, randomRows(s.Program().Model.VocabSize, []int{min(firstTokens, longestBucket(s.Program()))})); err != nil {
		return err
	}
	record.Start.FirstMs = ms(time.Since(start))
	var other *executor.Executor
	if f.baseline != "" && baseline == nil {
		opened, _, err := p.openBench(f.baseline, f)
		if err != nil {
			return err
		}
		defer opened.close()
		other = opened.Executor
		if err := sameDevice(f.baseline, other.Device().Name(), record.Device); err != nil {
			return err
		}
	}
	bar := p.newProgress("measuring")
	for i, shape := range shapes {
		bar.set(i, len(shapes))
		c, err := measureCell(ctx, s.Executor, other, shape, pace{warmup: warmup, time: time.Duration(f.seconds * float64(time.Second))})
		if err != nil {
			return err
		}
		record.Results = append(record.Results, c)
	}
	bar.clear()
	record.Start.PeakMB = peakMB()
	baseline.addTo(record)
	if err := p.printBench(f, record); err != nil {
		return err
	}
	return gate(record, limit)
}

// firstTokens is the length of the row that the first answer is timed on.
const firstTokens = 16

// openBench opens a plan for the shapes of the flags: its memory is checked
// for the largest of them.
func (p *program) openBench(path string, f *benchFlags) (*session, []shape, error) {
	device, err := f.open()
	if err != nil {
		return nil, nil, err
	}
	file, err := f.openPlan(path)
	if err != nil {
		device.Close()
		return nil, nil, err
	}
	var shapes []shape
	q, err := device.Program(file.Plan)
	if err == nil {
		shapes, err = f.shapes(q)
	}
	if err != nil {
		device.Close()
		file.Close()
		return nil, nil, err
	}
	flags := f.deviceFlags
	for _, s := range shapes {
		flags.maxBatchTokens = max(flags.maxBatchTokens, s.tokens())
	}
	s, err := p.newSession(file, device, &flags, executor.Want{})
	return s, shapes, err
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func parsePercent(s string) (float64, error) {
	x, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !strings.HasSuffix(s, "%") || x < 0 || math.IsInf(x, 0) {
		return 0, fault.Newf(fault.Usage, "--max-regress %q: want a percentage such as 5%%", s)
	}
	return x / 100, nil
}

// readBaseline reads --baseline where it is a record, not a plan.
func (f *benchFlags) readBaseline() (*benchRecord, error) {
	if f.baseline == "" || isPlan(f.baseline) {
		return nil, nil
	}
	b, err := os.ReadFile(f.baseline)
	if err != nil {
		return nil, err
	}
	var earlier benchRecord
	if err := json.Unmarshal(b, &earlier); err != nil || earlier.Schema != 1 || earlier.Device == "" {
		return nil, fault.Newf(fault.Corrupt, "%s: neither a plan nor a record of etc bench --json", f.baseline)
	}
	return &earlier, nil
}

// check refuses an earlier record, read from path, that is of another device or
// lacks a cell that is to be measured: what it lacks would pass unseen.
func (r *benchRecord) check(path, device string, shapes []shape) error {
	if r == nil {
		return nil
	}
	if err := sameDevice(path, r.Device, device); err != nil {
		return err
	}
	for _, s := range shapes {
		if r.median(s.batch, s.seqlen) == 0 {
			return fault.Newf(fault.Usage, "--baseline %s: it has no cell of %d rows of %d tokens to compare with", path, s.batch, s.seqlen).
				WithHint("--batch and --seqlen say what is measured")
		}
	}
	return nil
}

// sameDevice refuses a baseline that was measured on another device.
func sameDevice(path, was, now string) error {
	if was == now {
		return nil
	}
	return fault.Newf(fault.Usage, "--baseline %s: its device is %s, this one is %s: times of one say nothing of the other", path, was, now).
		WithHint("--device, --threads and --cpu-level choose a device")
}

// median is that of a cell of an earlier record, 0 where it has none.
func (r *benchRecord) median(batch, seqlen int) float64 {
	for _, c := range r.Results {
		if c != nil && c.Batch == batch && c.SeqLen == seqlen && c.Median > 0 {
			return c.Median
		}
	}
	return 0
}

// addTo fills the baseline of cells that were measured, which check has seen.
func (r *benchRecord) addTo(now *benchRecord) {
	if r == nil {
		return
	}
	for _, c := range now.Results {
		c.Baseline = r.median(c.Batch, c.SeqLen)
		c.Speedup = c.Baseline / c.Median
	}
}

// gate fails where a cell is slower than its baseline by more than allowed.
func gate(r *benchRecord, limit float64) error {
	for _, c := range r.Results {
		if c.Baseline > 0 && c.Median > c.Baseline*(1+limit) {
			return fault.Newf(fault.Regressed, "FAILED: %dx%d: %.3f ms, baseline %.3f ms, allowed %.0f %% more", c.Batch, c.SeqLen, c.Median, c.Baseline, 100*limit)
		}
	}
	return nil
}
