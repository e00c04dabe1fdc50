// Package approx holds the coefficients of the elementary functions in the
// CPU kernels: the generated assembly and the portable Go read the same ones.
//
// They were fitted for this project with 40-digit arithmetic (iterated
// weighted least squares until the error was level). Errors given are those
// of the approximation itself; rounding to float32 comes on top. All
// coefficients are positive, so that Horner's rule loses no digits.
package approx

import "math"

// erf(x/√2) = x·P(x²)/Q(x²) for |x| ≤ GELULimit, relative error 2.1e-8.
var (
	ErfNumerator   = []float64{0.797884543826, 0.0678570123964, 0.00935463002673, 0.000337846919625, 1.25793949182e-5, 4.45951692822e-8}
	ErfDenominator = []float64{1, 0.251712480325, 0.02867724851, 0.00188545949455, 7.33421206297e-5, 1.17965597034e-6}
)

// GELULimit is where erf(x/√2) is 1 to float32, so that GELU is x or 0 beyond.
const GELULimit = 5.6

// tanh(x) = x·P(x²)/Q(x²) for |x| ≤ TanhLimit, relative error 2.1e-8.
var (
	TanhNumerator   = []float64{0.999999979107, 0.133797291921, 0.0034940475669, 2.05836815079e-5, 1.33193236386e-8}
	TanhDenominator = []float64{1, 0.467130444559, 0.025871123593, 0.00032831135133, 7.76212790625e-7}
)

// TanhLimit is where tanh is 1 to float32. There, and at GELULimit, P/Q
// evaluated in float32 is not below 1, so that with a bound of 1 it is exact.
const TanhLimit = 9.03

// GELU in its tanh form is x/2·(1 + tanh(x·(GELUTanhLinear + GELUTanhCubic·x²))).
const (
	GELUTanhLinear = math.Sqrt2 / math.SqrtPi // √(2/π): math has no such constant
	GELUTanhCubic  = 0.044715 * GELUTanhLinear
)

// GELUTanhLimit is where that tanh's argument is past TanhLimit.
const GELUTanhLimit = 5.7

// Exp2 is 2^x for |x| ≤ 1/2 in ascending powers, relative error 2.0e-9, exact at 0.
var Exp2 = []float64{1, 0.693147202856, 0.240226479134, 0.0555033246985, 0.00961843737443, 0.00133988748083, 0.000153533585368}

// Exp2Limit is where 2^x is taken as 0; Exp2Shift rounds a float32 to an
// integer n when added, and leaves n+127 in its lowest bits.
const (
	Exp2Limit = -127
	Exp2Shift = 3<<22 + 127
)
