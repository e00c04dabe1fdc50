package main

import "etc/prune"

type macs struct{ h, heads, d, inner float64 }

func (m macs) Rest() []float64 { return []float64{m.h * 100} }
func (m macs) Attention(heads, d, dv int) []float64 {
	n := float64(heads)
	return []float64{m.h*n*2*(float64(d)+float64(dv)) + 64*n*float64(d+dv) + m.h*10}
}
func (m macs) FFN(w int) []float64                { return []float64{2*m.h*float64(w) + m.h*10} }
func (m macs) AttentionTiles(x float64) []float64 { return nil }
func (m macs) FFNTiles(x float64) []float64       { return nil }

func (r *pruning) latency() (prune.Latency, error) { return macs{384, 12, 32, 1536}, nil }
