package cpu

import (
	"time"

	"etc/executor/cpu/pool"
)

// peakRounds is the length of one measurement of the peak, about 1 ms.
const peakRounds = 1 << 15

// Peak runs n loops of fused multiply-adds on registers only, on all threads,
// and returns the rate of each in GFLOP/s: what the machine could do, at this
// moment. At level generic there is none.
func (d *Device) Peak(n int) []float64 {
	var rates []float64
	flops := d.table.Peak(1) * peakRounds
	if flops == 0 {
		return nil
	}
	for range n {
		step := pool.Step{Tasks: d.pool.Threads(), Job: pool.Func(func(_, _ int) { d.table.Peak(peakRounds) })}
		start := time.Now()
		d.pool.Run(1, func(int) pool.Step {
			defer func() { step = pool.Step{} }()
			return step
		})
		rates = append(rates, float64(flops*d.pool.Threads())/float64(time.Since(start).Nanoseconds()))
	}
	return rates
}
