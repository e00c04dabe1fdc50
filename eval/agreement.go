package eval

import "etc/fault"

// Rows without labels judge a pruned model by how far it agrees with the dense
// one. The reports here are as any other: that of the dense model against
// itself is 1, and Compare of the two gives the drop. A language model needs
// none of them: perplexity has no labels.

// ClassAgreement is the share of rows whose class is the dense model's. It has
// no McNemar probability: the dense model agrees with itself by definition.
func ClassAgreement(predicted, dense []int) (*Report, error) {
	if len(dense) == 0 {
		return nil, errNoRows
	}
	r := report(len(dense), shareEqual(NameAgreement, predicted, dense))
	r.first = func(n int) Statistic {
		s := Accuracy(predicted[:n], dense[:n])
		s.Name = NameAgreement
		return s
	}
	return r, nil
}

// VectorAgreement is the mean cosine of the vectors with the dense model's,
// row by row; both are [rows][width].
func VectorAgreement(vectors, dense [][]float32) (*Report, error) {
	if len(dense) == 0 {
		return nil, errNoRows
	}
	cosines := make([]float64, len(dense))
	for i := range dense {
		if len(vectors[i]) != len(dense[i]) {
			return nil, fault.Newf(fault.Corrupt, "row %d: vectors of %d and %d numbers, want the same width", i+1, len(vectors[i]), len(dense[i]))
		}
		cosines[i] = Cosine(vectors[i], dense[i])
	}
	r := report(len(dense), mean(NameCosine, cosines).Metric())
	r.first = func(n int) Statistic { return mean(NameCosine, cosines[:n]) }
	return r, nil
}

// ScoreAgreement is the rank correlation of scores with the dense model's, for
// regression and single labels. Dense scores that are all equal rank nothing
// and are refused, as in Correlation.
func ScoreAgreement(scores, dense []float64) (*Report, error) { return Correlation(scores, dense) }

// mean is the mean of x over rows.
func mean(name string, x []float64) Statistic {
	return Statistic{name, len(x), func(weight []int32) float64 {
		sum, n := 0.0, 0.0
		for i, w := range weight {
			sum += float64(w) * x[i]
			n += float64(w)
		}
		return sum / n
	}}
}
