package eval

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"etc/fault"
)

// classified is a report over n rows of which so many are wrong, from the
// given row on.
func classified(t *testing.T, n, from, wrong int) *Report {
	t.Helper()
	predicted, want := make([]int, n), make([]int, n)
	for i := range want {
		want[i] = i % 2
		predicted[i] = want[i]
		if i >= from && i < from+wrong {
			predicted[i] = 1 - want[i]
		}
	}
	r, err := Classification(predicted, want, 2)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// compare fails the test where Compare does.
func compare(t *testing.T, dense, pruned *Report) *Comparison {
	t.Helper()
	c, err := Compare(dense, pruned)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Of 400 rows the dense model has 40 wrong, the pruned one 60, 20 of them
// the same: 20 and 40 rows are right with one alone. The normal interval of
// the paired difference is 1.96·√((b+c) − (b−c)²/n)/n.
func TestCompareClasses(t *testing.T) {
	c := compare(t, classified(t, 400, 0, 40), classified(t, 400, 20, 60))
	half := 100 * 1.96 * math.Sqrt(60-20.0*20/400) / 400
	near(t, "drop", c.Drop, 5)
	near(t, "dense", c.Dense, 0.9)
	near(t, "pruned", c.Pruned, 0.85)
	if math.Abs(c.Low-(5-half)) > half/10 || math.Abs(c.High-(5+half)) > half/10 {
		t.Errorf("%+v, want 5 ± %g", c, half)
	}
	near(t, "half width", c.HalfWidth(), (c.High-c.Low)/2)
	if c.P == nil || math.Abs(*c.P-0.01348929373119186) > 1e-11 { // binomial, 20 of 60, Python's fractions
		t.Errorf("p %v", c.P)
	}
	if c.Rows != 400 || c.Metric != NameAccuracy {
		t.Errorf("%+v", c)
	}
}

// A model against itself loses nothing, for certain; the other way round a
// drop is a gain.
func TestCompareIsAntisymmetric(t *testing.T) {
	a, b := classified(t, 100, 0, 10), classified(t, 100, 5, 20)
	there, back := compare(t, a, b), compare(t, b, a)
	if there.Drop != -back.Drop || there.Low != -back.High || there.High != -back.Low || *there.P != *back.P {
		t.Errorf("%+v and %+v", there, back)
	}
	same := compare(t, a, a)
	if same.Drop != 0 || same.Low != 0 || same.High != 0 || *same.P != 1 {
		t.Errorf("%+v with itself", same)
	}
}

// Perplexities are compared in percent of the dense one, and up is worse. That
// every window costs the same more is certain, however different they are.
func TestComparePerplexity(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	var dense, pruned []Scored
	for i := range 60 {
		s := Scored{NLL: 50 + 100*random.Float64(), Tokens: 30, Right: 3}
		if i%7 == 0 {
			s = Scored{}
		}
		dense = append(dense, s)
		s.NLL += float64(s.Tokens) * math.Log(1.08)
		pruned = append(pruned, s)
	}
	d, err := LanguageModel(dense)
	if err != nil {
		t.Fatal(err)
	}
	p, err := LanguageModel(pruned)
	if err != nil {
		t.Fatal(err)
	}
	c := compare(t, d, p)
	for _, v := range []float64{c.Drop, c.Low, c.High} {
		if math.Abs(v-8) > 1e-9 {
			t.Errorf("%+v, want 8 %%", c)
		}
	}
	if c.P != nil || c.Dense != d.Primary().Value || c.Pruned != p.Primary().Value {
		t.Errorf("%+v", c)
	}
	overflown, err := LanguageModel([]Scored{{NLL: 1e9, Tokens: 1}})
	if err != nil {
		t.Fatal(err)
	}
	one, err := LanguageModel([]Scored{{NLL: 0.5, Tokens: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if c := compare(t, one, overflown); math.IsInf(c.Drop, 0) || math.IsInf(c.High, 0) {
		t.Errorf("%+v, want finite numbers", c)
	}
}

// Scores that the pruned model has with noise: the paired interval of the
// drop in Spearman is much narrower than that of either alone.
func TestCompareScoresIsPaired(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	var want, dense, pruned []float64
	for range 500 {
		x := random.NormFloat64()
		y := x + random.NormFloat64()
		want, dense, pruned = append(want, x), append(dense, y), append(pruned, y+0.1*random.NormFloat64())
	}
	d, err := Correlation(dense, want)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Correlation(pruned, want)
	if err != nil {
		t.Fatal(err)
	}
	c := compare(t, d, p)
	near(t, "drop", c.Drop, 100*(d.Primary().Value-p.Primary().Value))
	alone := 100 * (d.Primary().High - d.Primary().Low) / 2
	if !(c.Low <= c.Drop && c.Drop <= c.High) || c.HalfWidth() > alone/4 {
		t.Errorf("%+v; alone ± %g", c, alone)
	}
}

func TestCompareRefusesOtherRows(t *testing.T) {
	a := classified(t, 100, 0, 10)
	scores, err := Correlation(make([]float64, 100), append(make([]float64, 99), 1))
	if err != nil {
		t.Fatal(err)
	}
	read := &Report{Rows: 100, Metrics: a.Metrics}
	scored := func(rows ...Scored) *Report {
		r, err := LanguageModel(rows)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, pair := range [][2]*Report{{a, classified(t, 99, 0, 10)}, {a, classified(t, 101, 0, 10)}, {a, scores}, {a, read}, {read, a},
		{scored(Scored{1, 1, 0}, Scored{1, 1, 0}), scored(Scored{1, 1, 0}, Scored{})}} {
		if c, err := Compare(pair[0], pair[1]); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("got %+v, %v, want a refusal", c, err)
		}
	}
}

func TestComparisonJSON(t *testing.T) {
	p := 0.5
	for _, c := range []struct {
		in   Comparison
		want string
	}{
		{Comparison{"accuracy", 0.75, 0.5, 25, -1, 30, &p, 4}, `{"metric":"accuracy","dense":0.75,"pruned":0.5,"drop":25,"low":-1,"high":30,"p":0.5,"rows":4}`},
		{Comparison{"perplexity", 10, 11, 10, 9, 11, nil, 4}, `{"metric":"perplexity","dense":10,"pruned":11,"drop":10,"low":9,"high":11,"rows":4}`},
	} {
		if got, err := json.Marshal(c.in); err != nil || string(got) != c.want {
			t.Errorf("got %s, %v, want %s", got, err, c.want)
		}
	}
}

func TestDropPoints(t *testing.T) {
	for _, c := range []struct {
		drop string
		m    Metric
		want float64
	}{
		{"1%", Metric{Name: NameAccuracy, Value: 0.8}, 1},
		{"1%r", Metric{Name: NameAccuracy, Value: 0.8}, 0.8},
		{"10%r", Metric{Name: NameSpearman, Value: -0.5}, 5},
		{"1%", Metric{Name: NamePerplexity, Value: 100}, 1},
		{"1%r", Metric{Name: NamePerplexity, Value: 100}, 1},
	} {
		d, err := ParseDrop(c.drop)
		if err != nil {
			t.Fatal(err)
		}
		near(t, c.drop+" of "+c.m.Name, d.Points(c.m), c.want)
	}
}

func TestRowsNeeded(t *testing.T) {
	for _, c := range []struct {
		rows       int
		half, drop float64
		want       int
		ok         bool
	}{{100, 2, 1, 400, true}, {100, 1, 1, 100, true}, {100, 0.5, 1, 100, true}, {350, 3, 2, 788, true}, {100, 1, 0, 0, false}, {100, 0, 0, 100, true}, {100, 1, 1e-300, 0, false}} {
		if got, ok := RowsNeeded(c.rows, c.half, c.drop); got != c.want || ok != c.ok {
			t.Errorf("%+v: %d %v", c, got, ok)
		}
	}
	// Four times the rows with the same share of differences halve the interval.
	few := compare(t, classified(t, 400, 0, 40), classified(t, 400, 20, 60))
	many := compare(t, classified(t, 1600, 0, 160), classified(t, 1600, 80, 240))
	n, ok := RowsNeeded(400, few.HalfWidth(), many.HalfWidth())
	if !ok || n < 1450 || n > 1750 {
		t.Errorf("%d rows for the interval that 1600 have", n)
	}
}

// 40 of 400 rows differ, as half of a(1−a) of 0.7236 has it.
func TestExpectedHalfWidth(t *testing.T) {
	expected := ExpectedHalfWidth(400, 0.7236)
	got := compare(t, classified(t, 400, 0, 40), classified(t, 400, 20, 40)).HalfWidth()
	if math.Abs(got-expected) > expected/10 {
		t.Errorf("expected ± %g, got ± %g", expected, got)
	}
	near(t, "half width", ExpectedHalfWidth(100, 0.5), 9.79981992270027/math.Sqrt2)
}
