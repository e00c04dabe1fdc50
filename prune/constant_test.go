package prune

import (
	"math"
	"testing"

	"etc/ir"
	"etc/prune/linalg"
)

// TestInputsThatDoNotVary: where calibration shows one row, or the same again and again,
// there is nothing to repair by, and what stays has its old weights, at once and layer by layer.
func TestInputsThatDoNotVary(t *testing.T) {
	for _, times := range []int{1, 37} {
		for _, name := range []string{"neurons", "structured", "tiles:obs", "elements:obs"} {
			dense := encoder()
			stats := &Statistics{}
			first := map[string][]float32{}
			calibration(t, dense, 0, func(name string, rows [][]float32) {
				first[name] = rows[0]
				for range times {
					stats.Add(name, rows[0])
				}
			})
			m, err := MethodNamed(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, layerByLayer := range []bool{false, true} {
				g := dense.Clone()
				var rebuild *Rebuild
				if layerByLayer {
					damage := 1e6
					rebuild = &Rebuild{
						Calibrate: func(_ *ir.Graph, p *Pass) error {
							for range everyFifth {
								for weight, row := range first {
									if p.Wants(weight, len(row)) {
										p.See(false, weight, len(row), times, func(int) []float32 { return row })
										p.See(true, weight, len(row), times, func(int) []float32 { return row })
									}
								}
								if err := p.End(); err != nil {
									return err
								}
							}
							return nil
						},
						Damage: func(*ir.Graph) (float64, error) { damage--; return damage, nil }, // each is taken
					}
				}
				r, err := Fixed(g, stats, m, 0.1, rebuild)
				if err != nil {
					t.Fatal(err)
				}
				if r.Sparsity > 0.3 {
					t.Errorf("%s of %d rows, layer by layer %v: %.2f of all weights are zero", name, times, layerByLayer, r.Sparsity)
				}
				was := weightsOf(dense)
				for weight, now := range weightsOf(g) {
					for i, x := range now {
						if x != 0 && math.Abs(x-was[weight][i]) > 1e-3*math.Abs(was[weight][i]) {
							t.Fatalf("%s of %d rows, layer by layer %v: %s[%d] is %v, was %v", name, times, layerByLayer, weight, i, x, was[weight][i])
						}
					}
				}
			}
		}
	}
}

// TestAnInputThatDoesNotVary beside others that do keeps its weights, but for what goes.
func TestAnInputThatDoesNotVary(t *testing.T) {
	const k, n = 6, 4
	m := &moments{sum: make([]float64, k), gram: linalg.New(k, k)}
	x := linalg.New(50, k)
	for i := range x.Rows {
		for j := range k {
			x.Set(i, j, 0.1+math.Sin(float64(1+i*k+j)))
		}
		x.Set(i, 2, 0.7) // the mean of fifty is not quite that
	}
	m.addAll(x)
	h := m.second(m.mean(k))
	for j := range k {
		if h.At(2, j) != 0 || h.At(j, 2) != 0 || (h.At(j, j) > 0) == (j == 2) {
			t.Errorf("covariance %v of input 2 with %d", h.At(2, j), j)
		}
	}
	y := linalg.New(x.Rows, n)
	linalg.AddProduct(y, 1, x, linalg.Select(x, span(0, n), nil), false, true)
	seen := sums{x: m, targets: []targetSums{{linalg.New(k, n), make([]float64, n)}}}
	linalg.AddCross(seen.targets[0].cross, x, y)
	for i := range y.Rows {
		addTo(seen.targets[0].sum, y.Row(i))
	}
	a := seen.aim(0, &matrix{n: n, k: k, biased: true})
	for i := range n {
		if a.g.At(2, i) != 0 || a.g.At(1, i) == 0 {
			t.Errorf("covariance %v of input 2 with output %d", a.g.At(2, i), i)
		}
	}
	if h = m.second(make([]float64, k)); h.At(2, 2) < 0.48 {
		t.Errorf("second moment %v", h.At(2, 2))
	}
}
