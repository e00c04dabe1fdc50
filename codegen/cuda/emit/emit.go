// Package emit writes a GPU program as a folder of CUDA that a person can
// read, and nvcc can build.
//
// What executor/gpu would launch for one row enters, with the kernels of the
// plan and the answer that the CPU gave; files leave: the source of each
// kernel, a main.cu that launches them in order, each under the graph's
// operator, and compares with that answer, the weights, the graph, and a
// script for nvcc. The same plan gives the same bytes.
package emit

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"etc/executor/gpu"
	"etc/formats/plan"
	"etc/ir/tensor"
)

// A File is one of the folder. Its content is Parts, one after another.
type File struct {
	Name       string
	Parts      [][]byte
	Executable bool
}

// An Answer is an output of the model for the row, as the CPU computed it.
type Answer struct {
	Name      string
	Values    []float32 // rows of Width
	Tolerance float64   // absolute, of each value
	DType     tensor.DType
	Width     int
	Stride    int // bytes from row to row on the GPU
	Download  int // index into the downloads of the recording
}

// A Request is all that the folder is made from.
type Request struct {
	Program   *plan.Program
	Recording *gpu.Recorder // of one batch, which is Row
	Row       []int32       // ids
	Answers   []Answer
	Version   string // of etc
}

// Files are those of the folder, by name.
func Files(r Request) []File {
	w := newWriter(r)
	files := []File{
		{Name: "build.sh", Parts: [][]byte{w.script()}, Executable: true},
		{Name: "graph.ir", Parts: [][]byte{[]byte(r.Program.Graph)}},
		{Name: "main.cu", Parts: [][]byte{w.main()}},
		{Name: "support.cuh", Parts: [][]byte{support}},
		{Name: "weights.bin", Parts: w.weights()},
	}
	for _, k := range w.kernels {
		files = append(files, File{Name: k.Entry() + ".cu", Parts: [][]byte{w.source(k)}})
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files
}

// support is the part of the program that is always the same.
//
//go:embed support.cuh
var support []byte

type writer struct {
	Request
	kernels []*plan.Kernel // those launched, in the order of their first launch
	names   []string       // of allocations, as main.cu calls them
}

func newWriter(r Request) *writer {
	w := &writer{Request: r}
	for _, op := range r.Recording.Operations {
		if k := w.kernel(op); k != nil && !slices.Contains(w.kernels, k) {
			w.kernels = append(w.kernels, k)
		}
	}
	w.names = identifiers(r.Recording.Allocations)
	return w
}

// kernel is the one that op launches, nil where op is a copy.
func (w *writer) kernel(op gpu.Operation) *plan.Kernel {
	for i := range w.Program.Kernels {
		if k := &w.Program.Kernels[i]; k.Entry() == op.Function {
			return k
		}
	}
	return nil
}

var linePattern = regexp.MustCompile(`(?m)^#line 1 "(.*)"$`)

// source is the text of k that was compiled. Compilers are to name the lines
// of this file, not those of the files that it was put together from.
func (w *writer) source(k *plan.Kernel) []byte {
	text := w.Program.Code[k.Source.Offset : k.Source.Offset+k.Source.Size]
	return linePattern.ReplaceAll(text, []byte("// ======== ${1} ========"))
}

// script builds main with nvcc 12 or 13 for the target's architecture, and as
// PTX for later ones.
func (w *writer) script() []byte {
	var sources strings.Builder
	for _, k := range w.kernels {
		fmt.Fprintf(&sources, " \\\n  %s.cu", k.Entry())
	}
	return fmt.Appendf(nil, `#!/usr/bin/env bash
# Builds ./main, which runs one row on a GPU and compares with the CPU's answer.
# Needs nvcc 12 or 13, from PATH or NVCC. The code is for sm_%[1]d and, through
# PTX, later GPUs; ARCH=sm_90 ./build.sh builds for another.
set -euo pipefail
cd "$(dirname "$0")"
"${NVCC:-nvcc}" -std=c++17 -O3 -arch="${ARCH:-sm_%[1]d}" -diag-suppress 128,177 --threads 0 -o main main.cu%[2]s
`, plan.SM(w.Program.Target), sources.String())
}

// weights are what was uploaded, one after another.
func (w *writer) weights() [][]byte {
	var parts [][]byte
	for _, m := range w.Recording.Allocations {
		parts = append(parts, m.Data)
	}
	return parts
}
