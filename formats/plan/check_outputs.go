package plan

import "fmt"

// taskOutput names the output that answers each task.
var taskOutput = []string{Classification: "logits", MultiLabel: "logits", Regression: "logits", Embedding: "embedding", CausalLM: "nll"}

// outputs have names of their own, are written by the step they name, and
// have the shape that readers of the task's answers rely on.
func (c *programChecker) outputs() error {
	names := map[string]bool{}
	answered := false
	for i := range c.program.Outputs {
		o := &c.program.Outputs[i]
		if names[o.Name] {
			return refuse("output %d: %q is given twice", i, o.Name)
		}
		names[o.Name] = true
		if err := c.output(o); err != nil {
			return refuse("output %q: %w", o.Name, err)
		}
		answered = answered || o.Name == taskOutput[c.plan.Model.Task] && o.When == Always
	}
	if !answered {
		return refuse("no output %q, the answer of %v, that is always computed", taskOutput[c.plan.Model.Task], c.plan.Model.Task)
	}
	return nil
}

func (c *programChecker) output(o *Output) error {
	if !within(o.Buffer, 0, len(c.program.Buffers)-1) {
		return fmt.Errorf("buffer %d of %d", o.Buffer, len(c.program.Buffers))
	}
	if o.After != c.definedBy[o.Buffer] {
		return fmt.Errorf("leaves after step %d, buffer %d is the result of step %d", o.After, o.Buffer, c.definedBy[o.Buffer])
	}
	if o.When > Tap {
		return fmt.Errorf("when is %d, want 0 to %d", o.When, Tap)
	}
	b := c.program.Buffers[o.Buffer]
	if b.Width == 0 {
		return fmt.Errorf("buffer %d has no columns", o.Buffer)
	}
	got := shape{b.Rows, b.Width}
	if want := c.answer(o.Name, got); got != want {
		return fmt.Errorf("is %v, want %v", got, want)
	}
	return nil
}

// answer is the shape of an output that has a meaning by its name. Sizes that
// any value will do for are those of got.
func (c *programChecker) answer(name string, got shape) shape {
	m := &c.plan.Model
	switch {
	case name == "embedding":
		return shape{PerRow, got.width}
	case name == "hidden":
		return shape{PerToken, got.width}
	case name == "nll" || name == "hit":
		return shape{PerToken, 1}
	case name == "last_logits":
		return shape{PerRow, m.VocabSize}
	case name == "logits" && m.Task == CausalLM:
		return shape{PerToken, m.VocabSize}
	case name == "logits":
		return shape{PerRow, len(m.Labels)}
	}
	return got
}

// needs checks that a step runs whenever one that reads its results does, and
// whenever the output it writes is asked for.
func (c *programChecker) needs() error {
	known := ^uint64(0) >> (MostOutputs - len(c.program.Outputs))
	for i := range c.program.Steps {
		s := &c.program.Steps[i]
		if s.Needed&^known != 0 {
			return refuse("step %d (%v %q): needed by outputs %#x, there are %d", i, s.Op, s.Label, s.Needed, len(c.program.Outputs))
		}
		for _, a := range s.Args {
			if a.Kind != FromBuffer {
				continue
			}
			if from := c.definedBy[a.Index]; s.Needed&^c.program.Steps[from].Needed != 0 {
				return refuse("step %d (%v %q): reads buffer %d for outputs %#x, step %d writes it for %#x only",
					i, s.Op, s.Label, a.Index, s.Needed, from, c.program.Steps[from].Needed)
			}
		}
	}
	for i, o := range c.program.Outputs {
		if c.program.Steps[o.After].Needed>>i&1 == 0 {
			return refuse("output %q: step %d does not run for it", o.Name, o.After)
		}
	}
	return nil
}
