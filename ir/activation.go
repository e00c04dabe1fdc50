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

// Derivative is that of Apply at x, where there is one; 0 at the corner of ReLU.
func (a ActKind) Derivative(x float64) float64 {
	switch a {
	case NoAct:
		return 1
	case GELU: // Φ(x) + x·φ(x)
		return 0.5*(1+math.Erf(x/math.Sqrt2)) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	case GELUTanh:
		const c = 0.044715
		t := math.Tanh(math.Sqrt(2/math.Pi) * (x + c*x*x*x))
		return 0.5*(1+t) + 0.5*x*(1-t*t)*math.Sqrt(2/math.Pi)*(1+3*c*x*x)
	case ReLU:
		if x > 0 {
			return 1
		}
		return 0
	case Tanh:
		t := math.Tanh(x)
		return 1 - t*t
	}
	panic("bug: ir: unknown activation")
}
