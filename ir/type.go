package ir

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"etc/ir/tensor"
)

// A Dim is one dimension of a Type: a constant, or one of the two sizes known
// only at run time. Those may stand only in dimension 0.
type Dim int

const (
	T    Dim = -1 - iota // tokens of all rows, one after another
	B                    // rows
	Ends                 // B+1, the length of cumulative row offsets
)

func (d Dim) String() string {
	switch d {
	case T:
		return "T"
	case B:
		return "B"
	case Ends:
		return "B+1"
	}
	return strconv.Itoa(int(d))
}

// A Type is what a value holds: elements of one dtype in a row-major shape.
type Type struct {
	DType tensor.DType
	Shape []Dim
}

// F32 is the type f32[shape].
func F32(shape ...Dim) Type { return Type{tensor.F32, shape} }

// I32 is the type i32[shape].
func I32(shape ...Dim) Type { return Type{tensor.I32, shape} }

// Equal reports whether two types are the same.
func (t Type) Equal(u Type) bool { return t.DType == u.DType && slices.Equal(t.Shape, u.Shape) }

// Rows is dimension 0.
func (t Type) Rows() Dim { return t.Shape[0] }

// Width is the last dimension of a matrix type, a constant.
func (t Type) Width() int { return int(t.Shape[len(t.Shape)-1]) }

func (t Type) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v[", t.DType)
	for i, d := range t.Shape {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d.String())
	}
	b.WriteByte(']')
	return b.String()
}

// ParseType is the inverse of String.
func ParseType(s string) (Type, error) {
	name, rest, ok := strings.Cut(s, "[")
	dtype, known := tensor.ParseDType(name)
	if !ok || !known || !strings.HasSuffix(rest, "]") {
		return Type{}, fmt.Errorf("type %q: want a dtype and a shape such as f32[T,384]", s)
	}
	t := Type{DType: dtype}
	if rest == "]" {
		return t, nil
	}
	for f := range strings.SplitSeq(strings.TrimSuffix(rest, "]"), ",") {
		switch f {
		case "T":
			t.Shape = append(t.Shape, T)
		case "B":
			t.Shape = append(t.Shape, B)
		case "B+1":
			t.Shape = append(t.Shape, Ends)
		default:
			n, err := strconv.ParseInt(f, 10, 31)
			if err != nil || n < 0 || strconv.Itoa(int(n)) != f {
				return Type{}, fmt.Errorf("type %q: dimension %q: want a number, T, B or B+1", s, f)
			}
			t.Shape = append(t.Shape, Dim(n))
		}
	}
	return t, nil
}
