package ir

import "math"

// Apply is the activation function in float64, as its constant's comment
// defines it.
func (a ActKind) Apply(x float64) float64 {
	switch a {
	case NoAct:
		return x
	case GELU:
		return x * 0.5 * (1 + math.Erf(x/math.Sqrt2))
	case GELUTanh:
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	case ReLU:
		return max(x, 0)
	case Tanh:
		return math.Tanh(x)
	}
	panic("bug: ir: unknown activation")
}
