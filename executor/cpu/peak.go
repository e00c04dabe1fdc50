package cpu

import (
	"time"

	"etc/executor/cpu/pool"
	"etc/formats/plan"
	"etc/formats/plan/layout"
	"etc/ir/tensor"
)

// peakRounds is the length of one measurement of the peak, about 1 ms.
const peakRounds = 1 << 15

// Peak runs n loops on registers only, on all threads, of what products of the program
// that is loaded consist of, fused multiply-adds or products of integers. It returns the
// rate of each in GFLOP/s: what the machine could do, at this moment. At level generic
// there is none.
func (d *Device) Peak(n int) []float64 {
	var rates []float64
	loop := d.table.Peak
	if d.program != nil {
		if e := plan.Elem(d.program.Target); e != tensor.F32 {
			loop = func(n int) int { return d.table.PeakIntegers(layout.Int(e.Size()), n) }
		}
	}
	flops := loop(1) * peakRounds
	if flops == 0 {
		return nil
	}
	for range n {
		step := pool.Step{Tasks: d.pool.Threads(), Job: pool.Func(func(_, _ int) { loop(peakRounds) })}
		start := time.Now()
		d.pool.Run(1, func(int) pool.Step {
			defer func() { step = pool.Step{} }()
			return step
		})
		rates = append(rates, float64(flops*d.pool.Threads())/float64(time.Since(start).Nanoseconds()))
	}
	return rates
}
