package main

import (
	"etc/compiler"
	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/formats/mapped"
	"etc/formats/plan"
	"etc/ir"
)

// observer sees what goes into each product, under the name of its weight or
// of the block whose products were joined.
type observer func(name string, in cpu.Rows)

// executed is the target that pruned models are judged on here: the one asked
// for where it is a CPU. For a GPU, which nobody has here, it is the CPU in float32.
func (r *pruning) executed() string {
	if plan.IsCPU(r.target) {
		return r.target
	}
	return cpu.Target
}

// open compiles g in memory and opens it on all threads. With see, it computes
// in float32 and is compiled without looking for structure, so that products
// have the widths of the dense model.
func (r *pruning) open(g *ir.Graph, see observer) (*executor.Executor, error) {
	return r.openAs(r.model, g, see)
}

// openAs is open with other facts of the model.
func (r *pruning) openAs(model plan.Model, g *ir.Graph, see observer) (*executor.Executor, error) {
	target := r.executed()
	if see != nil {
		target = cpu.Target
	}
	o := compiler.Options{Targets: []string{target}, Version: version, Dense: see != nil}
	var result *compiler.Result
	err := mapped.Guard(func() (err error) {
		result, err = compiler.Lower(g, model, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	if see == nil {
		return start(result, target, nil)
	}
	return start(result, target, func(label, weight string, in cpu.Rows) {
		if !r.names[weight] { // the compiler made it of several in one block
			weight = label
		}
		see(weight, in)
	})
}

// start opens what was compiled in memory for a target on all threads; observe may be nil.
func start(result *compiler.Result, target string, observe func(label, weight string, in cpu.Rows)) (*executor.Executor, error) {
	d, err := cpu.New(cpu.Options{Level: kernel.Best(), Threads: pool.DefaultThreads(), Observe: observe})
	if err != nil {
		return nil, err
	}
	x, err := executor.New(result.Plan.Program(target), d, executor.Options{Truncate: true, Tokenizers: pool.DefaultThreads()})
	if err != nil {
		d.Close()
	}
	return x, err
}
