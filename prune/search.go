package prune

import (
	"etc/fault"
	"etc/ir"
)

// A Judge says whether a pruned graph loses no more than is allowed.
type Judge func(g *ir.Graph, r *Recipe) (bool, error)

// A Quest is a search for the largest sparsity that a user's metric allows.
type Quest struct {
	Fresh  func() (*ir.Graph, error) // the dense graph, anew each time
	Stats  *Statistics
	Method Method
	Search Judge // on rows that the search may see
	Accept Judge // on rows that it may not
	Tell   func(done, total int)
}

// rungs is the number of shares that a search tells apart.
const rungs = 32

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
// not. Nothing confirmed is fault.Unreachable.
func (q *Quest) Run() (*Found, error) {
	looks := 0
	for 1<<looks < rungs {
		looks++
	}
	low, high := 0, rungs+1 // low passes (0 is the dense model), high does not
	for done := 0; high-low > 1; done++ {
		if q.Tell != nil {
			q.Tell(done, looks)
		}
		mid := (low + high) / 2
		if f, err := q.at(mid); err != nil {
			return nil, err
		} else if ok, err := q.Search(f.Graph, f.Recipe); err != nil {
			return nil, err
		} else if ok {
			low = mid
		} else {
			high = mid
		}
	}
	for rung := low; rung > max(0, low-1-maxRetreat); rung-- {
		f, err := q.at(rung)
		if err != nil {
			return nil, err
		}
		if ok, err := q.Accept(f.Graph, f.Recipe); err != nil || ok {
			return f, err
		}
	}
	return nil, fault.Newf(fault.Unreachable, "no sparsity of method %s stays inside the drop allowed", q.Method.Name).
		WithHint("allow a larger --max-drop, try another --method, or fine-tune and prune again")
}

func (q *Quest) at(rung int) (*Found, error) {
	g, err := q.Fresh()
	if err != nil {
		return nil, err
	}
	e, err := at(g, q.Stats, q.Method, float64(rung)/rungs)
	if err != nil {
		return nil, err
	}
	return &Found{g, e.apply(q.Method.Name)}, nil
}
