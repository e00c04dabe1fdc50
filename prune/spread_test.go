package prune

import (
	"context"
	"errors"
	"strings"
	"testing"

	"etc/fault"
	"etc/ir"
)

// TestSpread: a share of zeros is reached and hardly passed, by whatever goes;
// the layer that counts more in the damage keeps more than the other, and the
// whole loses less than it does evenly.
func TestSpread(t *testing.T) {
	for _, name := range []string{"structured", "narrow", "tiles", "tiles:obs", "rows", "elements", "et-aware1", "tiles:magnitude"} {
		w := newWorld(t)
		m, err := MethodNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		q := &Quest{Dense: w.dense, Stats: statistics(t, w.dense), Method: m, Sparsity: 0.2, Damage: w.quest(1).Damage, Calibrate: calibrator(t, w.dense)}
		f, err := q.Run(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		even := q.Tried[0]
		coarse := 1 / float64(4*headCount) // of a head, or of 16 neurons
		if even.Name != "evenly" || f.Recipe.Sparsity < q.Sparsity || f.Recipe.Sparsity > q.Sparsity+coarse {
			t.Errorf("%s: sparsity %v, evenly %v, want %v", name, f.Recipe.Sparsity, even.Sparsity, q.Sparsity)
		}
		if f.Candidate.Damage >= even.Damage || f.Candidate.Outcome != "chosen" || f.Candidate.graph != f.Graph {
			t.Errorf("%s: %q has damage %v, evenly %v, and is %s", name, f.Candidate.Name, f.Candidate.Damage, even.Damage, f.Candidate.Outcome)
		}
		for _, c := range q.Tried { // as they were written at once
			if !c.settled && c.Damage < f.Candidate.once {
				t.Errorf("%s: %q with damage %v was settled, %q has %v", name, f.Candidate.Name, f.Candidate.once, c.Name, c.Damage)
			}
		}
		zeros := [layerCount]int{}
		for i := range f.Recipe.Matrices {
			r := &f.Recipe.Matrices[i]
			layer := strings.Index("01", r.Weight[len("layer."):len("layer.")+1])
			zeros[layer] += r.Zeros
		}
		if zeros[0] >= zeros[1] {
			t.Errorf("%s: %d zeros in the layer that counts three times, %d in the other", name, zeros[0], zeros[1])
		}
	}
}

// TestSpreadEnds: what no setting reaches is unreachable, errors are passed
// on, and without a damage to compare by the places are turned evenly.
func TestSpreadEnds(t *testing.T) {
	w := newWorld(t)
	heads, err := MethodNamed("heads")
	if err != nil {
		t.Fatal(err)
	}
	q := &Quest{Dense: w.dense, Stats: statistics(t, w.dense), Method: heads, Sparsity: 0.9}
	if f, err := q.Run(t.Context()); f != nil || fault.KindOf(err) != fault.Unreachable {
		t.Errorf("found %v, %v", f, err)
	}
	q.Sparsity = 0.1
	f, err := q.Run(t.Context())
	if err != nil || f.Candidate.Name != "evenly" || len(q.Tried) != 2 {
		t.Errorf("found %+v, %v", f, err)
	}
	g := w.dense.Clone()
	if r, err := Fixed(g, q.Stats, heads, q.Sparsity, nil); err != nil || r.Sparsity != f.Recipe.Sparsity || string(bytesOf(g)) != string(bytesOf(f.Graph)) {
		t.Errorf("evenly is not what Fixed does (%v)", err)
	}
	broken := errors.New("no outputs")
	q.Damage = func(context.Context, *ir.Graph) (float64, error) { return 0, broken }
	if f, err := q.Run(t.Context()); f != nil || !errors.Is(err, broken) {
		t.Errorf("found %v, %v", f, err)
	}
}
