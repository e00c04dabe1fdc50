package main

import (
	"context"
	"fmt"
	"slices"

	"etc/compiler"
	"etc/compiler/frontend"
	"etc/eval"
	"etc/executor"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/ir"
	"etc/prune"
	html "etc/prune/report"
)

// A part is rows that models are judged on, with what the dense one answers.
type part struct {
	name     string
	searched bool // the search may see it
	data     *rows.Data
	noted    bool // that its rows are too few
	dense    *eval.Report
	own      *modelAnswers // of the dense model, where rows have no labels
}

// rows is how many a model reads.
func (p *part) rows(task plan.Task) int {
	n := len(p.data.Examples)
	if task == plan.Embedding && n > 0 && p.data.Examples[0].Pair != nil {
		n *= 2
	}
	return n
}

// partRows finds who may see which rows of --eval, where they judge: all of them are a
// gate for what was not searched for.
func (r *pruning) partRows() error {
	switch {
	case r.data == nil || r.drop == nil && !r.flags.searches():
		return nil
	case !r.flags.searches():
		examples, err := r.examples()
		if err != nil {
			return err
		}
		all := r.partOf("all rows", examples)
		r.parts = []*part{all}
		if r.flags.calib == "" {
			r.warn("%s: what is judged by all rows was calibrated on their texts: it may lose more on others (--calib FILE does better)", r.data.Name)
		}
		return r.checkPart(all)
	}
	search, accept, reserve, err := r.split()
	if err != nil {
		return err
	}
	r.seen, r.parts = search.data, []*part{search, accept}
	for _, p := range []*part{r.partOf("all rows", slices.Concat(search.data.Examples, accept.data.Examples, reserve.data.Examples)), search, accept} {
		if err := r.checkPart(p); err != nil {
			return err
		}
	}
	if err := r.checkPart(reserve); err != nil { // as a whole, its rows are right
		r.note("no rows are set aside: %v", err)
		return nil
	}
	r.parts = append(r.parts, reserve)
	return nil
}

// checkPart refuses rows by which no model of this one's task can be judged.
func (r *pruning) checkPart(p *part) error {
	err := r.judges(p.data)
	if err != nil {
		err = fault.Newf(fault.KindOf(err), "%s: %w", p.name, err)
	}
	return err
}

// judges is why rows cannot judge.
func (r *pruning) judges(data *rows.Data) error {
	n := len(data.Examples)
	switch task := r.model.Task; {
	case task == plan.CausalLM:
		return r.scored(data)
	case data.Target == rows.NoTarget && (task == plan.Classification || task == plan.Embedding):
		if n == 0 {
			return fault.Newf(fault.Corrupt, "%s: no rows", data.Name)
		}
	case data.Target == rows.NoTarget:
		if n < 2 {
			return fault.Newf(fault.Corrupt, "%s: %d rows, want at least 2 to correlate scores", data.Name, n)
		}
	default:
		if _, err := evaluationBy(&r.model, data); err != nil || data.Target != rows.ScoreTarget {
			return err
		}
		want := scoresOf(data)
		if _, err := eval.Correlation(want, want); err != nil {
			return fault.Newf(fault.KindOf(err), "%s: %w", data.Name, err)
		}
	}
	return nil
}

// scored refuses rows in which a language model has no token to score: each but the
// first of a row.
func (r *pruning) scored(data *rows.Data) error {
	reader, err := r.newRowReader()
	if err != nil {
		return err
	}
	for i := range data.Examples {
		enc, err := tokensOf(reader.tokenizer, &data.Examples[i].Row, reader.longest)
		if err == nil && len(enc.IDs) > 1 {
			return nil
		}
	}
	return fault.Newf(fault.Corrupt, "%s: no scored token in %d rows, want rows of two tokens or more", data.Name, len(data.Examples))
}

// examples are the rows of --eval; of a text, its lines or windows.
func (r *pruning) examples() ([]rows.Example, error) {
	if r.data.Text == "" {
		return r.data.Examples, nil
	}
	reader, err := r.newRowReader()
	if err != nil {
		return nil, err
	}
	list, err := reader.sentences(r.data)
	if err != nil {
		return nil, err
	}
	var examples []rows.Example
	for _, row := range list {
		examples = append(examples, rows.Example{Row: *row})
	}
	return examples, nil
}

// partOf is some rows of --eval.
func (r *pruning) partOf(name string, examples []rows.Example) *part {
	data := *r.data
	data.Text, data.Examples = "", examples
	return &part{name: name, data: &data}
}

// split parts --eval into rows that the search may see, rows that accept what
// it found, and a reserve.
func (r *pruning) split() (search, accept, reserve *part, err error) {
	examples, err := r.examples()
	if err != nil {
		return nil, nil, nil, err
	}
	r.warnOfRows(examples)
	a, b, c := eval.Partition(examples, r.flags.seed)
	if len(a) == 0 || len(b) == 0 {
		return nil, nil, nil, fault.Newf(fault.Corrupt, "%s: %d rows, want more to search on some and check on others", r.data.Name, len(examples))
	}
	search = r.partOf("search rows", eval.Shuffled(a, r.flags.seed)) // the first of them may be enough
	search.searched = true
	return search, r.partOf("accept rows", b), r.partOf("reserve rows", c), nil
}

// fewRows are so few that a drop of a few points cannot be told from none.
const fewRows = 50

// warnOfRows says what is wrong with rows that can be judged on all the same.
func (r *pruning) warnOfRows(examples []rows.Example) {
	if len(examples) < fewRows {
		r.warn("%s: only %d rows: what they say of a drop is wide of the mark", r.data.Name, len(examples))
	}
	if r.data.Target != rows.LabelTarget {
		return
	}
	labels := map[string]bool{}
	for i := range examples {
		labels[examples[i].Label] = true
	}
	if len(labels) == 1 {
		r.warn("%s: all rows have the same label: a model that always gives it would pass", r.data.Name)
	}
}

// warnOfNoise says when a drop allowed is less than what the rows can tell.
func (r *pruning) warnOfNoise(p *part, v *prune.Verdict) {
	allowed, half := r.drop.Points(denseOf(v)), (v.High-v.Low)/2
	if p.noted || v.Hopeless() || half <= allowed {
		return
	}
	p.noted = true
	need := "no number of rows would be enough"
	if n, ok := eval.RowsNeeded(v.Rows, half, allowed); ok {
		need = fmt.Sprintf("about %d rows would tell", n)
	}
	r.warn("%s: --max-drop %v is below the noise of %d rows (±%.2f): %s", p.name, r.drop, v.Rows, half, need)
}

// denseOf is the metric of the dense model on all rows.
func denseOf(v *prune.Verdict) eval.Metric {
	return eval.Metric{Name: v.Name, Value: v.Dense, Low: v.DenseLow, High: v.DenseHigh}
}

// warn notes what a reader of the report must know too.
func (r *pruning) warn(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	r.warnings = append(r.warnings, line)
	r.note("%s", line)
}

// heard is judge that tells what it finds at once.
func (r *pruning) heard(p *part) prune.Judge {
	judge := r.judge(p)
	return func(ctx context.Context, g *ir.Graph) (*prune.Verdict, error) {
		v, err := judge(ctx, g)
		if err == nil {
			r.hear(p, v)
		}
		return v, err
	}
}

// judge compares pruned graphs with the dense model on a part. On rows that the
// search may see, it goes no further than it takes to know that there is no hope.
func (r *pruning) judge(p *part) prune.Judge {
	return func(ctx context.Context, g *ir.Graph) (*prune.Verdict, error) {
		if p.dense == nil {
			var err error
			if p.dense, err = r.reportOn(ctx, r.dense, p, nil); err != nil {
				return nil, err
			}
		}
		var enough look
		if p.searched && r.drop != nil {
			enough = func(soFar *eval.Report) (bool, error) { return eval.Hopeless(p.dense, soFar, *r.drop) }
		}
		pruned, err := r.reportOn(ctx, g, p, enough)
		if err != nil {
			return nil, err
		}
		c, err := eval.ComparePrefix(p.dense, pruned)
		if err != nil {
			return nil, err
		}
		dense, own := p.dense.Primary(), pruned.Primary()
		v := &prune.Verdict{
			Inside: true, Name: c.Metric, Metric: c.Pruned, MetricLow: own.Low, MetricHigh: own.High,
			Was: c.Dense, Dense: dense.Value, DenseLow: dense.Low, DenseHigh: dense.High,
			Drop: c.Drop, Low: c.Low, High: c.High, P: c.P, Rows: c.Rows, Of: p.dense.Rows,
		}
		if r.drop != nil {
			v.Inside = !v.Hopeless() && r.drop.Allows(dense, own)
		}
		return v, nil
	}
}

// hear tells and records a verdict.
func (r *pruning) hear(p *part, v *prune.Verdict) {
	r.remember(p, v)
	asked := ""
	if r.drop != nil {
		r.warnOfNoise(p, v)
		asked = fmt.Sprintf(", allowed %v: %s", r.drop, map[bool]string{true: "inside", false: "outside"}[v.Inside])
	}
	seen := fmt.Sprintf("%d rows", v.Rows)
	if v.Hopeless() {
		seen = fmt.Sprintf("the first %d of %d rows, without hope for the others", v.Rows, v.Of)
	}
	line := fmt.Sprintf("%s: %s %.5g, dense %.5g: drop %.2f (95 %% interval %.2f to %.2f, %s)%s",
		p.name, v.Name, v.Metric, v.Was, v.Drop, v.Low, v.High, seen, asked)
	r.lines = append(r.lines, line)
	r.note("%s", line)
}

// remember keeps what the report says of a verdict: all of the rows that
// accept or are a gate, and of the search rows the metric of the dense model.
func (r *pruning) remember(p *part, v *prune.Verdict) {
	dense := denseOf(v)
	if !p.searched {
		r.metric.Name, r.metric.LowerIsBetter = dense.Name, dense.LowerIsBetter() // where there is no search
		r.judged = append(r.judged, html.Judgement{Name: p.name, Rows: v.Rows, Dense: v.Was, Pruned: v.Metric, Drop: v.Drop, Low: v.Low, High: v.High, P: v.P})
		return
	}
	r.metric = html.Metric{Name: dense.Name, LowerIsBetter: dense.LowerIsBetter(), Dense: &html.Value{Value: dense.Value, Low: dense.Low, High: dense.High}}
	if r.drop != nil {
		points := r.drop.Points(dense) / 100
		worst := dense.Value - points
		if dense.LowerIsBetter() {
			worst = dense.Value * (1 + points)
		}
		r.metric.Allowed = &worst
	}
}

// reportOn judges a graph on a part: by labels or scores, or by agreement with the
// dense model where there are none. A look may end it.
func (r *pruning) reportOn(ctx context.Context, g *ir.Graph, p *part, enough look) (*eval.Report, error) {
	changed, err := frontend.WriteBack(g, r.ckpt)
	if err != nil {
		return nil, err
	}
	x, err := r.load(r.ckpt.With(changed))
	if err != nil {
		return nil, err
	}
	defer x.Close()
	search := r.progress
	bar := r.newProgress("judging " + p.name)
	bar.tell(r.best)
	defer func() {
		bar.clear()
		r.progress = search // to be cleared before the next note
	}()
	if p.data.Target != rows.NoTarget || r.model.Task == plan.CausalLM {
		return evaluateUntil(ctx, x, p.data, bar, enough)
	}
	got := &modelAnswers{}
	if p.own == nil {
		p.own = got // the dense model is the first to be asked
	}
	return evaluateAgreement(got, p.own, r.model.Task, p.data).run(ctx, x, p.data.Name, bar, enough)
}

// load compiles c in memory, for the CPU as its target computes, and opens it on all threads.
func (r *pruning) load(c *checkpoint.Checkpoint) (*executor.Executor, error) {
	result, err := compiler.Compile(c, compiler.Options{Targets: []string{r.executed()}, Version: version})
	if err != nil {
		return nil, err
	}
	return start(result, r.executed(), nil)
}

// modelAnswers are what a model says to rows without labels.
type modelAnswers struct {
	classes []int
	scores  []float64
	vectors [][]float32
}

// evaluateAgreement judges answers by the dense model's, which are there before
// or are the same. Both sentences of a pair are rows of their own to an embedding.
func evaluateAgreement(a, dense *modelAnswers, task plan.Task, data *rows.Data) *evaluation {
	list := rowsOf(data)
	if task == plan.Embedding {
		list = nil
		for i := range data.Examples {
			e := &data.Examples[i]
			list = append(list, &rows.Row{Line: e.Line, Text: e.Text, IDs: e.IDs, TypeIDs: e.TypeIDs})
			if e.Pair != nil {
				list = append(list, &rows.Row{Line: e.Line, Text: *e.Pair})
			}
		}
	}
	return &evaluation{
		list: list, rowsEach: 1,
		answer: func(_ int, r *executor.Result) {
			a.classes = append(a.classes, r.Class)
			a.scores = append(a.scores, float64(r.Score))
			a.vectors = append(a.vectors, append([]float32(nil), r.Vector...))
		},
		report: func(n int) (*eval.Report, error) {
			switch task {
			case plan.Classification:
				return eval.ClassAgreement(a.classes[:n], dense.classes[:n])
			case plan.Embedding:
				return eval.VectorAgreement(a.vectors[:n], dense.vectors[:n])
			}
			return eval.ScoreAgreement(a.scores[:n], dense.scores[:n])
		},
	}
}
