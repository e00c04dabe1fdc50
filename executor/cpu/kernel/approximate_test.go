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

// dots are dot products of integers: by name as AVX-512 VNNI encodes them, as
// bytes as AVX-VNNI does. Nothing else is written as bytes.
var (
	evexDots = regexp.MustCompile(`(?m)^\s*VPDP.*$`)
	vexDots  = regexp.MustCompile(`(?m)^\s*(LONG|WORD|BYTE)\b.*$`)
)

// beyond is what kernels of a level, by the end of their names, must not hold:
// a machine of that level alone has no such instruction. The assembler would
// take them, and better machines would run them.
var beyond = []struct {
	level  string
	refuse []*regexp.Regexp
}{
	{"AVX512VNNI", []*regexp.Regexp{vexDots}},
	{"AVXVNNI", []*regexp.Regexp{avx512Only, evexDots}},
	{"AVX512", []*regexp.Regexp{evexDots, vexDots}},
	{"AVX2", []*regexp.Regexp{avx512Only, evexDots, vexDots}},
	{"", []*regexp.Regexp{avx512Only, evexDots, vexDots}},
}

// TestKernelsKeepToTheirLevel reads the source of each.
func TestKernelsKeepToTheirLevel(t *testing.T) {
	source, err := os.ReadFile("kernels_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	starts := function.FindAllSubmatchIndex(source, -1)
	seen := map[string]int{}
	for i, at := range starts {
		name, end := string(source[at[2]:at[3]]), len(source)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		for _, b := range beyond {
			if !strings.HasSuffix(name, b.level) {
				continue
			}
			for _, r := range b.refuse {
				if found := r.Find(source[at[1]:end]); found != nil {
					t.Errorf("%s: %q is of a higher level", name, strings.TrimSpace(string(found)))
				}
			}
			seen[b.level]++
			break
		}
	}
	for _, level := range []string{"AVX512VNNI", "AVXVNNI", "AVX512", "AVX2"} {
		if seen[level] < 30 {
			t.Errorf("%d kernels of %s were read: the source is not read as it is written", seen[level], level)
		}
	}
	for _, r := range []*regexp.Regexp{avx512Only, evexDots, vexDots} {
		if !r.Match(source) {
			t.Errorf("nothing matches %v: the source is not read as it is written", r)
		}
	}
}
