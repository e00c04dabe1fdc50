package main

import (
	"strings"

	"github.com/spf13/cobra"

	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/fault"
	"etc/formats/plan"
)

// deviceFlags say where a plan runs.
type deviceFlags struct {
	device, level           string
	threads, maxBatchTokens int
	truncate                bool
}

func (f *deviceFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.device, "device", "auto", "auto or cpu")
	c.Flags().IntVar(&f.threads, "threads", 0, "threads (default: what affinity and cgroup allow)")
	c.Flags().StringVar(&f.level, "cpu-level", "", "generic, avx2 or avx512 (default: the best there is)")
	c.Flags().IntVar(&f.maxBatchTokens, "max-batch-tokens", 0, "budget of tokens in one batch (default: the plan's)")
}

func (f *deviceFlags) addTruncate(c *cobra.Command) {
	c.Flags().BoolVar(&f.truncate, "truncate", false, "cut rows that are longer than the longest bucket")
}

// open makes the device. CUDA and the simulator come with a later version;
// asking for them is never answered by another device.
func (f *deviceFlags) open(p *program) (executor.Device, error) {
	kind, _, _ := strings.Cut(f.device, ":")
	switch kind {
	case "cuda", "sim":
		return nil, fault.Newf(fault.Unavailable, "--device %s: this program has no such executor", f.device).WithHint("--device cpu runs the plan on the CPU")
	case "auto", "cpu":
	default:
		return nil, fault.Newf(fault.Usage, "--device %q: want auto or cpu", f.device)
	}
	if f.threads < 0 {
		return nil, fault.Newf(fault.Usage, "--threads %d: want at least 1", f.threads)
	}
	o := cpu.Options{Threads: f.threads, Level: kernel.Best()}
	if f.threads == 0 {
		o.Threads = pool.DefaultThreads()
	}
	if f.level != "" {
		level, err := kernel.ParseLevel(f.level)
		if err != nil {
			return nil, err
		}
		o.Level = level
	}
	d, err := cpu.New(o)
	if err != nil {
		return nil, err
	}
	if kind == "auto" {
		p.note("device %s (this program has no other executor)", d.Name())
	}
	return d, nil
}

// A session is an open plan on a device.
type session struct {
	*executor.Executor
	file *plan.File
}

// openSession opens the plan at path for running.
func (p *program) openSession(path string, f *deviceFlags, want executor.Want) (*session, error) {
	device, err := f.open(p)
	if err != nil {
		return nil, err
	}
	file, err := plan.Open(path)
	if err != nil {
		device.Close()
		return nil, err
	}
	return newSession(file, device, f, want)
}

func newSession(file *plan.File, d executor.Device, f *deviceFlags, want executor.Want) (*session, error) {
	x, err := executor.New(file.Plan, d, executor.Options{
		MaxBatchTokens: f.maxBatchTokens, Truncate: f.truncate, Tokenizers: pool.DefaultThreads(), Want: want,
	})
	if err != nil {
		d.Close()
		file.Close()
		return nil, err
	}
	return &session{x, file}, nil
}

func (s *session) close() {
	s.Close()
	s.file.Close()
}
