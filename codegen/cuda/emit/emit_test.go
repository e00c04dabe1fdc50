package emit

import (
	"bytes"
	"flag"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etc/executor/gpu"
	"etc/formats/plan"
	"etc/formats/plan/launch"
	"etc/ir/tensor"
)

var update = flag.Bool("update", false, "write the golden files of testdata")

const tinyGraph = `graph "tiny"
%0 = weight {name="words"} : f32[10,8]
%1 = input {name="ids"} : i32[T]
%2 = embed(%1, _, _, %0, _, _) "embeddings" : f32[T,8]
%3 = weight {name="a.b"} : f32[4,8]
%4 = linear(%2, %3, _, _, _) "head" : f32[T,4]
tap "layer.0" %2
output "logits" %4
`

// tiny is a program of two steps, of which the second has a copy behind it, as
// executor/gpu would record it for a row of three ids. Names are such as no
// C++ program could hold unchanged.
func tiny() Request {
	embed := launch.Make("embed", map[string]int{"DTYPE": launch.F16})
	linear := launch.Make("linear", map[string]int{"BK": 64, "BM": 128, "BN": 128, "STAGES": 3, "WM": 64, "WN": 64, "OUT32": 1})
	source := "// embed\n\n#line 1 \"prelude.cuh\"\ncode\n"
	p := &plan.Program{
		Plan: &plan.Plan{
			Model: plan.Model{Architecture: "Tiny\nModel\\"},
			Kernels: []plan.Kernel{
				{Kernel: launch.Make("pool", nil)},
				{Kernel: embed, Threads: 128, Source: plan.Span{Offset: 4, Size: len(source)}},
				{Kernel: linear, Threads: 128, Shared: 98304, Source: plan.Span{Offset: 4, Size: 8}},
			},
			Code: []byte("skip" + source),
		},
		Target: "sm_90:f16", Graph: tinyGraph, Steps: make([]plan.Step, 2),
	}
	r := &gpu.Recorder{
		Allocations: []gpu.Allocation{
			{Name: "words", At: 0x100, Bytes: 160, Data: bytes.Repeat([]byte{1}, 160)},
			{Name: "a.b", At: 0x200, Bytes: 64, Data: bytes.Repeat([]byte{2}, 64)},
			{Name: "a\"b", At: 0x300, Bytes: 4, Data: []byte{3, 0, 0, 0}},
			{Name: "activations", At: 0x400, Bytes: 4096},
			{Name: "batch", At: 0x2000, Bytes: 1024},
		},
		Work: gpu.Work{Upload: []gpu.Transfer{{Host: make([]byte, 1024), Device: 0x2000}}, Download: []gpu.Transfer{{Device: 0x440}, {Device: 0x480}}},
	}
	copy(r.Work.Upload[0].Host, []byte{3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0})
	copy(r.Work.Upload[0].Host[256:], []byte{7, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	// count ids positions types word position type y; H ldw ldy scale
	r.Operations = []gpu.Operation{
		{
			Label: "embeddings embed", Function: embed.Entry(), Grid: [3]int{64, 1, 1}, Threads: 128,
			Args: args(0x2000, 0x2100, 0, 0, 0x100, 0, 0, 0x400, 8, 8, 32, uint64(math.Float32bits(1))),
		},
		{Label: "a copy", Step: 0, From: 0x400, To: 0x440, Bytes: 64},
		{
			// count x w bias residual columns y; N K ldx ldw ldr ldy scaled scale
			Label: "head linear", Step: 1, Function: linear.Entry(), Grid: [3]int{1, 2, 3}, Threads: 128, Shared: 98304,
			Args: args(0x2000, 0x400, 0x200, 0x300, 0, 0, 0x480, 4, 8, 32, 8, 0, 16, 0, uint64(math.Float32bits(1e-12))),
		},
	}
	return Request{
		Program: p, Recording: r, Row: []int32{7, 0, -1}, Version: "0.0.0",
		Answers: []Answer{{Name: "logits", Values: []float32{1, -0.5, 3e-7, 4}, Tolerance: 0.25, DType: tensor.F32, Width: 2, Stride: 64, Download: 1}},
	}
}

func args(bits ...uint64) []gpu.Arg {
	var list []gpu.Arg
	for _, b := range bits {
		list = append(list, gpu.Arg{Bits: b})
	}
	return list
}

// TestGolden: the files of a tiny program are those of testdata, read once by
// a person.
func TestGolden(t *testing.T) {
	files := Files(tiny())
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		if f.Executable != (f.Name == "build.sh") {
			t.Errorf("%s: executable %t", f.Name, f.Executable)
		}
		golden := filepath.Join("testdata", f.Name)
		if f.Name != "main.cu" && f.Name != "build.sh" {
			continue
		}
		got := bytes.Join(f.Parts, nil)
		if *update {
			if err := os.WriteFile(golden, got, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s has changed: read it, then -update\n%s", golden, got)
		}
	}
	if want := []string{"build.sh", "embed.cu", "graph.ir", "linear_bk64_bm128_bn128_out321_stages3_wm64_wn64.cu", "main.cu", "support.cuh", "weights.bin"}; !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
}

// TestWhatFilesHold: the weights as they were uploaded, the graph, and sources
// without lines of files that are not there.
func TestWhatFilesHold(t *testing.T) {
	r := tiny()
	content := map[string]string{}
	for _, f := range Files(r) {
		content[f.Name] = string(bytes.Join(f.Parts, nil))
	}
	if want := strings.Repeat("\x01", 160) + strings.Repeat("\x02", 64) + "\x03\x00\x00\x00"; content["weights.bin"] != want {
		t.Errorf("weights.bin: %q", content["weights.bin"])
	}
	if content["graph.ir"] != tinyGraph {
		t.Errorf("graph.ir: %q", content["graph.ir"])
	}
	if want := "// embed\n\n// ======== prelude.cuh ========\ncode\n"; content["embed.cu"] != want {
		t.Errorf("embed.cu: %q, want %q", content["embed.cu"], want)
	}
	again := map[string]string{}
	for _, f := range Files(r) {
		again[f.Name] = string(bytes.Join(f.Parts, nil))
	}
	if !maps.Equal(content, again) {
		t.Error("the same request gives other files")
	}
}

func TestNames(t *testing.T) {
	list := []gpu.Allocation{{Name: "a.b", Data: []byte{1}}, {Name: "a b", Data: []byte{1}}, {Name: "a.b_2", Data: []byte{1}}, {Name: "é", Data: []byte{1}}, {Name: "batch"}, {Name: "batch"}}
	if got, want := identifiers(list), []string{"w_a_b", "w_a_b_2", "w_a_b_2_2", "w__", "batch", "batch_2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for s, want := range map[string]string{`a"b\c`: `"a\"b\\c"`, "é?\n1": `"\303\251\?\0121"`} {
		if got := cString(s); got != want {
			t.Errorf("%q as a string of C++: %s, want %s", s, got, want)
		}
	}
	for s, want := range map[string]string{"a\nb": "a b", `a\`: "a", `a\ \`: "a", "é": "é"} {
		if got := comment(s); got != want {
			t.Errorf("%q as a comment: %q, want %q", s, got, want)
		}
	}
	inf := float32(math.Inf(1))
	for f, want := range map[float32]string{1: "1.0f", -2.5: "-2.5f", 1e-12: "1e-12f", 1e9: "1e+09f", 16777217: "1.6777216e+07f", inf: "INFINITY", -inf: "-INFINITY"} {
		if got := floatText(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
	if got := floatText(float32(math.NaN())); got != "NAN" {
		t.Error(got)
	}
}

// TestKernelsAreFitForNVCC: nvcc expands no macro in a pragma, which NVRTC
// does. What follows "unroll" is a number or a constant of the language.
func TestKernelsAreFitForNVCC(t *testing.T) {
	var all strings.Builder
	for _, pattern := range []string{"../kernels/*.cu", "../kernels/*.cuh"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	macros := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#define (\w+)`).FindAllStringSubmatch(all.String(), -1) {
		macros[m[1]] = true
	}
	for _, family := range launch.Families() {
		for _, d := range launch.Make(family, nil).Defines {
			macros[d.Name] = true
		}
	}
	uses := 0
	for _, m := range regexp.MustCompile(`(?m)^\s*#pragma unroll\b(.*)$`).FindAllStringSubmatch(all.String(), -1) {
		uses++
		for _, word := range regexp.MustCompile(`[A-Za-z_]\w*`).FindAllString(m[1], -1) {
			if macros[word] {
				t.Errorf("#pragma unroll%s: %s is a macro", m[1], word)
			}
		}
	}
	if uses < 50 {
		t.Errorf("%d pragmas found: the pattern is wrong", uses)
	}
}
