package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	update = flag.Bool("update", false, "write the golden page")
	sample = flag.String("sample", "", "write the realistic page there, to look at it in a browser")
)

func written(t *testing.T, p *Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSample(t *testing.T) {
	if *sample == "" {
		t.Skip("no -sample FILE")
	}
	if err := os.WriteFile(*sample, []byte(written(t, realistic())), 0o666); err != nil {
		t.Fatal(err)
	}
}

// small is a page with one of each thing.
func small() *Page {
	return &Page{
		Head: Head{"tiny-sst2", "text-classification", "0.1", "abcd", "cpu:f32", "shipped, avx2", "ef01", "etc prune tiny-sst2 -o out --speedup 1.5"},
		Verdict: Verdict{
			Speedup: &Goal{"1.5", true}, Drop: &Goal{"1%", false},
			Shapes: []Shape{{"1×32", pointer(1.6), nil}, {"8×128", pointer(1.7), pointer(1.75)}},
			Judged: []Judgement{{"accept half", 40, 0.8, 0.775, 2.5, -2.5, 7.5, pointer(0.5)}},
		},
		Metric: Metric{"accuracy", false, "KL", &Value{0.8, 0.75, 0.85}, pointer(0.79)},
		Candidates: []Candidate{
			{"uniform", 4, 1.6, 0.4, pointer(0.0125), &Value{0.79, 0.74, 0.84}, Chosen, "the best inside"},
			{"dp-local", 4, 1.61, 0.41, pointer(0.5), nil, NotJudged, "more damage"},
			{"uniform", 8, 1.9, 0.6, nil, &Value{0.3, 0.2, 0.4}, EarlyStop, "after 64 rows"},
		},
		Layers: []Layer{{Heads: Kept{2, 4}, FFN: Kept{0, 64}}, {Heads: Kept{4, 4}}},
		Notes:  []string{"40 rows are few"},
	}
}

func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "small.golden.html")
	got := written(t, small())
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the page differs from %s; if that is meant, go test ./prune/report -update, and look at it in a browser", path)
	}
	if again := written(t, small()); again != got {
		t.Error("equal pages, other bytes")
	}
}

// What the page says, once the markup is off.
func words(html string) string {
	html = regexp.MustCompile(`(?s)<style>.*?</style>`).ReplaceAllString(html, " ")
	html = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(html, " ")
	return strings.Join(strings.Fields(html), " ")
}

func TestSaysWhatWasReached(t *testing.T) {
	p := small()
	text := words(written(t, p))
	for _, want := range []string{"Not reached", "Speed-up of at least 1.5×: reached", "Drop of at most 1%: not reached",
		"accept half 40 80.00 77.50 2.50 −2.50 to 7.50 0.5", "1×32 1.60×", "8×128 1.70× 1.75×", "40 rows are few",
		"uniform 4 1.60× 40.0 % 0.0125 79.00 74.00 to 84.00 chosen the best inside", "2 of 4", "0 of 64", p.Head.Command, p.Head.Source, p.Head.TableDigest} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	p.Verdict.Drop.Reached = true
	if text := words(written(t, p)); strings.Contains(text, "Not reached") || !strings.Contains(text, "Reached Speed-up") {
		t.Errorf("all goals are reached:\n%s", text)
	}
	p.Verdict.Speedup, p.Verdict.Drop = nil, nil
	if text := words(written(t, p)); strings.Contains(text, "eached") || !strings.Contains(text, "Result") {
		t.Errorf("nothing was asked:\n%s", text)
	}
}

// Perplexities are shown as they are, and their drops in percent.
func TestLowerIsBetter(t *testing.T) {
	p := small()
	p.Metric = Metric{"perplexity", true, "KL", &Value{105.5, 95, 116}, pointer(106.6)}
	p.Verdict.Judged = []Judgement{{"accept half", 16, 105.5, 106, 0.47, 0.1, 0.9, nil}}
	p.Candidates = []Candidate{
		{"uniform", 1, 1.5, 0.3, nil, &Value{106, 96, 117}, Chosen, ""},
		{"uniform", 2, 2, 0.5, nil, &Value{5000, 4000, 6000}, Outside, ""},
	}
	html := written(t, p)
	for _, want := range []string{"105.50 106.00 0.47", "drop, percent", "allowed 106.60", "106.00 96.00 to 117.00"} {
		if !strings.Contains(words(html), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(html, "McNemar") {
		t.Error("a column for McNemar without a value")
	}
	c := newCurve(p)
	if off := c.Points[0]; off.Class != "outside" || !off.Off || off.Y != coordinate(plotTop) {
		t.Errorf("a perplexity of 5000 stands at %+v", off)
	}
}

// hostile has what ends a text, an attribute, a style or a script.
const hostile = `"'><script>alert(1)</script></style></title><svg onload=alert(2)>&amp;{{.}}` + "`\x00"

// No string of a page can add an element or attribute: the markup is that of
// the same page with harmless strings.
func TestHostileStrings(t *testing.T) {
	markup := func(s string) []string {
		raw, err := json.Marshal(small())
		if err != nil {
			t.Fatal(err)
		}
		var p Page
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		h := &p.Head
		for _, at := range []*string{&h.Model, &h.Task, &h.Version, &h.Source, &h.Target, &h.LatencyTable, &h.TableDigest, &h.Command,
			&p.Verdict.Drop.Asked, &p.Verdict.Shapes[0].Name, &p.Verdict.Judged[0].Name, &p.Metric.Name, &p.Metric.Damage, &p.Notes[0]} {
			*at = s
		}
		p.Verdict.Speedup.Asked = "1.5" + s
		for i := range p.Candidates {
			p.Candidates[i].Name, p.Candidates[i].Reason = s, s
		}
		html := written(t, &p)
		for _, loose := range []string{"<script", "onload=alert(2)>", "</style></title>"} {
			if strings.Contains(html, loose) {
				t.Errorf("the page of %q has %q", s, loose)
			}
		}
		if n := strings.Count(html, "alert(1)"); s == hostile && n < 20 {
			t.Errorf("the string is %d times in the page, want it wherever it was put", n)
		}
		return regexp.MustCompile(`<[^>]*>`).FindAllString(html, -1)
	}
	got, want := markup(hostile), markup("x")
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d tags, of a harmless page %d", len(got), len(want))
	}
}

// An outcome is a class of the drawing too: one that nobody knows is refused.
func TestUnknownOutcome(t *testing.T) {
	p := small()
	p.Candidates[1].Outcome = `x"><script>`
	if err := Write(io.Discard, p); err == nil || !strings.Contains(err.Error(), "Candidates[1]") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// The page fetches nothing: no address, no source, no script, no import.
func TestSelfContained(t *testing.T) {
	for _, bad := range []string{"http:", "https:", "src=", "href=", "<script", "<link", "@import", "url("} {
		if html := written(t, realistic()); strings.Contains(html, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// A page may have next to nothing in it.
func TestFewCandidates(t *testing.T) {
	one := small()
	one.Candidates = one.Candidates[:1]
	same := small() // all at one place: the axes must not be empty
	same.Metric.Dense, same.Metric.Allowed = &Value{1, 1, 1}, nil
	same.Candidates = []Candidate{{"uniform", 1, 1, 0, nil, &Value{1, 1, 1}, Chosen, ""}}
	none := small()
	none.Candidates = nil
	zero := small() // a correlation of nothing
	zero.Metric.Dense, zero.Metric.Allowed, zero.Candidates = &Value{}, pointer(0.0), nil
	for i, c := range []struct {
		page   *Page
		curve  bool
		points int
	}{{&Page{}, false, 0}, {one, true, 2}, {same, true, 2}, {none, true, 1}, {zero, true, 1}} {
		html := written(t, c.page)
		for _, bad := range []string{"NaN", "Inf", "ZgotmplZ", "<no value>"} {
			if strings.Contains(html, bad) {
				t.Errorf("page %d has %s", i, bad)
			}
		}
		if got := strings.Contains(html, `id="curve"`); got != c.curve {
			t.Errorf("page %d: drawing: %v", i, got)
		}
		if got := strings.Count(html, `class="mark" transform`); got != c.points {
			t.Errorf("page %d: %d marks, want %d", i, got, c.points)
		}
	}
}

func TestNotFinite(t *testing.T) {
	for _, c := range []struct {
		change func(p *Page)
		place  string
	}{
		{func(p *Page) { p.Candidates[2].Metric.Low = math.NaN() }, "page.Candidates[2].Metric.Low"},
		{func(p *Page) { p.Verdict.Shapes[1].Measured = pointer(math.Inf(1)) }, "page.Verdict.Shapes[1].Measured"},
		{func(p *Page) { p.Metric.Dense.Value = math.Inf(-1) }, "page.Metric.Dense.Value"},
	} {
		p := small()
		c.change(p)
		var b bytes.Buffer
		if err := Write(&b, p); err == nil || !strings.Contains(err.Error(), c.place) || b.Len() > 0 {
			t.Errorf("got %v and %d bytes, want a refusal that names %s", err, b.Len(), c.place)
		}
	}
}
