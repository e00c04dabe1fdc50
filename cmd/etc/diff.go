package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"etc/formats/plan"
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
// operator, and the blocks whose steps differ.
type planDiff struct {
	Schema int         `json:"schema"`
	Plans  [2]string   `json:"plans"`
	Device string      `json:"device"`
	Sizes  []sizeDiff  `json:"sizes"`
	Ops    []countDiff `json:"operators"`
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
		lines[s.Label] += s.operator() + " " + s.Shape
	}
	return lines
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
	for _, b := range d.Blocks {
		fmt.Fprintf(w, "%s\n\t- %s\n\t+ %s\n", b.Block, b.A, b.B)
	}
	if len(d.Blocks) == 0 {
		fmt.Fprintln(w, "the same steps")
	}
}
