package eval

import (
	"testing"

	"etc/fault"
)

func TestClassAgreement(t *testing.T) {
	dense, predicted := []int{0, 1, 2, 1, 0, 1, 1, 2}, []int{0, 1, 2, 1, 1, 1, 1, 2}
	itself, err := ClassAgreement(dense, dense)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ClassAgreement(predicted, dense)
	if err != nil {
		t.Fatal(err)
	}
	low, high := Wilson(7, 8)
	if got, want := other.Primary(), (Metric{NameAgreement, 7.0 / 8, low, high}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	c := compare(t, itself, other)
	if c.Metric != NameAgreement || c.Dense != 1 || c.Drop != 12.5 || c.P != nil || c.Low > 0 || c.High < 25 {
		t.Errorf("%+v", c)
	}
}

func TestVectorAgreement(t *testing.T) {
	dense := [][]float32{{3, 4}, {1, 0}, {0, 2}, {-1, 1}}
	itself, err := VectorAgreement(dense, dense)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "itself", itself.Primary().Value, 1)
	other, err := VectorAgreement([][]float32{{4, 3}, {2, 0}, {0, -2}, {-1, 1}}, dense)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "mean cosine", other.Primary().Value, (24.0/25+1-1+1)/4)
	c := compare(t, itself, other)
	near(t, "drop", c.Drop, 100*(1-(24.0/25+1-1+1)/4))
	if c.Metric != NameCosine || !(c.Low < c.Drop && c.Drop < c.High) {
		t.Errorf("%+v", c)
	}
	if _, err := VectorAgreement([][]float32{{1}}, [][]float32{{1, 2}}); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("vectors of other widths: %v", err)
	}
}

func TestScoreAgreement(t *testing.T) {
	dense := []float64{0.1, 0.9, 0.5, 0.7}
	itself, err := ScoreAgreement(dense, dense)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "itself", itself.Primary().Value, 1)
	other, err := ScoreAgreement([]float64{0.1, 0.7, 0.5, 0.9}, dense)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "drop", compare(t, itself, other).Drop, 100*(1-0.8)) // 1 − 6·2/(4·15)
}

func TestAgreementWithNothing(t *testing.T) {
	_, classes := ClassAgreement(nil, nil)
	_, vectors := VectorAgreement(nil, nil)
	_, scores := ScoreAgreement(nil, nil)
	for _, err := range []error{classes, vectors, scores} {
		if fault.KindOf(err) != fault.Corrupt {
			t.Errorf("%v, want a refusal", err)
		}
	}
}
