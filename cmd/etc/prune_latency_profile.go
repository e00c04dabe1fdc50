package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"etc/compiler"
	"etc/executor"
	"etc/executor/cpu"
	"etc/formats/plan"
	"etc/prune/latency"
)

// Block times say how a model's time is divided, by what threads were busy
// with. They are shares of one run: other work on the machine slows all alike.
type blockTimes struct {
	of   [2][]float64 // by kind and layer
	rest float64
}

// share is the part of all time that a sublayer of a kind has, on average over
// the first layers.
func (b blockTimes) share(kind sublayerKind, layers int) float64 {
	return sum(b.of[kind][:layers]) / float64(layers) / b.all()
}

// restShare is the part of what is no sublayer.
func (b blockTimes) restShare() float64 { return b.rest / b.all() }

func (b blockTimes) all() float64 { return b.rest + sum(b.of[attentionKind]) + sum(b.of[ffnKind]) }

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}

// lastShare is the last layer's part of what the other layers take on average.
func (b blockTimes) lastShare(kind sublayerKind) float64 {
	of := b.of[kind]
	others := sum(of[:len(of)-1]) / float64(len(of)-1)
	return min(1, of[len(of)-1]/others)
}

// sharesOfLast are those of the dense model. They are 1 where the last layer
// computes all tokens, and where there is no other layer to compare with.
func (m *latencyMeasuring) sharesOfLast(dense latencyLevel) (last latency.Last, err error) {
	var blocks []blockTimes
	if m.table.Model.Picks && m.layers > 1 {
		if blocks, err = m.profile(dense); err != nil {
			return last, err
		}
	}
	for i := range m.table.Shapes {
		attention, ffn := 1.0, 1.0
		if blocks != nil {
			attention, ffn = blocks[i].lastShare(attentionKind), blocks[i].lastShare(ffnKind)
		}
		last.Attention, last.FFN = append(last.Attention, attention), append(last.FFN, ffn)
	}
	return last, nil
}

// profile is how the time of a model is divided, for each shape: the sums of
// what threads were busy with in some runs, after one that warms up.
func (m *latencyMeasuring) profile(l latencyLevel) ([]blockTimes, error) {
	var now blockTimes
	x, err := m.open(l, func(p *plan.Program, events []cpu.Event) {
		for _, e := range events {
			now.add(p.Steps[e.Step].Label, e.Busy.Seconds())
		}
	})
	if err != nil {
		return nil, err
	}
	defer x.Close()
	var all []blockTimes
	for shape := range m.ids {
		for run := range latencyRounds + 1 {
			if run <= 1 {
				now = blockTimes{of: [2][]float64{make([]float64, m.layers), make([]float64, m.layers)}}
			}
			if _, err := m.round([]*executor.Executor{x}, shape); err != nil {
				return nil, err
			}
		}
		all = append(all, now)
	}
	return all, nil
}

// add counts a time for the block that a step's label names.
func (b *blockTimes) add(label string, seconds float64) {
	var layer int
	var kind string
	if n, _ := fmt.Sscanf(label, "layer %d %s", &layer, &kind); n == 2 && layer < len(b.of[0]) {
		switch kind {
		case "attention":
			b.of[attentionKind][layer] += seconds
			return
		case "ffn":
			b.of[ffnKind][layer] += seconds
			return
		}
	}
	b.rest += seconds
}

// open compiles the checkpoint at a level in memory and opens it.
func (m *latencyMeasuring) open(l latencyLevel, profile func(*plan.Program, []cpu.Event)) (*executor.Executor, error) {
	c := m.ckpt
	if l != denseLevel(m.table.Model) {
		var err error
		if c, err = atLevel(m.ckpt, l, m.changed); err != nil {
			return nil, err
		}
	}
	r, err := compiler.Compile(c, compiler.Options{Targets: []string{m.target}, Version: version})
	if err != nil {
		return nil, err
	}
	d, err := cpu.New(cpu.Options{Level: m.level, Threads: m.threads, Profile: profile})
	if err != nil {
		return nil, err
	}
	x, err := executor.New(r.Plan.Programs[0], d, executor.Options{})
	if err != nil {
		d.Close()
	}
	return x, err
}

// cpuName is what the system calls this machine's CPU, or its architecture.
func cpuName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
