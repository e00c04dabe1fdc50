package executor

import (
	"slices"
	"testing"

	"etc/fault"
	"etc/formats/plan"
)

// TestPairs: which keys the queries of rows of 3, 1 and 4 tokens see.
func TestPairs(t *testing.T) {
	b := &Batch{Offsets: []int32{0, 3, 4, 8}}
	for _, c := range []struct {
		p    plan.Params
		want int64
	}{
		{plan.Params{}, 9 + 1 + 16},
		{plan.Params{Causal: true}, 6 + 1 + 10},
		{plan.Params{Rows: plan.FirstRows}, 8},
		{plan.Params{Rows: plan.LastRows, Causal: true}, 8},
		{plan.Params{Rows: plan.FirstRows, Causal: true}, 3},
	} {
		if got := b.Pairs(&c.p); got != c.want {
			t.Errorf("%+v: %d pairs, want %d", c.p, got, c.want)
		}
	}
}

// TestForwardIsBounded: no batch has more tokens than plans are checked for.
func TestForwardIsBounded(t *testing.T) {
	x, d := newFake(t, Options{})
	row := make([]int32, 16)
	ids := slices.Repeat([][]int32{row}, plan.MostBatchTokens/16+1)
	if _, err := x.Forward(ids, nil, "embedding"); fault.KindOf(err) != fault.Corrupt || len(d.batches) > 0 {
		t.Errorf("%d batches ran: %v", len(d.batches), err)
	}
}
