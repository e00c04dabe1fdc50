package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etc/codegen/cuda/nvrtc"
	"etc/compiler"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/plan/launch"
)

// madeUp gives each kernel code that nothing runs: another length for each
// name, form and architecture.
type madeUp struct{}

func (madeUp) Version() string { return "0.0" }

func (madeUp) Compile(jobs []nvrtc.Job) ([]nvrtc.Code, error) {
	var all []nvrtc.Code
	for _, j := range jobs {
		if j.PTX {
			all = append(all, nvrtc.Code{Bytes: []byte("// " + j.Name)})
			continue
		}
		all = append(all, nvrtc.Code{Bytes: fmt.Appendf(nil, "\x7fELF%s%*d", j.Name, j.SM, 0), Registers: 100 + j.SM, Spills: 8, StaticShared: 16})
	}
	return all, nil
}

// madeUpPlan is the small model for those targets, with code that is made up.
func madeUpPlan(t *testing.T, o compiler.Options) (*plan.Plan, string) {
	t.Helper()
	c, err := checkpoint.Open(tinyModel)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if o.Buckets == nil {
		o.Buckets = []int{32, 128}
	}
	r, err := compiler.Compile(c, o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "p.etp")
	if err := os.WriteFile(path, plan.Encode(r.Plan), 0o666); err != nil {
		t.Fatal(err)
	}
	return r.Plan, path
}

// TestInspectKernels: each kernel of a plan with its images and the steps that
// launch it, and what a device loads: the kernels of its program, as machine
// code for itself.
func TestInspectKernels(t *testing.T) {
	p, path := madeUpPlan(t, compiler.Options{Targets: []string{"sm_80:f16", "sm_90:bf16", "cpu:f32"}, NVRTC: madeUp{}})
	var d struct{ Code codeDetail }
	if err := json.Unmarshal([]byte(mustRun(t, "inspect", path, "--kernels", "--json")), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Code.Kernels) != len(p.Kernels) || len(d.Code.Loads) != 2 || d.Code.Bytes != len(p.Code) {
		t.Fatalf("%d kernels, %d loads, %d bytes; the plan has %d kernels, 2 GPU programs, %d bytes", len(d.Code.Kernels), len(d.Code.Loads), d.Code.Bytes, len(p.Kernels), len(p.Code))
	}
	for i, k := range d.Code.Kernels {
		if want := &p.Kernels[i]; k.Entry != want.Entry() || k.Threads != want.Threads || k.Shared != want.Shared || len(k.Constants) != len(want.Defines) {
			t.Errorf("kernel %d: %+v, want %+v", i, k, want)
		}
		for _, m := range k.Images {
			if blocks := launch.Occupancy(m.SM, m.Registers, k.Threads, k.Shared+m.StaticShared); m.Form == "cubin" && (m.Registers != 100+m.SM || m.Spills != 8 || m.StaticShared != 16 || m.Blocks != blocks) {
				t.Errorf("%s: %+v", k.Entry, m)
			}
		}
		if len(k.Images) < 2 {
			t.Errorf("%s: %d images", k.Entry, len(k.Images))
		}
	}
	for i, sm := range []int{80, 90} {
		q, got := p.Programs[i], d.Code.Loads[i]
		bytes := 0
		for _, k := range q.UsedKernels() {
			bytes += len(p.Kernels[k].Entry()) + len("\x7fELF") + sm
		}
		if got.Target != q.Target || got.Kernels != len(q.UsedKernels()) || got.Bytes != bytes || got.PTX != 0 || got.Source != 0 {
			t.Errorf("%s loads %+v, want %d kernels of %d bytes", q.Target, got, len(q.UsedKernels()), bytes)
		}
	}
	checkUses(t, p, d.Code.Kernels)
}

// checkUses: every launch of the plan is a use of its kernel, and no other.
func checkUses(t *testing.T, p *plan.Plan, kernels []kernelDetail) {
	t.Helper()
	count := 0
	want := func(list []plan.Launch, u useDetail) {
		for _, l := range list {
			for _, k := range l.Kernels {
				u.Rows = l.Tokens
				if count++; !slices.Contains(kernels[k].Uses, u) {
					t.Errorf("%s: no use %+v", kernels[k].Entry, u)
				}
			}
		}
	}
	for _, q := range p.Programs {
		for i, s := range q.Steps {
			want(s.Launches, useDetail{q.Target, i, s.Label, 0, 0})
		}
		for _, b := range q.Buckets {
			for _, c := range b.Choices {
				want(c.Launches, useDetail{q.Target, c.Step, q.Steps[c.Step].Label, 0, b.MaxTokens})
			}
		}
	}
	for _, k := range kernels {
		count -= len(k.Uses)
	}
	if count != 0 {
		t.Errorf("the plan has %d launches more", count)
	}
}

// TestInspectKernelsTable: what a person reads of code, of sources, of a
// signature, and of a plan without kernels.
func TestInspectKernelsTable(t *testing.T) {
	targets := []string{"sm_80:f16", "sm_90:f16"}
	_, coded := madeUpPlan(t, compiler.Options{Targets: targets, NVRTC: madeUp{}})
	_, sources := madeUpPlan(t, compiler.Options{Targets: targets})
	_, cpu := madeUpPlan(t, compiler.Options{Targets: []string{"cpu:f32"}})
	for _, c := range []struct {
		path string
		want []string
	}{
		{coded, []string{`(?m)^code +\d+ bytes, sha256 [0-9a-f]{16}…, not signed$`, `(?m)^sm_90:f16 loads +\d+ kernels, \d+ bytes$`,
			`(?m)^embed_layernorm +128 +\d+ +sm_80 cubin +\d+ +180 +8 +16 +\d+ +sm_80:f16 embeddings; sm_90:f16 embeddings$`,
			`(?m)^ +sm_80 ptx +\d+ *$`, `layer 0 attention and \d more`}},
		{sources, []string{`(?m)^sm_80:f16 loads +(\d+) kernels, 0 bytes, (\d+) of them source only, which nothing runs$`, `(?m)^embed_layernorm +128 +\d+ +source +\d+ +sm_80`}},
		{cpu, []string{`(?m)^code +0 bytes`}},
	} {
		got := mustRun(t, "inspect", c.path, "--kernels")
		for _, want := range c.want {
			if !regexp.MustCompile(want).MatchString(got) {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
	}
	if strings.Contains(mustRun(t, "inspect", coded), "sha256") {
		t.Error("kernels are shown that were not asked for")
	}
}

// TestLoadPTX: where a device finds no machine code for itself, it loads PTX
// that is not newer than itself.
func TestLoadPTX(t *testing.T) {
	use := []useDetail{{Target: "sm_90:f16"}}
	kernels := []kernelDetail{
		{Uses: use, Images: []imageDetail{{SM: 80, Form: "cubin", Bytes: 1}, {SM: 80, Form: "ptx", Bytes: 10}}},
		{Uses: use, Images: []imageDetail{{SM: 80, Form: "ptx", Bytes: 100}, {SM: 90, Form: "cubin", Bytes: 1000}}},
		{Uses: []useDetail{{Target: "sm_80:f16"}}, Images: []imageDetail{{SM: 80, Form: "cubin", Bytes: 10000}}},
	}
	if got, want := newLoadDetail("sm_90:f16", 90, kernels), (loadDetail{"sm_90:f16", 2, 1010, 1, 0}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	newer := []kernelDetail{{Uses: use, Images: []imageDetail{{SM: 90, Form: "ptx", Bytes: 1}}}}
	if got, want := newLoadDetail("sm_90:f16", 80, newer), (loadDetail{"sm_90:f16", 1, 0, 0, 1}); got != want {
		t.Errorf("PTX of a newer architecture: %+v, want %+v", got, want)
	}
}
