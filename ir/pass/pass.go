// Package pass runs ordered lists of rewrites over a graph.
//
// A graph enters and the same graph leaves, verified before the first pass
// and after each one, so that a broken invariant is blamed on the pass that
// broke it. Printing, timing and counting are the observer's: no pass knows
// that it is watched.
package pass

import (
	"fmt"
	"time"

	"etc/ir"
)

// A Pass rewrites a graph in place. A graph that it cannot rewrite it leaves
// as it is; a broken one is a bug and panics.
type Pass struct {
	Name string // kebab-case, as shown by --dump-ir and compile -v
	Doc  string // one line: what it does
	// Run returns the number of rewrites.
	Run func(g *ir.Graph) int
}

// A Report is what the observer learns about one pass.
type Report struct {
	Index   int // of the pass, from 1; 0 is the graph before the first
	Pass    Pass
	Changed int // rewrites
	Elapsed time.Duration
	Before  int // operators
	After   int
}

// An Observer is told what each pass left behind.
type Observer func(r Report, g *ir.Graph)

// Run applies passes in order. The graph must verify at level Model before
// each pass but those after the one named lowered, and Kernel from then on.
func Run(g *ir.Graph, passes []Pass, lowered string, observe Observer) {
	level := ir.Model | ir.Kernel
	check(g, level, "import")
	if observe != nil {
		observe(Report{Pass: Pass{Name: "import"}, After: len(g.Ops)}, g)
	}
	for i, p := range passes {
		r := Report{Index: i + 1, Pass: p, Before: len(g.Ops)}
		start := time.Now()
		r.Changed = p.Run(g)
		r.Elapsed, r.After = time.Since(start), len(g.Ops)
		if p.Name == lowered {
			level = ir.Kernel
		}
		check(g, level, p.Name)
		if observe != nil {
			observe(r, g)
		}
	}
}

func check(g *ir.Graph, level ir.Level, name string) {
	if err := ir.Verify(g, level); err != nil {
		panic(fmt.Sprintf("bug: after pass %s: %v\n%s", name, err, ir.Print(g)))
	}
}
