package main

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"etc/codegen/cuda/emit"
	"etc/compiler"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/executor/gpu"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
)

// checkEmit refuses a folder for --emit-cuda that exists and is not empty,
// unless --force.
func (p *program) checkEmit(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, err := placeOfFolder(dir)
		return err
	case err != nil:
		return fault.Newf(fault.Usage, "--emit-cuda: %w", err)
	case len(entries) > 0 && !p.force:
		return fault.Newf(fault.Usage, "--emit-cuda %s: the folder is not empty", dir).WithHint("--force replaces files in it")
	}
	return nil
}

// emitCUDA writes the first GPU program of a plan as CUDA that nvcc builds,
// with a fixed row and the CPU's answer for it, into a folder that checkEmit
// has seen.
func (p *program) emitCUDA(dir string, c *checkpoint.Checkpoint, made *plan.Plan, o compiler.Options) error {
	if dir == "" {
		return nil
	}
	q := made.Programs[firstGPU(made)]
	row := fixedRow(q)
	answers, err := cpuAnswers(c, o, row, q)
	if err != nil {
		return err
	}
	recorder := gpu.NewRecorder(plan.SM(q.Target))
	if _, err := forwardOnce(q, gpu.New(recorder), row); err != nil {
		return err
	}
	files := emit.Files(emit.Request{Program: q, Recording: recorder, Row: row, Answers: answers, Version: version})
	place, err := placeOfFolder(dir)
	if err != nil {
		return err
	}
	if err := p.placeFolder(place, files); err != nil {
		return err
	}
	p.note("%s: %d files of CUDA; ./build.sh there builds main, which compares with the CPU", dir, len(files))
	return nil
}

// placeFolder writes files into a folder beside dir, or in it where it is there,
// for it may be a mount, and brings them to their place when all are whole.
func (p *program) placeFolder(dir string, files []emit.File) error {
	at := dir
	if _, err := os.Stat(dir); err == nil {
		at = filepath.Join(dir, "emitted")
	}
	temp, err := p.unfinished.begin(at, func(name string) error { return os.Mkdir(name, 0o777) })
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) // finds nothing where the folder is new
	for _, f := range files {
		if err := writeFile(filepath.Join(temp, f.Name), f); err != nil {
			return err
		}
	}
	return p.unfinished.settle(func() error {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return os.Rename(temp, dir)
		}
		for _, f := range files {
			if err := os.Rename(filepath.Join(temp, f.Name), filepath.Join(dir, f.Name)); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeFile(path string, f emit.File) error {
	mode := fs.FileMode(0o666)
	if f.Executable {
		mode = 0o777
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer out.Close()
	for _, part := range f.Parts {
		if _, err := out.Write(part); err != nil {
			return err
		}
	}
	return out.Close()
}

func firstGPU(p *plan.Plan) int {
	for i, q := range p.Programs {
		if plan.SM(q.Target) > 0 {
			return i
		}
	}
	return -1
}

// fixedRow is 16 ids spread over the vocabulary, or as many as a row may have.
func fixedRow(q *plan.Program) []int32 {
	row := make([]int32, min(16, q.Buckets[len(q.Buckets)-1].MaxTokens))
	for i := range row {
		row[i] = int32((i*7919 + 101) % q.Model.VocabSize)
	}
	return row
}

// forwardOnce runs one row and returns the outputs that are always computed.
func forwardOnce(q *plan.Program, d executor.Device, row []int32) ([][]float32, error) {
	x, err := executor.New(q, d, executor.Options{MaxBatchTokens: len(row)})
	if err != nil {
		d.Close()
		return nil, err
	}
	defer x.Close()
	return x.Forward([][]int32{row}, nil, x.Default()...)
}

// cpuAnswers are the outputs of the row on the CPU, as the GPU program q has
// them, with the tolerance of its storage type. They are computed without
// assembly, which takes longer but gives the same on every machine. Which word
// a language model thinks best is left out: two may lie close together.
func cpuAnswers(c *checkpoint.Checkpoint, o compiler.Options, row []int32, q *plan.Program) ([]emit.Answer, error) {
	o.Targets, o.NVRTC, o.Observe = []string{cpu.Target}, nil, nil
	made, err := compiler.Compile(c, o)
	if err != nil {
		return nil, err
	}
	d, err := cpu.New(cpu.Options{Level: kernel.Generic, Threads: pool.DefaultThreads()})
	if err != nil {
		return nil, err
	}
	values, err := forwardOnce(made.Plan.Programs[0], d, row)
	if err != nil {
		return nil, err
	}
	var answers []emit.Answer
	i := 0 // of values
	for _, out := range q.Outputs {
		if out.When != plan.Always {
			continue
		}
		if out.Name != "hit" {
			b := q.Buffers[out.Buffer]
			answers = append(answers, emit.Answer{
				Name: out.Name, Values: slices.Clone(values[i]), Tolerance: emittedTolerance(q.Target, values[i]),
				DType: b.DType, Width: b.Width, Stride: b.Stride, Download: i,
			})
		}
		i++
	}
	return answers, nil
}

// emittedTolerance is how far values may be off: the share of the largest that
// verify allows the target.
func emittedTolerance(target string, values []float32) float64 {
	largest := 1.0
	for _, x := range values {
		largest = max(largest, math.Abs(float64(x)))
	}
	return toleranceOf(target).rtol * largest
}
