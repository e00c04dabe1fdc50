// Package eval judges answers: metrics with 95 % intervals for the tasks of
// the command line's table, the comparison of a pruned model with its dense
// one, and the split of rows into those a search may see and those it may not.
//
// In go the answers and what they should have been, row by row; out comes a
// Report. Answers are finite: one that is not is a row error long before.
// The same rows give the same Report, bit for bit: resampling is seeded.
package eval

import (
	"encoding/json"

	"etc/fault"
)

// Names of the metrics, as --json writes them.
const (
	NameAccuracy   = "accuracy"
	NameF1         = "f1"
	NameMatthews   = "matthews"
	NamePearson    = "pearson"
	NameSpearman   = "spearman"
	NamePerplexity = "perplexity"
	NameNextToken  = "next_token_accuracy"
	NameAgreement  = "agreement" // of classes with those of the dense model
	NameCosine     = "cosine"    // of vectors with those of the dense model
)

// A Metric is a value with its 95 % interval. Accuracies, agreement and F1 lie in
// [0, 1], correlations, cosine and Matthews in [−1, 1], perplexity in [1, ∞).
type Metric struct {
	Name  string  `json:"-"`
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// LowerIsBetter tells which way m improves.
func (m Metric) LowerIsBetter() bool { return m.Name == NamePerplexity }

// Metrics are an object in JSON, in this order.
type Metrics []Metric

func (ms Metrics) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, m := range ms {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(m.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}

// A Report is what eval prints. The first metric is the primary one: --max-drop
// judges by it. It keeps the answers it was made of, so that Compare can pair
// them with another model's; they must not be written to after.
type Report struct {
	Schema  int     `json:"schema"`
	Rows    int     `json:"rows"`
	Metrics Metrics `json:"metrics"`

	// What Compare needs of the rows; a Report read from JSON has none.
	first func(n int) Statistic // the primary metric of the first n rows
	right []bool                // which rows are right, for McNemar; nil without labels
}

// Primary is the metric that a drop is measured in.
func (r *Report) Primary() Metric { return r.Metrics[0] }

const reportSchema = 1

func report(rows int, metrics ...Metric) *Report {
	return &Report{Schema: reportSchema, Rows: rows, Metrics: metrics}
}

// Classification judges predicted classes, numbers from 0 to classes−1.
func Classification(predicted, want []int, classes int) (*Report, error) {
	if len(want) == 0 {
		return nil, errNoRows
	}
	r := report(len(want),
		shareEqual(NameAccuracy, predicted, want),
		F1(predicted, want, classes).Metric(),
		Matthews(predicted, want, classes).Metric(),
	)
	r.first = func(n int) Statistic { return Accuracy(predicted[:n], want[:n]) }
	for i := range want {
		r.right = append(r.right, predicted[i] == want[i])
	}
	return r, nil
}

// shareEqual is the share of rows where a is b, with Wilson's interval.
func shareEqual(name string, a, b []int) Metric {
	equal := 0
	for i := range b {
		if a[i] == b[i] {
			equal++
		}
	}
	low, high := Wilson(equal, len(b))
	return Metric{name, float64(equal) / float64(len(b)), low, high}
}

// Correlation judges regression, and cosines against similarity scores.
func Correlation(predicted, want []float64) (*Report, error) {
	const fewest = 2
	if len(want) < fewest {
		return nil, fault.Newf(fault.Corrupt, "%d rows with a score, want at least %d to correlate", len(want), fewest)
	}
	if constant(want) {
		return nil, fault.Newf(fault.Corrupt, "all %d scores are %g, want different ones to correlate with", len(want), want[0])
	}
	r := report(len(want), Spearman(predicted, want).Metric(), Pearson(predicted, want).Metric())
	r.first = func(n int) Statistic { return Spearman(predicted[:n], want[:n]) }
	return r, nil
}

func constant(x []float64) bool {
	for _, v := range x {
		if v != x[0] {
			return false
		}
	}
	return true
}

// LanguageModel judges the rows or windows of a causal language model. Those
// without a scored token count for nothing.
func LanguageModel(rows []Scored) (*Report, error) {
	tokens, right := 0, 0
	for _, s := range rows {
		tokens += s.Tokens
		right += s.Right
	}
	if tokens == 0 {
		return nil, fault.Newf(fault.Corrupt, "no scored token in %d rows, want rows of two tokens or more", len(rows))
	}
	low, high := Wilson(right, tokens)
	r := report(len(rows),
		Perplexity(rows).Metric(),
		Metric{NameNextToken, float64(right) / float64(tokens), low, high},
	)
	r.first = func(n int) Statistic { return Perplexity(rows[:n]) }
	return r, nil
}

var errNoRows = fault.Newf(fault.Corrupt, "no rows to evaluate, want at least one")
