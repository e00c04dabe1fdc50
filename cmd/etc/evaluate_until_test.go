package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/compiler"
	"etc/compiler/frontend/frontendtest"
	"etc/eval"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/formats/checkpoint"
	"etc/formats/rows"
)

// TestEvaluateUntil: looks come after every 64 examples but at the end, on
// reports of just those; one that is enough ends the run there, and whoever
// never has enough gets the report of evaluate.
func TestEvaluateUntil(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	for _, task := range []struct {
		class  string
		labels int
		target rows.Target
	}{
		{"BertForSequenceClassification", 2, rows.LabelTarget},
		{"BertForSequenceClassification", 1, rows.ScoreTarget},
		{"GPT2LMHeadModel", 0, rows.NoTarget},
	} {
		class, data := task.class, &rows.Data{Name: "rows", Target: task.target}
		model := frontendtest.Random(t, random, class, frontendtest.Options{Layers: 1, Heads: 2, HeadSize: 8, Inner: 16, Labels: task.labels})
		c, err := checkpoint.Open(model)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		x := newExecutor(t, compilePlan(t, c, compiler.Options{Targets: []string{cpu.Target}}), kernel.Best(), 2, executor.Options{})
		const all = 3*lookRows + 5
		for i := range all {
			e := rows.Example{Row: rows.Row{Line: i + 1, IDs: []int32{1, int32(2 + i%20), 3}}, Label: fmt.Sprint(i % 2), Score: random.Float64()}
			data.Examples = append(data.Examples, e)
		}
		whole, err := evaluate(context.Background(), x, data, nil)
		if err != nil {
			t.Fatal(err)
		}
		var looks []int
		look := func(until int) (*eval.Report, error) {
			looks = nil
			return evaluateUntil(context.Background(), x, data, nil, func(soFar *eval.Report) (bool, error) {
				looks = append(looks, soFar.Rows)
				return soFar.Rows >= until, nil
			})
		}
		r, err := look(all + 1)
		if err != nil || !slices.Equal(r.Metrics, whole.Metrics) || !slices.Equal(looks, []int{lookRows, 2 * lookRows, 3 * lookRows}) {
			t.Errorf("%s: looks at %v, %v, %v", class, looks, r, err)
		}
		r, err = look(100)
		if err != nil || r.Rows != 2*lookRows || !slices.Equal(looks, []int{lookRows, 2 * lookRows}) {
			t.Errorf("%s: enough: looks at %v, %v, %v", class, looks, r, err)
		}
		data.Examples = data.Examples[:2*lookRows]
		first, err := evaluate(context.Background(), x, data, nil)
		if err != nil || !slices.Equal(first.Metrics, r.Metrics) {
			t.Errorf("%s: the report on the first rows is another: %v, %v", class, first, err)
		}
		broken := errors.New("broken")
		_, err = evaluateUntil(context.Background(), x, data, nil, func(*eval.Report) (bool, error) { return false, broken })
		if !errors.Is(err, broken) {
			t.Errorf("%s: a look that fails: %v", class, err)
		}
	}
}

// TestLooksOfPairs: of two rows an example, a look comes after as many examples.
func TestLooksOfPairs(t *testing.T) {
	var reported []int
	e := &evaluation{list: make([]*rows.Row, 4*lookRows), rowsEach: 2, answer: func(int, *executor.Result) {}}
	e.report = func(n int) (*eval.Report, error) { reported = append(reported, n); return nil, nil }
	take := e.looking(func(*eval.Report) (bool, error) { return false, nil })
	for i := range e.list {
		if err := take(i, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(reported, []int{lookRows}) || e.done != 2*lookRows {
		t.Errorf("reports on %v, %d done", reported, e.done)
	}
}
