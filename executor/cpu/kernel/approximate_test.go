package kernel

import (
	"os"
	"regexp"
	"strings"
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

var (
	function = regexp.MustCompile(`(?m)^TEXT ·(\w+)\(SB\)`)
	// What only AVX-512 encodes: registers past 15, 512-bit and mask registers,
	// and broadcasts from memory within an instruction.
	avx512Only = regexp.MustCompile(`(?m)^.*(\b[XY](1[6-9]|2[0-9]|3[01])\b|\bZ[0-9]+\b|[ ,]K[0-7]\b|\.BCST\b|\bVRNDSCALE|\bVPTERNLOG|\bVSCALEF|\bVEXTRACTF64X4\b).*$`)
)

// TestAVX2KernelsAreAVX2: a machine of that level alone has no instruction of
// AVX-512, so none may stand in kernels for it. The assembler would take them,
// and machines with AVX-512 would run them.
func TestAVX2KernelsAreAVX2(t *testing.T) {
	source, err := os.ReadFile("kernels_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	starts := function.FindAllSubmatchIndex(source, -1)
	seen := 0
	for i, at := range starts {
		name, end := string(source[at[2]:at[3]]), len(source)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		found := avx512Only.Find(source[at[1]:end])
		switch {
		case strings.HasSuffix(name, "AVX512"):
			continue
		case found != nil:
			t.Errorf("%s: %q takes AVX-512", name, strings.TrimSpace(string(found)))
		}
		seen++
	}
	if seen < 30 || !avx512Only.Match(source) {
		t.Errorf("%d kernels were read: the source is not read as it is written", seen)
	}
}
