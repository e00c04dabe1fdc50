package cost

import (
	"testing"

	"etc/ir"
)

// TestRates: every level has all its rates, and more work or fewer cores never
// take less time.
func TestRates(t *testing.T) {
	for _, level := range []string{"generic", "avx2", "avx512", "avx512vnni"} {
		r := RatesOf(level)
		for i, rate := range []float64{r.Dense, r.Tiles, r.CSR, r.Exps, r.Activations, r.Elements, r.Memory} {
			if rate <= 0 {
				t.Errorf("%s: rate %d is %g", level, i, rate)
			}
		}
		for _, kind := range []ir.Kind{ir.Linear, ir.BlockSparseLinear, ir.CSRLinear, ir.OTFAttention, ir.SkipLayerNorm} {
			w := Work{Kind: kind, MACs: 1e6, Bytes: 1e3, Exps: 1e3, Activations: 1e3, Elements: 1e3}
			base := r.Seconds(w, 1)
			more := []Work{w, w, w, w}
			more[0].MACs *= 2
			more[1].Bytes = 1e12
			more[2].Exps *= 2
			more[3].Activations *= 2
			for i, m := range more {
				if r.Seconds(m, 1) <= base {
					t.Errorf("%s, %v: more of part %d takes no longer", level, kind, i)
				}
			}
			if half := r.Seconds(w, 2); half != base/2 {
				t.Errorf("%s, %v: %g on one core, %g on two", level, kind, base, half)
			}
		}
	}
	r := RatesOf("avx2")
	if got, want := r.Seconds(Work{Kind: ir.Linear, MACs: 97e9 / 2}, 1), 1.0; got != want {
		t.Errorf("a second's multiply-adds take %g s", got)
	}
	if got := r.Seconds(Work{Kind: ir.Linear, Bits: 16, MACs: 70e9}, 1); got != 1 {
		t.Errorf("a second's products in int16 take %g s", got)
	}
	if got := RatesOf("generic").Seconds(Work{Kind: ir.Linear, Bits: 8, MACs: 1e9}, 1); got != 0 {
		t.Errorf("products at a rate that is not known take %g s", got)
	}
	if rows := (Work{Kind: ir.SkipLayerNorm, Elements: 1.7e9}); r.Seconds(rows, 1) != 1 {
		t.Errorf("a second's elements of a norm take %g s", r.Seconds(rows, 1))
	}
}
