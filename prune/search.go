package prune

import (
	"math/bits"

	"etc/fault"
	"etc/ir"
)

// A Judge says whether a pruned graph loses no more than is allowed.
type Judge func(g *ir.Graph, r *Recipe) (bool, error)

// A Quest is a search for the largest sparsity that a user's metric allows.
type Quest struct {
	Fresh  func() (*ir.Graph, error) // the dense graph; Run calls it once
	Stats  *Statistics
	Method Method
	Search Judge // on rows that the search may see
	Accept Judge // on rows that it may not
	Tell   func(done, total int)
}

// rungs is the number of shares that a search tells apart, at most.
const rungs = 32

// rungsOf are the levels that a search may stop at, each with more zeros than
// the one before, the first with more than the dense model: small matrices
// have fewer units than there are rungs.
func rungsOf(e *Edit) []level {
	zeros, _ := e.zerosByLevel()
	var all []level
	most := zeros[0]
	for rung := range rungs {
		l := levels / rungs * level(rung+1)
		if zeros[l] > most {
			all, most = append(all, l), zeros[l]
		}
	}
	return all
}

// maxRetreat is how many rungs may be given up after Accept has refused:
// every further look at the rows set aside makes them worth less.
const maxRetreat = 3

// A Found is the outcome of a search.
type Found struct {
	Graph  *ir.Graph
	Recipe *Recipe
}

// Run bisects over the share of units that go, judging on Search, and has the
// largest that passes confirmed by Accept, stepping back a rung where it is
// not. Nothing confirmed is fault.Unreachable, so that what is found has more
// zeros than the dense model.
func (q *Quest) Run() (*Found, error) {
	dense, err := q.Fresh()
	if err != nil {
		return nil, err
	}
	e, err := newEdit(dense, q.Stats)
	if err != nil {
		return nil, err
	}
	q.Method.Rank(e)
	steps := rungsOf(e)
	if len(steps) == 0 {
		return nil, fault.Newf(fault.Unreachable, "method %s has nothing left to zero", q.Method.Name).WithHint("another --method")
	}
	at := func(rung int) *Found {
		g := dense.Clone()
		return &Found{g, e.write(g, steps[rung-1], q.Method.Name)}
	}
	best, err := q.bisect(len(steps), at)
	if err != nil {
		return nil, err
	}
	for rung := best; rung > max(0, best-1-maxRetreat); rung-- {
		f := at(rung)
		if ok, err := q.Accept(f.Graph, f.Recipe); err != nil {
			return nil, err
		} else if ok {
			return f, nil
		}
	}
	return nil, fault.Newf(fault.Unreachable, "no sparsity of method %s stays inside the drop allowed", q.Method.Name).
		WithHint("allow a larger --max-drop, try another --method, or fine-tune and prune again")
}

// bisect returns the largest of so many rungs that passes Search, 0 where none
// does.
func (q *Quest) bisect(rungs int, at func(rung int) *Found) (int, error) {
	low, high := 0, rungs+1 // low passes (0 is the dense model), high does not
	for done := 0; high-low > 1; done++ {
		if q.Tell != nil {
			q.Tell(done, bits.Len(uint(rungs)))
		}
		mid := (low + high) / 2
		f := at(mid)
		ok, err := q.Search(f.Graph, f.Recipe)
		switch {
		case err != nil:
			return 0, err
		case ok:
			low = mid
		default:
			high = mid
		}
	}
	return low, nil
}
