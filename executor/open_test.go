package executor

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"etc/fault"
	"etc/formats/plan"
)

// A counted device counts what becomes of it.
type counted struct {
	Device
	closed int
}

func (*counted) Program(p *plan.Plan) (*plan.Program, error) { return p.Programs[0], nil }

func (d *counted) Close() error { d.closed++; return nil }

// TestOpenLeavesTheDeviceOpenWhenItFails: a caller may try another plan on it.
func TestOpenLeavesTheDeviceOpenWhenItFails(t *testing.T) {
	damaged := filepath.Join(t.TempDir(), "damaged.etp")
	if err := os.WriteFile(damaged, []byte("no plan"), 0o644); err != nil {
		t.Fatal(err)
	}
	golden := "../testdata/plans/2/golden.etp"
	for _, c := range []struct {
		path    string
		options Options
		want    fault.Kind
	}{
		{damaged, Options{}, fault.Corrupt},
		{filepath.Join(t.TempDir(), "absent.etp"), Options{}, fault.Usage},
		{golden, Options{MaxBatchTokens: -1}, fault.Usage},
		{golden, Options{Trust: make([]byte, ed25519.PublicKeySize)}, fault.Corrupt}, // it is not signed
	} {
		d := &counted{}
		x, err := Open(c.path, d, c.options)
		f, ok := errors.AsType[*fault.Error](err)
		if x != nil || !ok || f.Kind != c.want || d.closed != 0 {
			t.Errorf("%s: %v, device closed %d times; want a fault of kind %v and an open device", c.path, err, d.closed, c.want)
		}
	}
}

// loads is a device that takes any plan.
type loads struct{ counted }

func (*loads) Load(*plan.Program, int, uint64) error { return nil }

// TestCloseClosesPlanAndDevice: what Open opened, Close gives back.
func TestCloseClosesPlanAndDevice(t *testing.T) {
	d := &loads{}
	x, err := Open("../testdata/plans/2/golden.etp", d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := len(x.file.Bytes())
	if err := x.Close(); err != nil || d.closed != 1 {
		t.Errorf("closed with %v, device closed %d times, want once", err, d.closed)
	}
	if after := len(x.file.Bytes()); before == 0 || after != 0 {
		t.Errorf("%d bytes of the plan are mapped before Close and %d after, want some and none", before, after)
	}
}
