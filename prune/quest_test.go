package prune

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"etc/fault"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/irtest"
	"etc/ir/tensor"
	"etc/prune/latency"
	"etc/prune/linalg"
)

// Dimensions of the encoder that quests look through.
const (
	hiddenWidth, headCount, headWidth, innerWidth, layerCount = 24, 4, 32, 64, 2
)

// encoder is two layers of normal weights, without norms.
func encoder() *ir.Graph {
	rng := rand.New(rand.NewPCG(1, 6))
	g := &ir.Graph{Name: "encoder"}
	ids, offsets := g.NewInput("ids", ir.I32(ir.T)), g.NewInput("offsets", ir.I32(ir.Ends))
	weight := func(name string, deviation float64, shape ...int) *ir.Value {
		n, _ := tensor.Elements(shape)
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(deviation * rng.NormFloat64())
		}
		return g.NewWeight(name, tensor.FromFloat32s(shape, x))
	}
	linear := func(label, name string, n int, x *ir.Value) *ir.Value {
		k := x.Type.Width()
		return g.New(ir.Linear, &ir.LinearAttrs{}, label, x, weight(name+".weight", 1/math.Sqrt(float64(k)), n, k), weight(name+".bias", 0.1, n)).Result()
	}
	x := g.New(ir.Embed, &ir.EmbedAttrs{}, "embeddings", ids, nil, nil, weight("word", 1, 50, hiddenWidth)).Result()
	for i := range layerCount {
		label, name := fmt.Sprintf("layer %d ", i), fmt.Sprintf("layer.%d.", i)
		var qkv [3]*ir.Value
		for j, what := range []string{"q", "k", "v"} {
			qkv[j] = linear(label+"attention", name+what, headCount*headWidth, x)
		}
		a := g.New(ir.Attention, &ir.AttentionAttrs{Heads: headCount, D: headWidth, Dv: headWidth, Scale: 0.1}, label+"attention", qkv[0], qkv[1], qkv[2], offsets).Result()
		x = g.New(ir.Add, nil, label+"attention", x, linear(label+"attention", name+"o", hiddenWidth, a)).Result()
		h := g.New(ir.Activation, &ir.ActivationAttrs{Act: ir.GELU}, label+"ffn", linear(label+"ffn", name+"in", innerWidth, x)).Result()
		x = g.New(ir.Add, nil, label+"ffn", x, linear(label+"ffn", name+"out", hiddenWidth, h)).Result()
	}
	g.Outputs = append(g.Outputs, ir.Output{Name: "hidden", Value: x})
	return g
}

// times is a made-up table of two shapes: the second gains less by heads.
func times() *latency.Table {
	t := &latency.Table{
		Model:  latency.Dimensions{Hidden: hiddenWidth, Heads: headCount, D: headWidth, Dv: headWidth, Inner: innerWidth},
		Shapes: []latency.Shape{{Batch: 1, Tokens: 32}, {Batch: 8, Tokens: 32}},
		Rest:   []float64{4, 20},
		Last:   latency.Last{Attention: []float64{1, 0.8}, FFN: []float64{1, 0.8}},
	}
	for h := range headCount + 1 {
		t.Attention = append(t.Attention, latency.AttentionTime{Heads: h, D: headWidth, Dv: headWidth, Micros: []float64{5 + 20*float64(h), 60 + 90*float64(h)}})
	}
	for _, d := range [][2]int{{headWidth / 2, headWidth}, {headWidth, headWidth / 2}} {
		t.Attention = append(t.Attention, latency.AttentionTime{Heads: headCount, D: d[0], Dv: d[1], Micros: []float64{68, 330}})
	}
	for _, w := range []int{0, innerWidth} {
		t.FFN = append(t.FFN, latency.FFNTime{Width: w, Micros: []float64{5 + 2*float64(w), 30 + 14*float64(w)}})
	}
	return t
}

// calibration runs one batch of rows through a graph and visits what its
// products read.
func calibration(t *testing.T, g *ir.Graph, batch uint64, visit func(name string, rows [][]float32)) {
	t.Helper()
	in := irtest.InputsOf(rand.New(rand.NewPCG(batch, 7)), g, 9, 12, 7)
	p, err := interp.Load(g)
	if err != nil {
		t.Fatal(err)
	}
	values := map[*ir.Value]*interp.Array{}
	if _, err := p.Trace(in, func(v *ir.Value, a *interp.Array) { values[v] = a }); err != nil {
		t.Fatal(err)
	}
	for _, op := range g.Ops {
		if op.Kind != ir.Linear {
			continue
		}
		x := values[op.Arg("x")]
		rows := make([][]float32, x.Shape[0])
		for i := range rows {
			rows[i] = make([]float32, x.Shape[1])
			for j := range rows[i] {
				rows[i][j] = float32(x.F[i*x.Shape[1]+j])
			}
		}
		visit(op.Arg("w").WeightName(), rows)
	}
}

const calibrationBatches = 6

func statistics(t *testing.T, g *ir.Graph) *Statistics {
	s := &Statistics{}
	for batch := range uint64(calibrationBatches) {
		calibration(t, g, batch, func(name string, rows [][]float32) {
			for _, row := range rows {
				s.Add(name, row)
			}
		})
	}
	return s
}

// weightsOf are the encoder's matrices of g, by name.
func weightsOf(g *ir.Graph) map[string][]float64 {
	all := map[string][]float64{}
	for _, op := range g.Ops {
		if op.Kind == ir.Linear {
			w, _ := op.Arg("w").Data()
			all[op.Arg("w").WeightName()] = w.Float64s()
		}
	}
	return all
}

// bytesOf are all weights of g, one after another.
func bytesOf(g *ir.Graph) []byte {
	var all bytes.Buffer
	for _, op := range g.Ops {
		if a, ok := op.Attrs.(*ir.WeightAttrs); ok {
			all.Write(a.Data.Data)
		}
	}
	return all.Bytes()
}

// speedOf is how fast a graph is by the table, from the zeros in it alone.
func speedOf(g *ir.Graph) []float64 {
	t, w := times(), weightsOf(g)
	pruned, dense := slices.Clone(t.Rest), slices.Clone(t.Rest)
	add := func(to, us []float64, layer int, last func([]float64) []float64) {
		if layer == layerCount-1 {
			us = last(us)
		}
		addTo(to, us)
	}
	live := func(row []float64) bool { return square(row) > 0 }
	for i := range layerCount {
		name := fmt.Sprintf("layer.%d.", i)
		heads, d, dv := 0, 0, 0
		for h := range headCount {
			var inHead [2]int
			for side, what := range []string{"q", "v"} {
				for r := h * headWidth; r < (h+1)*headWidth; r++ {
					if live(w[name+what+".weight"][r*hiddenWidth : (r+1)*hiddenWidth]) {
						inHead[side]++
					}
				}
			}
			if inHead[0]+inHead[1] > 0 {
				heads++
			}
			d, dv = max(d, inHead[0]), max(dv, inHead[1])
		}
		width := 0
		for r := range innerWidth {
			if live(w[name+"in.weight"][r*hiddenWidth : (r+1)*hiddenWidth]) {
				width++
			}
		}
		add(pruned, t.AttentionTime(heads, d, dv), i, t.LastAttention)
		add(pruned, t.FFNTime(width), i, t.LastFFN)
		add(dense, t.AttentionTime(headCount, headWidth, headWidth), i, t.LastAttention)
		add(dense, t.FFNTime(innerWidth), i, t.LastFFN)
	}
	for s := range dense {
		dense[s] /= pruned[s]
	}
	return dense
}

// A world is a dense model with judges that count their looks.
type world struct {
	t                       *testing.T
	dense                   *ir.Graph
	damages                 int
	search, accept, reserve []*ir.Graph
}

// judge allows graphs no faster than limit, and says their damage as drop.
func (w *world) judge(looks *[]*ir.Graph, limit float64) Judge {
	return func(ctx context.Context, g *ir.Graph) (*Verdict, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		*looks = append(*looks, g)
		return &Verdict{Inside: slices.Min(speedOf(g)) <= limit, Drop: w.distance(g), Rows: 1}, nil
	}
}

// distance is how far the weights of g are from the dense ones.
func (w *world) distance(g *ir.Graph) float64 {
	sum, dense := 0.0, weightsOf(w.dense)
	for name, x := range weightsOf(g) {
		off := 0.0
		for i, v := range x {
			off += square([]float64{v - dense[name][i]})
		}
		part := 1.0
		if strings.Contains(name, "layer.0") {
			part = 3
		}
		sum += math.Round(1e6 * part * off / square(dense[name])) // maps come in any order
	}
	return sum / 1e6
}

// quest is one whose metric allows speed-ups up to limit on all rows.
func (w *world) quest(limit float64) *Quest {
	m, err := MethodNamed("structured")
	if err != nil {
		w.t.Fatal(err)
	}
	return &Quest{
		Dense: w.dense, Stats: statistics(w.t, w.dense), Method: m, Latency: times(),
		Damage: func(ctx context.Context, g *ir.Graph) (float64, error) { w.damages++; return w.distance(g), nil },
		Search: w.judge(&w.search, limit), Accept: w.judge(&w.accept, limit), Reserve: w.judge(&w.reserve, limit),
	}
}

// TestBestSoFar: of a climb it is the fastest that is inside, in whatever order
// they come; of a speed or a share, the one of least damage.
func TestBestSoFar(t *testing.T) {
	inside, outside := &Verdict{Inside: true}, &Verdict{}
	slow := &Candidate{Name: "slow", Speedups: []float64{1.5, 1.2}, Damage: 1, Verdict: inside}
	fast := &Candidate{Name: "fast", Speedups: []float64{1.4, 1.6}, Damage: 2, Verdict: inside}
	over := &Candidate{Name: "over", Speedups: []float64{3, 3}, Damage: 0.5, Verdict: outside}
	unasked := &Candidate{Name: "unasked", Speedups: []float64{4, 4}, Damage: 0.1}
	judge := func(context.Context, *ir.Graph) (*Verdict, error) { return nil, nil }
	for _, c := range []struct {
		quest Quest
		want  *Candidate
	}{
		{Quest{Search: judge}, fast},
		{Quest{Search: judge, Speedup: 1.1}, slow},
		{Quest{Search: judge, Sparsity: 0.5}, slow},
		{Quest{Speedup: 1.1}, unasked},
	} {
		for _, order := range [][]*Candidate{{slow, fast, over, unasked}, {unasked, over, fast, slow}} {
			q := c.quest
			for _, k := range order {
				q.prefer(k)
			}
			if q.Best != c.want {
				t.Errorf("speed-up %v, share %v: %s, want %s", q.Speedup, q.Sparsity, q.Best.Name, c.want.Name)
			}
		}
	}
}

func newWorld(t *testing.T) *world { return &world{t: t, dense: encoder()} }

// TestQuestFindsTheFastestRung that the judge allows, looked for on all rungs
// one by one, with the damage of outputs and without.
func TestQuestFindsTheFastestRung(t *testing.T) {
	for _, blind := range []bool{false, true} {
		for _, limit := range []float64{1.2, 1.7, 2.6} {
			w := newWorld(t)
			q := w.quest(limit)
			if blind {
				q.Damage = nil
			}
			f, err := q.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all := w.quest(limit)
			all.Damage = q.Damage
			if err := all.prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			best, last := 0, true
			var choices []choice
			for k := 1; ; k++ {
				list, err := all.rung(t.Context(), math.Pow(rung, float64(k)), false)
				if err != nil {
					t.Fatal(err)
				}
				if len(list) == 0 {
					break
				}
				passes := list[0].Speedup() <= limit
				if passes && !last {
					t.Fatalf("limit %v: rung %d passes, the one below does not: the example is no ladder", limit, k)
				}
				if last = passes; passes {
					best, choices = k, nil
					for _, c := range list[:min(finals, len(list))] {
						choices = append(choices, c.choice)
					}
				}
			}
			if best == 0 {
				t.Fatalf("limit %v: no rung passes", limit)
			}
			found := f.Candidate
			if !slices.ContainsFunc(choices, func(c choice) bool { return slices.Equal(c, found.choice) }) {
				t.Errorf("limit %v: found %v of speed-up %v, want of rung %d %v", limit, found.choice, found.Speedup(), best, choices)
			}
			if s := found.Speedup(); s > limit || s < math.Pow(rung, float64(best)) {
				t.Errorf("limit %v: found speed-up %v on rung %d", limit, s, best)
			}
			if len(w.accept) != 1 || len(w.reserve) != 0 || w.accept[0] != f.Graph || f.Accepted == nil || f.Reserved {
				t.Errorf("limit %v: %d looks at the accept rows, %d at those aside", limit, len(w.accept), len(w.reserve))
			}
			for s, x := range speedOf(f.Graph) {
				if !near(x, found.Speedups[s], 1e-9) {
					t.Errorf("limit %v: the graph is %v times as fast, said to be %v", limit, x, found.Speedups[s])
				}
			}
			if q.Best == nil || q.Best.Speedup() < found.Speedup() {
				t.Errorf("limit %v: best so far %v", limit, q.Best)
			}
			if !slices.ContainsFunc(q.Tried, func(c *Candidate) bool { return c.Outcome == "accepted" }) {
				t.Errorf("limit %v: none of %d tried is said to be accepted", limit, len(q.Tried))
			}
		}
	}
}

// TestRungsAreFastEnough: also when a candidate was made for a slower one.
func TestRungsAreFastEnough(t *testing.T) {
	q := newWorld(t).quest(9)
	if err := q.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for k := 1; ; k++ {
		wanted := math.Pow(rung, float64(k))
		list, err := q.rung(t.Context(), wanted, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			if best := q.fastest(); k < 10 || best > wanted*rung*rung {
				t.Errorf("nothing on rung %d, the fastest is %v", k, best)
			}
			return
		}
		for i, c := range list {
			if c.Speedup() < wanted {
				t.Errorf("rung of %v: %s is %v times as fast", wanted, c.Name, c.Speedup())
			}
			if i > 0 && c.Damage < list[i-1].Damage {
				t.Errorf("rung of %v: damage %v after %v", wanted, c.Damage, list[i-1].Damage)
			}
		}
	}
}

// calibrator shows passes the inputs of both models, batch by batch.
func calibrator(t *testing.T, dense *ir.Graph) Calibrate {
	return func(g *ir.Graph, p *Pass) error {
		for batch := range uint64(calibrationBatches) {
			for _, model := range []*ir.Graph{g, dense} {
				calibration(t, model, batch, func(name string, rows [][]float32) {
					if p.Wants(name, len(rows[0])) {
						p.See(model == dense, name, len(rows[0]), len(rows), func(i int) []float32 { return rows[i] })
					}
				})
			}
			if err := p.End(); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestQuestAtASpeed returns a model at least that fast, and none faster than
// can be, nearer to the dense model's outputs than what is written at once.
func TestQuestAtASpeed(t *testing.T) {
	for _, speed := range []float64{1.3, 2, 3} {
		w := newWorld(t)
		q := w.quest(99)
		q.Speedup = speed
		dense := outputs(t, w.dense)
		q.Calibrate = calibrator(t, w.dense)
		q.Damage = func(_ context.Context, g *ir.Graph) (float64, error) { return apart(outputs(t, g), dense), nil }
		f, err := q.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Min(speedOf(f.Graph)); got < speed {
			t.Errorf("%v times as fast, want %v", got, speed)
		}
		if len(w.accept) != 1 || f.Candidate.Outcome != "accepted" {
			t.Errorf("%d looks at the accept rows, candidate %q %s", len(w.accept), f.Candidate.Name, f.Candidate.Outcome)
		}
		without := w.dense.Clone()
		if _, err := q.edit.write(without, f.Candidate.setting, nil); err != nil {
			t.Fatal(err)
		}
		if a, b := apart(outputs(t, f.Graph), dense), apart(outputs(t, without), dense); a > b {
			t.Errorf("speed-up %v: layer by layer outputs are off by %v, at once by %v", speed, a, b)
		}
	}
	q := newWorld(t).quest(99)
	q.Speedup = 1e3
	f, err := q.Run(t.Context())
	refused(t, f, err, "speed-up 1e+03: the fastest model")
	w := newWorld(t)
	q = w.quest(1.5)
	q.Speedup = 2
	f, err = q.Run(t.Context())
	refused(t, f, err, "on the search rows")
	if len(w.accept) != 0 {
		t.Error("a model outside was put before the accept rows")
	}
}

// TestPrunedBefore: of a model that has lost heads, widths and neurons already, a speed is one against
// what is left, which the zeros found in it bear out.
func TestPrunedBefore(t *testing.T) {
	speed := 1.6
	for _, method := range []string{"structured", "narrow", "heads", "widths"} {
		w := newWorld(t)
		m, err := MethodNamed(method)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Fixed(w.dense, statistics(t, w.dense), m, 0.3, nil); err != nil {
			t.Fatal(err)
		}
		was := speedOf(w.dense)
		if slices.Min(was) < 1.1 {
			t.Fatalf("%s: the example is %v times as fast", method, was)
		}
		q := w.quest(99)
		q.Speedup = speed
		f, err := q.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for s, now := range speedOf(f.Graph) {
			if ratio := now / was[s]; ratio < speed || f.Candidate.Speedups[s] > 1.001*ratio {
				t.Errorf("%s: %v times as fast as before, said to be %v", method, ratio, f.Candidate.Speedups[s])
			}
		}
		left := slices.Clone(q.Latency.Rest)
		for _, m := range q.menus {
			addTo(left, m.options[0].times)
		}
		for s, whole := range q.Latency.Dense(layerCount) {
			if !near(whole/left[s], was[s], 0.01) { // in whole panels
				t.Errorf("%s: before it is %v times as fast as all of it, counted as %v", method, was[s], whole/left[s])
			}
		}
		if q.Before < 0.25 || q.Before > 0.45 {
			t.Errorf("%s: %v of zeros before", method, q.Before)
		}
	}
}

// TestQuestMeasures: where models are slower than the table says, the search
// goes on until they are fast enough as measured, and gives up in the end.
func TestQuestMeasures(t *testing.T) {
	for _, slower := range []float64{0.9, 1, 1.15} {
		w := newWorld(t)
		q := w.quest(99)
		q.Speedup = 1.5
		var looks []float64
		q.Measure = func(_ context.Context, g *ir.Graph) (float64, error) {
			looks = append(looks, slices.Min(speedOf(g))/slower)
			return looks[len(looks)-1], nil
		}
		f, err := q.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Min(speedOf(f.Graph)) / slower; got < q.Speedup || got > 1.1*q.Speedup/min(1, slower) {
			t.Errorf("a table off by %v: %v times as fast as measured, want %v", slower, got, q.Speedup)
		}
		first := slices.IndexFunc(looks, func(x float64) bool { return x >= q.Speedup })
		if first < 0 || first > 0 && slower <= 1 || first == 0 && slower > 1 || len(looks) > first+finals+1 {
			t.Errorf("a table off by %v: measured %v", slower, looks)
		}
	}
	q := newWorld(t).quest(99)
	q.Speedup = 1.5
	looks := 0
	q.Measure = func(context.Context, *ir.Graph) (float64, error) { looks++; return 1.4, nil }
	f, err := q.Run(t.Context())
	refused(t, f, err, "is 1.40 as measured")
	if looks != 1+measureTries {
		t.Errorf("measured %d times", looks)
	}
}

// TestMeasuredIsWhatIsFound: with speeds measured, each model that may be found or kept was, and was
// fast enough: the second finalist too, whether the search rows or the reserve take it.
func TestMeasuredIsWhatIsFound(t *testing.T) {
	for _, slow := range []bool{false, true} { // the second
		for _, who := range []string{"search", "reserve"} {
			w := newWorld(t)
			q := w.quest(99)
			q.Speedup = 1.6
			ratios := map[float64]float64{} // by distance, which tells candidates apart
			q.Measure = func(_ context.Context, g *ir.Graph) (float64, error) {
				ratio := 1.7
				if slow && len(ratios) == 1 {
					ratio = 1.5
				}
				ratios[w.distance(g)] = ratio
				return ratio, nil
			}
			looks := 0
			if who == "search" {
				q.Search = func(context.Context, *ir.Graph) (*Verdict, error) {
					looks++
					return &Verdict{Inside: looks > 1, Rows: 1, Of: 1}, nil
				}
			} else {
				q.Accept = refuse(&w.accept)
			}
			f, err := q.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := ratios[w.distance(f.Graph)]; got < 1.6 {
				t.Errorf("second slow %v, refused by %s: found is %v times as fast as measured", slow, who, got)
			}
			if slow != slices.ContainsFunc(q.Tried, func(c *Candidate) bool { return strings.HasPrefix(c.Outcome, "too slow: 1.50") }) {
				t.Errorf("second slow %v: not said", slow)
			}
		}
	}
}

// outputs of calibration rows.
func outputs(t *testing.T, g *ir.Graph) []float64 {
	t.Helper()
	var all []float64
	for batch := range uint64(calibrationBatches) {
		out, err := interp.Run(g, irtest.InputsOf(rand.New(rand.NewPCG(batch, 7)), g, 9, 12, 7))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, out["hidden"].F...)
	}
	return all
}

func apart(a, b []float64) float64 {
	off := 0.0
	for i, x := range a {
		off += square([]float64{x - b[i]})
	}
	return off / square(b)
}

func refused(t *testing.T, f *Found, err error, text string) {
	t.Helper()
	if f != nil || err == nil || fault.KindOf(err) != fault.Unreachable || !strings.Contains(err.Error(), text) {
		t.Errorf("found %v, error %v, want unreachable: %s", f, err, text)
	}
}

// refuse is a judge that allows nothing.
func refuse(looks *[]*ir.Graph) Judge {
	return func(_ context.Context, g *ir.Graph) (*Verdict, error) {
		*looks = append(*looks, g)
		return &Verdict{Drop: 7.25}, nil
	}
}

// TestRefusedByTheAcceptRows: a safer model tries the rows aside, once. Where
// there are none, or they refuse too, nothing is found, and the error names
// what was best and what it cost on those rows.
func TestRefusedByTheAcceptRows(t *testing.T) {
	const limit = 2.2
	w := newWorld(t)
	q := w.quest(limit)
	q.Accept = refuse(&w.accept)
	f, err := q.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	was, now := slices.Min(speedOf(w.accept[0])), slices.Min(speedOf(f.Graph))
	if len(w.accept) != 1 || len(w.reserve) != 1 || w.reserve[0] != f.Graph || !f.Reserved || f.Accepted == nil || now >= was {
		t.Errorf("%d and %d looks, speed-up %v after %v, reserved %v", len(w.accept), len(w.reserve), now, was, f.Reserved)
	}
	for name, set := range map[string]func(q *Quest, w *world){
		"accept rows":    func(q *Quest, w *world) { q.Reserve = nil },
		"rows set aside": func(q *Quest, w *world) { q.Reserve = refuse(&w.reserve) },
	} {
		w := newWorld(t)
		q := w.quest(limit)
		q.Accept = refuse(&w.accept)
		set(q, w)
		f, err := q.Run(t.Context())
		refused(t, f, err, "costs 7.25 points on the "+name)
		refused(t, f, err, fmt.Sprintf("best found on the search rows: speed-up %.2f", q.Best.Speedup()))
		if len(w.accept) != 1 || len(w.reserve) > 1 {
			t.Errorf("%d and %d looks", len(w.accept), len(w.reserve))
		}
	}
}

// TestLeastDamageIsSettled: of finalists that the metric allows, that of least
// damage is found, whatever the metric likes better.
func TestLeastDamageIsSettled(t *testing.T) {
	for _, turned := range []float64{1, -1} {
		w := newWorld(t)
		q := w.quest(99)
		q.Speedup, q.Calibrate = 2, calibrator(t, w.dense)
		judge, damage := q.Search, q.Damage
		q.Damage = func(ctx context.Context, g *ir.Graph) (float64, error) {
			d, err := damage(ctx, g)
			return 10 + turned*d, err
		}
		q.Search = func(ctx context.Context, g *ir.Graph) (*Verdict, error) {
			v, err := judge(ctx, g)
			if err == nil {
				v.Drop *= -turned
			}
			return v, err
		}
		f, err := q.Run(t.Context())
		if err != nil || len(w.search) != finals {
			t.Fatalf("%d looks, %v", len(w.search), err)
		}
		for _, c := range q.Tried {
			if c.settled && c.Damage < f.Candidate.Damage {
				t.Errorf("%q of damage %v is found, there was %v", f.Candidate.Name, f.Candidate.Damage, c.Damage)
			}
		}
	}
}

// TestNextBestOfASpeed: where the accept rows refuse the best of the speed that
// is wanted, the next that is inside tries the rows set aside, once.
func TestNextBestOfASpeed(t *testing.T) {
	for name, set := range map[string]func(q *Quest, w *world){
		"":                   func(*Quest, *world) {},
		"on the accept rows": func(q *Quest, w *world) { q.Reserve = nil },
		"on the rows set aside": func(q *Quest, w *world) {
			q.Reserve = refuse(&w.reserve)
		},
		"on the accept rows, nothing else inside": func(q *Quest, w *world) {
			judge := q.Search
			q.Search = func(ctx context.Context, g *ir.Graph) (*Verdict, error) {
				v, err := judge(ctx, g)
				if len(w.search) > 1 {
					v.Inside = false
				}
				return v, err
			}
		},
	} {
		w := newWorld(t)
		q := w.quest(99)
		q.Speedup, q.Accept = 2, refuse(&w.accept)
		set(q, w)
		f, err := q.Run(t.Context())
		if where, _, _ := strings.Cut(name, ","); where != "" {
			refused(t, f, err, "costs 7.25 points "+where)
		} else if err != nil || !f.Reserved || f.Graph != w.reserve[0] || f.Candidate.Outcome != "accepted on the rows set aside" {
			t.Errorf("found %+v, %v", f, err)
		} else if slices.Min(speedOf(f.Graph)) < 2 || bytes.Equal(bytesOf(f.Graph), bytesOf(w.accept[0])) {
			t.Error("what tries the rows set aside is too slow, or was refused before")
		}
		if len(w.accept) != 1 || len(w.reserve) > 1 {
			t.Errorf("%s: %d and %d looks", name, len(w.accept), len(w.reserve))
		}
	}
}

// TestNothingInside: no rung passes, so that nothing is put before the rows
// that decide.
func TestNothingInside(t *testing.T) {
	w := newWorld(t)
	f, err := w.quest(0.5).Run(t.Context())
	refused(t, f, err, "best found on the search rows: none that was inside")
	if len(w.accept)+len(w.reserve) != 0 {
		t.Error("a model outside was put before the accept rows")
	}
}

func TestQuestIsDeterministic(t *testing.T) {
	var recipe, weights []byte
	for round := range 2 {
		w := newWorld(t)
		q := w.quest(2)
		q.Calibrate = calibrator(t, w.dense)
		before := bytesOf(w.dense)
		f, err := q.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytesOf(w.dense), before) {
			t.Error("the dense model changed")
		}
		r, err := json.Marshal(f.Recipe)
		if err != nil {
			t.Fatal(err)
		}
		if round > 0 && (!bytes.Equal(r, recipe) || !bytes.Equal(bytesOf(f.Graph), weights)) {
			t.Error("two searches differ")
		}
		recipe, weights = r, bytesOf(f.Graph)
	}
}

// TestQuestEndsWithItsContext, wherever it is, and with the errors of judges.
func TestQuestEndsWithItsContext(t *testing.T) {
	for name, set := range map[string]func(q *Quest, cancel func()){
		"before": func(_ *Quest, cancel func()) { cancel() },
		"damage": func(q *Quest, cancel func()) {
			q.Damage = func(context.Context, *ir.Graph) (float64, error) { cancel(); return 1, nil }
		},
		"search": func(q *Quest, cancel func()) {
			q.Search = func(context.Context, *ir.Graph) (*Verdict, error) { cancel(); return &Verdict{Inside: true}, nil }
		},
		"blind": func(q *Quest, cancel func()) { q.Damage = nil; cancel() },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		w := newWorld(t)
		q := w.quest(2)
		set(q, cancel)
		if f, err := q.Run(ctx); f != nil || !errors.Is(err, context.Canceled) || len(w.accept) != 0 {
			t.Errorf("%s: found %v, error %v, %d looks", name, f, err, len(w.accept))
		}
		cancel()
	}
	broken := errors.New("no metric")
	failing := func(context.Context, *ir.Graph) (*Verdict, error) { return nil, broken }
	for name, set := range map[string]func(q *Quest){
		"damage":    func(q *Quest) { q.Damage = func(context.Context, *ir.Graph) (float64, error) { return 0, broken } },
		"search":    func(q *Quest) { q.Search = failing },
		"accept":    func(q *Quest) { q.Accept = failing },
		"calibrate": func(q *Quest) { q.Calibrate = func(*ir.Graph, *Pass) error { return broken } },
	} {
		q := newWorld(t).quest(2)
		set(q)
		if f, err := q.Run(t.Context()); f != nil || !errors.Is(err, broken) {
			t.Errorf("%s: found %v, error %v", name, f, err)
		}
	}
}

// TestQuestStops: out of time, it settles one candidate and tries no switches.
func TestQuestStops(t *testing.T) {
	tried := map[bool]int{}
	for _, stop := range []bool{false, true} {
		w := newWorld(t)
		q := w.quest(99)
		q.Speedup = 2
		q.Stop = func(Step) bool { return stop }
		f, err := q.Run(t.Context())
		if err != nil || f.Candidate.Speedup() < 2 {
			t.Fatalf("found %v, %v", f, err)
		}
		if len(w.search) > finals || stop && len(w.search) != 1 {
			t.Errorf("stop %v: %d looks at the search rows", stop, len(w.search))
		}
		tried[stop] = len(q.Tried)
	}
	if tried[true] >= tried[false] {
		t.Errorf("%d tried without time, %d with", tried[true], tried[false])
	}
}

// TestStatisticsAreLeftAlone: a second search with the same statistics has the same order, of what
// outputs reach too; that nobody needs that any more is told.
func TestStatisticsAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	stats := statistics(t, w.dense)
	stats.Reach = &Statistics{}
	rng := rand.New(rand.NewPCG(3, 3))
	for _, op := range w.dense.Ops {
		if op.Kind == ir.Linear {
			x := linalg.New(4, op.Result().Type.Width())
			for i := range x.Data {
				x.Data[i] = rng.NormFloat64()
			}
			stats.Reach.AddRows(op.Arg("w").WeightName(), x)
		}
	}
	reach, told := stats.Reach, 0
	var orders [2][]string
	for i := range orders {
		q := w.quest(9)
		q.Stats, q.Ranked = stats, func() { told++ }
		if err := q.prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		for at := range q.edit.dials {
			s := make(Setting, len(q.edit.dials))
			s[at] = 1
			q.edit.turn(s)
			for _, m := range q.edit.matrices {
				orders[i] = append(orders[i], fmt.Sprint(m.unread, m.columns))
			}
		}
	}
	if !slices.Equal(orders[0], orders[1]) || stats.Reach != reach || told != 2 {
		t.Errorf("statistics changed, or told %d times", told)
	}
}
