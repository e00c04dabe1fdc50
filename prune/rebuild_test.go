package prune

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"etc/ir"
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
		"calibrate":  {func(*ir.Graph, *Pass) error { return broken }, fine},
		"first look": {calibrator(t, dense), func(*ir.Graph) (float64, error) { return 0, broken }},
		"another look": {calibrator(t, dense), func(*ir.Graph) (float64, error) {
			looks++
			return 1, errors.Join(map[bool]error{true: broken}[looks > 1])
		}},
	} {
		if r, err := Fixed(dense.Clone(), statistics(t, dense), m, 0.1, rebuild); r != nil || !errors.Is(err, broken) {
			t.Errorf("%s: recipe %v, error %v", name, r, err)
		}
	}
}
