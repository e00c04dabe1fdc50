package kernels

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etc/codegen/cuda/nvrtc"
)

var (
	waits   = regexp.MustCompile(`(?m)^\s*griddepcontrol\.wait;`)
	starts  = regexp.MustCompile(`(?m)^\s*griddepcontrol\.launch_dependents;`)
	touches = regexp.MustCompile(`(?m)^\s*(@!?%p\d+\s+)?(ld\.global|st\.global|atom|red\.|cp\.async\.c\w+\.shared)\S*`)
)

// TestKernelsWait: of what lies in device memory, a kernel for sm_90 touches
// nothing before it has waited for the kernel before it: the compiler takes
// operands for constant and could read them earlier than the text does. A
// product alone reads how many rows there are, and begins to copy weights.
func TestKernelsWait(t *testing.T) {
	c, err := compiler()
	if err != nil {
		t.Skipf("no NVRTC: %v", err)
	}
	if testing.Short() {
		t.Skip("short")
	}
	all := goldens()
	entries := slices.Sorted(maps.Keys(all))
	var jobs []nvrtc.Job
	for _, entry := range entries {
		source, err := Source(all[entry])
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, nvrtc.Job{Name: entry, Source: source, SM: 90, PTX: true})
	}
	code, err := c.Compile(jobs)
	if err != nil {
		t.Fatal(err)
	}
	for i, entry := range entries {
		ptx := string(code[i].Bytes)
		at := waits.FindAllStringIndex(ptx, -1)
		if len(at) != 1 || len(starts.FindAllString(ptx, -1)) != 1 || !strings.Contains(ptx, "etc_kernels_wait") {
			t.Errorf("%s waits %d times for the kernel before it, and does not tell or does not let the next one start", entry, len(at))
			continue
		}
		k := all[entry]
		early := touches.FindAllString(ptx[:at[0][0]], -1)
		allowed := 0
		if k.Family == "linear" {
			allowed = 1 + k.Value("BN")*k.Value("BK")/8/k.Threads()
			if extra := k.Value("BN") * k.Value("BK") / 8 % k.Threads(); extra != 0 {
				allowed++
			}
		}
		if len(early) > allowed {
			t.Errorf("%s touches memory %d times before it waits, want at most %d: %q", entry, len(early), allowed, early)
		}
	}
}
