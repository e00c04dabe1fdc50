//go:build cuda && linux && amd64

package kernels

import (
	"testing"

	"etc/executor/cuda"
)

// TestCard: every case gives on a card what it gives in the simulator, which
// is compared with what it means. It is skipped where there is no card.
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
			r.values, r.differ, r.largest, r.where = 0, 0, 0, ""
			for _, c := range cases {
				if err := replayCase(t, r, c); err != nil {
					t.Errorf("%s: %v", c.Name, err)
				}
			}
			t.Logf("%d cases; %d of %d results differ in their bits, at most by %.3g of what is allowed %s", len(cases), r.differ, r.values, r.largest, r.where)
		})
	}
}
