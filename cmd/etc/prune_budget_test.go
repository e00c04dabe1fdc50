package main

import (
	"testing"
	"time"

	"etc/fault"
)

// TestBudget: it is over when what is left would not do for another step and
// for what comes after the search, and not before.
func TestBudget(t *testing.T) {
	const minute = time.Minute
	for _, c := range []struct {
		left, finish, step, since time.Duration
		want                      bool
	}{
		{10 * minute, 0, 0, 0, false},
		{-minute, 0, 0, 0, true},
		{10 * minute, 9 * minute, 0, 0, false},
		{10 * minute, 11 * minute, 0, 0, true},
		{10 * minute, 6 * minute, 5 * minute, 0, true},
		{10 * minute, 6 * minute, 3 * minute, 0, false},
		{10 * minute, 6 * minute, 3 * minute, 5 * minute, true},
	} {
		now := time.Now()
		b := &budget{end: now.Add(c.left), finish: c.finish, step: c.step, asked: now.Add(-c.since)}
		if got := b.over(); got != c.want {
			t.Errorf("%+v: over %v", c, got)
		}
	}
	for _, bad := range []string{"0", "0s", "-1m", "10", "soon", "NaN", "1e400h"} {
		if b, err := newBudget(bad); b != nil || fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v, %v", bad, b, err)
		}
	}
	b, err := newBudget("1h30m")
	if left := time.Until(b.end); err != nil || left > 90*minute || left < 89*minute || b.over() {
		t.Errorf("1h30m: %v left, %v", left, err)
	}
	for rest, want := range map[time.Duration]time.Duration{40 * minute: 40 * minute, 50 * minute: 45 * minute} {
		if b.setAside(rest); b.finish != want {
			t.Errorf("%v set aside for %v, want %v", b.finish, rest, want)
		}
	}
	if b, err := newBudget(""); b != nil || err != nil {
		t.Errorf("none: %v, %v", b, err)
	}
}
