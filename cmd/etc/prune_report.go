package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"etc/formats/plan"
	"etc/prune"
	html "etc/prune/report"
)

// reportPage is the page of --report.
func (r *pruning) reportPage(found *prune.Found) ([]byte, error) {
	source, err := r.ckpt.Digest()
	if err != nil {
		return nil, err
	}
	page := &html.Page{
		Head: html.Head{
			Model: r.modelName, Task: taskName(r.model.Task), Version: version, Source: fmt.Sprintf("%x", source),
			Target: r.target, Command: r.command(),
		},
		Verdict: html.Verdict{Judged: r.judged},
		Metric:  r.metric,
		Layers:  layersOf(found.Recipe),
		Notes:   r.warnings,
	}
	page.Metric.Damage = damageName(r.model.Task)
	if !r.flags.searches() {
		page.Verdict.Rows = "on all rows of --eval"
		if r.flags.calib == "" {
			page.Verdict.Rows += ", whose texts it was calibrated on"
		}
	}
	if r.table != nil {
		page.Head.LatencyTable, page.Head.TableDigest = r.table.Source, r.table.Digest()
	}
	if r.flags.speedup > 0 {
		page.Verdict.Speedup = &html.Goal{Asked: fmt.Sprint(r.flags.speedup), Reached: found.Candidate.Speedup() >= r.flags.speedup}
	}
	if r.drop != nil { // what is outside is not written, but by an interrupt what nobody accepted
		page.Verdict.Drop = &html.Goal{Asked: r.drop.String(), Reached: r.cut == ""}
	}
	page.Verdict.Shapes = r.speedsOf(found)
	rungs := rungsOf(r.tried)
	for i, c := range r.tried {
		page.Candidates = append(page.Candidates, candidateOf(c, rungs[i], c == found.Candidate))
	}
	var b bytes.Buffer
	err = html.Write(&b, page)
	return b.Bytes(), err
}

// speedsOf are the speed-ups that the table has for what was found, and those measured.
func (r *pruning) speedsOf(found *prune.Found) (list []html.Shape) {
	predicted := found.Candidate != nil && found.Candidate.Speedups != nil
	if !predicted && r.measured == nil {
		return nil
	}
	for i, s := range r.shapes() {
		of := html.Shape{Name: fmt.Sprintf("%d×%d", s.Batch, s.Tokens)}
		if predicted {
			of.Predicted = &found.Candidate.Speedups[i]
		}
		if r.measured != nil {
			of.Measured = &r.measured[i]
		}
		list = append(list, of)
	}
	return list
}

// writeReport writes it, if it is wanted.
func (r *pruning) writeReport(found *prune.Found) error {
	if r.flags.report == "" {
		return nil
	}
	page, err := r.reportPage(found)
	if err != nil {
		return err
	}
	return r.create(r.flags.report, func(f *os.File) error {
		_, err := f.Write(page)
		return err
	})
}

// command is what repeats the run.
func (r *pruning) command() string {
	var quoted []string
	for _, arg := range r.arguments {
		if strings.ContainsAny(arg, " '\"\\$`!*?[](){}<>|&;~#\t\n") || arg == "" {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		quoted = append(quoted, arg)
	}
	return strings.Join(append([]string{"etc"}, quoted...), " ")
}

// damageName says how far outputs are from the dense model's: guard.
func damageName(task plan.Task) string {
	switch task {
	case plan.Classification:
		return "KL"
	case plan.Embedding:
		return "1−cos"
	case plan.CausalLM:
		return "loss per token"
	}
	return "squared difference"
}

// rungsOf numbers the rungs that candidates were made for, the slowest 1; where
// no speed was wanted each is a rung of its own.
func rungsOf(list []*prune.Candidate) []int {
	var wanted []float64
	for _, c := range list {
		wanted = append(wanted, c.Wanted)
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	var rungs []int
	for i, c := range list {
		at, _ := slices.BinarySearch(wanted, c.Wanted)
		if c.Wanted == 0 {
			at = i
		}
		rungs = append(rungs, 1+at)
	}
	return rungs
}

func candidateOf(c *prune.Candidate, rung int, chosen bool) html.Candidate {
	row := html.Candidate{Name: c.Name, Rung: rung, Speedup: max(1, c.Speedup()), Sparsity: c.Sparsity, Outcome: html.NotJudged, Reason: c.Outcome}
	if c.Damage != 0 {
		row.Damage = &c.Damage
	}
	if v := c.Verdict; v != nil {
		row.Metric = &html.Value{Value: v.Metric, Low: v.MetricLow, High: v.MetricHigh}
		row.Outcome = html.Outside
		switch {
		case v.Inside:
			row.Outcome = html.Inside
		case v.Hopeless():
			row.Outcome = html.EarlyStop
		}
	}
	if chosen {
		row.Outcome = html.Chosen
	}
	if row.Reason == string(row.Outcome) {
		row.Reason = ""
	}
	return row
}

// layersOf is what each layer keeps: an attention and the feed-forward block
// behind it.
func layersOf(r *prune.Recipe) []html.Layer {
	var layers []html.Layer
	records := r.Matrices
	for _, kept := range r.Layers {
		if kept.Width == nil {
			q, v := records[0], records[2]
			layers = append(layers, html.Layer{
				Heads:    html.Kept{Kept: len(kept.Heads), Of: kept.Of},
				QueryKey: html.Kept{Kept: q.Shape[0] - q.Rows, Of: q.Shape[0]},
				Value:    html.Kept{Kept: v.Shape[0] - v.Rows, Of: v.Shape[0]},
			})
			records = records[4:]
			continue
		}
		if len(layers) == 0 {
			layers = append(layers, html.Layer{})
		}
		layers[len(layers)-1].FFN = html.Kept{Kept: *kept.Width, Of: records[0].Shape[0]}
		records = records[2:]
	}
	return layers
}
