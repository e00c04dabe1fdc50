package eval

// Hopeless tells whether the first rows of a pruned model's answers already
// show that it loses more than d: the 95 % interval of the paired drop lies
// beyond it. soFar is of a prefix of the rows of dense, at least one of them.
//
// The prefix must be as good as drawn at random: judge in the order of
// Shuffled, in blocks of 64. Each look is a test of its own, one-sided at
// 2.5 %, and looks add up: of 400 random pairs of classifiers that differ on a
// tenth of the rows, seven looks stopped 3 % of those that lose nothing and
// 10 % of those that lose just the one point allowed. So it may only refuse a
// candidate, never accept one. References: Armitage,
// McPherson and Rowe, Repeated Significance Tests on Accumulating Data,
// J. R. Stat. Soc. A 132 (1969).
func Hopeless(dense, soFar *Report, d Drop) (bool, error) {
	c, err := ComparePrefix(dense, soFar)
	if err != nil {
		return false, err
	}
	return c.Low > d.Points(Metric{Name: c.Metric, Value: c.Dense}), nil
}
