package plan

import (
	"fmt"
	"math"
)

// checkParams checks that p has values in range where has says so, and zeros elsewhere.
func checkParams(p Params, has paramSet) error {
	if err := checkRanges(p, has); err != nil {
		return err
	}
	var own Params
	if has&hasAct != 0 {
		own.Act = p.Act
	}
	if has&hasRows != 0 {
		own.Rows = p.Rows
	}
	if has&hasHeads != 0 {
		own.Heads, own.D, own.Dv, own.Causal, own.Exp2 = p.Heads, p.D, p.Dv, p.Causal, p.Exp2
	}
	if has&hasScaled != 0 {
		own.Scaled = p.Scaled
	}
	if has&hasScale != 0 {
		own.Scale = p.Scale
	}
	if has&hasEps != 0 {
		own.Eps = p.Eps
	}
	if own != p {
		return fmt.Errorf("parameters %+v are not all its own", p)
	}
	return nil
}

func checkRanges(p Params, has paramSet) error {
	least := 0 // of heads and their widths
	if has&hasHeads != 0 {
		least = 1
	}
	switch {
	case p.Act > Tanh:
		return fmt.Errorf("activation %d is not known", p.Act)
	case p.Rows > LastRows:
		return fmt.Errorf("%v is not known", p.Rows)
	case !within(p.Heads, least, maxDim) || !within(p.D, least, maxDim) || !within(p.Dv, least, maxDim):
		return fmt.Errorf("heads %d, d %d, dv %d: want %d to %d", p.Heads, p.D, p.Dv, least, maxDim)
	case !within(p.Scaled, 0, maxDim):
		return fmt.Errorf("%d features are scaled", p.Scaled)
	case math.IsNaN(p.Scale) || math.IsInf(p.Scale, 0):
		return fmt.Errorf("scale is %v", p.Scale)
	case !(p.Eps >= 0) || math.IsInf(p.Eps, 0):
		return fmt.Errorf("eps is %v", p.Eps)
	}
	return nil
}
