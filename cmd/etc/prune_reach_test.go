package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"etc/executor/cpu"
	"etc/formats/plan"
	"etc/formats/tokenizer"
	"etc/ir"
	"etc/ir/tensor"
	"etc/prune"
	"etc/prune/linalg"
)

// TestDrawnChanges: on average a small change of the answers weighs what the
// guard makes of it.
func TestDrawnChanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 0))
	for _, c := range []struct {
		task   plan.Task
		answer []float64
		factor float64
	}{
		{plan.Classification, []float64{2, -1}, 2},
		{plan.Classification, []float64{0.5, 1, -2, 0}, 2},
		{plan.Embedding, []float64{3, -1, 0.5}, 2},
		{plan.Regression, []float64{0.7}, 1},
		{plan.MultiLabel, []float64{0.7, -2, 1}, 1},
	} {
		d := make([]float64, len(c.answer))
		was, is := make([]float32, len(d)), make([]float32, len(d))
		for i := range d {
			d[i] = 0.03 * rng.NormFloat64()
			was[i], is[i] = float32(c.answer[i]), float32(c.answer[i]+d[i])
		}
		const draws = 40000
		mean, by := 0.0, make([]float64, len(d))
		for range draws {
			drawChange(c.task, c.answer, by, rng)
			change := 0.0
			for i, x := range by {
				change += x * d[i]
			}
			mean += change * change / draws
		}
		if want := c.factor * distanceOf(c.task)(was, is); math.Abs(mean/want-1) > 0.05 {
			t.Errorf("task %v, %v: %v, want %v", c.task, c.answer, mean, want)
		}
	}
}

// TestReachForesaysDamage: where rows have one token, what a small change of a
// product's bias does to the outputs is what the derivatives by them say.
func TestReachForesaysDamage(t *testing.T) {
	for _, class := range []string{"BertForSequenceClassification", "DistilBertForSequenceClassification", "BertModel"} {
		t.Run(class, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(4, 0))
			r := &pruning{program: &program{quiet: true}, flags: &pruneFlags{}, ctx: t.Context(), ckpt: randomModel(t, rng, class), target: cpu.Target}
			if err := r.importModel(); err != nil {
				t.Fatal(err)
			}
			r.sample = &sample{}
			for range guardRows {
				r.sample.add(tokenizer.Encoding{IDs: []int32{int32(rng.IntN(r.model.VocabSize))}, TypeIDs: []int32{0}})
			}
			g, err := r.newGuard()
			if err != nil {
				t.Fatal(err)
			}
			grams := map[string]linalg.Matrix{}
			for range 20 { // signs of other draws, to see the mean over them
				g.sample.append(r.sample)
			}
			if err := g.derivatives(func(linear *ir.Op, by linalg.Matrix) error {
				name := linear.Arg("w").WeightName()
				if grams[name].Data == nil {
					grams[name] = linalg.New(by.Cols, by.Cols)
				}
				linalg.AddGram(grams[name], by)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			rows := float64(len(g.sample.ids))
			g.sample = r.sample
			compared := 0
			for i, op := range r.dense.Ops {
				if op.Kind != ir.Linear || layerAt(r.dense, i) < 0 || op.Arg("b") == nil {
					continue
				}
				name := op.Arg("w").WeightName()
				gram := grams[name]
				if trace := gramTrace(gram); trace < 1e-9*rows {
					continue // queries and keys: with one token there is nothing to choose
				}
				pruned := r.dense.Clone()
				b, _ := op.Arg("b").Data()
				x, d := b.Float64s(), make([]float64, b.Shape[0])
				for j := range d {
					d[j] = 0.002 * rng.NormFloat64()
					x[j] += d[j]
				}
				changed := tensor.FromFloat64s(b.Shape, x).Convert(tensor.F32)
				pruned.Ops[i].Arg("b").Def.Attrs.(*ir.WeightAttrs).Data = changed
				for j, was := range b.Float64s() {
					d[j] = changed.Float64s()[j] - was
				}
				got, err := g.damage(t.Context(), pruned)
				if err != nil {
					t.Fatal(err)
				}
				want := 0.0
				for j := range d {
					for k := range d {
						want += d[j] * gram.At(j, k) * d[k] / rows / 2
					}
				}
				if math.Abs(got/want-1) > 0.15 {
					t.Errorf("%s: damage %v, foreseen %v", name, got, want)
				}
				compared++
			}
			if compared < 12 {
				t.Errorf("only %d products were compared", compared)
			}
		})
	}
}

func gramTrace(m linalg.Matrix) (sum float64) {
	for i := range m.Rows {
		sum += m.At(i, i)
	}
	return sum
}

// TestReachIsKnown: derivatives reach every product of the layers of each
// class of models, have the same bits on any number of threads, and are not computed
// again for the same rows; other rows have others, and a criterion that does not
// look at them has none.
func TestReachIsKnown(t *testing.T) {
	for _, class := range []string{"BertForSequenceClassification", "BertModel", "DistilBertForSequenceClassification", "GPT2LMHeadModel", "TransformerModel"} {
		t.Run(class, func(t *testing.T) {
			t.Setenv("ETC_CACHE_DIR", t.TempDir())
			rng := rand.New(rand.NewPCG(5, 0))
			c := randomModel(t, rng, class)
			find := func(threads int, method string, sample *sample, cached bool) []byte {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
				m, err := prune.MethodNamed(method)
				if err != nil {
					t.Fatal(err)
				}
				r := &pruning{program: &program{quiet: true}, flags: &pruneFlags{}, ctx: t.Context(), ckpt: c, target: cpu.Target, method: m, stats: &prune.Statistics{}}
				if cached {
					r.memo = openMemo()
				}
				if err := r.importModel(); err != nil {
					t.Fatal(err)
				}
				if r.sample = sample; sample == nil {
					r.sample = randomSample(rng, &r.model, 300)
				}
				g, err := r.newGuard()
				if err != nil {
					t.Fatal(err)
				}
				if err := g.findReach(); err != nil {
					t.Fatal(err)
				}
				if r.stats.Reach == nil {
					return nil
				}
				var text bytes.Buffer
				if err := r.stats.Reach.Write(&text); err != nil {
					t.Fatal(err)
				}
				for i, op := range r.dense.Ops {
					if op.Kind == ir.Linear && layerAt(r.dense, i) >= 0 && !strings.Contains(text.String(), op.Arg("w").WeightName()) {
						t.Errorf("%q is not known", op.Arg("w").WeightName())
					}
				}
				if cached {
					if known, _ := r.memo.Counts(); known == 0 {
						text.WriteString(" found anew")
					}
				}
				return text.Bytes()
			}
			model := &pruning{program: &program{quiet: true}, flags: &pruneFlags{}, ctx: t.Context(), ckpt: c}
			if err := model.importModel(); err != nil {
				t.Fatal(err)
			}
			rows := randomSample(rng, &model.model, 300)
			want := find(1, "structured", rows, false)
			if !bytes.Equal(want, find(3, "tiles", rows, false)) {
				t.Error("other bits on three threads")
			}
			if found := find(2, "structured", rows, true); !bytes.HasSuffix(found, []byte(" found anew")) || !bytes.HasPrefix(found, want) {
				t.Error("known before it was found, or other bits with a cache")
			}
			if !bytes.Equal(want, find(2, "structured", rows, true)) {
				t.Error("found again, or other bits from the cache")
			}
			if bytes.Equal(want, bytes.TrimSuffix(find(2, "structured", nil, true), []byte(" found anew"))) {
				t.Error("the same for other rows")
			}
			if find(2, "neurons:flap", rows, false) != nil {
				t.Error("flap counts what outputs reach")
			}
		})
	}
}
