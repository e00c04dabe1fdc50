package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"etc/fault"
	"etc/ir/tensor"
)

// A Resolver finds the weights that an architecture wants, by their canonical
// names such as "encoder.layer.0.output.LayerNorm.weight", under the names in
// use: with a prefix such as "bert.", with gamma and beta for the weight and
// bias of a norm (as TensorFlow has them), or through a tied weight. It keeps
// account of what was claimed. Like Config it records the first fault, which
// Err returns, and goes on with an empty tensor.
type Resolver struct {
	c        *Checkpoint
	prefix   string   // in use, once a name was found under it
	prefixes []string // those still possible, "" not among them
	tied     map[string]string
	claimed  map[string]bool
	err      error
	missing  string // the first missing name, where that is the first fault
	shape    []int  // wanted of missing
	narrowed string // prefix of the names that reason is about
	reason   string // for shapes that the configuration alone does not explain
}

// NewResolver takes the prefixes that the architecture's names may have in a
// file; none at all is always possible. The first prefix under which a wanted
// name is found is the one in use from then on. Names outside it, such as a
// head's, are then looked for without any.
func NewResolver(c *Checkpoint, prefixes ...string) *Resolver {
	r := &Resolver{c: c, tied: map[string]string{}, claimed: map[string]bool{}}
	for _, p := range prefixes {
		if p != "" {
			r.prefixes = append(r.prefixes, p)
		}
	}
	return r
}

// Prefix is the prefix in use, "" while no name was found under one.
func (r *Resolver) Prefix() string { return r.prefix }

// aliases are the suffixes of canonical names with those in use elsewhere.
var aliases = []struct{ canonical, other string }{{".weight", ".gamma"}, {".bias", ".beta"}}

// Name is the name in the file of the weight that canonical name stands for;
// "" where there is none.
func (r *Resolver) Name(name string) string {
	if found := r.lookUp(name); found != "" {
		return found
	}
	if other, ok := r.tied[name]; ok {
		return r.lookUp(other)
	}
	return ""
}

func (r *Resolver) lookUp(name string) string {
	for i, p := range r.prefixes {
		if found := r.spelled(p + name); found != "" {
			r.prefix, r.prefixes = p, r.prefixes[i:i+1]
			return found
		}
	}
	return r.spelled(name)
}

// spelled is name, or its other spelling, if the file has it.
func (r *Resolver) spelled(name string) string {
	if r.c.Has(name) {
		return name
	}
	for _, a := range aliases {
		if stem, ok := strings.CutSuffix(name, a.canonical); ok && r.c.Has(stem+a.other) {
			return stem + a.other
		}
	}
	return ""
}

// Has reports whether the file has the weight, without claiming it.
func (r *Resolver) Has(name string) bool { return r.Name(name) != "" }

// Alias says that name and other are one weight, such as the vocabulary matrix
// of a language model and its embedding. Where the file has only one of them
// it serves for both; Alias reports whether that is so.
func (r *Resolver) Alias(name, other string) bool {
	has, hasOther := r.lookUp(name) != "", r.lookUp(other) != ""
	switch {
	case hasOther && !has:
		r.tied[name] = other
	case has && !hasOther:
		r.tied[other] = name
	}
	return has != hasOther
}

// Because gives the reason for the shapes that are wanted of weights whose
// canonical names begin with prefix, where config.json alone does not explain
// them. The error about such a shape ends with it. The last call counts.
func (r *Resolver) Because(prefix, reason string) { r.narrowed, r.reason = prefix, reason }

// Tensor claims the weight of that canonical name. It must be there with this
// shape, and be of floating-point numbers; else the zero Tensor is returned
// and Err says why (fault.Corrupt).
func (r *Resolver) Tensor(name string, shape ...int) tensor.Tensor {
	found := r.Name(name)
	if found == "" {
		if r.err == nil && r.missing == "" {
			r.missing, r.shape = name, shape
		}
		return tensor.Tensor{}
	}
	r.claimed[found] = true
	t, _ := r.c.Tensor(found)
	switch {
	case !slices.Equal(t.Shape, shape):
		if r.reason != "" && strings.HasPrefix(name, r.narrowed) {
			return r.refuse("weight %q: shape %v, want %v: %s", found, t.Shape, shape, r.reason)
		}
		return r.refuse("weight %q: shape %v, want %v", found, t.Shape, shape)
	case !t.DType.IsFloat():
		return r.refuse("weight %q: dtype %v, want f32, f16, bf16 or f64", found, t.DType)
	}
	return t
}

func (r *Resolver) refuse(format string, args ...any) tensor.Tensor {
	if r.err == nil && r.missing == "" {
		r.err = fault.Newf(fault.Corrupt, format, args...)
	}
	return tensor.Tensor{}
}

// Err is the first fault. For a missing weight it names the nearest of the
// weights unclaimed by now, so it is best asked for after all were wanted.
func (r *Resolver) Err() error {
	if r.missing == "" {
		return r.err
	}
	wanted := r.prefix + r.missing
	text := fmt.Sprintf("weight %q %v is missing%s", wanted, r.shape, r.orWithout())
	if near := nearest(wanted, r.Unclaimed()); near != "" {
		return fault.Newf(fault.Corrupt, "%s; the nearest that nothing else uses is %q", text, near)
	}
	return fault.Newf(fault.Corrupt, "%s", text)
}

// orWithout is said of a missing weight that may be a head's, which has no
// prefix: no weight of the file is its neighbour under the one in use.
func (r *Resolver) orWithout() string {
	module, _, _ := strings.Cut(r.missing, ".")
	near := func(name string) bool { return strings.HasPrefix(name, r.prefix+module+".") }
	if r.prefix == "" || slices.ContainsFunc(r.c.names, near) {
		return ""
	}
	return fmt.Sprintf(", with %q and without", r.prefix)
}

// Claimed lists the names in the file of the weights given out so far, in file order.
func (r *Resolver) Claimed() []string { return r.list(true) }

// Unclaimed lists the others, in file order.
func (r *Resolver) Unclaimed() []string { return r.list(false) }

func (r *Resolver) list(claimed bool) []string {
	var names []string
	for _, name := range r.c.names {
		if r.claimed[name] == claimed {
			names = append(names, name)
		}
	}
	return names
}
