package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"

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
	"etc/ir/tensor"
)

// emitCUDA writes the first GPU program of a plan as CUDA that nvcc builds,
// with a fixed row and the CPU's answer for it, into a folder that is made if
// it is not there.
func (p *program) emitCUDA(dir string, c *checkpoint.Checkpoint, made *plan.Plan, o compiler.Options) error {
	i := firstGPU(made)
	if i < 0 {
		return fault.Newf(fault.Usage, "--emit-cuda: --target %s has no GPU", strings.Join(o.Targets, ",")).WithHint("--target sm_80 has one")
	}
	q := made.Programs[i]
	o.Targets, o.NVRTC, o.Observe = []string{cpu.Target}, nil, nil
	dense, err := compiler.Compile(c, o)
	if err != nil {
		return err
	}
	row := fixedRow(q)
	answers, err := cpuAnswers(dense.Plan.Programs[0], row, q)
	if err != nil {
		return err
	}
	recorder := gpu.NewRecorder(gpu.SM(q.Target))
	if _, err := forwardOnce(q, gpu.New(recorder), row); err != nil {
		return err
	}
	files := emit.Files(emit.Request{Program: q, Recording: recorder, Row: row, Answers: answers, Version: version})
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if err := p.checkOutput(path); err != nil {
			return err
		}
		err := p.create(path, func(out *os.File) error {
			if f.Executable {
				if err := out.Chmod(0o777); err != nil {
					return err
				}
			}
			_, err := out.Write(f.Content)
			return err
		})
		if err != nil {
			return err
		}
	}
	p.note("%s: %d files of CUDA; ./build.sh there builds main, which compares with the CPU", dir, len(files))
	return nil
}

func firstGPU(p *plan.Plan) int {
	for i, q := range p.Programs {
		if gpu.SM(q.Target) > 0 {
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
// them, with the tolerance of its storage type.
func cpuAnswers(dense *plan.Program, row []int32, q *plan.Program) ([]emit.Answer, error) {
	d, err := cpu.New(cpu.Options{Level: kernel.Best(), Threads: pool.DefaultThreads()})
	if err != nil {
		return nil, err
	}
	values, err := forwardOnce(dense, d, row)
	if err != nil {
		return nil, err
	}
	share := 2e-2 // of the largest value
	if strings.HasSuffix(q.Target, ":"+tensor.BF16.String()) {
		share = 4e-2
	}
	var answers []emit.Answer
	for _, out := range q.Outputs {
		if out.When != plan.Always {
			continue
		}
		b := q.Buffers[out.Buffer]
		v := values[len(answers)]
		largest := 1.0
		for _, x := range v {
			largest = max(largest, math.Abs(float64(x)))
		}
		answers = append(answers, emit.Answer{
			Name: out.Name, Values: append([]float32(nil), v...), Tolerance: share * largest,
			DType: b.DType, Width: b.Width, Stride: b.Stride, Download: len(answers),
		})
	}
	return answers, nil
}
