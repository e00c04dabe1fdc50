package plan

import (
	"fmt"

	"etc/formats/plan/launch"
	"etc/ir/tensor"
)

// families are the kernels that run an operator on a GPU, in order.
var families = map[Op][]string{
	Embed:               {"embed"},
	EmbedLayerNorm:      {"embed_layernorm"},
	LayerNorm:           {"layernorm"},
	SkipLayerNorm:       {"skip_layernorm"},
	Linear:              {"linear"},
	BlockSparseLinear:   {"block_sparse_linear"},
	CSRLinear:           {"csr_linear"},
	Sparse24Linear:      {"sparse24_linear"},
	OTFAttention:        {"otf_attention"},
	PartialOTFAttention: {"partial_otf_scores", "partial_otf_attention"},
	FlashAttention:      {"flash_attention"},
	VOAttention:         {"linear", "vo_attention"}, // x·Mᵀ into the workspace, then what reads it
	SelectRows:          {"select_rows"},
	Pool:                {"pool"},
	Normalize:           {"normalize"},
	LinearNLL:           {"linear_nll", "linear_nll_combine"},
}

// A launched is a step with the kernels of one launch under derivation.
type launched struct {
	*stepView
	op     Op  // of the step, or the one chosen for a bucket
	tokens int // of the longest row that it serves
}

// constants gives, for each constant of a kernel, the value that agrees with
// the step. Constants that are not here only say how work is cut.
var constants = map[string]func(*launched) int{
	"DTYPE":  func(l *launched) int { return dtypeNumber[l.target.elem] },
	"ACT":    func(l *launched) int { return int(l.Params.Act) },
	"D":      func(l *launched) int { return l.Params.D },
	"DV":     func(l *launched) int { return l.Params.Dv },
	"ROWS":   func(l *launched) int { return int(l.Params.Rows) },
	"LAST":   func(l *launched) int { return number(l.Params.Rows == LastRows) },
	"CAUSAL": func(l *launched) int { return number(l.Params.Causal) },
	"BIAS":   func(l *launched) int { return number(l.has("bias")) },
	"GATHER": func(l *launched) int { return number(l.has("columns")) },
	"X32":    func(l *launched) int { return l.wide("x") },
	"R32":    func(l *launched) int { return l.wide("residual") },
	"OUT32":  func(l *launched) int { return l.wideResult(0) },
	"S32":    func(l *launched) int { return l.wideResult(0) },
	"N32":    func(l *launched) int { return l.wideResult(1) },
}

var dtypeNumber = map[tensor.DType]int{tensor.F16: launch.F16, tensor.BF16: launch.BF16}

// inner are the constants of the product that vo_attention begins with: it has
// no epilogue.
var inner = map[string]int{"ACT": 0, "R32": 0, "OUT32": 0, "GATHER": 0}

// anyValue stands for a constant that may have each of its values.
const anyValue = -1

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// wide is 1 where an activation is there and in float32.
func (l *launched) wide(name string) int {
	return number(l.has(name) && l.program.Buffers[l.arg(name).Index].DType == tensor.F32)
}

func (l *launched) wideResult(i int) int {
	if l.Results[i] == Unused {
		return anyValue
	}
	return number(l.program.Buffers[l.Results[i]].DType == tensor.F32)
}

// launches have kernels that do what their steps say, with operands as they
// lie in the arena.
func (c *programChecker) launches() error {
	for i := range c.program.Steps {
		s := &c.program.Steps[i]
		l := &launched{&stepView{programChecker: c, Step: s, info: s.Op.info()}, s.Op, c.longest()}
		if err := l.check(s.Launches, c.target.sm != 0 && !s.Op.IsFusedAttention()); err != nil {
			return refuse("step %d (%v %q): %w", i, s.Op, s.Label, err)
		}
	}
	for i, b := range c.program.Buckets {
		for _, ch := range b.Choices {
			s := &c.program.Steps[ch.Step]
			l := &launched{&stepView{programChecker: c, Step: s, info: s.Op.info()}, ch.Op, b.MaxTokens}
			if err := l.check(ch.Launches, c.target.sm != 0); err != nil {
				return refuse("bucket %d: step %d (%v %q): %w", i, ch.Step, ch.Op, s.Label, err)
			}
		}
	}
	return nil
}

// longest is the longest row that any bucket takes.
func (c *programChecker) longest() int {
	return c.program.Buckets[len(c.program.Buckets)-1].MaxTokens
}

// leastClass is the smallest number of tokens that a launch is made for.
const leastClass = 64

// check checks the launches of one step: ascending classes, the last for any
// number of tokens; none where none are wanted.
func (l *launched) check(list []Launch, wanted bool) error {
	if !wanted {
		if len(list) > 0 {
			return fmt.Errorf("%d launches, want none", len(list))
		}
		return nil
	}
	if len(list) == 0 || list[len(list)-1].Tokens != 0 {
		return fmt.Errorf("no launch for any number of tokens")
	}
	last := 0
	for i, x := range list {
		if i < len(list)-1 && (x.Tokens <= last || x.Tokens > MostBatchTokens || x.Tokens%leastClass != 0 || x.Tokens&(x.Tokens-1) != 0) {
			return fmt.Errorf("launch for %d tokens after one for %d, want them ascending, 64 times a power of two", x.Tokens, last)
		}
		last = x.Tokens
		if err := l.sequence(x.Kernels); err != nil {
			return err
		}
	}
	return l.storage(list[0].Kernels)
}

// sequence checks the kernels of a launch, one after another.
func (l *launched) sequence(kernels []int) error {
	want := families[l.op]
	if len(kernels) != len(want) {
		return fmt.Errorf("%d kernels, want %d: %v", len(kernels), len(want), want)
	}
	for i, at := range kernels {
		if !within(at, 0, len(l.plan.Kernels)-1) {
			return fmt.Errorf("kernel %d of %d", at, len(l.plan.Kernels))
		}
		k := l.plan.Kernels[at].Kernel
		if k.Family != want[i] {
			return fmt.Errorf("kernel %d is of %s, want %s", at, k.Family, want[i])
		}
		var fixed map[string]int
		if l.op == VOAttention && i == 0 {
			fixed = inner
		}
		if err := l.agrees(k, fixed); err != nil {
			return fmt.Errorf("kernel %d, %s: %w", at, k.Entry(), err)
		}
	}
	return nil
}

// agrees checks the constants of k against the step, but for those fixed.
func (l *launched) agrees(k launch.Kernel, fixed map[string]int) error {
	for _, d := range k.Defines {
		if d.Name == "MAXS" {
			if d.Value < l.tokens {
				return fmt.Errorf("MAXS is %d, want at least %d tokens", d.Value, l.tokens)
			}
			continue
		}
		want, ok := fixed[d.Name]
		if !ok {
			derive := constants[d.Name]
			if derive == nil || d.Name == "ROWS" && !l.op.IsFusedAttention() {
				continue
			}
			want = derive(l)
		}
		if want != anyValue && d.Value != want {
			return fmt.Errorf("%s is %d, want %d", d.Name, d.Value, want)
		}
	}
	return l.gridFits(k)
}

// maxGrid is the most blocks in the second and third dimension of a grid.
const maxGrid = 65535

// gridFits checks the dimensions of the grid that do not follow the batch.
func (l *launched) gridFits(k launch.Kernel) error {
	size := launch.Size{Rows: 1, Tiles: 1, N: max(1, l.Params.Dv), Heads: max(1, l.Params.Heads)}
	for i, o := range l.info.operands {
		if o.kind == matrix && k.Family != "vo_attention" {
			size.N, _ = l.dims(l.info.operands[i].name)
		}
	}
	if g := k.Grid(size); g[1] > maxGrid || g[2] > maxGrid {
		return fmt.Errorf("a grid of %v blocks, want at most %d in the second and third dimension", g, maxGrid)
	}
	return nil
}

// storageOf names the constant that says whether an activation is in float32.
var storageOf = map[string]string{"x": "X32", "residual": "R32"}

// storage checks the element types of activations for which no kernel has a
// constant: they are those of the target, but for losses.
func (l *launched) storage(kernels []int) error {
	last := l.plan.Kernels[kernels[len(kernels)-1]].Kernel
	for _, o := range l.info.operands {
		if o.kind != activation || !l.has(o.name) || defines(last, storageOf[o.name]) {
			continue
		}
		if l.wide(o.name) == 1 {
			return fmt.Errorf("%s is f32, want %v", o.name, l.target.elem)
		}
	}
	for i, r := range l.Results {
		if r == Unused || defines(last, "OUT32") || defines(last, "S32") {
			continue
		}
		want := l.target.elem
		if l.op == LinearNLL {
			want = tensor.F32
		}
		if got := l.program.Buffers[r].DType; got != want {
			return fmt.Errorf("result %d is %v, want %v", i, got, want)
		}
	}
	if l.op == CSRLinear && l.has("columns") {
		return fmt.Errorf("has columns: on a GPU they are part of its indices")
	}
	return nil
}

func defines(k launch.Kernel, name string) bool {
	for _, d := range k.Defines {
		if d.Name == name {
			return true
		}
	}
	return false
}
