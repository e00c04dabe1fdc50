package ptxsim_test

import (
	"errors"
	"testing"

	"etc/executor/ptxsim"
)

// What runs a launch elsewhere sees memory before and after it, and leaves what
// the host reads; it is not asked where a detector found something.
func TestElsewhere(t *testing.T) {
	no := errors.New("no")
	calls, gives := 0, error(nil)
	o := ptxsim.Options{Elsewhere: func(l ptxsim.Launch, all []ptxsim.Memory) error {
		calls++
		if l.Kernel.Name() != "k" || len(l.Args) != 3 || l.Args[0].Bits != all[0].Address || len(all) != 2 {
			t.Errorf("launch %+v with %d allocations", l, len(all))
		}
		to, from := all[0], all[1]
		if to.Name != "to" || len(to.Before) != toBytes || get(to.Before, 32) != 0xffffffff || get(to.After, 32) != 7 || get(from.Before, 32) != 5 {
			t.Errorf("%s is %x, then %x; %s %x", to.Name, to.Before[:4], to.After[:4], from.Name, from.Before[:4])
		}
		to.After[0] = 9
		return gives
	}}
	right := sample("", "st.global.u32 [%rd3], 7;")
	out, _, err := trial{options: o, from: []byte{5, 0, 0, 0}}.run(t, right)
	if err != nil || calls != 1 || get(out, 32) != 9 {
		t.Errorf("%v; %d calls; %x", err, calls, out[:8])
	}
	gives = no
	if _, _, err := (trial{options: o, from: []byte{5, 0, 0, 0}}).run(t, right); !errors.Is(err, no) {
		t.Errorf("error %v, want %v", err, no)
	}
	if _, _, err := (trial{options: o}).run(t, sample("", "st.global.u32 [%rd1+-64], 7;")); kinds(err) == nil || calls != 2 {
		t.Errorf("%v; %d calls", err, calls)
	}
}
