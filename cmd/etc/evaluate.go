package main

import (
	"context"
	"errors"

	"etc/eval"
	"etc/executor"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/formats/tokenizer"
)

// evaluate runs the examples of a data file and judges the answers by the
// task of the plan.
func evaluate(ctx context.Context, s *executor.Executor, data *rows.Data, bar *progress) (*eval.Report, error) {
	return evaluateUntil(ctx, s, data, bar, nil)
}

// A look says whether the report on the first examples is enough.
type look func(soFar *eval.Report) (enough bool, err error)

// evaluateUntil is evaluate that ends, with the report on the examples so far,
// once a look at them is enough. A nil look never is.
func evaluateUntil(ctx context.Context, s *executor.Executor, data *rows.Data, bar *progress, enough look) (*eval.Report, error) {
	e, err := evaluationOf(s, data)
	if err != nil {
		return nil, err
	}
	return e.run(ctx, s, data.Name, bar, enough)
}

// run has s answer all rows, or those until a look is enough, and reports on them.
func (e *evaluation) run(ctx context.Context, s *executor.Executor, name string, bar *progress, enough look) (*eval.Report, error) {
	var err error
	if enough == nil {
		err = each(ctx, s, name, e.list, bar, e.take)
	} else {
		err = eachWindow(ctx, s, name, e.list, bar, e.rowsEach*lookRows, e.looking(enough))
	}
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return e.report(e.done)
}

// An evaluation is what becomes of the examples of a data file.
type evaluation struct {
	list     []*rows.Row
	rowsEach int // of an example
	done     int // examples that are answered
	answer   func(i int, r *executor.Result)
	report   func(n int) (*eval.Report, error) // on the first n examples
}

// take takes the answer to row i of the list.
func (e *evaluation) take(i int, r *executor.Result) {
	e.answer(i, r)
	e.done = (i + 1) / e.rowsEach
}

// lookRows is after how many examples a look is taken: eval.Hopeless.
const lookRows = 64

// errEnough ends a run after a look.
var errEnough = errors.New("enough")

// looking is take with looks.
func (e *evaluation) looking(enough look) func(i int, r *executor.Result) error {
	return func(i int, r *executor.Result) error {
		e.take(i, r)
		if (i+1)%(e.rowsEach*lookRows) != 0 || i+1 == len(e.list) {
			return nil
		}
		soFar, err := e.report(e.done)
		if err != nil {
			return nil // too little so far: scores that are all the same, say
		}
		over, err := enough(soFar)
		if err == nil && over {
			err = errEnough
		}
		return err
	}
}

// evaluationOf is that of the task of the plan.
func evaluationOf(s *executor.Executor, data *rows.Data) (*evaluation, error) {
	if model := &s.Program().Model; model.Task != plan.CausalLM {
		return evaluationBy(model, data)
	}
	return evaluateLM(s, data)
}

// evaluationBy is that of the task of a model, which is no language model.
func evaluationBy(model *plan.Model, data *rows.Data) (*evaluation, error) {
	switch {
	case len(data.Examples) == 0:
		return nil, fault.Newf(fault.Corrupt, "%s: no examples: want JSONL, or columns separated by tabs", data.Name)
	case model.Task == plan.MultiLabel && len(model.Labels) > 1:
		return nil, fault.Newf(fault.Unsupported, "eval: no metric for a classification of %d labels, each by itself", len(model.Labels)).
			WithHint("supported are one label of several, a single label, regression, embedding and causal-lm")
	case model.Task != plan.Classification && data.Target != rows.ScoreTarget:
		return nil, fault.Newf(fault.Corrupt, "%s: no scores: a model of task %s is judged by the correlation with them", data.Name, taskName(model.Task))
	case model.Task == plan.Embedding:
		return evaluateSimilarity(data)
	case model.Task != plan.Classification:
		return evaluateScores(data), nil
	case data.Target != rows.LabelTarget:
		return nil, fault.Newf(fault.Corrupt, "%s: no labels: a classification is judged by them", data.Name)
	}
	return evaluateClasses(model.Labels, data)
}

// each runs rows and calls f with the results in order. A row that cannot be
// run ends it: half an evaluation is none.
func each(ctx context.Context, s *executor.Executor, name string, list []*rows.Row, bar *progress, f func(i int, r *executor.Result)) error {
	return eachWindow(ctx, s, name, list, bar, paceRows, func(i int, r *executor.Result) error {
		f(i, r)
		return nil
	})
}

// eachWindow is each with so many rows in a window, of which an error of f ends
// the run.
func eachWindow(ctx context.Context, s *executor.Executor, name string, list []*rows.Row, bar *progress, window int, f func(i int, r *executor.Result) error) error {
	i := 0
	return s.Run(ctx, &paced{Source: executor.List(list), window: window}, func(r *executor.Result) error {
		if r.Err != nil {
			return fault.Newf(fault.Corrupt, "%s: line %d: %w", name, r.Line, r.Err)
		}
		if err := f(i, r); err != nil {
			return err
		}
		i++
		if r.Last { // the results of a window come all at once
			bar.set(i, len(list))
		}
		return nil
	})
}

// paceRows bounds the rows of a window, so that progress shows before thousands
// of them are done. Batches stay full: these are thousands of tokens.
const paceRows = 256

// A paced source has no row ready after every window.
type paced struct {
	executor.Source
	window, given int
}

func (p *paced) TryNext() (*rows.Row, error) {
	if p.given == p.window {
		p.given = 0
		return nil, nil
	}
	p.given++
	return p.Source.TryNext()
}

func (p *paced) Next() (*rows.Row, error) {
	p.given++
	return p.Source.Next()
}

func rowsOf(data *rows.Data) []*rows.Row {
	list := make([]*rows.Row, len(data.Examples))
	for i := range data.Examples {
		list[i] = &data.Examples[i].Row
	}
	return list
}

func evaluateClasses(labels []string, data *rows.Data) (*evaluation, error) {
	var predicted, wanted []int
	for _, e := range data.Examples {
		class, err := eval.ClassOf(labels, e.Label)
		if err != nil {
			return nil, fault.Newf(fault.Corrupt, "%s: line %d: %w", data.Name, e.Line, err)
		}
		wanted = append(wanted, class)
	}
	return &evaluation{
		list: rowsOf(data), rowsEach: 1,
		answer: func(_ int, r *executor.Result) { predicted = append(predicted, r.Class) },
		report: func(n int) (*eval.Report, error) {
			return eval.Classification(predicted[:n], wanted[:n], len(labels))
		},
	}, nil
}

func scoresOf(data *rows.Data) []float64 {
	var scores []float64
	for _, e := range data.Examples {
		scores = append(scores, e.Score)
	}
	return scores
}

// evaluateScores correlates the scores that run answers with those of the
// file: the values of a regression, or the sigmoids of a single label, as
// cross-encoders have it.
func evaluateScores(data *rows.Data) *evaluation {
	var predicted []float64
	wanted := scoresOf(data)
	return &evaluation{
		list: rowsOf(data), rowsEach: 1,
		answer: func(_ int, r *executor.Result) { predicted = append(predicted, float64(r.Score)) },
		report: func(n int) (*eval.Report, error) { return eval.Correlation(predicted[:n], wanted[:n]) },
	}
}

// evaluateSimilarity embeds both sentences of every example and correlates
// their cosine with the score.
func evaluateSimilarity(data *rows.Data) (*evaluation, error) {
	var sentences []*rows.Row
	for i := range data.Examples {
		e := &data.Examples[i]
		if e.Pair == nil {
			return nil, fault.Newf(fault.Corrupt, "%s: line %d: an embedding is judged on pairs, and this has one sentence", data.Name, e.Line)
		}
		sentences = append(sentences, &rows.Row{Line: e.Line, Text: e.Text}, &rows.Row{Line: e.Line, Text: *e.Pair})
	}
	var first []float32
	var cosines []float64
	wanted := scoresOf(data)
	return &evaluation{
		list: sentences, rowsEach: 2,
		answer: func(i int, r *executor.Result) {
			if i%2 == 0 {
				first = append(first[:0], r.Vector...)
				return
			}
			cosines = append(cosines, eval.Cosine(first, r.Vector))
		},
		report: func(n int) (*eval.Report, error) { return eval.Correlation(cosines[:n], wanted[:n]) },
	}, nil
}

// evaluateLM scores rows of examples, or a whole text in windows of the
// longest bucket.
func evaluateLM(s *executor.Executor, data *rows.Data) (*evaluation, error) {
	windows, err := windowsOf(s, data)
	if err != nil {
		return nil, err
	}
	var scored []eval.Scored
	return &evaluation{
		list: append(rowsOf(data), windows...), rowsEach: 1,
		answer: func(_ int, r *executor.Result) {
			scored = append(scored, eval.Scored{NLL: float64(r.NLL), Tokens: r.Scored, Right: r.Hits})
		},
		report: func(n int) (*eval.Report, error) { return eval.LanguageModel(scored[:n]) },
	}, nil
}

// windowsOf are the windows of a plan's longest bucket that a text makes.
func windowsOf(s *executor.Executor, data *rows.Data) ([]*rows.Row, error) {
	buckets := s.Program().Buckets
	return cutText(data, s.Tokenizer(), buckets[len(buckets)-1].MaxTokens)
}

// cutText is the text of data in windows of so many tokens, as rows numbered
// from 1; none where there is no text. The tokenizer may be nil.
func cutText(data *rows.Data, t *tokenizer.Tokenizer, size int) ([]*rows.Row, error) {
	if data.Text == "" {
		return nil, nil
	}
	if t == nil {
		return nil, fault.Newf(fault.Corrupt, "%s: text, but the model has no tokenizer", data.Name)
	}
	ids, err := t.NewEncoder().AppendIDs(nil, data.Text)
	if err != nil {
		return nil, err
	}
	var list []*rows.Row
	for i, window := range eval.Windows(ids, size) {
		list = append(list, &rows.Row{Line: i + 1, IDs: window})
	}
	return list, nil
}
