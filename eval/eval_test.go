package eval

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"etc/fault"
)

// near fails unless got is want to nearly all digits of float64.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-13*max(1, math.Abs(want))) {
		t.Errorf("%s: got %.17g, want %.17g", what, got, want)
	}
}

// Values from the documentation of scikit-learn (f1_score, matthews_corrcoef)
// and by hand; the others from Python written from the definitions: Matthews
// as the correlation of one-hot vectors.
func TestClassificationValues(t *testing.T) {
	for _, c := range []struct {
		predicted, want        []int
		classes                int
		accuracy, f1, matthews float64
	}{
		{[]int{1, 0, 1, 1}, []int{1, 1, 1, 0}, 2, 0.5, 2.0 / 3, -1.0 / 3},
		{[]int{0, 2, 1, 0, 0, 1}, []int{0, 1, 2, 0, 1, 2}, 3, 1.0 / 3, 4.0 / 15, 0},
		{[]int{0, 1, 2, 2, 1, 0, 3, 3}, []int{0, 1, 2, 1, 1, 0, 3, 2}, 4, 0.75, (1 + 4.0/5 + 1.0/2 + 2.0/3) / 4, 0.6810052246069989},
		{[]int{0, 0, 0}, []int{0, 0, 0}, 2, 1, 0, 0},
		{[]int{1, 1, 1}, []int{0, 1, 0}, 2, 1.0 / 3, 0.5, 0},
		{[]int{0, 1}, []int{0, 1}, 5, 1, 1, 1},
	} {
		r, err := Classification(c.predicted, c.want, c.classes)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "accuracy", r.Metrics[0].Value, c.accuracy)
		near(t, "Accuracy", Accuracy(c.predicted, c.want).Value(), c.accuracy)
		near(t, "f1", r.Metrics[1].Value, c.f1)
		near(t, "matthews", r.Metrics[2].Value, c.matthews)
	}
}

// Values from Python written from the definitions; the last two are the
// examples of scipy.stats.pearsonr and spearmanr.
func TestCorrelationValues(t *testing.T) {
	x := []float64{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}
	y := []float64{2.5, 2.5, 7, 1, 8, 2, 8, 1, 8, 2, 8}
	near(t, "pearson", Pearson(x, y).Value(), 0.06673951316445095)
	near(t, "spearman with ties", Spearman(x, y).Value(), 0.0665175088812313)
	near(t, "pearson", Pearson([]float64{1, 2, 3, 4, 5}, []float64{10, 9, 2.5, 6, 4}).Value(), -0.7426106572325056)
	near(t, "spearman", Spearman([]float64{1, 2, 3, 4, 5}, []float64{5, 6, 7, 8, 7}).Value(), 0.8207826816681233)
	near(t, "spearman of a monotone", Spearman([]float64{1, 2, 30, 400}, []float64{-5, 0, 1e-9, 7}).Value(), 1)
	near(t, "spearman upside down", Spearman([]float64{1, 2, 30, 400}, []float64{3, 2, 1, 0}).Value(), -1)
	for _, s := range []Statistic{Pearson([]float64{.1, .1, .1}, []float64{1, 2, 4}), Spearman([]float64{1, 2, 4}, []float64{.1, .1, .1})} {
		if v := s.Value(); v != 0 {
			t.Errorf("%s with a constant: %g, want 0", s.Name, v)
		}
	}
}

// A row that counts k times is k rows.
func TestWeightsAreRepetitions(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		n := 2 + random.IntN(20)
		var x, y, xs, ys []float64
		var p, q, ps, qs []int
		var nll, nlls []Scored
		weight := make([]int32, n)
		for i := range n {
			x, y = append(x, float64(random.IntN(5))), append(y, random.Float64())
			p, q = append(p, random.IntN(3)), append(q, random.IntN(3))
			nll = append(nll, Scored{NLL: 9 * random.Float64(), Tokens: 1 + random.IntN(4)})
			weight[i] = int32(random.IntN(3))
			for range weight[i] {
				xs, ys, ps, qs, nlls = append(xs, x[i]), append(ys, y[i]), append(ps, p[i]), append(qs, q[i]), append(nlls, nll[i])
			}
		}
		if len(xs) == 0 {
			continue
		}
		for _, c := range [][2]Statistic{
			{Pearson(x, y), Pearson(xs, ys)}, {Spearman(x, y), Spearman(xs, ys)}, {Perplexity(nll), Perplexity(nlls)},
			{Accuracy(p, q), Accuracy(ps, qs)}, {F1(p, q, 3), F1(ps, qs, 3)}, {Matthews(p, q, 3), Matthews(ps, qs, 3)},
		} {
			near(t, c[0].Name, c[0].Of(weight), c[1].Value())
		}
	}
}

func TestLanguageModelValues(t *testing.T) {
	r, err := LanguageModel([]Scored{{NLL: 3 * math.Log(2), Tokens: 3, Right: 1}, {}, {NLL: math.Log(32), Tokens: 1, Right: 1}})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "perplexity", r.Metrics[0].Value, 4) // (3 + 5) bits over 4 tokens
	near(t, "next token", r.Metrics[1].Value, 0.5)
	if r.Rows != 3 || r.Primary().Name != NamePerplexity {
		t.Errorf("%+v", r)
	}
	if m := r.Primary(); !(m.Low >= 1 && m.High < 100) { // a resample without any token would be NaN
		t.Errorf("interval %+v", m)
	}
	if v := Perplexity([]Scored{{NLL: 1e6, Tokens: 1}}).Value(); v != math.MaxFloat64 {
		t.Errorf("overflow gives %g", v)
	}
}

func TestWindows(t *testing.T) {
	for _, c := range []struct {
		ids, size int
		want      []int
	}{{0, 4, nil}, {1, 4, nil}, {2, 4, []int{2}}, {8, 4, []int{4, 4}}, {9, 4, []int{4, 4}}, {10, 4, []int{4, 4, 2}}, {3, 2, []int{2}}} {
		ids := make([]int32, c.ids)
		for i := range ids {
			ids[i] = int32(i)
		}
		at := int32(0)
		windows := Windows(ids, c.size)
		for i, w := range windows {
			if i >= len(c.want) || len(w) != c.want[i] || w[0] != at || cap(w) != len(w) {
				t.Fatalf("%d ids by %d: window %d is %v", c.ids, c.size, i, w)
			}
			at += int32(len(w))
		}
		if len(windows) != len(c.want) {
			t.Errorf("%d ids by %d: %d windows", c.ids, c.size, len(windows))
		}
	}
}

// Values from Python; 8 of 10 is also R's binom.wilson.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{701, 872, 0.776237247632185, 0.8288951021353588}, {8, 10, 0.4901624715366418, 0.9433178485456248},
		{0, 5, 0, 0.43448246478317476}, {5, 5, 0.5655175352168251, 1}, {963, 4064, 0.2241376876037987, 0.25027644046799036},
	} {
		low, high := Wilson(c.k, c.n)
		near(t, "low", low, c.low)
		near(t, "high", high, c.high)
	}
}

// The bootstrap of a mean must agree with its normal interval, which for 4000
// rows is exact to a few hundredths of its width; and be the same every time.
func TestBootstrapOfAMean(t *testing.T) {
	const n = 4000
	random := rand.New(rand.NewPCG(5, 6))
	predicted, want := make([]int, n), make([]int, n)
	for i := range want {
		if random.Float64() < 0.3 {
			predicted[i] = 1
		}
	}
	s := Accuracy(predicted, want)
	m := s.Metric()
	half := 1.96 * math.Sqrt(m.Value*(1-m.Value)/n)
	if math.Abs(m.Low-(m.Value-half)) > half/10 || math.Abs(m.High-(m.Value+half)) > half/10 {
		t.Errorf("got %+v, want %g ± %g", m, m.Value, half)
	}
	if again := s.Metric(); again != m {
		t.Errorf("%+v, then %+v", m, again)
	}
}

func TestQuantileInterpolates(t *testing.T) {
	near(t, "quantile", quantile([]float64{10, 20, 40}, 0.75), 30)
	near(t, "quantile", quantile([]float64{10, 20, 40}, 1), 40)
}

func TestReportJSON(t *testing.T) {
	got, err := json.Marshal(report(2, Metric{"b", 0.5, 0.25, 1}, Metric{"a", -1, -1, 1e300}))
	const want = `{"schema":1,"rows":2,"metrics":{"b":{"value":0.5,"low":0.25,"high":1},"a":{"value":-1,"low":-1,"high":1e+300}}}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}

func TestNothingToJudgeIsRefused(t *testing.T) {
	_, noRows := Classification(nil, nil, 2)
	_, oneRow := Correlation([]float64{1}, []float64{1})
	_, same := Correlation([]float64{1, 2, 3}, []float64{4, 4, 4})
	_, unscored := LanguageModel([]Scored{{}})
	for _, err := range []error{noRows, oneRow, same, unscored} {
		if fault.KindOf(err) != fault.Corrupt {
			t.Errorf("got %v, want a refusal", err)
		}
	}
	r, err := Correlation([]float64{2, 2, 2}, []float64{1, 2, 3})
	if err != nil || r.Primary() != (Metric{NameSpearman, 0, 0, 0}) {
		t.Errorf("a constant prediction: %+v, %v", r, err)
	}
}

func TestClassOf(t *testing.T) {
	for _, c := range []struct {
		label string
		want  int
	}{{"negative", 0}, {"positive", 1}, {"0", 0}, {"1", 1}, {"2", -1}, {"-1", -1}, {"Positive", -1}, {"", -1}} {
		got, err := ClassOf([]string{"negative", "positive"}, c.label)
		if (err != nil) != (c.want < 0) || err == nil && got != c.want {
			t.Errorf("%q: %d, %v, want %d", c.label, got, err, c.want)
		}
	}
	if got, err := ClassOf([]string{"1", "0"}, "1"); got != 0 || err != nil {
		t.Errorf("a name that is a number: %d, %v, want its place 0", got, err)
	}
}

func TestCosine(t *testing.T) {
	near(t, "cosine", Cosine([]float32{3, 4}, []float32{4, 3}), 24.0/25)
	near(t, "cosine", Cosine([]float32{1e30, 0}, []float32{-1e30, 0}), -1)
	near(t, "cosine", Cosine([]float32{0, 0}, []float32{1, 2}), 0)
}
