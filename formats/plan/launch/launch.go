// Package launch is how a step on a GPU becomes launches of kernels: the
// finite table of kernels, and for each its structural constants, its
// parameters, threads, shared memory and grid.
//
// Codegen chooses kernels by it and compiles them, a plan records them, and
// executors derive from it again what a launch needs: nothing about a launch
// is believed because a plan says so. A Kernel enters; names, sizes and grids
// leave. The invariant: they follow from the kernel's constants and the sizes
// of the step alone, never from the device.
package launch

import (
	"fmt"
	"slices"
	"strings"
)

// A Kernel is one specialisation of a kernel file: its family, which is the
// name of a file in codegen/cuda/kernels, and the structural constants that
// its prelude defines.
type Kernel struct {
	Family  string
	Defines []Define // ascending by name; every constant of the family, each once
}

// A Define is one structural constant.
type Define struct {
	Name  string
	Value int
}

// Storage types of activations and weights, the values of DTYPE.
const (
	F16 = iota
	BF16
)

// Make is the kernel of that family with these constants; those not named are
// zero. It panics where the family has no such constant: kernels are chosen by
// the program, while those of a file go through Check.
func Make(family string, values map[string]int) Kernel {
	f := families[family]
	if f == nil {
		panic("bug: launch: no kernel family " + family)
	}
	k := Kernel{Family: family}
	known := 0
	for _, c := range f.constants {
		v, ok := values[c.name]
		if ok {
			known++
		}
		k.Defines = append(k.Defines, Define{c.name, v})
	}
	if known != len(values) {
		panic(fmt.Sprintf("bug: launch: %s has not all of the constants %v", family, values))
	}
	slices.SortFunc(k.Defines, func(a, b Define) int { return strings.Compare(a.Name, b.Name) })
	return k
}

// Value is the constant of that name, 0 where the family has none.
func (k Kernel) Value(name string) int {
	for _, d := range k.Defines {
		if d.Name == name {
			return d.Value
		}
	}
	return 0
}

// Entry is the name of the function in the compiled code: the family and the
// constants that are not zero.
func (k Kernel) Entry() string {
	var b strings.Builder
	b.WriteString(k.Family)
	for _, d := range k.Defines {
		if d.Value != 0 {
			fmt.Fprintf(&b, "_%s%d", strings.ToLower(d.Name), d.Value)
		}
	}
	return b.String()
}

// Threads is the number of threads in a block.
func (k Kernel) Threads() int { return families[k.Family].threads(k) }

// Shared is the bytes of dynamic shared memory of a block.
func (k Kernel) Shared() int { return families[k.Family].shared(k) }

// Params are the parameters of the kernel's function, in order.
func (k Kernel) Params() []Param { return families[k.Family].params }

// Grid is the number of blocks in each dimension for a step of that size.
// Blocks past the rows of a batch return at once.
func (k Kernel) Grid(s Size) [3]int { return families[k.Family].grid(k, s) }

// Families are the names of all kernel families, ascending.
func Families() []string {
	var all []string
	for name := range families {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// A Size is what a grid depends on.
type Size struct {
	Rows  int // capacity in rows of what the step computes: tokens or rows of a batch
	Tiles int // capacity in blocks of queries (of QB) of the batch
	N     int // outputs of a product, width of a value
	Heads int
}

// A Param is one parameter of a kernel.
type Param struct {
	Name string
	Kind ParamKind
}

// A ParamKind says how a parameter is passed.
type ParamKind uint8

const (
	Pointer ParamKind = iota // 8 bytes: an address on the device, 0 for none
	Int                      // 4 bytes, signed
	Float                    // 4 bytes
)

// Bytes is the size of a parameter of this kind.
func (k ParamKind) Bytes() int {
	if k == Pointer {
		return 8
	}
	return 4
}

// parseParams reads a list such as "x* N scale.f".
func parseParams(list string) []Param {
	var all []Param
	for _, word := range strings.Fields(list) {
		switch {
		case strings.HasSuffix(word, "*"):
			all = append(all, Param{strings.TrimSuffix(word, "*"), Pointer})
		case strings.HasSuffix(word, ".f"):
			all = append(all, Param{strings.TrimSuffix(word, ".f"), Float})
		default:
			all = append(all, Param{word, Int})
		}
	}
	return all
}

// Check refuses a kernel that is not in the table: an unknown family, other
// constants than the family's, or values it has no code for.
func (k Kernel) Check() error {
	f := families[k.Family]
	if f == nil {
		return fmt.Errorf("kernel family %q is not known", k.Family)
	}
	if len(k.Defines) != len(f.constants) {
		return fmt.Errorf("kernel of %s has %d constants, want %d", k.Family, len(k.Defines), len(f.constants))
	}
	for i, d := range k.Defines {
		if i > 0 && k.Defines[i-1].Name >= d.Name {
			return fmt.Errorf("kernel of %s: constant %q after %q, want them ascending", k.Family, d.Name, k.Defines[i-1].Name)
		}
		at := slices.IndexFunc(f.constants, func(c constant) bool { return c.name == d.Name })
		if at < 0 {
			return fmt.Errorf("kernel of %s has no constant %q", k.Family, d.Name)
		}
		if c := f.constants[at]; d.Value < c.low || d.Value > c.high {
			return fmt.Errorf("kernel of %s: %s is %d, want %d to %d", k.Family, d.Name, d.Value, c.low, c.high)
		}
	}
	if f.check != nil {
		return f.check(k)
	}
	return nil
}

// A constant is a structural constant of a family and the values it may have.
type constant struct {
	name      string
	low, high int
}

// A family is one row of the table of kernels.
type family struct {
	constants []constant
	params    []Param
	threads   func(Kernel) int
	shared    func(Kernel) int
	grid      func(Kernel, Size) [3]int
	check     func(Kernel) error // of combinations of constants; nil: all are there
}

// families is the table: every kernel of a plan is a specialisation of one of
// these. Each stands in the file of its kind: products.go, sparse.go,
// attention.go, rowwise.go.
var families = map[string]*family{}

func init() {
	// Assigned here because rows refer to methods that read the table.
	for _, part := range []map[string]*family{productFamilies, sparseFamilies, attentionFamilies, rowwiseFamilies} {
		for name, f := range part {
			families[name] = f
		}
	}
}

func ceil(n, by int) int { return (n + by - 1) / by }
