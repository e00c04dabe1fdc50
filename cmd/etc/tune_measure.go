package main

import (
	"fmt"
	"slices"
	"time"

	"etc/compiler/cost"
	"etc/executor/gpu"
	"etc/formats/plan/launch"
)

// A trial is one key of a tuning table: what computes the same in several
// ways, and the memory to do it in.
type trial struct {
	key      string
	model    string // the variant that the cost model would take
	variants []variant
	// reserve makes operands on a device; values are the arguments of kernels
	// by the names of their parameters, the same for all variants but for what
	// variantValues adds.
	reserve func(m *cardMemory) (operands, error)
}

// A variant is a name in a tuning table, and its kernels in order.
type variant struct {
	name    string
	kernels []launch.Kernel
}

// Operands are what the kernels of a trial read and write.
type operands struct {
	sets []arguments // of the operations in turn: their weights are at several places
	size func(launch.Kernel) launch.Size
	of   func(k launch.Kernel, a arguments) arguments // with what depends on the kernel
}

// Arguments are bits by the names of kernels' parameters.
type arguments map[string]uint64

// A stopwatch says how long variants are measured.
type stopwatch struct {
	rounds int                // times that each variant is timed, in turns
	span   time.Duration      // that one timing is to take at least, by the model's variant
	most   int                // runs in one timing
	now    func() time.Time   // the clock
	cold   int64              // bytes of weights between two readings of the same
	done   func(n, total int) // how many trials are over
}

// cardWatch is how cards are measured. What a card keeps in its second-level
// cache, 50 MB on an H200, is not the weights of the layer after next.
var cardWatch = stopwatch{rounds: 9, span: 2 * time.Millisecond, most: 400, now: time.Now, cold: 128 << 20}

// measureAll runs all trials on a device, by functions of the kernels that they
// need, and returns what is best for each.
func measureAll(d gpu.Driver, functions map[string]gpu.Function, trials []trial, w stopwatch) (*cost.Tuning, error) {
	t := cost.NewTuning()
	for i, x := range trials {
		best, err := measure(d, functions, x, w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.key, err)
		}
		t.Entries[x.key] = best
		if w.done != nil {
			w.done(i+1, len(trials))
		}
	}
	return t, nil
}

// measure times the variants of a trial in turns, so that what else the device
// does meets all of them, and chooses by best.
func measure(d gpu.Driver, functions map[string]gpu.Function, x trial, w stopwatch) (cost.Measured, error) {
	m := &cardMemory{driver: d, cold: w.cold}
	defer m.free()
	o, err := x.reserve(m)
	if err != nil {
		return cost.Measured{}, err
	}
	one, err := w.timings(d, x.model, x, functions, o, 1)
	if err != nil {
		return cost.Measured{}, err
	}
	runs := 1
	if took := slices.Min(one[x.model]); took > 0 {
		runs = int(min(int64(w.span/took)+1, int64(w.most)))
	} else {
		runs = w.most // too fast for the clock
	}
	all, err := w.timings(d, "", x, functions, o, runs)
	if err != nil {
		return cost.Measured{}, err
	}
	return best(x, all, runs), nil
}

// timings are the times of runs runs of the variant of that name, of all where
// it is empty, in ascending order. The first round warms up and is not counted.
func (w *stopwatch) timings(d gpu.Driver, only string, x trial, functions map[string]gpu.Function, o operands, runs int) (map[string][]time.Duration, error) {
	prepared := map[string]gpu.Sequence{}
	defer func() {
		for _, q := range prepared {
			q.Close()
		}
	}()
	for _, v := range x.variants {
		if only != "" && v.name != only {
			continue
		}
		var ops []gpu.Operation
		for i := range runs {
			ops = append(ops, v.operations(functions, o, i)...)
		}
		q, err := d.Prepare(ops)
		if err != nil {
			return nil, err
		}
		prepared[v.name] = q
	}
	all := map[string][]time.Duration{}
	for round := range w.rounds + 1 {
		for _, v := range x.variants {
			q := prepared[v.name]
			if q == nil {
				continue
			}
			start := w.now()
			if err := d.Start(0, gpu.Work{Sequence: q}); err != nil {
				return nil, err
			}
			if err := d.Wait(0); err != nil {
				return nil, err
			}
			if round > 0 {
				all[v.name] = append(all[v.name], w.now().Sub(start))
			}
		}
	}
	for _, times := range all {
		slices.Sort(times)
	}
	return all, nil
}

// operations are the launches of one run of v, the one of number i.
func (v *variant) operations(functions map[string]gpu.Function, o operands, i int) []gpu.Operation {
	var ops []gpu.Operation
	for _, k := range v.kernels {
		values := o.of(k, o.sets[i%len(o.sets)])
		op := gpu.Operation{
			Label: "tune " + k.Entry(), Function: functions[k.Entry()],
			Grid: k.Grid(o.size(k)), Threads: k.Threads(), Shared: k.Shared(),
		}
		for _, p := range k.Params() {
			bits, ok := values[p.Name]
			if !ok {
				panic(fmt.Sprintf("bug: tune: no value for %s of %s", p.Name, k.Entry()))
			}
			op.Args = append(op.Args, gpu.Arg{Bits: bits, Size: p.Kind.Bytes()})
		}
		ops = append(ops, op)
	}
	return ops
}

// leastGain is how much faster than the model's choice a variant has to be.
const leastGain = 0.02

// best is the variant of the least median. The model's choice stays unless
// that is faster by 2 % and by more than the noise: the distance between the
// quartiles of the two, the larger one.
func best(x trial, all map[string][]time.Duration, runs int) cost.Measured {
	use := x.model
	for _, v := range x.variants {
		if median(all[v.name]) < median(all[use]) {
			use = v.name
		}
	}
	noise := max(spread(all[use]), spread(all[x.model]))
	if gain := median(all[x.model]) - median(all[use]); gain <= noise || float64(gain) < leastGain*float64(median(all[x.model])) {
		use = x.model
	}
	us := float64(median(all[use]).Nanoseconds()) / float64(runs) / 1e3
	return cost.Measured{Use: use, Micros: max(us, 1e-3)} // below a nanosecond nothing was measured
}

// median and spread are of times in ascending order.
func median(times []time.Duration) time.Duration { return times[len(times)/2] }

func spread(times []time.Duration) time.Duration {
	return times[len(times)*3/4] - times[len(times)/4]
}
