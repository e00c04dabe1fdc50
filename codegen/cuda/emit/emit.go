// Package emit writes a GPU program as a folder of CUDA that a person can
// read, and nvcc can build.
//
// What executor/gpu would launch for one row enters, with the kernels of the
// plan and the answer that the CPU gave; files leave: the source of each
// kernel as it was compiled, a main.cu that launches them in order, each under
// the graph's operator, and compares with that answer, the weights, and a
// script for nvcc. The same plan gives the same bytes.
package emit

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"etc/executor/gpu"
	"etc/formats/plan"
	"etc/formats/plan/launch"
	"etc/ir/tensor"
)

// A File is one of the folder.
type File struct {
	Name       string
	Content    []byte
	Executable bool
}

// An Answer is an output of the model for the row, as the CPU computed it.
type Answer struct {
	Name      string
	Values    []float32
	Tolerance float64 // absolute, of each value
	DType     tensor.DType
	Width     int // of a row; the values are rows
	Stride    int // bytes from row to row on the GPU
	Download  int // index into the recording's downloads
}

// A Request is all that the folder is made from.
type Request struct {
	Program   *plan.Program
	Recording *gpu.Recorder
	Row       []int32 // ids
	Answers   []Answer
	Version   string // of etc
}

// Files are those of the folder, by name.
func Files(r Request) []File {
	w := &writer{Request: r}
	var files []File
	for _, k := range w.kernels() {
		files = append(files, File{Name: k.Entry() + ".cu", Content: w.source(k)})
	}
	files = append(files,
		File{Name: "build.sh", Content: w.script(), Executable: true},
		File{Name: "main.cu", Content: w.main()},
		File{Name: "weights.bin", Content: w.weights()},
	)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files
}

type writer struct{ Request }

// kernels are those that are launched, in the order of the first launch.
func (w *writer) kernels() []*plan.Kernel {
	byEntry := map[string]*plan.Kernel{}
	for i := range w.Program.Kernels {
		byEntry[w.Program.Kernels[i].Entry()] = &w.Program.Kernels[i]
	}
	var all []*plan.Kernel
	for _, op := range w.Recording.Operations {
		if name, ok := op.Function.(string); ok && !slices.Contains(all, byEntry[name]) {
			all = append(all, byEntry[name])
		}
	}
	return all
}

func (w *writer) source(k *plan.Kernel) []byte {
	return w.Program.Code[k.Source.Offset : k.Source.Offset+k.Source.Size]
}

// script builds main with nvcc 12 or 13 for the target's architecture.
func (w *writer) script() []byte {
	sm, _, _ := strings.Cut(strings.TrimPrefix(w.Program.Target, "sm_"), ":")
	return fmt.Appendf(nil, `#!/usr/bin/env bash
# Builds ./main, which runs one row on a GPU and compares with the CPU's answer.
# Needs nvcc 12 or 13. ARCH=sm_90 ./build.sh builds for another architecture.
set -euo pipefail
cd "$(dirname "$0")"
"${NVCC:-nvcc}" -std=c++17 -O3 -arch="${ARCH:-sm_%s}" -diag-suppress 177 -o main ./*.cu
`, sm)
}

// weights are what was uploaded, one after another.
func (w *writer) weights() []byte {
	var b bytes.Buffer
	for _, m := range w.Recording.Allocations {
		b.Write(m.Data)
	}
	return b.Bytes()
}

// name is an allocation as main.cu calls it.
func (w *writer) name(i int) string { return fmt.Sprintf("memory[%d]", i) }

// address is a place in device memory as main.cu writes it.
func (w *writer) address(a gpu.Address) string {
	if a == 0 {
		return "nullptr"
	}
	i, offset, ok := w.Recording.Find(a)
	switch {
	case !ok:
		panic(fmt.Sprintf("bug: emit: address %#x is in no allocation", uint64(a)))
	case offset == 0:
		return w.name(i)
	}
	return fmt.Sprintf("%s + %d", w.name(i), offset)
}

// argument is one argument of a launch.
func (w *writer) argument(p launch.Param, a gpu.Arg) string {
	switch p.Kind {
	case launch.Pointer:
		return "(void*)(" + w.address(gpu.Address(a.Bits)) + ")"
	case launch.Float:
		return fmt.Sprintf("%sf /*%s*/", floatText(math.Float32frombits(uint32(a.Bits))), p.Name)
	}
	return fmt.Sprintf("%d /*%s*/", int32(a.Bits), p.Name)
}

// floatText is a number as C++ reads it back to the same float.
func floatText(f float32) string {
	s := fmt.Sprintf("%.9g", f)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}
