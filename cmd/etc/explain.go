package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"etc/compiler"
	"etc/compiler/frontend"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
)

func explainCommand(p *program) *cobra.Command {
	var f compileFlags
	c := &cobra.Command{
		Use:   "explain MODEL|PLAN.etp",
		Short: "Say what each block of the model becomes, and why",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			w := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
			defer w.Flush()
			if isPlan(args[0]) {
				return explainPlan(w, args[0])
			}
			return explainModel(w, args[0], &f)
		},
	}
	f.add(c)
	return c
}

func explainPlan(w io.Writer, path string) error {
	file, err := plan.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	p := file.Plan
	fmt.Fprintln(w, "block\tsteps")
	for _, label := range stepLabels(p) {
		var ops []string
		for i := range p.Steps {
			if s := &p.Steps[i]; s.Label == label {
				ops = append(ops, describeStep(p, s))
			}
		}
		fmt.Fprintf(w, "%s\t%s\n", label, strings.Join(ops, " → "))
	}
	for _, b := range p.Buckets {
		for _, c := range b.Choices {
			fmt.Fprintf(w, "%s, up to %d tokens\t%v, %d KB of workspace\n", p.Steps[c.Step].Label, b.MaxTokens, c.Op, c.Workspace>>10)
		}
	}
	return nil
}

func stepLabels(p *plan.Plan) []string {
	var labels []string
	for _, s := range p.Steps {
		if !slices.Contains(labels, s.Label) {
			labels = append(labels, s.Label)
		}
	}
	return labels
}

func describeStep(p *plan.Plan, s *plan.Step) string {
	d := newStepDetail(p, s, alwaysMask(p))
	return strings.TrimSpace(d.Op + " " + d.Shape)
}

func explainModel(w io.Writer, path string, f *compileFlags) error {
	c, err := checkpoint.Open(path)
	if err != nil {
		return err
	}
	defer c.Close()
	o, err := f.options(c)
	if err != nil {
		return err
	}
	before, err := frontend.Import(c)
	if err != nil {
		return err
	}
	r, err := compiler.Compile(c, o)
	if err != nil {
		return err
	}
	p := r.Plan
	fmt.Fprintf(w, "%s, %s: %d layers, width %d, at most %d tokens\n\n", p.Model.Architecture, taskName(p.Model.Task), p.Model.Layers, p.Model.Hidden, p.Model.MaxTokens)
	fmt.Fprintln(w, "block\tas imported\tin the plan")
	for _, label := range graphLabels(before.Graph) {
		var was, is []string
		for _, op := range before.Graph.Ops {
			if op.Label == label {
				was = append(was, describeOp(op))
			}
		}
		for i := range p.Steps {
			if p.Steps[i].Label == label {
				is = append(is, describeStep(p, &p.Steps[i]))
			}
		}
		if is == nil {
			is = []string{"nothing: no output needs it, or it is part of another block"}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", label, strings.Join(was, " → "), strings.Join(is, " → "))
	}
	fmt.Fprintln(w, "\nattention\tbucket\tchosen\twhy: predicted µs a row")
	for _, e := range r.Estimates {
		var all []string
		for _, a := range e.All {
			all = append(all, fmt.Sprintf("%v %.1f", a.Kind, a.Seconds*1e6))
		}
		fmt.Fprintf(w, "%s\t%d\t%v\t%s\n", e.Label, e.MaxTokens, e.Chosen.Kind, strings.Join(all, ", "))
	}
	if len(r.Unclaimed) > 0 {
		fmt.Fprintf(w, "\nnot used\t%s\n", strings.Join(r.Unclaimed, ", "))
	}
	return nil
}

func graphLabels(g *ir.Graph) []string {
	var labels []string
	for _, op := range g.Ops {
		if op.Label != "" && !slices.Contains(labels, op.Label) {
			labels = append(labels, op.Label)
		}
	}
	return labels
}

func describeOp(op *ir.Op) string {
	text := op.Kind.String() + " " + op.Results[0].Type.String()
	switch a := op.Attrs.(type) {
	case *ir.AttentionAttrs:
		text += fmt.Sprintf(" %d heads, d %d, dv %d", a.Heads, a.D, a.Dv)
	case *ir.ActivationAttrs:
		text = a.Act.String()
	}
	return text
}
