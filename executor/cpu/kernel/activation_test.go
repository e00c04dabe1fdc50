package kernel

import (
	"math"
	"testing"
)

var references = []struct {
	name string
	a    Activation
	f    func(x float64) float64
}{
	{"gelu", GELU, func(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) }},
	{"gelu_tanh", GELUTanh, func(x float64) float64 {
		u := math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x)
		return x / (1 + math.Exp(-2*u)) // x/2·(1+tanh u), without cancellation
	}},
	{"relu", ReLU, func(x float64) float64 { return max(x, 0) }},
	{"tanh", Tanh, math.Tanh},
}

// activationBound is what linear.go promises, in units of max(1,|x|).
const activationBound = 2.5e-7

// TestActivations goes over all float32 in steps: near zero, ordinary, huge,
// infinite and NaN, of both signs. AVX2 and AVX-512 give the same bits.
func TestActivations(t *testing.T) {
	step := uint64(2003) // prime, so that low bits vary
	if testing.Short() || raceEnabled {
		step = 60013
	}
	block := make([]float32, 0, 4096)
	worst := map[string]float64{}
	flush := func() {
		for len(block)%lanes != 0 {
			block = append(block, 0)
		}
		checkActivations(t, block, worst)
		block = block[:0]
	}
	add := func(x float32) {
		if block = append(block, x); len(block) == cap(block) {
			flush()
		}
	}
	for b := uint64(0); b < 1<<32; b += step {
		add(math.Float32frombits(uint32(b)))
	}
	for x := float32(-12); x < 12; x += 24.0 / (1 << 20) { // where the functions bend
		add(x)
	}
	for _, x := range []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, -math.MaxFloat32, 5.6, -5.6, 5.7, 9.02, -9.02} {
		add(float32(x))
	}
	flush()
	t.Log("worst errors, in units of max(1,|x|):", worst)
}

func checkActivations(t *testing.T, x []float32, worst map[string]float64) {
	t.Helper()
	for _, ref := range references {
		var fused []float32
		for _, table := range tables() {
			y := append([]float32(nil), x...)
			table.Activate(ref.a, y)
			if table.level == AVX2 {
				fused = y
			} else if table.level == AVX512 {
				if !sameBits(fused, y) {
					t.Fatalf("%s: AVX2 and AVX-512 differ", ref.name)
				}
				continue
			}
			for i, v := range x {
				e := activationError(float64(v), float64(y[i]), ref.f)
				if !(e <= activationBound) {
					t.Fatalf("%s %s(%g) = %g: error %g, bound %g", table.level, ref.name, v, y[i], e, activationBound)
				}
				key := ref.name + " " + table.level.String()
				worst[key] = max(worst[key], e)
			}
		}
	}
}

func activationError(x, y float64, f func(float64) float64) float64 {
	switch {
	case x != x:
		if y != y {
			return 0
		}
		return math.Inf(1)
	case math.IsInf(x, -1):
		x = -1e300 // the limit; the formulas above have none
	case math.IsInf(x, 1):
		if y == f(1e300) || math.IsInf(y, 1) && f(1e300) == 1e300 {
			return 0
		}
		return math.Inf(1)
	}
	want := f(x)
	if want != want || math.IsInf(want, 0) { // x³ overflowed
		want = max(x, 0)
	}
	if math.Abs(x) >= 1e300 {
		return math.Abs(y - want) // no share of an infinite x
	}
	return math.Abs(y-want) / max(1, math.Abs(x))
}

// TestFarBelowZeroGELUIsZero: no remnant of x however large it is.
func TestFarBelowZeroGELUIsZero(t *testing.T) {
	for _, table := range tables() {
		for _, a := range []Activation{GELU, GELUTanh} {
			y := []float32{-6, -100, -1e10, -math.MaxFloat32, float32(math.Inf(-1))}
			table.Activate(a, y)
			for i, v := range y {
				if v != 0 {
					t.Errorf("%s: activation %d of value %d = %g, want 0", table.level, a, i, v)
				}
			}
		}
	}
}

func BenchmarkActivation(b *testing.B) {
	for _, table := range tables() {
		for _, ref := range references {
			b.Run(table.level.String()+"/"+ref.name, func(b *testing.B) {
				y := make([]float32, 4096)
				for i := range y {
					y[i] = float32(i%100)/10 - 5
				}
				for b.Loop() {
					table.Activate(ref.a, y)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4096, "ns/element")
			})
		}
	}
}
