package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"etc/compiler"
	"etc/fault"
	"etc/formats/checkpoint"
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
				f, err := plan.Open(path)
				if err != nil {
					return err
				}
				defer f.Close()
				info, err := os.Stat(path)
				if err != nil {
					return err
				}
				sides[i] = newPlanDetail(f, info.Size(), false)
			}
			d := diffPlans(sides[0], sides[1])
			if asJSON {
				return json.NewEncoder(p.out).Encode(d)
			}
			w := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
			d.print(w)
			return w.Flush()
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
	Sizes  []sizeDiff  `json:"sizes"`
	Ops    []countDiff `json:"operators"`
	Blocks []blockDiff `json:"blocks"`
}

type sizeDiff struct {
	What string  `json:"what"`
	A    int64   `json:"a"`
	B    int64   `json:"b"`
	Of   float64 `json:"ratio"` // B / A
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
	d := &planDiff{Schema: 1, Plans: [2]string{a.ID, b.ID}}
	size := func(what string, x, y int64) {
		d.Sizes = append(d.Sizes, sizeDiff{what, x, y, float64(y) / float64(x)})
	}
	size("plan bytes", a.Bytes, b.Bytes)
	size("weight bytes", int64(a.WeightBytes), int64(b.WeightBytes))
	size("arena bytes a token", int64(a.ArenaToken), int64(b.ArenaToken))
	counts := map[string]*countDiff{}
	for i, side := range []*planDetail{a, b} {
		for _, s := range side.Steps {
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
	for _, s := range d.Steps {
		if lines[s.Label] != "" {
			lines[s.Label] += " → "
		}
		lines[s.Label] += s.Op + " " + s.Shape
	}
	return lines
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

func reproduceCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "reproduce PLAN.etp MODEL",
		Short: "Build a plan again from its recorded flags and compare bytes",
		Args:  cobra.ExactArgs(2),
		RunE:  func(c *cobra.Command, args []string) error { return p.reproduce(args[0], args[1]) },
	}
}

func (p *program) reproduce(path, model string) error {
	f, err := plan.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	was := f.Plan.Provenance
	if was.Version != version {
		return fault.Newf(fault.Unfit, "%s was made by etc %s, this is %s: its bytes may differ", path, was.Version, version).
			WithHint("reproduce it with etc %s", was.Version)
	}
	c, err := checkpoint.Open(model)
	if err != nil {
		return err
	}
	defer c.Close()
	digest, err := c.Digest()
	if err != nil {
		return err
	}
	if digest != was.Source {
		return fault.Newf(fault.Tolerance, "%s is not the checkpoint of this plan: digest %x, the plan records %x", model, digest[:8], was.Source[:8])
	}
	o, err := compiler.OptionsOf(was)
	if err != nil {
		return err
	}
	r, err := compiler.Compile(c, o)
	if err != nil {
		return err
	}
	now := plan.Encode(r.Plan)
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, before) {
		at := 0
		for at < min(len(now), len(before)) && now[at] == before[at] {
			at++
		}
		return fault.Newf(fault.Tolerance, "FAILED: the plan built again differs from byte %d on (%d bytes, %d before)", at, len(now), len(before))
	}
	p.note("PASSED: the same %d bytes", len(now))
	return nil
}
