package kernels

import (
	"bytes"
	"testing"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
)

// TestLinearBits: every tile gives the same bits, and a row the same bits
// wherever it stands and whatever other rows there are.
func TestLinearBits(t *testing.T) {
	shape := linearShape{rows: 150, n: 100, k: 200, scaled: 33}
	var want []byte
	for _, e := range linearTable {
		k := e.kernel()
		if e.values != nil {
			continue
		}
		m := goldenModule(t, k)
		p := linearNumbers(k, shape)
		bits := func(p *linearProblem) []byte {
			b, _, err := p.run(m, ptxsim.Options{Unchecked: true})
			if err != nil {
				t.Fatal(k.Entry(), err)
			}
			return b
		}
		all := bits(p)
		if want == nil {
			want = all
		}
		if !bytes.Equal(all, want) {
			t.Errorf("%s: the bits differ from those of %s", k.Entry(), linearTable[0].kernel().Entry())
		}
		row := len(all) / shape.rows
		for _, part := range [][2]int{{3, 4}, {17, 150}, {60, 77}} {
			if !bytes.Equal(bits(p.rowsOnly(part[0], part[1])), all[part[0]*row:part[1]*row]) {
				t.Errorf("%s: the bits of rows %v change with their batch", k.Entry(), part)
			}
		}
	}
}

// TestLossBits: a row's losses have the same bits alone as among others.
func TestLossBits(t *testing.T) {
	k1, k2 := lossKernels(launch.F16)
	product, combine := goldenModule(t, k1), goldenModule(t, k2)
	p := lossNumbers(launch.F16, 600, 40, 1, 30, 70, 1, 40)
	bits := func(p *lossProblem) []byte {
		b, _, err := p.run(product, combine, ptxsim.Options{Unchecked: true})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	all := bits(p)
	for row := range len(p.offsets) - 1 {
		from, to := p.offsets[row], p.offsets[row+1]
		alone := *p
		alone.offsets, alone.ids, alone.x = []int{0, to - from}, p.ids[from:to], rowsOf(p.x, from, to)
		if !bytes.Equal(bits(&alone), all[4*from:4*to]) {
			t.Errorf("row %d: the losses change with the batch", row)
		}
	}
}

// TestLinearTraffic: on whole tiles no bank conflicts, whole sectors, and as
// many products of tensor cores as the shape has. The limits are the issue's.
func TestLinearTraffic(t *testing.T) {
	for _, e := range linearTable {
		k, tile := e.kernel(), launch.LinearTiles()[e.tile]
		s := linearShape{rows: 2 * tile.BM, n: 2 * tile.BN, k: 4 * tile.BK, scaled: 8}
		_, c, err := linearNumbers(k, s).run(goldenModule(t, k), ptxsim.Options{Count: true})
		if err != nil {
			t.Fatal(k.Entry(), err)
		}
		checkTraffic(t, k, c, s.rows/16*(s.n/8)*(s.k/16))
	}
	k1, k2 := lossKernels(launch.F16)
	p := lossNumbers(launch.F16, 512, 64, 1, 128)
	_, c, err := p.run(goldenModule(t, k1), goldenModule(t, k2), ptxsim.Options{Count: true})
	if err != nil {
		t.Fatal(err)
	}
	checkTraffic(t, k1, c, 128/16*(512/8)*(64/16))
}

func checkTraffic(t *testing.T, k launch.Kernel, c ptxsim.Counters, products int) {
	t.Helper()
	waves, sectors := float64(c.SharedWavefronts)/float64(c.IdealWavefronts), float64(c.Sectors)/float64(c.IdealSectors)
	t.Logf("%s: wavefronts %.3f, sectors %.3f of the ideal, %d products", k.Entry(), waves, sectors, c.MMA)
	if waves > 1.05 || sectors > 1.1 || int(c.MMA) != products {
		t.Errorf("%s: wavefronts %.3f (want 1.05), sectors %.3f (want 1.1) of the ideal, %d products (want %d)", k.Entry(), waves, sectors, c.MMA, products)
	}
}
