package latency

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"etc/fault"
)

// example is a table of two shapes whose times follow simple rules: 10 µs where
// a sublayer is gone, then 10 for each head or 1 for each neuron; twice as much
// for the second shape.
func example() *Table {
	t := &Table{
		Schema: Schema, Target: "cpu:f32", Level: "avx2", Source: "made up",
		Model:  Dimensions{Hidden: 64, Heads: 4, D: 32, Dv: 48, Inner: 100},
		Shapes: []Shape{{1, 32}, {8, 128}},
		Rest:   []float64{5, 10},
		Last:   Last{Attention: []float64{0.5, 0.25}, FFN: []float64{0.1, 0}},
	}
	for h := range 5 {
		t.Attention = append(t.Attention, AttentionTime{h, 32, 48, twice(10 + 10*float64(h))})
	}
	t.Attention = append(t.Attention,
		AttentionTime{4, 16, 48, twice(40)}, // a quarter of 50 − 10 less, and a bit
		AttentionTime{4, 32, 16, twice(30)}, AttentionTime{4, 32, 32, twice(40)})
	for _, w := range []int{0, 50, 100} {
		t.FFN = append(t.FFN, FFNTime{w, twice(10 + float64(w))})
	}
	t.AttentionTiles = []TilesTime{{0.2, twice(20)}, {0.6, twice(40)}}
	t.FFNTiles = []TilesTime{{0.5, twice(80)}}
	return t
}

func twice(us float64) []float64 { return []float64{us, 2 * us} }

func TestRoundTrip(t *testing.T) {
	table := example()
	b := table.Bytes()
	read, err := Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read.Bytes(), b) {
		t.Errorf("read and written again:\n%s\nwant\n%s", read.Bytes(), b)
	}
	var other bytes.Buffer // the same table in another layout
	if err := json.Indent(&other, b, "", "\t"); err != nil {
		t.Fatal(err)
	}
	if read, err = Read(other.Bytes()); err != nil || read.Digest() != table.Digest() {
		t.Errorf("digest %v of another layout, error %v; want %v", read.Digest(), err, table.Digest())
	}
	table.FFN[1].Micros[0]++
	if table.Digest() == read.Digest() {
		t.Error("the digest does not see a time")
	}
}

// TestBytesHasEveryField: Bytes writes fields by hand.
func TestBytesHasEveryField(t *testing.T) {
	var want, got map[string]any
	whole, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(whole, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(example().Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("no field %q", name)
		}
	}
}

func TestTimesBetweenPoints(t *testing.T) {
	table := example()
	for _, c := range []struct {
		what string
		got  []float64
		want float64
	}{
		{"all heads", table.AttentionTime(4, 32, 48), 50},
		{"two heads", table.AttentionTime(2, 32, 48), 30},
		{"no heads", table.AttentionTime(0, 32, 48), 10},
		{"no values", table.AttentionTime(4, 32, 0), 10},
		{"more heads than there are", table.AttentionTime(9, 99, 99), 50},
		{"half of d", table.AttentionTime(4, 16, 48), 40},
		{"between d", table.AttentionTime(4, 24, 48), 45},
		{"below all d", table.AttentionTime(4, 1, 48), 40},
		{"between dv", table.AttentionTime(4, 32, 24), 35},
		{"both widths", table.AttentionTime(4, 16, 32), 30},
		{"both widths of two heads", table.AttentionTime(2, 16, 32), 10 + 20*20/40.},
		{"width", table.FFNTime(75), 85},
		{"no width", table.FFNTime(0), 10},
		{"negative", table.FFNTime(-1), 10},
		{"tiles", table.AttentionTilesTime(0.4), 30},
		{"many tiles", table.AttentionTilesTime(0.8), 45},
		{"few tiles", table.AttentionTilesTime(0.1), 20},
		{"no tiles", table.AttentionTilesTime(0), 10},
		{"all tiles", table.FFNTilesTime(1), 110},
		{"ffn tiles", table.FFNTilesTime(0.75), 95},
	} {
		for i, want := range twice(c.want) {
			if math.Abs(c.got[i]-want) > 1e-9 {
				t.Errorf("%s: %v, want %v", c.what, c.got, twice(c.want))
				break
			}
		}
	}
	if got := table.LastFFN(table.LastAttention(twice(100))); !slices.Equal(got, []float64{5, 0}) {
		t.Errorf("of the last layer %v, want [5 0]", got)
	}
	// rest, two layers of 50 + 110, and the last one's shares of these
	if got := table.Dense(3); !slices.Equal(got, []float64{5 + 320 + 25 + 11, 10 + 640 + 25}) {
		t.Errorf("dense model %v, want [361 675]", got)
	}
}

// TestTimesAreCopies: callers may change what they get.
func TestTimesAreCopies(t *testing.T) {
	table := example()
	before := table.Digest()
	for _, us := range [][]float64{
		table.AttentionTime(0, 0, 0), table.AttentionTime(4, 32, 48), table.FFNTime(0), table.FFNTime(50), table.FFNTime(60),
		table.AttentionTilesTime(0), table.AttentionTilesTime(0.2), table.FFNTilesTime(1), table.LastFFN(table.Rest), table.Dense(2),
	} {
		us[0] = -1
	}
	if table.Digest() != before {
		t.Error("a caller changed the table")
	}
}

func TestIsotonic(t *testing.T) {
	for _, c := range []struct{ in, want []float64 }{
		{[]float64{1, 2, 3}, []float64{1, 2, 3}},
		{[]float64{1, 3, 2, 4}, []float64{1, 2.5, 2.5, 4}},
		{[]float64{3, 2, 1}, []float64{2, 2, 2}},
		{[]float64{4, 1, 1, 6, 5}, []float64{2, 2, 2, 5.5, 5.5}},
		{[]float64{7}, []float64{7}},
	} {
		var us [][]float64
		for _, v := range c.in {
			us = append(us, []float64{v})
		}
		isotonic(us)
		for i, w := range c.want {
			if us[i][0] != w {
				t.Errorf("%v becomes %v, want %v", c.in, us, c.want)
				break
			}
		}
	}
	isotonic(nil)
}

// TestSmooth: whatever was measured, Read takes what Smooth makes of it, and
// times that are in order stay.
func TestSmooth(t *testing.T) {
	table := example()
	table.Smooth()
	if got, want := table.Digest(), example().Digest(); got != want {
		t.Error("Smooth changes a table that is in order")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		for _, us := range allTimes(table) {
			for i := range us {
				us[i] = 100 * rng.Float64()
			}
		}
		table.Smooth()
		table.Round()
		if _, err := Read(table.Bytes()); err != nil {
			t.Fatalf("%v\n%s", err, table.Bytes())
		}
	}
}

func allTimes(t *Table) (all [][]float64) {
	for _, a := range t.Attention {
		all = append(all, a.Micros)
	}
	for _, f := range t.FFN {
		all = append(all, f.Micros)
	}
	return append(append(all, timesOf(t.AttentionTiles)...), timesOf(t.FFNTiles)...)
}

func TestForgedFilesAreRefused(t *testing.T) {
	for _, c := range []struct {
		what, want string
		kind       fault.Kind
		forge      func(t *Table)
	}{
		{"schema", "schema 2", fault.Unfit, func(t *Table) { t.Schema = 2 }},
		{"no target", "target", fault.Corrupt, func(t *Table) { t.Target = "" }},
		{"no source", "source", fault.Corrupt, func(t *Table) { t.Source = "" }},
		{"escape in a text", "does not print", fault.Corrupt, func(t *Table) { t.Source = "a\x1b[2J" }},
		{"long text", "too long", fault.Corrupt, func(t *Table) { t.Level = strings.Repeat("x", 501) }},
		{"no heads", "sizes from 1", fault.Corrupt, func(t *Table) { t.Model.Heads = 0 }},
		{"huge model", "sizes from 1", fault.Corrupt, func(t *Table) { t.Model.Hidden = 1 << 40 }},
		{"negative vocabulary", "sizes from 1", fault.Corrupt, func(t *Table) { t.Model.Vocab = -1 }},
		{"no shapes", "0 shapes", fault.Corrupt, func(t *Table) { t.Shapes = nil }},
		{"shape of nothing", "shape 0×32", fault.Corrupt, func(t *Table) { t.Shapes[0].Batch = 0 }},
		{"shape twice", "given twice", fault.Corrupt, func(t *Table) { t.Shapes[1] = t.Shapes[0] }},
		{"rest of fewer shapes", "rest: 1 times", fault.Corrupt, func(t *Table) { t.Rest = t.Rest[:1] }},
		{"negative time", "time -1", fault.Corrupt, func(t *Table) { t.Rest[0] = -1 }},
		{"endless time", "time 1e+13", fault.Corrupt, func(t *Table) { t.Rest[0] = 1e13 }},
		{"share above 1", "share 1.5", fault.Corrupt, func(t *Table) { t.Last.FFN[0] = 1.5 }},
		{"no shares", "last layer: 0 times", fault.Corrupt, func(t *Table) { t.Last.Attention = nil }},
		{"no attention", "from 0 heads", fault.Corrupt, func(t *Table) { t.Attention = nil }},
		{"attention never gone", "from 0 heads", fault.Corrupt, func(t *Table) { t.Attention = t.Attention[1:] }},
		{"no dense attention", "from 0 heads", fault.Corrupt, func(t *Table) { t.Attention = slices.Delete(t.Attention, 4, 5) }},
		{"more heads than there are", "attention of 5 heads", fault.Corrupt, func(t *Table) { t.Attention[4].Heads = 5 }},
		{"both widths at once", "fewer of one", fault.Corrupt, func(t *Table) { t.Attention[5].Dv = 16 }},
		{"no d", "fewer of one", fault.Corrupt, func(t *Table) { t.Attention[5].D = 0 }},
		{"heads behind widths", "then of d", fault.Corrupt, func(t *Table) { t.Attention = append(t.Attention, t.Attention[4]) }},
		{"heads twice", "ascending", fault.Corrupt, func(t *Table) { t.Attention[2].Heads = 1 }},
		{"values out of order", "ascending", fault.Corrupt, func(t *Table) { t.Attention[6].Dv = 40 }},
		{"fewer heads take longer", "grow as less is kept", fault.Corrupt, func(t *Table) { t.Attention[1].Micros[0] = 31 }},
		{"narrow heads take longer", "grow as less is kept", fault.Corrupt, func(t *Table) { t.Attention[5].Micros[1] = 101 }},
		{"narrow heads take less than none", "grow as less is kept", fault.Corrupt, func(t *Table) { t.Attention[6].Micros[0] = 9 }},
		{"no ffn", "from width 0", fault.Corrupt, func(t *Table) { t.FFN = nil }},
		{"no dense ffn", "from width 0 to 100", fault.Corrupt, func(t *Table) { t.FFN = t.FFN[:2] }},
		{"ffn out of order", "ascending", fault.Corrupt, func(t *Table) { t.FFN[1].Width = 100 }},
		{"ffn of one shape", "ffn: 1 times", fault.Corrupt, func(t *Table) { t.FFN[1].Micros = t.FFN[1].Micros[:1] }},
		{"density 1", "ascending", fault.Corrupt, func(t *Table) { t.FFNTiles[0].Density = 1 }},
		{"density 0", "ascending", fault.Corrupt, func(t *Table) { t.AttentionTiles[0].Density = 0 }},
		{"tiles take longer than dense", "grow as less is kept", fault.Corrupt, func(t *Table) { t.FFNTiles[0].Micros[0] = 111 }},
	} {
		table := example()
		c.forge(table)
		_, err := Read(table.Bytes())
		if fault.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want kind %d with %q", c.what, err, c.kind, c.want)
		}
	}
}

func TestForgedTextIsRefused(t *testing.T) {
	whole := string(example().Bytes())
	for what, text := range map[string]string{
		"nothing":       "",
		"no object":     "[]",
		"unknown field": strings.Replace(whole, `"level"`, `"lewel"`, 1),
		"NaN":           strings.Replace(whole, `[5,10]`, `[NaN,10]`, 1),
		"overflow":      strings.Replace(whole, `[5,10]`, `[1e999,10]`, 1),
		"a string":      strings.Replace(whole, `[5,10]`, `["5",10]`, 1),
		"cut off":       whole[:len(whole)/2],
		"more behind":   whole + "{}",
		"brace behind":  whole + "}",
		"too long":      whole + strings.Repeat(" ", MaxBytes),
	} {
		if text == whole {
			t.Fatalf("%s: nothing was forged", what)
		}
		if _, err := Read([]byte(text)); fault.KindOf(err) != fault.Corrupt || err == nil {
			t.Errorf("%s: error %v, want a corrupt fault", what, err)
		}
	}
}

func TestFits(t *testing.T) {
	table := example()
	if err := table.Fits(table.Model); err != nil {
		t.Error(err)
	}
	other := table.Model
	other.Causal = true
	if err := table.Fits(other); fault.KindOf(err) != fault.Unfit || err == nil {
		t.Errorf("error %v, want an unfit fault", err)
	}
}

// TestShipped: every shipped file is canonical, is found by what it is for and
// by nothing else, and is the only one for it.
func TestShipped(t *testing.T) {
	all := shipped()
	if len(all) == 0 {
		t.Fatal("no table is shipped")
	}
	for _, table := range all {
		got, ok := Shipped(table.Target, table.Level, table.Model)
		if !ok || got != table {
			t.Errorf("%s %s %+v: another table is found first", table.Target, table.Level, table.Model)
		}
		if !strings.HasPrefix(table.Source, "measured ") {
			t.Errorf("%s %+v: source %q, want a measured table", table.Target, table.Model, table.Source)
		}
		dense := table.Dense(2)
		for i, rest := range table.Rest {
			if !(dense[i] > rest) {
				t.Errorf("%s %+v: a dense model takes %v µs, its rest %v", table.Target, table.Model, dense, table.Rest)
			}
		}
	}
	if _, ok := Shipped(all[0].Target, "generic", all[0].Model); ok {
		t.Error("a table is found for a level that has none")
	}
	files, err := tables.ReadDir("tables")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := tables.ReadFile("tables/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if table, err := Read(b); err != nil || !bytes.Equal(table.Bytes(), b) {
			t.Errorf("%s is not as Bytes writes it: %v", f.Name(), err)
		}
	}
}

// FuzzRead: what Read takes has one form and times that are finite and do not
// grow as less is kept.
func FuzzRead(f *testing.F) {
	f.Add(example().Bytes())
	f.Add([]byte(`{"schema": 1}`))
	for _, t := range shipped()[:1] {
		f.Add(t.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := Read(b)
		if err != nil {
			return
		}
		again, err := Read(table.Bytes())
		if err != nil || !bytes.Equal(again.Bytes(), table.Bytes()) {
			t.Fatalf("%v: written as\n%s", err, table.Bytes())
		}
		m := table.Model
		less, more := table.AttentionTime(m.Heads/2, m.D/2, m.Dv/3), table.AttentionTime(m.Heads, m.D, m.Dv)
		narrow, wide := table.FFNTime(m.Inner/3), table.FFNTime(m.Inner)
		for i := range table.Shapes {
			// interpolation rounds
			if !(less[i] >= 0 && less[i] <= more[i]*(1+1e-9) && narrow[i] >= 0 && narrow[i] <= wide[i]*(1+1e-9)) {
				t.Fatalf("attention %v of %v, ffn %v of %v", less, more, narrow, wide)
			}
		}
	})
}
