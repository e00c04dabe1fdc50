package ptxsim

import (
	"testing"

	"etc/fault"
)

// TestDriverMemory: simulated memory is the host's, less what detectors note of
// it: of 52 bytes 16. What does not fit is refused before it is taken; where
// nothing is known of the host, what is absurd.
func TestDriverMemory(t *testing.T) {
	for _, c := range []struct {
		options   Options
		available int64
		free      int64
	}{
		{Options{}, 52 << 20, 16 << 20},
		{Options{Unchecked: true}, 52 << 20, 52 << 20},
		{Options{}, 1, 0}, // all of it is in use
	} {
		d := NewDriver(c.options)
		d.available = func() int64 { return c.available }
		if free, total := d.Memory(); free != c.free || total == 0 {
			t.Errorf("%+v: %d bytes of %d are free, want %d", c.options, free, total, c.free)
		}
		if _, err := d.Alloc("x", c.free); err != nil {
			t.Errorf("%+v: %v", c.options, err)
		}
		if _, err := d.Alloc("x", c.free+1); fault.KindOf(err) != fault.Memory {
			t.Errorf("%+v: more than is free: %v", c.options, err)
		}
		if b, err := d.Staging(int(c.available)); err != nil || len(b) != int(c.available) {
			t.Errorf("%+v: %d bytes of the host, %v", c.options, len(b), err)
		}
		if _, err := d.Staging(1 << 50); fault.KindOf(err) != fault.Memory {
			t.Errorf("%+v: more than the host has: %v", c.options, err)
		}
	}
	d := NewDriver(Options{})
	d.available = func() int64 { return 0 }
	if _, total := d.Memory(); total != 0 {
		t.Errorf("%d bytes where nothing is known", total)
	}
	if _, err := d.Alloc("x", 1<<10); err != nil {
		t.Error(err)
	}
	for _, n := range []int64{-1, 1 << 40} {
		if _, err := d.Alloc("x", n); fault.KindOf(err) != fault.Memory {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
