// Package nvrtc compiles CUDA through the helper cmd/etc-nvrtc.
//
// Jobs enter, sources with an architecture each; code leaves in their order.
// Several helpers run side by side; one that crashes or hangs is the error of
// the kernel it had. A cache on disk, addressed by content, makes the second
// compilation of a kernel immediate and changes no byte: what is in it is
// checked by a digest, and what is damaged is compiled again.
package nvrtc

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"etc/fault"
	"etc/memo"
)

// A Job is one kernel to compile for one architecture.
type Job struct {
	Name   string // the kernel's, for errors
	Source string
	SM     int  // compute capability ten times over
	PTX    bool // PTX for compute_SM, with lines of the source; else machine code for sm_SM
}

func (j *Job) String() string {
	if j.PTX {
		return fmt.Sprintf("%s for compute_%d", j.Name, j.SM)
	}
	return fmt.Sprintf("%s for sm_%d", j.Name, j.SM)
}

// Options of the compiler. Warnings about functions of the prelude that a
// kernel does not use are off.
func (j *Job) options() []string {
	o := []string{"--std=c++17", "-diag-suppress=177"}
	if j.PTX {
		return append(o, fmt.Sprintf("--gpu-architecture=compute_%d", j.SM), "-lineinfo")
	}
	return append(o, fmt.Sprintf("--gpu-architecture=sm_%d", j.SM), "--ptxas-options=-v")
}

// A Code is what a job gives. What ptxas tells of machine code is 0 for PTX.
type Code struct {
	Bytes        []byte
	Registers    int // of a thread
	Spills       int // bytes of a thread that do not fit registers: stores and loads
	StaticShared int // bytes of a block
}

// A Compiler runs helpers.
type Compiler struct {
	helper, library string
	cache           *memo.Memo // nil: none
	version         string
	build           string // tells builds of one version of the library apart
	timeout         time.Duration
	context         context.Context
}

// Version is NVRTC's, such as "12.9". The bytes of code depend on it.
func (c *Compiler) Version() string { return c.version }

// Where says which helper and library were found.
func (c *Compiler) Where() string { return c.helper + " with " + c.library }

// Compile compiles the jobs. The error names the first kernel, in the order of
// jobs, that did not compile; where all were to end, it is that of the context.
func (c *Compiler) Compile(jobs []Job) ([]Code, error) {
	code := make([]Code, len(jobs))
	var left []int
	for i := range jobs {
		if cached, ok := c.load(&jobs[i]); ok {
			code[i] = cached
		} else {
			left = append(left, i)
		}
	}
	next := make(chan int, len(left))
	for _, i := range left {
		next <- i
	}
	close(next)
	errs := make([]error, len(jobs))
	fault.Parallel(min(len(left), runtime.GOMAXPROCS(0)), func(int) {
		w := &worker{compiler: c}
		defer w.stop()
		for i := range next {
			if c.context.Err() != nil {
				return
			}
			if code[i], errs[i] = w.compile(&jobs[i]); errs[i] == nil {
				c.store(&jobs[i], code[i])
			}
		}
	})
	if err := c.context.Err(); err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err != nil {
			return nil, fault.Newf(fault.KindOf(err), "kernel %v: %w", &jobs[i], err)
		}
	}
	return code, nil
}

// firstLines are the first of a log, in one line of an error.
func firstLines(log string) string {
	const most = 3
	var lines []string
	for line := range strings.Lines(log) {
		if line = strings.TrimSpace(line); line != "" && len(lines) < most {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}
