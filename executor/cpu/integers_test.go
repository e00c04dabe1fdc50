package cpu

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"etc/executor/cpu/kernel"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/plan/layout"
	"etc/ir/tensor"
)

// integerPlan is miniPlan with the product in integers, and right behind the
// embedding if adjacent is set.
func integerPlan(t *testing.T, target string, adjacent bool) *plan.Program {
	t.Helper()
	q := miniPlan(t)
	q.Target = target
	w, d := &q.Weights[1], plan.Elem(target)
	ones := tensor.Tensor{DType: tensor.F32, Shape: w.Shape, Data: q.Data[w.Offset : w.Offset+4*int64(w.Shape[0])]}.Float32s()
	packed := layout.PackIntPanels(layout.Int(d.Size()), ones, w.Shape[0], 1)
	w.Layout, w.DType, w.Size = plan.IntPanels, d, int64(len(packed))
	q.Data = append(append([]byte{}, q.Data[:w.Offset]...), packed...)
	_, q.Steps[2].Reduction = plan.Linear.Matrix(target)
	if adjacent {
		q.Steps[1], q.Steps[2] = q.Steps[2], q.Steps[1]
		q.Outputs[0].After, q.Outputs[1].After = 2, 1
	}
	if err := plan.Check(q.Plan); err != nil {
		t.Fatal(err)
	}
	return q
}

// TestFirstPhases: rows are turned into integers by the step before the product
// where that computes them row by row, else in a phase of their own; and only
// when the product runs. Results do not depend on it.
func TestFirstPhases(t *testing.T) {
	for _, target := range []string{"cpu:int16", "cpu:int8"} {
		for _, adjacent := range []bool{false, true} {
			d := newDevice(t, 2)
			if err := d.Load(integerPlan(t, target, adjacent), 8, 3); err != nil {
				t.Fatal(err)
			}
			if joined := d.steps[0].withNext != nil; joined != adjacent {
				t.Errorf("%s: phases joined %v, want %v", target, joined, adjacent)
			}
			for _, wanted := range []uint64{3, 1, 2, 3, 1} {
				b := miniBatch(70, 7, wanted)
				if err := d.Run(b); err != nil {
					t.Fatal(err)
				}
				if wanted&1 != 0 && b.Results[0][69] != 3 {
					t.Errorf("%s: the mean of a row is %v, want 3", target, b.Results[0][69])
				}
				if wanted&2 == 0 {
					continue
				}
				for i, y := range b.Results[1] {
					if want := float64(i / 1000 % 7); math.Abs(float64(y)-want) > 1e-5 {
						t.Fatalf("%s: token %d times one is %v, want %v", target, i/1000, y, want)
					}
				}
			}
		}
	}
}

// integerPrograms calls f for each type of integers, where the product quantises
// its rows itself and where the step before it does.
func integerPrograms(t *testing.T, f func(t *testing.T, p *plan.Program, adjacent bool)) {
	for _, target := range []string{"cpu:int16", "cpu:int8"} {
		for _, adjacent := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s adjacent %v", target, adjacent), func(t *testing.T) { f(t, integerPlan(t, target, adjacent), adjacent) })
		}
	}
}

// TestIntegersOfLanes: lanes have memory for integers apart from each other, no
// more than was checked for, after batches of other sizes too.
func TestIntegersOfLanes(t *testing.T) {
	for threads := 1; threads <= 3; threads++ {
		d := newDevice(t, threads)
		if err := d.Load(integerPlan(t, "cpu:int16", true), 4096, 3); err != nil {
			t.Fatal(err)
		}
		for _, rows := range []int{1, 200, 31, 32, 4096, 40} {
			d.batch = miniBatch(rows, 8, 3)
			d.begin()
			tokens, _ := d.largestGroup()
			for i, g := range d.groups[:d.lanes] {
				bytes, units := g.ints.Data, g.ints.Units
				if len(bytes) != 64*tokens || &bytes[0] != &d.ints.Data[64*tokens*i] || len(units) != tokens || &units[0] != &d.ints.Units[tokens*i] {
					t.Errorf("%d rows: lane %d of %d has %d bytes and %d units for groups of %d tokens", rows, i, d.lanes, len(bytes), len(units), tokens)
				}
			}
		}
		if most, _ := d.mostInArena(8*4096, 4096); len(d.ints.Data) > 64*most || len(d.ints.Units) > most {
			t.Errorf("%d bytes and %d units, checked for %d tokens", len(d.ints.Data), len(d.ints.Units), most)
		}
	}
}

// TestIntegersDoNotAllocate once buffers have grown, whatever the groups.
func TestIntegersDoNotAllocate(t *testing.T) {
	integerPrograms(t, func(t *testing.T, p *plan.Program, _ bool) {
		for _, rows := range []int{1, 300} {
			d := newDevice(t, 2)
			if err := d.Load(p, 4096, 3); err != nil {
				t.Fatal(err)
			}
			b := miniBatch(rows, 8, 3)
			if n := testing.AllocsPerRun(50, func() {
				if err := d.Run(b); err != nil {
					t.Error(err)
				}
			}); n != 0 {
				t.Errorf("%d rows: %g allocations a Run", rows, n)
			}
		}
	})
}

// TestProfileOfFirstPhases: a phase of its own has events of its own, without
// multiply-adds; all others are what the counters say.
func TestProfileOfFirstPhases(t *testing.T) {
	integerPrograms(t, func(t *testing.T, p *plan.Program, adjacent bool) {
		first, macs := 0, 0.0
		d, err := New(Options{Level: kernel.Best(), Threads: 2, Profile: func(_ *plan.Program, events []Event) {
			for _, e := range events {
				macs += e.MACs
				if e.First {
					first += e.Tasks
				}
				if e.First && (e.Step != 2 || e.MACs != 0) {
					t.Errorf("event %+v", e)
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.Load(p, 4096, 3); err != nil {
			t.Fatal(err)
		}
		if err := d.Run(miniBatch(200, 8, 3)); err != nil {
			t.Fatal(err)
		}
		if want := float64(d.Counters().MultiplyAdds); macs < 0.999*want || macs > 1.001*want {
			t.Errorf("%g multiply-adds in events, %g counted", macs, want)
		}
		want := 0
		for i := range d.groupCount() {
			if tokens := int(d.batch.Offsets[d.cuts[i+1]] - d.batch.Offsets[d.cuts[i]]); !adjacent {
				want += (tokens + lines - 1) / lines
			}
		}
		if first != want {
			t.Errorf("%d tasks of first phases, want %d", first, want)
		}
	})
}

// TestPanicInFirstPhase is an error, and the device goes on.
func TestPanicInFirstPhase(t *testing.T) {
	d := newDevice(t, 3)
	if err := d.Load(integerPlan(t, "cpu:int8", false), 4096, 3); err != nil {
		t.Fatal(err)
	}
	first := d.steps[2].first
	task := first.task
	for _, rows := range []int{1, 200} {
		first.task = func(g *group, worker, i int) {
			if g.firstToken+g.tokens() == 8*rows {
				panic("no integers")
			}
			task(g, worker, i)
		}
		if err := d.Run(miniBatch(rows, 8, 3)); err == nil || !strings.Contains(err.Error(), "no integers") {
			t.Fatalf("error %v, want that of the panic", err)
		}
		first.task = task
		b := miniBatch(rows, 8, 3)
		if err := d.Run(b); err != nil {
			t.Fatal(err)
		}
		if got := b.Results[1][7*1000]; math.Abs(float64(got)-7) > 1e-5 {
			t.Errorf("%d rows: token 7 is %v", rows, got)
		}
	}
}

// TestMemoryOfIntegersIsChecked: a row of integers and its unit for each token.
func TestMemoryOfIntegersIsChecked(t *testing.T) {
	p := integerPlan(t, "cpu:int16", true)
	const tokens, held = 1 << 20, 2*groupTokens + 8
	enough := int64(reserve+len(p.Data)) + held*(64+64+64+4) + tokens*4
	for free, ok := range map[int64]bool{enough: true, enough - 1: false} {
		d := newDevice(t, 1)
		d.available = func() int64 { return free }
		if err := d.Load(p, tokens, 1); (err == nil) != ok || err != nil && fault.KindOf(err) != fault.Memory {
			t.Errorf("%d bytes free, %d wanted: %v", free, enough, err)
		}
	}
}
