package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"etc/codegen/cuda/nvrtc"
	"etc/compiler"
	"etc/compiler/frontend/frontendtest"
	host "etc/executor/memory"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/plan/launch"
)

// A codeMaker stands in for NVRTC: it makes PTX of the text given, of which
// ENTRY is the name of the kernel and PARAMS its parameters, and machine code
// that follows from the source.
type codeMaker struct{ ptx string }

func (codeMaker) Version() string { return "12.9" }

func (c codeMaker) Compile(jobs []nvrtc.Job) ([]nvrtc.Code, error) {
	var all []nvrtc.Code
	for _, j := range jobs {
		code := nvrtc.Code{Bytes: fmt.Appendf(nil, "\x7fELF for %d of %d bytes", j.SM, len(j.Source)), Registers: 32 + len(j.Name)%8}
		if j.PTX {
			code = nvrtc.Code{Bytes: []byte(strings.NewReplacer("ENTRY", j.Name, "PARAMS", ptxParams(j.Name)).Replace(c.ptx))}
		}
		all = append(all, code)
	}
	return all, nil
}

// ptxParams are the parameters of a kernel in PTX, by the name of its entry.
func ptxParams(entry string) string {
	family := ""
	for _, f := range launch.Families() {
		if strings.HasPrefix(entry, f) && len(f) > len(family) {
			family = f
		}
	}
	var list []string
	for i, p := range launch.Make(family, nil).Params() {
		list = append(list, fmt.Sprintf(".param .b%d p%d", 8*p.Kind.Bytes(), i))
	}
	return strings.Join(list, ", ")
}

// TestForgedCode: whatever PTX a plan with right digests has, a run in the
// simulator refuses it as what it is, a bad input.
func TestForgedCode(t *testing.T) {
	c, err := checkpoint.Open(tinyModel)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const head = ".version 7.1\n.target sm_80\n.address_size 64\n"
	body := func(code string) string {
		return head + ".visible .entry ENTRY(PARAMS) {\n.reg .b32 %r<9>;\n.reg .b64 %rd<9>;\n.reg .pred %p<9>;\n" + code + "\n}\n"
	}
	for name, x := range map[string]struct{ ptx, want string }{
		"no PTX":         {"hello", "PTX line"},
		"nothing":        {" ", "has no kernel"},
		"another entry":  {head + ".visible .entry other() { ret; }\n", "has no kernel"},
		"no parameters":  {head + ".visible .entry ENTRY() { ret; }\n", "arguments for"},
		"fewer threads":  {head + ".visible .entry ENTRY(PARAMS) .maxntid 1 { ret; }\n", "blocks of"},
		"unknown opcode": {body("nanosleep.u32 5;"), "nanosleep"},
		"does nothing":   {body("ret;"), "rows had errors"},
		"address 0":      {body("mov.u64 %rd1, 0; st.global.u32 [%rd1], 1;"), "out of bounds"},
		"reads anywhere": {body("mov.u64 %rd1, 0x7fff00000000; ld.global.u32 %r1, [%rd1];"), "out of bounds"},
		"shared memory":  {body("mov.u32 %r1, 0x100000; st.shared.u32 [%r1], 1;"), "out of bounds"},
		"much memory":    {body(".shared .b8 a[200000]; .shared .b8 b[200000];"), "shared variables"},
		"local memory":   {body(".local .b8 a[2000000];"), "local variables"},
		"never ends":     {body("AGAIN: bra AGAIN;"), "runaway"},
		"traps":          {body("trap;"), "trap"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := compiler.Compile(c, compiler.Options{Targets: []string{simTarget}, Buckets: []int{16}, NVRTC: codeMaker{x.ptx}})
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "p.etp")
			if err := os.WriteFile(path, plan.Encode(r.Plan), 0o666); err != nil {
				t.Fatal(err)
			}
			var out, errOut bytes.Buffer
			code := run([]string{"run", path, "--device", "sim"}, strings.NewReader("{\"ids\": [1, 2, 3]}\n"), &out, &errOut)
			if fault.Kind(code) != fault.Corrupt || !strings.Contains(out.String()+errOut.String(), x.want) {
				t.Errorf("exit %d, want %d and %q: %s%s", code, fault.Corrupt, x.want, out.String(), errOut.String())
			}
		})
	}
}

// TestSimMemory: batches that the host has no memory for are refused before
// any is taken.
func TestSimMemory(t *testing.T) {
	if have := host.Available(); have == 0 || have > 64<<30 { // which the largest batch would fit
		t.Skipf("%d bytes are free here", have)
	}
	path := compileTiny(t)
	c, err := checkpoint.Open(tinyModel)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := compiler.Compile(c, compiler.Options{Targets: []string{simTarget}, NVRTC: codeMaker{" "}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, plan.Encode(r.Plan), 0o666); err != nil {
		t.Fatal(err)
	}
	var errOut bytes.Buffer
	code := run([]string{"run", path, "--device", "sim", "--max-batch-tokens", fmt.Sprint(plan.MostBatchTokens)}, strings.NewReader("good\n"), io.Discard, &errOut)
	if fault.Kind(code) != fault.Memory || !strings.Contains(errOut.String(), "MB are free") {
		t.Errorf("exit %d: %s", code, errOut.String())
	}
}

// TestGPUCompileIsDeterministic: the bytes of a plan with GPU programs do not
// follow the number of threads, the folder or the time, and follow the order of
// targets only as that is a flag.
func TestGPUCompileIsDeterministic(t *testing.T) {
	for i, class := range frontendtest.Classes {
		rng := rand.New(rand.NewPCG(uint64(i), 7))
		c := randomCheckpoint(t, rng, class, frontendtest.Options{Layers: 2, Heads: 3, HeadSize: 24, Inner: 96, Zeros: true})
		var first []byte
		for _, threads := range []int{1, 4, 4} {
			t.Chdir(t.TempDir())
			before := runtime.GOMAXPROCS(threads)
			r, err := compiler.Compile(c, compiler.Options{
				Targets: []string{"sm_90:f16", "cpu:f32", "sm_80:bf16", "sm_80:f16"}, Version: "test", NVRTC: codeMaker{".version 7.1 // ENTRY"},
			})
			runtime.GOMAXPROCS(before)
			if err != nil {
				t.Fatal(err)
			}
			file := plan.Encode(r.Plan)
			if first == nil {
				first = file
			} else if !bytes.Equal(file, first) {
				t.Errorf("%s: other bytes with %d threads", class, threads)
			}
		}
		read, err := plan.Decode(first)
		if err != nil {
			t.Fatal(err)
		}
		again, version, err := compiler.OptionsOf(read.Provenance)
		if err != nil || version != "12.9" {
			t.Fatalf("NVRTC %q, %v", version, err)
		}
		again.NVRTC = codeMaker{".version 7.1 // ENTRY"}
		r, err := compiler.Compile(c, again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(plan.Encode(r.Plan), first) {
			t.Errorf("%s: other bytes from the recorded flags", class)
		}
	}
}

// TestReproduceWithoutGPU: a plan that names a compiler and has no kernels
// needs none.
func TestReproduceWithoutGPU(t *testing.T) {
	o := compiler.Options{Targets: []string{"cpu:f32"}}
	if err := (&program{}).reproduceNVRTC(context.Background(), &o, "12.9"); err != nil || o.NVRTC != nil {
		t.Errorf("%v, %v", o.NVRTC, err)
	}
}
