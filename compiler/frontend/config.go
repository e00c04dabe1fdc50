package frontend

import (
	"slices"
	"strings"

	"etc/fault"
	"etc/ir"
)

// A config is what every architecture says of itself, under names of its own.
type config struct {
	Vocab, Positions, Types      int // rows of the embedding tables; Types is 0 where there is none
	FirstPosition                int // position id of a row's first token; those below are never used
	Hidden, Layers, Heads, Inner int // Inner is the width inside a feed-forward block
	Activation                   string
	Eps                          float64 // of the layer norms
	Causal                       bool
}

// maxLayers is far above any encoder's: a config.json that asks for more is
// refused before as many names are looked for.
const maxLayers = 1024

// check refuses sizes that contradict each other, before anything is allocated.
func (c *config) check() error {
	if c.Layers > maxLayers {
		return fault.Newf(fault.Corrupt, "config.json: %d layers, want at most %d", c.Layers, maxLayers)
	}
	if c.Hidden%c.Heads != 0 {
		return fault.Newf(fault.Corrupt, "config.json: hidden size %d, want a multiple of the %d heads", c.Hidden, c.Heads)
	}
	if c.FirstPosition >= c.Positions {
		return fault.Newf(fault.Corrupt, "config.json: %d positions, want more than the %d that come before a row's first", c.Positions, c.FirstPosition)
	}
	_, err := activationNamed(c.Activation)
	return err
}

// headSize is the width of one head.
func (c *config) headSize() int { return c.Hidden / c.Heads }

// activations are the functions that transformers has by name (ACT2FN in its
// activations.py) and that one of ours computes. gelu_fast writes √(2/π) with
// ten digits, which changes no float32 result beyond its rounding.
var activations = []struct {
	name string
	act  ir.ActKind
}{
	{"gelu", ir.GELU},
	{"gelu_python", ir.GELU},
	{"gelu_new", ir.GELUTanh},
	{"gelu_pytorch_tanh", ir.GELUTanh},
	{"gelu_python_tanh", ir.GELUTanh},
	{"gelu_accurate", ir.GELUTanh},
	{"gelu_fast", ir.GELUTanh},
	{"relu", ir.ReLU},
	{"tanh", ir.Tanh},
	{"linear", ir.NoAct},
}

// otherActivations are the rest of that list: sound, but no operator computes them.
var otherActivations = []string{
	"gelu_10", "laplace", "leaky_relu", "mish", "prelu", "quick_gelu", "relu2", "relu6", "sigmoid", "silu", "swish", "xielu",
}

// activationNamed is the function of that name. One of the other names is
// fault.Unsupported; one that nobody knows is fault.Corrupt.
func activationNamed(name string) (ir.ActKind, error) {
	var ours []string
	for _, a := range activations {
		if a.name == name {
			return a.act, nil
		}
		ours = append(ours, a.name)
	}
	if slices.Contains(otherActivations, name) {
		return 0, fault.Newf(fault.Unsupported, "config.json: activation %q, supported are %s", name, strings.Join(ours, ", "))
	}
	return 0, fault.Newf(fault.Corrupt, "config.json: activation %q, which nobody knows; supported are %s", name, strings.Join(ours, ", "))
}

// mustBe refuses, as fault.Unsupported, any other string under key than the
// one supported; absent counts as that one.
func (m *model) mustBe(key, supported string) {
	if got := m.source.Config.String(key, supported); got != supported {
		m.refuse(fault.Newf(fault.Unsupported, "config.json: %s %q, supported is %q", key, got, supported))
	}
}

// mustBeBool is mustBe of a boolean.
func (m *model) mustBeBool(key string, supported bool) {
	if got := m.source.Config.Bool(key, supported); got != supported {
		m.refuse(fault.Newf(fault.Unsupported, "config.json: %s %v, supported is %v", key, got, supported))
	}
}
