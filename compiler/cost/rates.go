package cost

import (
	"slices"

	"etc/ir"
)

// Rates are what one core does at a CPU level. They predict the time of a step
// on the machine at hand, for people; choices follow a target's Machine alone,
// because a plan's bytes do not depend on where it was made.
type Rates struct {
	Level       string
	Dense       float64 // float32 operations a second of a dense product, two for each multiply-add
	Tiles, CSR  float64 // of the sparse forms, counting what they keep
	Exps        float64 // exponentials a second of a softmax
	Activations float64 // exact GELUs a second
	Elements    float64 // elements a second of norms, embeddings and what else goes row by row
	Memory      float64 // bytes a second of weights that come from memory
	Int16, Int8 float64 // integer operations a second of a product, dense or of tiles; 0: not known
}

// CPURates are measured: generic and avx2 on an AMD EPYC of family 25 (Zen 3), whose
// register-only peak is 104 GFLOP/s, the tenth percentile of some hundred calls,
// products of 32 and 48 tokens at 384×384, softmax over 128 keys, norms over 384
// features, memory as one token goes through a ring of 42 MB; avx512 on a Zen 4
// (AVX-512 at half width), from the benchmarks in docs/performance.md. The float32
// kernels of avx512vnni are those of avx512. Integers on avx2 are those of CPUInt16
// and CPUInt8; with VNNI twice and 3.9 times float32, the ratios measured on a
// prototype and another machine.
var CPURates = []Rates{
	{"generic", 1.3e9, 1.3e9, 0.74e9, 78e6, 110e6, 340e6, 18e9, 0, 0},
	{"avx2", 97e9, 91e9, 63e9, 2.0e9, 2.3e9, 1.7e9, 18e9, 140e9, 132e9},
	{"avx512", 115e9, 104e9, 88e9, 2.0e9, 1.0e9, 1.25e9, 20e9, 0, 0},
	{"avx512vnni", 115e9, 104e9, 88e9, 2.0e9, 1.0e9, 1.25e9, 20e9, 230e9, 450e9},
}

// RatesOf is the rates of a level by the name that the command line has for it.
func RatesOf(level string) Rates {
	return CPURates[slices.IndexFunc(CPURates, func(r Rates) bool { return r.Level == level })]
}

// A Work is what there is to do in one step.
type Work struct {
	Kind        ir.Kind
	Bits        int     // 8 or 16 of a product in integers
	MACs        float64 // multiply-adds
	Bytes       float64 // of weights
	Exps        float64 // of a softmax
	Activations float64
	Elements    float64 // of results
}

// Seconds predicts the time of w on so many cores: the sum of its arithmetic,
// or the weights' way from memory where that takes longer. It is 0 where a rate is
// not known.
func (r Rates) Seconds(w Work, cores int) float64 {
	rate := r.Dense
	rows := 0.0
	switch w.Kind {
	case ir.BlockSparseLinear:
		rate = r.Tiles
	case ir.CSRLinear, ir.Sparse24Linear:
		rate = r.CSR
	case ir.Linear, ir.OTFAttention, ir.PartialOTFAttention, ir.FlashAttention, ir.VOAttention, ir.LinearNLL:
	default:
		rows = w.Elements / r.Elements
	}
	switch w.Bits {
	case 16:
		rate = r.Int16
	case 8:
		rate = r.Int8
	}
	if rate == 0 {
		return 0
	}
	arithmetic := 2*w.MACs/rate + w.Exps/r.Exps + w.Activations/r.Activations + rows
	return max(arithmetic, w.Bytes/r.Memory) / float64(cores)
}
