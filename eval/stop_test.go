package eval

import (
	"math/rand/v2"
	"testing"

	"etc/fault"
)

const (
	block = 64
	trial = 7 * block
)

// stopped judges a random pair of classifiers in blocks and gives the rows seen
// when Hopeless said so, or 0 where it never did. A row is right with the dense model
// alone with probability lost, with the pruned one alone with probability won.
func stopped(t *testing.T, random *rand.Rand, lost, won float64, d Drop) int {
	t.Helper()
	want, dense, pruned := make([]int, trial), make([]int, trial), make([]int, trial)
	for i := range want {
		switch u := random.Float64(); {
		case u < lost:
			pruned[i] = 1
		case u < lost+won:
			dense[i] = 1
		}
	}
	whole, err := Classification(dense, want, 2)
	if err != nil {
		t.Fatal(err)
	}
	for n := block; n <= trial; n += block {
		soFar, err := Classification(pruned[:n], want[:n], 2)
		if err != nil {
			t.Fatal(err)
		}
		over, err := Hopeless(whole, soFar, d)
		if err != nil {
			t.Fatal(err)
		}
		if over {
			return n
		}
	}
	return 0
}

func TestHopeless(t *testing.T) {
	const trials = 20
	for _, c := range []struct {
		what        string
		lost, won   float64
		least, most int // trials that stop
	}{
		{"loses nothing", 0.05, 0.05, 0, 2},
		{"loses what is allowed", 0.06, 0.05, 0, 5},
		{"loses ten points", 0.14, 0.04, 18, trials},
	} {
		random := rand.New(rand.NewPCG(11, 12))
		stops, rows := 0, 0
		for range trials {
			if n := stopped(t, random, c.lost, c.won, Drop{Percent: 1}); n > 0 {
				stops++
				rows += n
			}
		}
		t.Logf("%s: %d of %d stop, after %d rows in the mean", c.what, stops, trials, rows/max(1, stops))
		if stops < c.least || stops > c.most {
			t.Errorf("%s: %d of %d trials stop, want %d to %d", c.what, stops, trials, c.least, c.most)
		}
	}
}

// A relative drop is of the dense value on the rows seen.
func TestHopelessRelative(t *testing.T) {
	whole, soFar := classified(t, 400, 0, 200), classified(t, 300, 0, 270)
	for _, c := range []struct {
		d    Drop
		want bool
	}{{Drop{50, false}, false}, {Drop{30, false}, false}, {Drop{15, false}, true}, {Drop{50, true}, true}, {Drop{100, true}, false}} {
		if got, err := Hopeless(whole, soFar, c.d); err != nil || got != c.want { // 33.3 % to 10 %, ± 4.8
			t.Errorf("%v: %v, %v", c.d, got, err)
		}
	}
	if _, err := Hopeless(soFar, whole, Drop{}); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("more rows than the dense model: %v", err)
	}
}
