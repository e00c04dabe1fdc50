package eval

import (
	"fmt"
	"slices"
	"testing"

	"etc/fault"
	"etc/formats/rows"
)

func TestParseDrop(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Drop
	}{{"1%", Drop{1, false}}, {"0.5%", Drop{0.5, false}}, {"1%r", Drop{1, true}}, {"0%", Drop{}}, {"100%", Drop{100, false}}} {
		got, err := ParseDrop(c.in)
		if err != nil || got != c.want || got.String() != c.in {
			t.Errorf("%q: %+v %s, %v", c.in, got, got, err)
		}
	}
	for _, s := range []string{"", "1", "%", "1r", "1r%", "-1%", "101%", "nan%", "1e1%", "0x1%", "inf%", " 1%", "1%%", "1_0%"} {
		if got, err := ParseDrop(s); fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %+v, %v, want a usage error", s, got, err)
		}
	}
}

func TestDropAllows(t *testing.T) {
	for _, c := range []struct {
		drop, name    string
		dense, pruned float64
		want          bool
	}{
		{"1%", NameAccuracy, 0.80, 0.79, true}, // in float64 their difference is over 0.01
		{"1%", NameAccuracy, 0.80, 0.7899, false},
		{"1%", NameAccuracy, 0.80, 0.99, true},
		{"0%", NameAccuracy, 701.0 / 872, 701.0 / 872, true},
		{"0%", NameAccuracy, 701.0 / 872, 700.0 / 872, false},
		{"1%r", NameAccuracy, 0.80, 0.792, true},
		{"1%r", NameAccuracy, 0.80, 0.791, false},
		{"0.5%", NameSpearman, 0.86716, 0.86217, true},
		{"0.5%", NameSpearman, 0.86716, 0.86215, false},
		{"10%r", NameSpearman, -0.5, -0.55, true},
		{"10%r", NameSpearman, -0.5, -0.56, false},
		{"1%", NamePerplexity, 100, 101, true},
		{"1%", NamePerplexity, 100, 101.01, false},
		{"1%r", NamePerplexity, 100, 101, true},
		{"1%r", NamePerplexity, 100, 101.01, false},
		{"1%", NamePerplexity, 100, 50, true},
	} {
		d, err := ParseDrop(c.drop)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Allows(Metric{Name: c.name, Value: c.dense}, Metric{Name: c.name, Value: c.pruned}); got != c.want {
			t.Errorf("%s of %s from %g to %g: %v", c.drop, c.name, c.dense, c.pruned, got)
		}
	}
}

// Values from Python's exact fractions; 121 against 59 is statsmodels' example.
func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		onlyA, onlyB int
		want         float64
	}{{121, 59, 4.434449263755176e-06}, {59, 121, 4.434449263755176e-06}, {1, 5, 0.21875}, {3, 3, 1}, {0, 0, 1}, {400, 500, 0.0009564441369189461}} {
		a, b := []bool{true, false}, []bool{true, false}
		for range c.onlyA {
			a, b = append(a, true), append(b, false)
		}
		for range c.onlyB {
			a, b = append(a, false), append(b, true)
		}
		got := McNemar(a, b)
		if relative := (got - c.want) / c.want; relative > 1e-11 || relative < -1e-11 { // Lgamma's own error
			t.Errorf("%d and %d: %.17g, want %.17g", c.onlyA, c.onlyB, got, c.want)
		}
	}
}

// Two models that err on the same rows differ by nothing, though each alone is
// uncertain; one that has two more rows of a hundred right differs by that.
func TestDifferenceIsPaired(t *testing.T) {
	const n = 100
	want, a, b := make([]int, n), make([]int, n), make([]int, n)
	for i := range want {
		a[i] = i % 2
		b[i] = i % 2
	}
	if d := Difference(Accuracy(a, want), Accuracy(b, want)); d != (Metric{NameAccuracy, 0, 0, 0}) {
		t.Errorf("equal models: %+v", d)
	}
	b[1], b[3] = 0, 0
	d := Difference(Accuracy(a, want), Accuracy(b, want))
	near(t, "difference", d.Value, 0.02)
	if d.Low < 0 || d.Low > 0.01 || d.High < 0.03 || d.High > 0.06 {
		t.Errorf("interval %+v", d)
	}
}

// fixedExamples are a row of each kind and some more.
func fixedExamples() []rows.Example {
	pair := "b"
	all := []rows.Example{{Row: rows.Row{Text: "a"}}, {Row: rows.Row{Text: "b"}}, {Row: rows.Row{Text: "c"}}, {Row: rows.Row{Text: "a", Pair: &pair}},
		{Row: rows.Row{IDs: []int32{1, 2}}}, {Row: rows.Row{IDs: []int32{1, 2}, TypeIDs: []int32{0, 1}}}}
	for _, text := range []string{"d", "e", "f", "g", "h", "i"} {
		all = append(all, rows.Example{Row: rows.Row{Text: text}})
	}
	return all
}

func TestPartition(t *testing.T) {
	var all []rows.Example
	for i := range 5000 {
		all = append(all, rows.Example{Row: rows.Row{Line: i + 1, Text: fmt.Sprint("text ", i%4000)}})
	}
	part := map[string]int{}
	search, accept, reserve := Partition(all, 7)
	for i, list := range [][]rows.Example{search, accept, reserve} {
		if !slices.IsSortedFunc(list, func(a, b rows.Example) int { return a.Line - b.Line }) {
			t.Errorf("part %d: the order changed", i)
		}
		for _, e := range list {
			if other, ok := part[e.Text]; ok && other != i {
				t.Errorf("row %q is in parts %d and %d", e.Text, other, i)
			}
			part[e.Text] = i
		}
	}
	if a, b, c := len(search), len(accept), len(reserve); a+b+c != len(all) || a < 1900 || a > 2100 || b < 1900 || b > 2100 {
		t.Fatalf("%d, %d and %d of %d rows, want 40, 40 and 20 %%", a, b, c, len(all))
	}
	for i := range all {
		all[i].Line, all[i].Label = 0, "x" // what the model does not see
	}
	again, _, _ := Partition(all[:1000], 7)
	for _, e := range again {
		if part[e.Text] != 0 {
			t.Errorf("row %q changed its part with the other rows", e.Text)
		}
	}
	same := 0
	other, _, _ := Partition(all, 8)
	for _, e := range other {
		if part[e.Text] == 0 {
			same++
		}
	}
	if same < 700 || same > 900 {
		t.Errorf("another seed has %d of %d rows in the same part, want two of five", same, len(other))
	}
}

// partitionOfSeed0 is from Python's hashlib.
const partitionOfSeed0 = "322212211132"

// The parts are what a recipe reproduces: they must never change.
func TestPartitionIsFixed(t *testing.T) {
	got := ""
	for _, e := range fixedExamples() {
		search, accept, reserve := Partition([]rows.Example{e}, 0)
		got += fmt.Sprint(1*len(search) + 2*len(accept) + 3*len(reserve))
	}
	if got != partitionOfSeed0 {
		t.Errorf("got %s, want %s", got, partitionOfSeed0)
	}
}

// The order is the rows' own: the file's does not matter, and it has nothing to
// do with the parts, so that the first rows of a part are of the file's whole.
func TestShuffled(t *testing.T) {
	var all []rows.Example
	for i := range 1000 {
		all = append(all, rows.Example{Row: rows.Row{Line: i, Text: fmt.Sprint("text ", i)}})
	}
	shuffled := Shuffled(all, 7)
	late := 0
	seen := map[string]bool{}
	for i, e := range shuffled {
		seen[e.Text] = true
		if i < 500 && e.Line >= 500 {
			late++
		}
	}
	if late < 200 || late > 300 || len(seen) != len(all) {
		t.Errorf("%d of the first 500 rows are from the second half; %d different rows", late, len(seen))
	}
	search, _, _ := Partition(shuffled[:500], 7)
	if len(search) < 150 || len(search) > 250 {
		t.Errorf("%d of the first 500 rows are for the search", len(search))
	}
	slices.Reverse(all)
	for i, e := range Shuffled(all, 7) {
		if e.Text != shuffled[i].Text {
			t.Fatalf("row %d is %q, in another order of the file %q", i, e.Text, shuffled[i].Text)
		}
	}
	if Shuffled(all, 8)[0].Text == shuffled[0].Text && Shuffled(all, 8)[1].Text == shuffled[1].Text {
		t.Error("another seed has the same order")
	}
}
