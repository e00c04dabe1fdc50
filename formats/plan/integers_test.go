package plan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"etc/fault"
	"etc/ir/tensor"
)

var integerTargets = []string{"cpu:int16", "cpu:int8"}

// TestIntegerPlansAreReadAsWritten, and stay in bounds.
func TestIntegerPlansAreReadAsWritten(t *testing.T) {
	for _, target := range integerTargets {
		p := miniFor(target)
		file := Encode(p)
		got, err := Decode(file)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		if !bytes.Equal(Encode(got), file) {
			t.Errorf("%s: what was read is written otherwise", target)
		}
		if err := walkAll(p); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// TestMinorVersionIsTheLowest: a plan without integers is 2.0, one with them
// 2.1, whatever the order of its programs, one with padding 2.2; a header that says
// otherwise is forged.
func TestMinorVersionIsTheLowest(t *testing.T) {
	both := mini()
	q := *miniFor("cpu:f32").Programs[0]
	q.Target, q.Plan = "cpu:int8", both
	both.Programs = append(both.Programs, &q)
	paddedIntegers := miniFor("cpu:int16")
	paddedIntegers.Model.Padding = []int{9}
	for _, c := range []struct {
		what string
		p    *Plan
		want uint16
	}{{"float32", mini(), 0}, {"int16", miniFor("cpu:int16"), 1}, {"int8", miniFor("cpu:int8"), 1}, {"two programs", both, 1},
		{"padding", miniPadded(), 2}, {"padding and integers", paddedIntegers, 2}} {
		file := Encode(c.p)
		if got := minorOf(file); got != c.want {
			t.Errorf("%s: version %d.%d, want minor %d", c.what, Major, got, c.want)
		}
		if c.p == both {
			continue
		}
		for minor := range uint16(Minor + 1) {
			if minor == c.want {
				continue
			}
			binary.LittleEndian.PutUint16(file[minorAt:], minor)
			_, err := Decode(repaired(file))
			refused(t, fmt.Sprintf("%s as %d.%d", c.what, Major, minor), fault.Corrupt, err)
			if err != nil && max(minor, c.want) < paddingMinor && !strings.Contains(err.Error(), "format") {
				t.Errorf("%s: %v", c.what, err)
			}
		}
	}
}

func TestForgedIntegerPlansAreRefused(t *testing.T) {
	for _, f := range []struct {
		name, says string
		forge      func(p *Program)
	}{
		{"float32 in integer panels", "dtype", func(p *Program) { weightOf(p, Linear, "w").DType = tensor.F32 }},
		{"int32 in integer panels", "dtype", func(p *Program) { weightOf(p, Linear, "w").DType = tensor.I32 }},
		{"another type of integers", "bytes", func(p *Program) {
			w := weightOf(p, Linear, "w")
			w.DType = tensor.I8 + tensor.I16 - w.DType
		}},
		{"another type in all", "operand w", func(p *Program) {
			other := strings.Join(integerTargets, "")
			p.Target = strings.Replace(other, p.Target, "", 1)
		}},
		{"float32's target", "operand w", func(p *Program) { p.Target = "cpu:f32" }},
		{"integers in a row-major vector", "dtype", func(p *Program) { p.Weights[0].DType = tensor.I16 }},
		{"integers in float32 panels", "dtype", func(p *Program) { weightOf(p, LinearNLL, "w").DType = tensor.I16 }},
		{"integer panels as float32's", "dtype", func(p *Program) { weightOf(p, Linear, "w").Layout = Panels }},
		{"tiles for panels", "operand w", func(p *Program) { *operandOf(p, Linear, "w") = *operandOf(p, BlockSparseLinear, "w") }},
		{"float32 for integers", "operand w", func(p *Program) { *operandOf(p, Linear, "w") = *operandOf(p, LinearNLL, "w") }},
		{"integers for float32", "operand w", func(p *Program) { *operandOf(p, LinearNLL, "w") = *operandOf(p, Linear, "w") }},
		{"sums in float32", "reduction", func(p *Program) { first(p, Linear).Reduction.Instruction = fma }},
		{"a buffer of integers", "want f32 or f32", func(p *Program) { p.Buffers[0].DType = targets[p.Target].elem }},
		{"a unit that is NaN", "unit", func(p *Program) { put(p, weightOf(p, Linear, "w"), 0, int32(math.Float32bits(float32(math.NaN())))) }},
		{"a unit of a tile's feature that is negative", "unit", func(p *Program) { put(p, weightOf(p, BlockSparseLinear, "w"), 64, math.MinInt32) }},
		{"padding of a panel", "padding", func(p *Program) { put(p, weightOf(p, CSRLinear, "w"), -4, 1) }},
		{"padding of a tile", "padding", func(p *Program) { put(p, weightOf(p, BlockSparseLinear, "w"), -4, 1) }},
		{"tile column", "tile", func(p *Program) { put(p, weightOf(p, BlockSparseLinear, "w"), 8, 7) }},
	} {
		for _, target := range integerTargets {
			p := miniFor(target)
			f.forge(p.Programs[0])
			_, err := Decode(Encode(p))
			refused(t, f.name, fault.Corrupt, err)
			if err != nil && !strings.Contains(err.Error(), f.says) {
				t.Errorf("%s, %s: %q does not say %q", f.name, target, err, f.says)
			}
		}
	}
}

// TestMatrixOfIntegers pins which operators have integers.
func TestMatrixOfIntegers(t *testing.T) {
	for _, o := range Ops() {
		l, r := o.Matrix("cpu:int16")
		want, sum := Layout(0), ""
		switch o {
		case Linear, CSRLinear, Sparse24Linear:
			want, sum = IntPanels, "dot-i16-i32"
		case BlockSparseLinear:
			want, sum = IntTiles, "dot-i16-i32"
		case VOAttention, LinearNLL:
			want, sum = Panels, fma
		}
		if l != want || r != (Reduction{Instruction: sum}) {
			t.Errorf("%v: %v summed by %+v, want %v by %q", o, l, r, want, sum)
		}
	}
}
