package prune

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/ir"
	"etc/prune/linalg"
)

// ranked is an encoder and its edit by a method.
func ranked(t *testing.T, method string) (*ir.Graph, *Edit) {
	t.Helper()
	m, err := MethodNamed(method)
	if err != nil {
		t.Fatal(err)
	}
	dense := encoder()
	e, err := m.rank(dense, statistics(t, dense))
	if err != nil {
		t.Fatal(err)
	}
	return dense, e
}

// TestStagesOfLeastDamage: whatever damage is, before each stage and at the end
// the graph is what had the least so far, of all that was looked at; the records are of
// it, and each stage was tried in every way that it has.
func TestStagesOfLeastDamage(t *testing.T) {
	for _, name := range []string{"structured", "widths", "tiles", "elements", "rows"} {
		dense, e := ranked(t, name)
		g, least := dense.Clone(), math.Inf(1)
		var best []byte
		looks, passes := 0, 0
		calibrate := calibrator(t, dense)
		r, err := e.write(g, e.at(levels/4), &Rebuild{
			Damage: func(g *ir.Graph) (float64, error) {
				looks++
				if d := lots(g); d < least {
					least, best = d, bytesOf(g)
				}
				return lots(g), nil
			},
			Calibrate: func(g *ir.Graph, p *Pass) error {
				passes++
				if !bytes.Equal(bytesOf(g), best) {
					t.Errorf("%s: before %s the graph is not that of least damage", name, p.Block())
				}
				return calibrate(g, p)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytesOf(g), best) {
			t.Errorf("%s: the graph is not that of least damage", name)
		}
		stages, touched := 0, false // from the first on that loses something
		for _, l := range e.layers {
			for _, stage := range l.stages {
				if touched = touched || slices.ContainsFunc(stage, func(m *matrix) bool { return !m.untouched() }); touched {
					stages++
				}
			}
		}
		if passes != stages || looks <= 1+stages || looks > 1+3*stages {
			t.Errorf("%s: %d passes, %d looks for %d stages", name, passes, looks, stages)
		}
		at := 0
		for _, x := range e.matrices {
			if zeros := countZeros(weightsOf(g)[x.name]); zeros != r.Matrices[at].Zeros {
				t.Errorf("%s: %s: %d zeros, the recipe says %d", name, x.name, zeros, r.Matrices[at].Zeros)
			}
			at++
		}
	}
}

func countZeros(x []float64) (n int) {
	for _, v := range x {
		if v == 0 {
			n++
		}
	}
	return n
}

// TestPullsComeNearest: towards the old weights pulls the lambda of which the
// outputs come nearest to the dense model's on every fifth batch, which no solution
// has seen: much where few noisy rows speak against the old weights, little where
// many do.
func TestPullsComeNearest(t *testing.T) {
	chosen := map[float64]bool{}
	for seed, c := range []struct {
		rows  int // a batch
		noise float64
	}{{6, 3}, {6, 1}, {12, 1}, {60, 0.3}, {300, 0}} {
		rng := rand.New(rand.NewPCG(uint64(seed), 16))
		const n, k, batches = 5, 24, 10
		m := product(rng, n, k, true)
		for j := range k / 4 {
			m.columns[4*j] = true
		}
		p := newPass([]*matrix{m}, nil)
		var held, wanted []linalg.Matrix
		for batch := range batches {
			x := rounded(tokens(rand.New(rand.NewPCG(1, 1)), c.rows, k)) // the same shift and mix
			for i := range x.Data {
				x.Data[i] = float64(float32(x.Data[i] + rng.NormFloat64()))
			}
			seen := x.Clone() // by the pruned model
			for i := range seen.Data {
				seen.Data[i] = float64(float32(seen.Data[i] + c.noise*rng.NormFloat64()))
			}
			show(p, false, m.name, seen)
			show(p, true, m.name, x)
			if err := p.End(); err != nil {
				t.Fatal(err)
			}
			if batch%everyFifth == everyFifth-1 {
				held, wanted = append(held, seen), append(wanted, outputsOf(m.dense(), m.denseBias(), x))
			}
		}
		x, y := stacked(held...), stacked(wanted...)
		a, best, least := p.fit.aim(0, m), 0.0, 0.0
		for _, lambda := range lambdas {
			w := m.solve(p.weights[0], lambda, m.patterns(false), a)[0]
			miss := 0.0
			got := outputsOf(w, a.refit(p.weights[0], p.biases[0], w), x)
			for i, v := range got.Data {
				miss += (v - y.Data[i]) * (v - y.Data[i])
			}
			if best == 0 || miss < least {
				best, least = lambda, miss
			}
		}
		all := p.merged()
		if got := m.fits(p, &all, 0, ways)[toTeacher].lambda; got != best {
			t.Errorf("%d rows, noise %v: lambda %v, %v comes nearest", c.rows, c.noise, got, best)
		}
		chosen[best] = true
	}
	if len(chosen) < 3 {
		t.Errorf("only %v are ever nearest", chosen)
	}
}

// TestWholeMakesUp: rows that lose nothing are solved anew too, so that a stage of
// which nothing goes makes up for what the stages before it have lost. Stages
// before the first that loses something stay as they are.
func TestWholeMakesUp(t *testing.T) {
	dense, e := ranked(t, "neurons")
	s := make(Setting, len(e.dials))
	s[slices.IndexFunc(e.dials, func(d *dial) bool { return d.layer == e.layers[1] })] = 5 // of the first feed-forward block
	want := outputs(t, dense)
	damage := func(g *ir.Graph) (float64, error) { return apart(outputs(t, g), want), nil }
	g, once := dense.Clone(), dense.Clone()
	r, err := e.write(g, s, &Rebuild{Calibrate: calibrator(t, dense), Damage: damage})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.write(once, s, nil); err != nil {
		t.Fatal(err)
	}
	after, _ := damage(g)
	before, _ := damage(once)
	if !(after < before) {
		t.Errorf("outputs are off by %v, at once by %v", after, before)
	}
	made := 0
	for i, x := range e.matrices {
		changed := fmt.Sprint(weightsOf(g)[x.name]) != fmt.Sprint(weightsOf(dense)[x.name])
		if whole := r.Matrices[i].Target == toWhole; x.untouched() && whole != changed {
			t.Errorf("%s changed: %v, aims at %q", x.name, changed, r.Matrices[i].Target)
		} else if x.untouched() && changed {
			made++
		}
		if i < 4 && changed {
			t.Errorf("%s stands before all that goes, and changed", x.name)
		}
	}
	if made == 0 {
		t.Error("no matrix makes up for anything: the example shows nothing")
	}
}

// TestRebuildEndsWithAnError of what compares outputs or shows inputs.
func TestRebuildEndsWithAnError(t *testing.T) {
	dense := encoder()
	m, err := MethodNamed("neurons")
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	fine := func(*ir.Graph) (float64, error) { return 1, nil }
	looks := 0
	for name, rebuild := range map[string]*Rebuild{
		"calibrate":  {Calibrate: func(*ir.Graph, *Pass) error { return broken }, Damage: fine},
		"first look": {Calibrate: calibrator(t, dense), Damage: func(*ir.Graph) (float64, error) { return 0, broken }},
		"another look": {Calibrate: calibrator(t, dense), Damage: func(*ir.Graph) (float64, error) {
			looks++
			return 1, errors.Join(map[bool]error{true: broken}[looks > 1])
		}},
	} {
		if r, err := Fixed(dense.Clone(), statistics(t, dense), m, 0.1, rebuild); r != nil || !errors.Is(err, broken) {
			t.Errorf("%s: recipe %v, error %v", name, r, err)
		}
	}
}
