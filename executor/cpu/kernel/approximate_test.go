package kernel

import (
	"os"
	"regexp"
	"testing"
)

// approximate are instructions whose results differ from one CPU to another:
// reciprocals, reciprocal square roots and powers of two by table.
var approximate = regexp.MustCompile(`(?m)^\s*(V?RCP|V?RSQRT|VEXP2)[A-Z0-9]*\s`)

// TestNoApproximateInstructions: a plan gives the same bits on every CPU of a
// level, so kernels divide.
func TestNoApproximateInstructions(t *testing.T) {
	source, err := os.ReadFile("kernels_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	if found := approximate.Find(source); found != nil {
		t.Errorf("kernels use %q", found)
	}
	if divide := regexp.MustCompile(`(?m)^\s*VDIVPS\s`); !divide.Match(source) {
		t.Error("no VDIVPS was found: the source is not read as it is written")
	}
}
