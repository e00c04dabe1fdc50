package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etc/compiler"
	"etc/compiler/frontend"
	"etc/compiler/frontend/frontendtest"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/prune/latency"
)

func openTiny(t *testing.T) *checkpoint.Checkpoint {
	t.Helper()
	c, err := checkpoint.Open("../../testdata/tiny-sst2")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func importTiny(t *testing.T) *frontend.Imported {
	t.Helper()
	im, err := frontend.Import(openTiny(t))
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// tinyDimensions are those of testdata/tiny-sst2.
var tinyDimensions = latency.Dimensions{Hidden: 128, Heads: 4, D: 32, Dv: 32, Inner: 512, Picks: true}

func TestDimensions(t *testing.T) {
	for class, want := range map[string]latency.Dimensions{
		"BertForSequenceClassification": {Picks: true},
		"BertModel":                     {},
		"GPT2LMHeadModel":               {Causal: true, Vocab: 37},
		"GPT2ForSequenceClassification": {Causal: true, Picks: true},
	} {
		c := randomCheckpoint(t, rand.New(rand.NewPCG(1, 1)), class, frontendtest.Options{Layers: 2, Heads: 3, HeadSize: 27, Inner: 331})
		im, err := frontend.Import(c)
		if err != nil {
			t.Fatal(err)
		}
		want.Hidden, want.Heads, want.D, want.Dv, want.Inner = 81, 3, 27, 27, 331
		if got, err := dimensionsOf(im); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", class, got, err, want)
		}
	}
}

// TestLatencyPoints: which levels a table has.
func TestLatencyPoints(t *testing.T) {
	for _, c := range []struct {
		d                        latency.Dimensions
		heads, score, value, ffn []int
	}{
		{latency.Dimensions{Heads: 4, D: 32, Dv: 32, Inner: 512}, []int{0, 1, 2, 3, 4}, []int{16}, []int{16},
			[]int{0, 32, 64, 96, 128, 192, 256, 320, 384, 448, 512}},
		{latency.Dimensions{Heads: 1, D: 64, Dv: 16, Inner: 40}, []int{0, 1}, []int{16, 32, 48}, nil, []int{0, 16, 32, 40}},
		{latency.Dimensions{Heads: 32, D: 200, Dv: 17, Inner: 8}, []int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32},
			[]int{16, 64, 128, 192}, []int{16}, []int{0, 8}},
	} {
		table := emptyLatencyTable(c.d, nil)
		var heads, score, value, ffn []int
		for _, a := range table.Attention {
			switch {
			case a.D < c.d.D:
				score = append(score, a.D)
			case a.Dv < c.d.Dv:
				value = append(value, a.Dv)
			default:
				heads = append(heads, a.Heads)
			}
		}
		for _, f := range table.FFN {
			ffn = append(ffn, f.Width)
		}
		if !slices.Equal(heads, c.heads) || !slices.Equal(score, c.score) || !slices.Equal(value, c.value) || !slices.Equal(ffn, c.ffn) {
			t.Errorf("%+v: heads %v, d %v, dv %v, widths %v; want %v, %v, %v, %v", c.d, heads, score, value, ffn, c.heads, c.score, c.value, c.ffn)
		}
	}
}

// TestLevelsAreWhatTheyAreCalled: the compiler finds each level in the zeros,
// in the layers that were brought to it and in no other.
func TestLevelsAreWhatTheyAreCalled(t *testing.T) {
	c := openTiny(t)
	full := denseLevel(tinyDimensions)
	for name, change := range map[string]func(l *latencyLevel){
		"dense":      func(*latencyLevel) {},
		"heads":      func(l *latencyLevel) { l.heads = 3 },
		"no heads":   func(l *latencyLevel) { l.heads = 0 },
		"d":          func(l *latencyLevel) { l.d = 16 },
		"dv":         func(l *latencyLevel) { l.dv = 16 },
		"width":      func(l *latencyLevel) { l.width = 192 },
		"no neurons": func(l *latencyLevel) { l.width = 0 },
		"tiles":      func(l *latencyLevel) { l.attentionTiles, l.ffnTiles = 0.5, 0.3 },
	} {
		l := full
		change(&l)
		changed, err := atLevel(c, l, 1)
		if err != nil {
			t.Fatal(err)
		}
		r, err := compiler.Compile(changed, compiler.Options{Targets: []string{cpu.Target}})
		if err != nil {
			t.Fatal(err)
		}
		q := r.Plan.Programs[0]
		if got := foundLevel(q, "layer 0 ", full); !sameLevel(got, l) {
			t.Errorf("%s: first layer is compiled as %+v, want %+v", name, got, l)
		}
		if got := foundLevel(q, "layer 1 ", full); got != full {
			t.Errorf("%s: last layer is compiled as %+v, want it dense", name, got)
		}
	}
}

// foundLevel is the level of a layer's steps. Densities are those of its tiles.
func foundLevel(q *plan.Program, layer string, full latencyLevel) latencyLevel {
	l := latencyLevel{d: full.d, dv: full.dv}
	for _, s := range q.Steps {
		kind, of := strings.CutPrefix(s.Label, layer)
		if !of {
			continue
		}
		switch s.Op {
		case plan.OTFAttention, plan.PartialOTFAttention, plan.FlashAttention:
			l.heads, l.d, l.dv = s.Params.Heads, s.Params.D, s.Params.Dv
		case plan.Linear:
			if w := q.Weights[s.Args[1].Index]; kind == "ffn" && s.Params.Act != plan.NoAct {
				l.width = w.Shape[0]
			}
		case plan.BlockSparseLinear:
			w := q.Weights[s.Args[1].Index]
			if w.Shape[1] == 1 {
				break // of a sublayer that is gone: its bias
			}
			density := float64(w.Size) / float64(4*w.Shape[0]*w.Shape[1])
			if kind == "ffn" {
				l.ffnTiles, l.width = density, full.width
			} else {
				l.attentionTiles = density
			}
		}
	}
	return l
}

// sameLevel allows densities what indices take, and rounding to whole tiles.
func sameLevel(got, want latencyLevel) bool {
	near := func(a, b float64) bool { return a >= b-0.02 && a <= b+0.05 }
	if !near(got.attentionTiles, want.attentionTiles) || !near(got.ffnTiles, want.ffnTiles) {
		return false
	}
	got.attentionTiles, got.ffnTiles = want.attentionTiles, want.ffnTiles
	if want.heads == 0 {
		got.d, got.dv = want.d, want.dv
	}
	return got == want
}

// TestLevelsKeepWeights: what stays at a level is what the checkpoint has.
func TestLevelsKeepWeights(t *testing.T) {
	c := openTiny(t)
	l := denseLevel(tinyDimensions)
	l.heads, l.width = 2, 256
	changed, err := atLevel(c, l, 2)
	if err != nil {
		t.Fatal(err)
	}
	zeroed := 0
	for _, name := range c.Names() {
		was, _ := c.Tensor(name)
		now, _ := changed.Tensor(name)
		old, kept := was.Float32s(), now.Float32s()
		for i, v := range kept {
			if v != old[i] && v != 0 {
				t.Fatalf("%s[%d] is %v, was %v", name, i, v, old[i])
			}
			if v == 0 && old[i] != 0 && len(was.Shape) == 2 {
				zeroed++
			}
		}
	}
	// half of all matrices of both layers, but for entries that were zero
	if want := 2 * (4*128*128 + 2*128*512) / 2; zeroed > want || zeroed < want*99/100 {
		t.Errorf("%d entries of matrices became zero, want about %d", zeroed, want)
	}
}

// TestMeasuredTable: what is measured is a table that Read takes, for the
// model and in proportion to it.
func TestMeasuredTable(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for try := 1; ; try++ { // other work on the machine may spoil one
		found := measuredTiny(t)
		if found == "" {
			return
		}
		if try == 3 {
			t.Fatal(found)
		}
		t.Log(found)
	}
}

// measuredTiny measures a table and says what is odd about its times.
func measuredTiny(t *testing.T) string {
	t.Helper()
	done := 0
	table, err := measureLatency(context.Background(), openTiny(t), "cpu:int8", kernel.Best(), func(n, total int) {
		if n <= done || n > total {
			t.Errorf("%d of %d after %d", n, total, done)
		}
		done = n
	})
	if err != nil {
		t.Fatal(err)
	}
	read, err := latency.Read(table.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if read.Target != "cpu:int8" || read.Level != kernel.Best().String() || read.Model != tinyDimensions || done == 0 {
		t.Errorf("table for %s %s %+v, %d models told of", read.Target, read.Level, read.Model, done)
	}
	for i, shape := range table.Shapes {
		all, half := table.FFNTime(512)[i], table.FFNTime(256)[i]
		heads, gone := table.AttentionTime(4, 32, 32)[i], table.AttentionTime(0, 32, 32)[i]
		if !(half < 0.9*all && gone < 0.5*heads && table.Last.FFN[i] < 0.9) {
			return fmt.Sprintf("%+v: half of an FFN takes %v of %v µs, no attention %v of %v, the last FFN's share is %v", shape, half, all, gone, heads, table.Last.FFN[i])
		}
	}
	return ""
}

func TestMeasuringStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := measureLatency(ctx, openTiny(t), cpu.Target, kernel.Best(), nil); err != context.Canceled {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// TestPredictedTable: the same inputs give the same bytes, on any machine, and
// the dense model takes what its multiply-adds take at the rates of a level.
func TestPredictedTable(t *testing.T) {
	d := latency.Dimensions{Hidden: 384, Heads: 12, D: 32, Dv: 32, Inner: 1536}
	shapes := latencyShapes(&plan.Model{MaxTokens: 256})
	table, err := predictLatency(d, cpu.Target, kernel.AVX512, shapes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := latency.Read(table.Bytes()); err != nil {
		t.Fatal(err)
	}
	// 8×128: products with weights and with keys and values, at 115 GFLOP/s
	macs := 1024 * (4*384*384 + 2*384*1536 + 128*384*2.0)
	if got, want := table.Dense(1)[2], 2*macs/115e9*1e6; got < want || got > 1.4*want {
		t.Errorf("a dense layer takes %v µs, want %v and something for softmax, GELU and norms", got, want)
	}
	if half := table.FFNTime(768)[2] / table.FFNTime(1536)[2]; half < 0.45 || half > 0.6 {
		t.Errorf("half of an FFN takes %v of all", half)
	}
	for target, level := range map[string]kernel.Level{"sm_80:f16": kernel.AVX2, "cpu:int8": kernel.AVX512, "cpu:int16": kernel.Generic} {
		if _, err := predictLatency(d, target, level, shapes); fault.KindOf(err) != fault.Unsupported || !strings.Contains(err.Error(), "--latency-table") {
			t.Errorf("%s on %v: error %v, want an unsupported fault that says what to do", target, level, err)
		}
	}
}

// TestChoiceOfLatencyTable: a file goes before the shipped table, and that
// before what is predicted.
func TestChoiceOfLatencyTable(t *testing.T) {
	im := importTiny(t)
	choose := func(target string, level kernel.Level, file string) (*latency.Table, error) {
		return latencyTable(im, target, level, file)
	}
	shipped, err := choose(cpu.Target, kernel.AVX2, "")
	if err != nil || !strings.HasPrefix(shipped.Source, "measured") {
		t.Fatalf("table %+v, error %v; want the shipped one", shipped, err)
	}
	predicted, err := choose(cpu.Target, kernel.Generic, "")
	if err != nil || !strings.HasPrefix(predicted.Source, "predicted") {
		t.Fatalf("table %+v, error %v; want a predicted one", predicted, err)
	}
	file := filepath.Join(t.TempDir(), "table.json")
	write := func(b []byte) {
		if err := os.WriteFile(file, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(predicted.Bytes())
	if got, err := choose(cpu.Target, kernel.AVX2, file); err != nil || got.Digest() != predicted.Digest() {
		t.Errorf("error %v, want the table of the file", err)
	}
	if _, err := choose("cpu:int8", kernel.AVX2, file); fault.KindOf(err) != fault.Unfit {
		t.Errorf("table of another target: error %v, want an unfit fault", err)
	}
	other := *predicted
	other.Model.Hidden++
	write(other.Bytes())
	if _, err := choose(cpu.Target, kernel.AVX2, file); fault.KindOf(err) != fault.Unfit {
		t.Errorf("table of another model: error %v, want an unfit fault", err)
	}
	write(make([]byte, latency.MaxBytes+1))
	if _, err := choose(cpu.Target, kernel.AVX2, file); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("zeros: error %v, want a corrupt fault", err)
	}
	if _, err := choose(cpu.Target, kernel.AVX2, file+"x"); fault.KindOf(err) != fault.Usage {
		t.Errorf("no file: error %v, want a usage fault", err)
	}
}

func TestLatencyShapes(t *testing.T) {
	for longest, want := range map[int][]latency.Shape{
		512: {{Batch: 1, Tokens: 32}, {Batch: 1, Tokens: 128}, {Batch: 8, Tokens: 128}},
		64:  {{Batch: 1, Tokens: 32}, {Batch: 1, Tokens: 64}, {Batch: 8, Tokens: 64}},
		16:  {{Batch: 1, Tokens: 16}, {Batch: 8, Tokens: 16}},
	} {
		if got := latencyShapes(&plan.Model{MaxTokens: longest}); !slices.Equal(got, want) {
			t.Errorf("rows of up to %d tokens: %v, want %v", longest, got, want)
		}
	}
}

// TestKindsAreMeasuredApart: a level of one kind has no sublayer of the other.
func TestKindsAreMeasuredApart(t *testing.T) {
	m, err := newLatencyMeasuring(context.Background(), openTiny(t), cpu.Target, kernel.Best())
	if err != nil {
		t.Fatal(err)
	}
	seen := [2]int{}
	m.eachPoint(func(l latencyLevel, kind sublayerKind, _ *[]float64) {
		seen[kind]++
		if kind == attentionKind && l.width != 0 || kind == ffnKind && l.heads != 0 {
			t.Errorf("level %+v of kind %d is measured with the other kind", l, kind)
		}
	})
	if seen != [2]int{5 + 1 + 1 + 5, 11 + 5} {
		t.Errorf("%v points of the two kinds, want 12 and 16", seen)
	}
}
