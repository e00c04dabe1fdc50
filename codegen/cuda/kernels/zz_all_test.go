package kernels

import (
	"testing"

	"etc/executor/ptxsim"
)

func TestZZAll(t *testing.T) {
	for _, s := range suites {
		r := newReplay(ptxsim.NewDriver(ptxsim.Options{Unchecked: true, Reverse: true}))
		for _, c := range s.cases() {
			if err := r.runCase(t, c); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
		t.Log(s.name, r.launches, r)
	}
}
