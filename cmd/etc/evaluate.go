package main

import (
	"context"

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
	model := &s.Program().Model
	switch {
	case model.Task == plan.CausalLM:
		return evaluateLM(ctx, s, data, bar)
	case len(data.Examples) == 0:
		return nil, fault.Newf(fault.Corrupt, "%s: no examples: want JSONL, or columns separated by tabs", data.Name)
	case model.Task == plan.MultiLabel && len(model.Labels) > 1:
		return nil, fault.Newf(fault.Unsupported, "eval: no metric for a classification of %d labels, each by itself", len(model.Labels)).
			WithHint("supported are one label of several, a single label, regression, embedding and causal-lm")
	case model.Task != plan.Classification && data.Target != rows.ScoreTarget:
		return nil, fault.Newf(fault.Corrupt, "%s: no scores: a model of task %s is judged by the correlation with them", data.Name, taskName(model.Task))
	case model.Task == plan.Embedding:
		return evaluateSimilarity(ctx, s, data, bar)
	case model.Task != plan.Classification:
		return evaluateScores(ctx, s, data, bar)
	case data.Target != rows.LabelTarget:
		return nil, fault.Newf(fault.Corrupt, "%s: no labels: a classification is judged by them", data.Name)
	}
	return evaluateClasses(ctx, s, data, bar)
}

// each runs rows and calls f with the results in order. A row that cannot be
// run ends it: half an evaluation is none.
func each(ctx context.Context, s *executor.Executor, name string, list []*rows.Row, bar *progress, f func(i int, r *executor.Result)) error {
	i := 0
	return s.Run(ctx, &paced{Source: executor.List(list)}, func(r *executor.Result) error {
		if r.Err != nil {
			return fault.Newf(fault.Corrupt, "%s: line %d: %w", name, r.Line, r.Err)
		}
		f(i, r)
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

// A paced source has no row ready after every paceRows.
type paced struct {
	executor.Source
	given int
}

func (p *paced) TryNext() (*rows.Row, error) {
	if p.given == paceRows {
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

func evaluateClasses(ctx context.Context, s *executor.Executor, data *rows.Data, bar *progress) (*eval.Report, error) {
	var predicted, wanted []int
	labels := s.Program().Model.Labels
	for _, e := range data.Examples {
		class, err := eval.ClassOf(labels, e.Label)
		if err != nil {
			return nil, fault.Newf(fault.Corrupt, "%s: line %d: %w", data.Name, e.Line, err)
		}
		wanted = append(wanted, class)
	}
	err := each(ctx, s, data.Name, rowsOf(data), bar, func(_ int, r *executor.Result) {
		predicted = append(predicted, r.Class)
	})
	if err != nil {
		return nil, err
	}
	return eval.Classification(predicted, wanted, len(labels))
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
func evaluateScores(ctx context.Context, s *executor.Executor, data *rows.Data, bar *progress) (*eval.Report, error) {
	var predicted []float64
	err := each(ctx, s, data.Name, rowsOf(data), bar, func(_ int, r *executor.Result) {
		predicted = append(predicted, float64(r.Score))
	})
	if err != nil {
		return nil, err
	}
	return eval.Correlation(predicted, scoresOf(data))
}

// evaluateSimilarity embeds both sentences of every example and correlates
// their cosine with the score.
func evaluateSimilarity(ctx context.Context, s *executor.Executor, data *rows.Data, bar *progress) (*eval.Report, error) {
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
	err := each(ctx, s, data.Name, sentences, bar, func(i int, r *executor.Result) {
		if i%2 == 0 {
			first = append(first[:0], r.Vector...)
			return
		}
		cosines = append(cosines, eval.Cosine(first, r.Vector))
	})
	if err != nil {
		return nil, err
	}
	return eval.Correlation(cosines, scoresOf(data))
}

// evaluateLM scores rows of examples, or a whole text in windows of the
// longest bucket.
func evaluateLM(ctx context.Context, s *executor.Executor, data *rows.Data, bar *progress) (*eval.Report, error) {
	windows, err := windowsOf(s, data)
	if err != nil {
		return nil, err
	}
	var scored []eval.Scored
	err = each(ctx, s, data.Name, append(rowsOf(data), windows...), bar, func(_ int, r *executor.Result) {
		scored = append(scored, eval.Scored{NLL: float64(r.NLL), Tokens: r.Scored, Right: r.Hits})
	})
	if err != nil {
		return nil, err
	}
	return eval.LanguageModel(scored)
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
