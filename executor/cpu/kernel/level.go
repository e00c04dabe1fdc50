// Package kernel holds the CPU kernels: the finite table of functions that a
// plan's steps run.
//
// Into a kernel go slices of float32 (activations, row after row, strides in
// elements) and weights in the layouts of formats/plan/layout; out comes the
// result in memory of the caller, who also lends the scratch space. Kernels
// allocate nothing and know no threads: the caller cuts the work.
//
// The invariant: a row's result depends on that row alone, to the bit, not on
// how many rows there are or how the work was cut; and the levels AVX2 and
// AVX512 give the same bits. Sums are taken with a lane for each output, k
// ascending, one fused multiply-add a step, starting from the bias (+0 without
// one). Sparse products leave steps out whose weight is zero: the same bits
// again, because adding a zero product changes no sum. (Three exceptions: the
// sign of a sum that is -0, and the NaN that 0·Inf and 0·NaN would give.)
// Norms and softmax use 16 lanes and one fixed tree. The level Generic is
// portable Go without fused operations; its products, norms and sums round
// otherwise, the same way on every machine.
//
// Assembly is written by gen; kernels check lengths before they call it, and
// panic where the caller's sizes do not agree.
package kernel

import (
	"sync"

	"etc/fault"
)

//go:generate go run ./gen

// A Level is a set of CPU features that kernels are written for.
type Level uint8

const (
	Generic    Level = iota // any machine: Go without assembly
	AVX2                    // AVX2, FMA and BMI1
	AVX512                  // AVX-512 F, BW, VL and DQ
	AVX512VNNI              // and VNNI: the integer products; float32 as AVX512
)

var levelNames = []string{"generic", "avx2", "avx512", "avx512vnni"}

// String is the name on the command line.
func (l Level) String() string { return levelNames[l] }

// ParseLevel is the inverse of String.
func ParseLevel(name string) (Level, error) {
	for i, n := range levelNames {
		if n == name {
			return Level(i), nil
		}
	}
	return 0, fault.Newf(fault.Usage, "CPU level %q: want generic, avx2, avx512 or avx512vnni", name)
}

// Supported reports whether this machine and its operating system run l.
func Supported(l Level) bool { return l <= Best() }

// Best is the highest level that this machine and its operating system run.
var Best = sync.OnceValue(detect)

// A Table is the kernels of one level.
type Table struct {
	level Level
	dots  bool // products of integers by dot products
}

// For is the table of a level, which must be supported.
func For(l Level) *Table {
	if !Supported(l) {
		panic("bug: this machine does not support CPU level " + l.String())
	}
	return &Table{l, hasDots(l)}
}

func (t *Table) Level() Level { return t.level }

const (
	lanes       = 16 // outputs side by side; layout.Width
	maxRows     = 8  // of a product block, at any level
	groupPanels = 3  // most panels of a product block, at any level
)

// zeros is the bias of products that have none.
var zeros [groupPanels * lanes]float32

// vectors is the number of vectors of 16 lanes that n values fill or begin.
func vectors(n int) int { return (n + lanes - 1) / lanes }
