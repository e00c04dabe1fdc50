package cpu

import "time"

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
		begun := false
		start := time.Now()
		d.pool.Run(1, func(int) int {
			if begun {
				return 0
			}
			begun = true
			return d.pool.Threads()
		}, func(_, _, _ int) { d.table.Peak(peakRounds) })
		rates = append(rates, float64(flops*d.pool.Threads())/float64(time.Since(start).Nanoseconds()))
	}
	return rates
}
