package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// printBench writes the table in the format asked for.
func (p *program) printBench(f *benchFlags, r *benchRecord) error {
	var b strings.Builder
	switch f.format {
	case formatJSON:
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		b.Write(append(text, '\n'))
	case formatCSV:
		b.WriteString("batch,seqlen,median_ms,mean_ms,p90_ms,p99_ms,runs,tokens_per_s,gflops,baseline_ms,speedup,peak_gflops,peak_best_gflops\n")
		for _, c := range r.Results {
			fmt.Fprintf(&b, "%d,%d,%g,%g,%g,%g,%d,%g,%g,%g,%g,%g,%g\n", c.Batch, c.SeqLen, c.Median, c.Mean, c.P90, c.P99, c.Runs, c.TokensPS, c.GFLOPS, c.Baseline, c.Speedup, c.Peak, c.PeakBest)
		}
	default:
		fmt.Fprintf(&b, "%s, plan %.12s: load %.1f ms, first answer %.1f ms, peak %.0f MB\n\n", r.Device, r.Plan, r.Start.LoadMs, r.Start.FirstMs, r.Start.PeakMB)
		b.WriteString("| batch | tokens | median ms | mean | p90 | p99 | runs | tokens/s | GFLOP/s | of peak | baseline ms | speed-up |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n")
		for _, c := range r.Results {
			fmt.Fprintf(&b, "| %d | %d | %.3f | %.3f | %.3f | %.3f | %d | %.0f | %.1f | %s | %s |\n", c.Batch, c.SeqLen, c.Median, c.Mean, c.P90, c.P99, c.Runs, c.TokensPS, c.GFLOPS, c.ofPeak(), c.compared())
		}
	}
	if f.output == stdio {
		_, err := p.out.Write([]byte(b.String()))
		return err
	}
	return p.create(f.output, func(w *os.File) error {
		_, err := w.WriteString(b.String())
		return err
	})
}

func (c *cell) compared() string {
	if c.Baseline == 0 {
		return "– | –"
	}
	return fmt.Sprintf("%.3f | %.2f×", c.Baseline, c.Speedup)
}

// ofPeak is the share of the peak that was measured beside the cell.
func (c *cell) ofPeak() string {
	if c.Peak == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*c.GFLOPS/c.Peak)
}
