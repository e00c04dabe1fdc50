package plan

import (
	"etc/fault"
)

// Bounds of what Check lets pass. They are far above any model, and low
// enough that no product of a size with a number of tokens, which is 31 bits,
// leaves 63 bits.
const (
	maxDim       = 1 << 24 // of a weight's dimension or a buffer's width, in elements
	maxTokens    = 1 << 20 // of a row
	maxArena     = 1 << 31 // Offset+Stride of a buffer, in bytes
	maxWorkspace = 1 << 44 // of a Choice, in bytes: above 4·maxTokens², all scores of a head
	maxOps       = 1 << 17 // of weights, kernels, buffers, steps and buckets each

	// MostBatchTokens is the largest budget of tokens in one batch.
	MostBatchTokens = 1 << 24
	// MostOutputs is the number of outputs that Step.Needed has bits for.
	MostOutputs = 64
)

// Check derives every extent of p again, from operators, parameters and
// shapes. A plan that passes cannot make a kernel which keeps to the
// operators' definitions read or write outside its operands, read what no
// step has written, or write over what a later step reads. A target that this
// program does not know is fault.Unfit, anything else fault.Corrupt.
//
// It takes time in proportion to the plan, apart from a logarithm, and to the
// bytes of its sparse weights.
func Check(p *Plan) error {
	c := &checker{plan: p}
	return inOrder(c.counts, c.targets, c.model, c.weights, c.kernels, c.programs, c.used, c.provenance)
}

func inOrder(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// A checker holds what the checks of one plan hand on. Each may rely on those before it.
type checker struct {
	plan       *Plan
	lastColumn []int // for each weight that is a list of columns, the last one; -1: empty
}

// A programChecker holds what the checks of one program hand on.
type programChecker struct {
	*checker
	program   *Program
	target    *target
	definedBy []int // for each buffer, the step that writes it
	lastRead  []int // for each buffer, the last step that reads it, or definedBy
}

func (c *checker) programs() error {
	for _, q := range c.plan.Programs {
		p := &programChecker{checker: c, program: q, target: targets[q.Target]}
		if err := inOrder(p.counts, p.buffers, p.steps, p.outputs, p.needs, p.lives, p.buckets, p.launches); err != nil {
			return prefix("program "+q.Target, err)
		}
	}
	return nil
}

func refuse(format string, args ...any) error {
	return fault.Newf(fault.Corrupt, format, args...)
}

// within reports whether n is from low to high.
func within(n, low, high int) bool { return low <= n && n <= high }

// A count is how many of something there are, and may be.
type count struct {
	what         string
	n, low, high int
}

func (c *checker) counts() error {
	return checkCounts([]count{
		{"weights", len(c.plan.Weights), 0, maxOps},
		{"kernels", len(c.plan.Kernels), 0, maxOps},
		{"programs", len(c.plan.Programs), 1, len(targets)},
	})
}

func (c *programChecker) counts() error {
	return checkCounts([]count{
		{"buffers", len(c.program.Buffers), 1, maxOps},
		{"steps", len(c.program.Steps), 1, maxOps},
		{"buckets", len(c.program.Buckets), 1, maxOps},
		{"outputs", len(c.program.Outputs), 1, MostOutputs},
	})
}

func checkCounts(counts []count) error {
	for _, l := range counts {
		if !within(l.n, l.low, l.high) {
			return refuse("%d %s, want %d to %d", l.n, l.what, l.low, l.high)
		}
	}
	return nil
}

// targets are known, and there is one program for each.
func (c *checker) targets() error {
	seen := map[string]bool{}
	for i, q := range c.plan.Programs {
		switch {
		case targets[q.Target] == nil:
			return fault.Newf(fault.Unfit, "plan for target %q, which this program does not know", q.Target).
				WithHint("upgrade etc, or compile the model again with this one")
		case seen[q.Target]:
			return refuse("program %d is for %s, as one before it is", i, q.Target)
		}
		seen[q.Target] = true
	}
	return nil
}

func (c *checker) model() error {
	m := &c.plan.Model
	if m.Task < Classification || m.Task > CausalLM {
		return refuse("model: %v is no task of this format", m.Task)
	}
	if len(m.Labels) > 0 && taskOutput[m.Task] != "logits" {
		return refuse("model: %d labels for %v, want none", len(m.Labels), m.Task)
	}
	for _, f := range []struct {
		what         string
		n, low, high int
	}{
		{"longest row", m.MaxTokens, 1, maxTokens},
		{"vocabulary", m.VocabSize, 1, maxDim},
		{"number of types", m.TypeVocabSize, 0, maxDim},
		{"position offset", m.PositionOffset, 0, maxDim},
		{"number of layers", m.Layers, 0, maxDim},
		{"hidden size", m.Hidden, 0, maxDim},
		{"number of tokens in a batch", c.plan.MaxBatchTokens, 1, MostBatchTokens},
	} {
		if !within(f.n, f.low, f.high) {
			return refuse("model: %s is %d, want %d to %d", f.what, f.n, f.low, f.high)
		}
	}
	return m.padding()
}

// padding is at most one token, of a model that answers a row by labels.
func (m *Model) padding() error {
	if len(m.Padding) > 1 || len(m.Padding) > 0 && taskOutput[m.Task] != "logits" {
		return refuse("model: %d tokens of padding for %v, want at most one, and of a classification or regression only", len(m.Padding), m.Task)
	}
	for _, id := range m.Padding {
		if !within(id, 0, m.VocabSize-1) {
			return refuse("model: token of padding is %d, want 0 to %d", id, m.VocabSize-1)
		}
	}
	return nil
}

// buckets ascend, each with a choice for every attention step in order.
func (c *programChecker) buckets() error {
	var attention []int
	for i, s := range c.program.Steps {
		if s.Op.IsFusedAttention() {
			attention = append(attention, i)
		}
	}
	last := 0
	for i, b := range c.program.Buckets {
		if b.MaxTokens <= last || b.MaxTokens > c.plan.Model.MaxTokens {
			return refuse("bucket %d is for %d tokens, after one for %d: want them ascending up to %d", i, b.MaxTokens, last, c.plan.Model.MaxTokens)
		}
		last = b.MaxTokens
		if len(b.Choices) != len(attention) {
			return refuse("bucket %d chooses for %d steps, %d are attention", i, len(b.Choices), len(attention))
		}
		for j, ch := range b.Choices {
			switch {
			case ch.Step != attention[j]:
				return refuse("bucket %d: choice %d is for step %d, want %d", i, j, ch.Step, attention[j])
			case !ch.Op.IsFusedAttention():
				return refuse("bucket %d: step %d is %v, want an attention over qkv", i, ch.Step, ch.Op)
			case ch.Workspace < 0 || ch.Workspace > maxWorkspace:
				return refuse("bucket %d: step %d has a workspace of %d bytes, want 0 to %d", i, ch.Step, ch.Workspace, int64(maxWorkspace))
			}
		}
	}
	return nil
}

func (c *checker) provenance() error {
	flags := c.plan.Provenance.Flags
	for i := 1; i < len(flags); i++ {
		if flags[i].Name <= flags[i-1].Name {
			return refuse("provenance: flag %q after %q, want them in order, each once", flags[i].Name, flags[i-1].Name)
		}
	}
	return nil
}
