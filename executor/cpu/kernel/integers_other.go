//go:build !amd64

package kernel

import "etc/formats/plan/layout"

func hasDots(Level) bool { return false }

func (t *Table) integerRows() int           { return maxRows }
func (t *Table) integerPanels(rows int) int { return groupPanels }

func (t *Table) integerBlock(w *IntWeight, p int, b *intBlock) { integerBlockGeneric(w, p, b) }

// PeakIntegers is 0: there is no loop of this machine's fastest instructions.
func (t *Table) PeakIntegers(typ layout.Int, n int) int { return 0 }

func (t *Table) sumSquares(x []float32) float64 { return layout.SumSquares(x) }
func (t *Table) maxBits(x []float32) uint32     { return layout.MaxBits(x) }

func (t *Table) quantise(typ layout.Int, dst []byte, x []float32, factor float32) {
	quantiseGeneric(typ, dst, x, factor)
}
