package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"etc/formats/plan"
	"etc/ir"
)

func diffCommand(p *program) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "diff A.etp B.etp",
		Short: "Compare two plans: operators, shapes, sizes",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			var sides [2]*planDetail
			for i, path := range args {
				f, err := plan.Open(path, plan.OpenOptions{})
				if err != nil {
					return err
				}
				defer f.Close()
				sides[i] = newPlanDetail(f, false)
				sides[i].facts = planFacts(f.Plan)
				sides[i].addDetails(f.Plan)
			}
			d := diffPlans(sides[0], sides[1])
			if asJSON {
				return p.printJSON(d)
			}
			return p.printTable(d)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the record as JSON")
	return c
}

// A planDiff has sizes of both sides, how many steps there are of each
// operator, the facts besides steps that differ, and the blocks whose steps differ.
type planDiff struct {
	Schema int         `json:"schema"`
	Plans  [2]string   `json:"plans"`
	Device string      `json:"device"`
	Sizes  []sizeDiff  `json:"sizes"`
	Ops    []countDiff `json:"operators"`
	Facts  []factDiff  `json:"facts,omitempty"`
	Blocks []blockDiff `json:"blocks"`
}

type sizeDiff struct {
	What string `json:"what"`
	A    int64  `json:"a"`
	B    int64  `json:"b"`
	Of   number `json:"ratio"` // B / A
}

type countDiff struct {
	Op string `json:"op"`
	A  int    `json:"a"`
	B  int    `json:"b"`
}

type blockDiff struct {
	Block string `json:"block"`
	A     string `json:"a"`
	B     string `json:"b"`
}

func diffPlans(a, b *planDetail) *planDiff {
	d := &planDiff{Schema: 1, Plans: [2]string{a.ID, b.ID}, Device: noDevice}
	size := func(what string, x, y int64) {
		d.Sizes = append(d.Sizes, sizeDiff{what, x, y, number(float64(y) / float64(x))})
	}
	size("plan bytes", a.Bytes, b.Bytes)
	size("weight bytes", int64(a.WeightBytes), int64(b.WeightBytes))
	size("arena bytes a token", int64(a.ArenaToken), int64(b.ArenaToken))
	counts := map[string]*countDiff{}
	for i, side := range []*planDetail{a, b} {
		for _, s := range side.allSteps() {
			if counts[s.Op] == nil {
				counts[s.Op] = &countDiff{Op: s.Op}
			}
			if i == 0 {
				counts[s.Op].A++
			} else {
				counts[s.Op].B++
			}
		}
	}
	for _, op := range sortedKeys(counts) {
		d.Ops = append(d.Ops, *counts[op])
	}
	d.Facts = diffFacts(a.facts, b.facts)
	before, after := a.blocks(), b.blocks()
	for _, label := range sortedKeys(union(before, after)) {
		if before[label] != after[label] {
			d.Blocks = append(d.Blocks, blockDiff{label, before[label], after[label]})
		}
	}
	return d
}

// blocks describes the steps of each block in one line.
func (d *planDetail) blocks() map[string]string {
	lines := map[string]string{}
	for _, s := range d.allSteps() {
		if lines[s.Label] != "" {
			lines[s.Label] += " → "
		}
		lines[s.Label] += strings.Join(append([]string{s.operator() + " " + s.Shape}, s.details...), ", ")
	}
	return lines
}

// addDetails says of each step of p what diff tells steps apart by, besides
// operator and shape.
func (d *planDetail) addDetails(p *plan.Plan) {
	for i, q := range p.Programs {
		steps := d.Steps
		if i > 0 {
			steps = d.Others[i-1].Steps
		}
		for j := range steps {
			steps[j].details = stepFacts(q, j, &steps[j])
		}
	}
}

// stepFacts are the attributes of step i, the shapes of its matrices, the
// operands that it might do without, and buckets in which it is another operator.
func stepFacts(q *plan.Program, i int, d *stepDetail) []string {
	s := &q.Steps[i]
	var facts []string
	add := func(is bool, format string, args ...any) {
		if is {
			facts = append(facts, fmt.Sprintf(format, args...))
		}
	}
	a := s.Params
	add(a.Act != plan.NoAct, "%v", ir.ActKind(a.Act))
	add(a.Rows != plan.AllRows, "%v rows", a.Rows)
	add(a.Causal, "causal")
	add(a.Exp2, "exp2")
	add(a.Scale != 0 && a.Scale != 1, "scale %v", a.Scale)
	add(a.Scaled != 0, "of %d features", a.Scaled)
	add(a.Eps != 0, "eps %v", a.Eps)
	for j, name := range s.Op.Operands() {
		arg := s.Args[j]
		name, optional := strings.CutSuffix(name, "?")
		if arg.Kind == plan.FromWeight && len(q.Weights[arg.Index].Shape) == 2 {
			name, optional = fmt.Sprintf("%s %v", name, q.Weights[arg.Index].Shape), true
		}
		add(optional && arg.Kind != plan.None, "%s", name)
	}
	add(d.Sparsity != 0, "%.1f %% not kept", 100*d.Sparsity)
	add(s.Reduction.Segment != 0, "sums of %d", s.Reduction.Segment)
	add(d.OnDemand, "on demand")
	for _, b := range q.Buckets {
		for _, c := range b.Choices {
			add(c.Step == i && c.Op != s.Op, "up to %d %v", b.MaxTokens, c.Op)
		}
	}
	return facts
}

// allSteps are the steps of all programs; where there are several, labels
// begin with the target.
func (d *planDetail) allSteps() []stepDetail {
	if len(d.Others) == 0 {
		return d.Steps
	}
	var all []stepDetail
	for _, q := range d.programs() {
		for _, s := range q.Steps {
			s.Label = q.Target + " " + s.Label
			all = append(all, s)
		}
	}
	return all
}

func union(a, b map[string]string) map[string]bool {
	all := map[string]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return all
}

func (d *planDiff) print(w io.Writer) {
	for _, s := range d.Sizes {
		fmt.Fprintf(w, "%s\t%d\t%d\t%.2f×\n", s.What, s.A, s.B, s.Of)
	}
	for _, c := range d.Ops {
		if c.A != c.B {
			fmt.Fprintf(w, "%s\t%d\t%d\n", c.Op, c.A, c.B)
		}
	}
	for _, f := range d.Facts {
		fmt.Fprintf(w, "%s\n\t- %s\n\t+ %s\n", f.What, orNone(f.A), orNone(f.B))
	}
	for _, b := range d.Blocks {
		fmt.Fprintf(w, "%s\n\t- %s\n\t+ %s\n", b.Block, b.A, b.B)
	}
	if len(d.Blocks) == 0 && len(d.Facts) == 0 {
		fmt.Fprintln(w, "the same steps")
	}
}
