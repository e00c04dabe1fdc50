package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"etc/compiler"
	"etc/compiler/frontend"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
)

func explainCommand(p *program) *cobra.Command {
	var f compileFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain MODEL|PLAN.etp",
		Short: "Say what each block of the model becomes, and why",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			e, err := p.explain(args[0], &f)
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(e)
			}
			return p.printTable(e)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the record as JSON")
	return c
}

// An explanation says what the blocks of a model are in its plan. Of a plan
// it has no Imported and no Predicted: the plan does not record them. What the
// steps of a plan take is measured.
type explanation struct {
	Schema       int              `json:"schema"`
	Plan         string           `json:"plan,omitempty"`
	Device       string           `json:"device"`
	Architecture string           `json:"architecture"`
	Task         string           `json:"task"`
	Layers       int              `json:"layers"`
	Hidden       int              `json:"hidden"`
	MaxTokens    int              `json:"max_tokens"`
	Blocks       []blockStory     `json:"blocks"`
	Attention    []attentionStory `json:"attention"`
	Products     []productStory   `json:"products,omitempty"`
	Steps        []stepStory      `json:"steps,omitempty"` // of the CPU program of a plan
	Unclaimed    []string         `json:"unclaimed,omitempty"`
	tokens, runs int              // that Steps were measured with
}

type blockStory struct {
	Block    string   `json:"block"`
	Imported []string `json:"imported,omitempty"`
	Steps    []string `json:"steps"`
}

// An attentionStory is why an attention step has its operator in a bucket.
type attentionStory struct {
	Block     string       `json:"block"`
	Tokens    int          `json:"bucket"`
	Chosen    string       `json:"chosen"`
	Queries   int          `json:"queries,omitempty"` // of a block, on a GPU
	Workspace int64        `json:"workspace_bytes"`
	Predicted []prediction `json:"predicted,omitempty"`
	gpu       bool
}

type prediction struct {
	Op     string  `json:"op"`
	Micros float64 `json:"us_per_row"`
	Why    string  `json:"why,omitempty"` // on a GPU
}

func (p *program) explain(path string, f *compileFlags) (*explanation, error) {
	if !isPlan(path) {
		return p.explainModel(path, f)
	}
	err := p.unused("a plan is compiled already, its flags are fixed", "seqlen-buckets", "target", "dtype", "max-batch-tokens", "tuning", "source-only")
	if err != nil {
		return nil, err
	}
	file, err := plan.Open(path, plan.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer file.Close()
	e := newExplanation(file.Plan)
	e.Plan = file.ID()
	for _, q := range file.Plan.Programs {
		for _, label := range stepLabels(q) {
			e.Blocks = append(e.Blocks, blockStory{labelOf(q, label), nil, stepsOf(q, label)})
		}
		if isGPU(q) {
			e.explainGPU(q, nil, false)
			continue
		}
		for _, b := range q.Buckets {
			for _, c := range b.Choices {
				e.Attention = append(e.Attention, attentionStory{Block: labelOf(q, q.Steps[c.Step].Label), Tokens: b.MaxTokens, Chosen: c.Op.String(), Workspace: c.Workspace})
			}
		}
	}
	if slices.ContainsFunc(file.Plan.Programs, func(q *plan.Program) bool { return plan.IsCPU(q.Target) }) {
		if err := e.explainSteps(file); err != nil {
			p.note("steps are not measured: %v", err)
		}
	}
	return e, nil
}

func newExplanation(p *plan.Plan) *explanation {
	m := &p.Model
	return &explanation{Schema: 1, Device: noDevice, Architecture: m.Architecture, Task: taskName(m.Task), Layers: m.Layers, Hidden: m.Hidden, MaxTokens: m.MaxTokens}
}

func (p *program) explainModel(path string, f *compileFlags) (*explanation, error) {
	if err := f.check(p); err != nil {
		return nil, err
	}
	c, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	o, err := f.options(c)
	if err != nil {
		return nil, err
	}
	before, err := frontend.Import(c)
	if err != nil {
		return nil, err
	}
	r, err := compiler.Compile(c, o)
	if err != nil {
		return nil, err
	}
	e := newExplanation(r.Plan)
	e.Unclaimed = r.Unclaimed
	for _, label := range graphLabels(before.Graph) {
		var imported []string
		for _, op := range before.Graph.Ops {
			if op.Label == label {
				imported = append(imported, describeOp(op))
			}
		}
		for _, q := range r.Plan.Programs {
			e.Blocks = append(e.Blocks, blockStory{labelOf(q, label), imported, stepsOf(q, label)})
		}
	}
	for _, x := range r.Estimates {
		q := r.Plan.Program(x.Target)
		if isGPU(q) {
			continue
		}
		a := attentionStory{Block: labelOf(q, x.Label), Tokens: x.MaxTokens, Chosen: x.Chosen.Kind.String(), Workspace: x.Chosen.Workspace}
		for _, way := range x.All {
			a.Predicted = append(a.Predicted, prediction{Op: way.Kind.String(), Micros: way.Seconds * 1e6})
		}
		e.Attention = append(e.Attention, a)
	}
	for _, q := range r.Plan.Programs {
		if isGPU(q) {
			e.explainGPU(q, o.Tuning, true)
		}
	}
	return e, nil
}

func (e *explanation) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %s: %d layers, width %d, at most %d tokens\n\n", e.Architecture, e.Task, e.Layers, e.Hidden, e.MaxTokens)
	imported := e.Plan == ""
	if imported {
		fmt.Fprintln(w, "block\tas imported\tin the plan")
	} else {
		fmt.Fprintln(w, "block\tin the plan")
	}
	for _, b := range e.Blocks {
		steps := strings.Join(b.Steps, " → ")
		if len(b.Steps) == 0 {
			steps = "nothing: no output needs it, or it is part of another block"
		}
		if imported {
			fmt.Fprintf(w, "%s\t%s\t%s\n", b.Block, strings.Join(b.Imported, " → "), steps)
		} else {
			fmt.Fprintf(w, "%s\t%s\n", b.Block, steps)
		}
	}
	fmt.Fprintln(w, "\nattention\tbucket\tchosen\tworkspace\twhy: predicted µs a row")
	for _, line := range attentionLines(e.Attention) {
		fmt.Fprintln(w, line)
	}
	e.printGPU(w)
	e.printSteps(w)
	if len(e.Unclaimed) > 0 {
		fmt.Fprintf(w, "\nnot used\t%s\n", strings.Join(e.Unclaimed, ", "))
	}
}

// attentionLines are the rows of the table of attention. Steps of a GPU program
// that have the same story, as those of all layers mostly do, share one.
func attentionLines(all []attentionStory) (lines []string) {
	blocks := map[string][]string{}
	var stories []string
	for _, a := range all {
		var why []string
		for _, x := range a.Predicted {
			word := fmt.Sprintf("%s %.1f", x.Op, x.Micros)
			if a.gpu {
				word = fmt.Sprintf("%s %.2f (%s)", x.Op, x.Micros, x.Why)
			}
			why = append(why, word)
		}
		chosen := a.Chosen
		if a.Queries > 0 {
			chosen += fmt.Sprintf(" %d", a.Queries)
		}
		text := fmt.Sprintf("%d\t%s\t%d KB\t%s", a.Tokens, chosen, a.Workspace>>10, strings.Join(why, ", "))
		if !a.gpu {
			lines = append(lines, a.Block+"\t"+text)
			continue
		}
		if blocks[text] == nil {
			stories = append(stories, text)
		}
		blocks[text] = append(blocks[text], a.Block)
	}
	for _, text := range stories {
		lines = append(lines, inShort(blocks[text])+"\t"+text)
	}
	return lines
}

func stepLabels(p *plan.Program) []string {
	var labels []string
	for _, s := range p.Steps {
		if !slices.Contains(labels, s.Label) {
			labels = append(labels, s.Label)
		}
	}
	return labels
}

// stepsOf describes the steps of a block.
func stepsOf(p *plan.Program, label string) []string {
	steps := []string{}
	for i := range p.Steps {
		if p.Steps[i].Label == label {
			d := newStepDetail(p, &p.Steps[i], alwaysMask(p))
			steps = append(steps, strings.TrimSpace(d.operator()+" "+d.Shape))
		}
	}
	return steps
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
