package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/executor/cuda"
	"etc/executor/gpu"
	"etc/executor/ptxsim"
	"etc/fault"
	"etc/formats/plan"
)

// deviceFlags say where a plan runs.
type deviceFlags struct {
	device, level, trustKey string
	threads, maxBatchTokens int
	truncate                bool
	every                   bool     // not one program of the plan runs, but all that the device takes
	why                     string   // auto took its device
	trace                   *profile // of the steps, or nil
}

func (f *deviceFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.device, "device", "auto", "auto, cpu, cuda, cuda:N, or sim, which runs CUDA's PTX in a simulator")
	c.Flags().IntVar(&f.threads, "threads", 0, "threads (default what affinity and cgroup allow)")
	c.Flags().StringVar(&f.level, "cpu-level", "", "kernels of this CPU level and no better (default the best there is)")
	c.Flags().IntVar(&f.maxBatchTokens, "max-batch-tokens", 0, "budget of tokens in one batch (default the plan's)")
	c.Flags().StringVar(&f.trustKey, "trust-key", "", "refuse a plan that is not signed by this public ed25519 key, a PEM file")
}

func (f *deviceFlags) addTruncate(c *cobra.Command) {
	c.Flags().BoolVar(&f.truncate, "truncate", false, "cut rows that are longer than the longest bucket")
}

// maxThreads bounds --threads: each has memory of its own.
const maxThreads = 1024

// Where a plan may run.
const (
	autoDevice = "auto"
	cpuDevice  = "cpu"
	cudaDevice = "cuda"
	simDevice  = "sim"
)

// open makes the device. Asking for one is never answered by another; auto is
// a GPU where there is one and this program can use it, else the CPU.
func (f *deviceFlags) open() (executor.Device, error) {
	switch {
	case f.threads < 0 || f.threads > maxThreads:
		return nil, fault.Newf(fault.Usage, "--threads %d: want 1 to %d, or 0 for what the machine allows", f.threads, maxThreads)
	case f.maxBatchTokens < 0 || f.maxBatchTokens > plan.MostBatchTokens:
		return nil, fault.Newf(fault.Usage, "--max-batch-tokens %d: want 1 to %d, or 0 for the plan's", f.maxBatchTokens, plan.MostBatchTokens)
	}
	kind, number, numbered := strings.Cut(f.device, ":")
	switch {
	case kind == cudaDevice && isIndex(number, numbered):
		return openCUDA(number)
	case f.device != autoDevice && f.device != cpuDevice && f.device != simDevice:
		return nil, fault.Newf(fault.Usage, "--device %q: want auto, cpu, cuda, cuda:N or sim", f.device)
	}
	switch f.device {
	case simDevice:
		return gpu.New(ptxsim.NewDriver(ptxsim.Options{Workers: f.workers()})), nil
	case autoDevice:
		if d := f.findGPU(); d != nil {
			return d, nil
		}
	}
	return f.openCPU()
}

// workers is --threads, or what the machine allows.
func (f *deviceFlags) workers() int {
	if f.threads == 0 {
		return pool.DefaultThreads()
	}
	return f.threads
}

// findGPU is the first GPU, or nil; why says why.
func (f *deviceFlags) findGPU() executor.Device {
	if f.level != "" {
		f.why = "--cpu-level was given"
		return nil
	}
	if !cuda.Available() {
		f.why = "this program has no other executor"
		return nil
	}
	d, err := cuda.Open(0)
	if err != nil {
		f.why, _, _ = strings.Cut(err.Error(), "\n")
		return nil
	}
	f.why = "the plan has a program for it"
	return gpu.New(d)
}

func (f *deviceFlags) openCPU() (executor.Device, error) {
	o := cpu.Options{Threads: f.workers(), Level: kernel.Best()}
	if f.level != "" {
		level, err := kernel.ParseLevel(f.level)
		if err != nil {
			return nil, err
		}
		o.Level = level
	}
	if f.trace != nil {
		o.Profile = f.trace.add
	}
	d, err := cpu.New(o)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// isIndex reports whether the N of cuda:N, if there is one, is a number.
func isIndex(number string, numbered bool) bool {
	_, err := strconv.ParseUint(number, 10, 8)
	return err == nil || !numbered
}

// A session is an open plan on a device.
type session struct {
	*executor.Executor
	file *plan.File
}

// openSession opens the plan at path for running. The device is sought before
// the plan is matched to it.
func (p *program) openSession(path string, f *deviceFlags, want executor.Want) (*session, error) {
	device, err := f.open()
	if err != nil {
		return nil, err
	}
	file, err := f.openPlan(path)
	if err != nil {
		device.Close()
		return nil, err
	}
	return p.newSession(file, device, f, want)
}

// openPlan opens a plan to run it.
func (f *deviceFlags) openPlan(path string) (*plan.File, error) {
	trust, err := readKey("--trust-key", f.trustKey, plan.ParseTrustKey)
	if err != nil {
		return nil, err
	}
	return plan.Open(path, plan.OpenOptions{Trust: trust})
}

// newSession takes over file and device, and closes them if it fails.
func (p *program) newSession(file *plan.File, d executor.Device, f *deviceFlags, want executor.Want) (*session, error) {
	err := checkWant(file.Plan, want)
	var q *plan.Program
	if err == nil {
		d, q, err = f.program(file.Plan, d)
	}
	var x *executor.Executor
	if err == nil {
		x, err = f.load(q, d, want)
	}
	if err != nil {
		if d != nil {
			d.Close()
		}
		file.Close()
		return nil, err
	}
	p.tellDevice(f, x, file.Plan)
	return &session{x, file}, nil
}

// tellDevice says which device auto took, and which program of the plan where
// others would run there too.
func (p *program) tellDevice(f *deviceFlags, x *executor.Executor, all *plan.Plan) {
	text, chosen := x.Device().Name(), false
	if fit := fitting(x.Device(), all); len(fit) > 1 && !f.every {
		var others []string
		for _, q := range fit {
			if q != x.Program() {
				others = append(others, q.Target)
			}
		}
		text, chosen = fmt.Sprintf("%s runs %s, not %s", text, x.Program().Target, strings.Join(others, ", ")), true
	}
	if f.device == autoDevice && !p.told {
		p.told = true
		text, chosen = text+": "+f.why, true
	}
	if chosen {
		p.note("device %s", text)
	}
}

// load loads a program onto a device.
func (f *deviceFlags) load(q *plan.Program, d executor.Device, want executor.Want) (*executor.Executor, error) {
	return executor.New(q, d, executor.Options{
		MaxBatchTokens: f.maxBatchTokens, Truncate: f.truncate, Tokenizers: pool.DefaultThreads(), Want: want,
	})
}

// fitting are the programs of a plan that a device takes.
func fitting(d executor.Device, p *plan.Plan) []*plan.Program {
	var all []*plan.Program
	for _, q := range p.Programs {
		only := *p
		only.Programs = []*plan.Program{q}
		if _, err := d.Program(&only); err == nil {
			all = append(all, q)
		}
	}
	return all
}

// program is the one of a plan that suits the device. Where auto took a GPU
// that the plan has none for, or no code, the CPU takes its place.
func (f *deviceFlags) program(p *plan.Plan, d executor.Device) (executor.Device, *plan.Program, error) {
	q, err := d.Program(p)
	_, isGPU := d.(*gpu.Device)
	if err == nil || f.device != autoDevice || !isGPU || fault.KindOf(err) != fault.Unfit {
		return d, q, err
	}
	f.why, _, _ = strings.Cut(err.Error(), "\n")
	d.Close()
	if d, err = f.openCPU(); err != nil {
		return nil, nil, err
	}
	q, err = d.Program(p)
	return d, q, err
}

// checkWant refuses what no result of the plan's task has.
func checkWant(p *plan.Plan, want executor.Want) error {
	switch p.Model.Task {
	case plan.Classification, plan.MultiLabel, plan.Regression:
		return nil
	}
	if want.Probabilities {
		return fault.Newf(fault.Usage, "--probabilities: this plan is of task %s, which has none", taskName(p.Model.Task))
	}
	return nil
}

func (s *session) close() {
	s.Close()
	s.file.Close()
}
