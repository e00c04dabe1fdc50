//go:build cuda && linux && amd64

package kernels

import (
	"testing"

	"etc/executor/cuda"
)

// TestCard: every case gives on a card what it means, by the tolerance that the
// simulator is held to. It is skipped where there is no card.
func TestCard(t *testing.T) {
	d, err := cuda.Open(0)
	if err != nil {
		t.Skip(err)
	}
	t.Log(d.Name())
	r := newReplay(d)
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	for _, s := range suites {
		cases := s.cases()
		t.Run(s.name, func(t *testing.T) {
			r.forget()
			for _, c := range cases {
				if err := r.runCase(t, c); err != nil {
					t.Errorf("%s: %v", c.Name, err)
				}
			}
			t.Logf("%d cases, %d launches; %s", len(cases), r.launches, r)
		})
	}
}
