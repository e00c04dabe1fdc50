package ir

import (
	"errors"
	"fmt"

	"etc/ir/tensor"
)

// errShape is panicked by want and caught by inferTypes, so that each rule
// reads as the list of what must hold.
type errShape struct{ error }

func want(ok bool, format string, args ...any) {
	if !ok {
		panic(errShape{fmt.Errorf(format, args...)})
	}
}

// inferTypes returns the result types of op from its operands and attributes.
func inferTypes(op *Op) (types []Type, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(errShape)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%v: %w", op.Kind, e.error)
		}
	}()
	infer := table[op.Kind].infer
	if infer == nil {
		return nil, errors.New("bug: sources are not inferred")
	}
	return infer(op), nil
}

// matrix checks that v is f32 [rows, constant].
func matrix(name string, v *Value) {
	s := v.Type.Shape
	want(v.Type.DType == tensor.F32 && len(s) == 2 && s[1] >= 0, "%s is %v, want f32[rows,width]", name, v.Type)
}

// tableOf checks that v is f32 [constant, constant].
func tableOf(name string, v *Value) {
	matrix(name, v)
	want(v.Type.Shape[0] >= 0, "%s is %v, want constants", name, v.Type)
}

// activation checks that v is f32 [T or B, width].
func activation(name string, v *Value) {
	matrix(name, v)
	want(v.Type.Rows() == T || v.Type.Rows() == B, "%s is %v, want T or B rows", name, v.Type)
}

func exact(name string, v *Value, t Type) {
	want(v == nil || v.Type.Equal(t), "%s is %v, want %v", name, typeOf(v), t)
}

func typeOf(v *Value) Type {
	if v == nil {
		return Type{}
	}
	return v.Type
}

func inferSame(op *Op) []Type {
	activation("x", op.Args[0])
	return []Type{op.Args[0].Type}
}

func inferAdd(op *Op) []Type {
	activation("x", op.Args[0])
	exact("y", op.Args[1], op.Args[0].Type)
	return []Type{op.Args[0].Type}
}

// indices checks an i32 list of column numbers and, where it is a weight with
// data, that they ascend and lie below limit.
func indices(name string, v *Value, limit int) int {
	want(v.Type.DType == tensor.I32 && len(v.Type.Shape) == 1 && v.Type.Shape[0] >= 0, "%s is %v, want i32[n]", name, v.Type)
	if t, ok := v.Data(); ok && t.Data != nil {
		last := int32(-1)
		for _, c := range t.Int32s() {
			want(c > last && int(c) < limit, "%s holds %d after %d, want ascending numbers below %d", name, c, last, limit)
			last = c
		}
	}
	return int(v.Type.Shape[0])
}

func inferGather(op *Op) []Type {
	x := op.Args[0]
	activation("x", x)
	return []Type{F32(x.Type.Rows(), Dim(indices("columns", op.Args[1], x.Type.Width())))}
}

func inferScatter(op *Op) []Type {
	x, n := op.Args[0], op.Attrs.(*ScatterAttrs).N
	activation("x", x)
	want(n >= 0, "n is %d, want a width", n)
	k := indices("columns", op.Args[1], n)
	want(k == x.Type.Width(), "columns has %d numbers, x is %v", k, x.Type)
	return []Type{F32(x.Type.Rows(), Dim(n))}
}

func (a *AttentionAttrs) check() {
	want(a.Heads > 0 && a.D > 0 && a.Dv > 0, "heads %d, d %d, dv %d: want positive", a.Heads, a.D, a.Dv)
}

func offsets(v *Value) { exact("offsets", v, I32(Ends)) }

// biasTable checks a table of scores by key − query distance, [heads, 2S−1].
func biasTable(v *Value, a *AttentionAttrs) {
	if v != nil {
		matrix("bias", v)
		want(int(v.Type.Rows()) == a.Heads && v.Type.Width()%2 == 1, "bias is %v, want f32[%d,2S-1]", v.Type, a.Heads)
	}
}

func queryRows(a *AttentionAttrs) Dim {
	if a.Rows == AllRows {
		return T
	}
	return B
}

func inferAttention(op *Op) []Type {
	a := op.Attrs.(*AttentionAttrs)
	a.check()
	exact("q", op.Args[0], F32(queryRows(a), Dim(a.Heads*a.D)))
	exact("k", op.Args[1], F32(T, Dim(a.Heads*a.D)))
	exact("v", op.Args[2], F32(T, Dim(a.Heads*a.Dv)))
	offsets(op.Args[3])
	biasTable(op.Args[4], a)
	return []Type{F32(queryRows(a), Dim(a.Heads*a.Dv))}
}

func inferFusedAttention(op *Op) []Type {
	a := op.Attrs.(*AttentionAttrs)
	a.check()
	width := a.Heads * (2*a.D + a.Dv)
	if q := op.Arg("q"); q != nil {
		want(a.Rows != AllRows, "q is given, so rows must be first or last")
		exact("q", q, F32(B, Dim(a.Heads*a.D)))
		width -= a.Heads * a.D
	} else {
		want(a.Rows == AllRows, "rows=%v wants an operand q", a.Rows)
	}
	exact("qkv", op.Args[0], F32(T, Dim(width)))
	offsets(op.Args[1])
	biasTable(op.Arg("bias"), a)
	return []Type{F32(queryRows(a), Dim(a.Heads*a.Dv))}
}

// inferVOAttention: dv is the number of outputs N, shared by all heads.
func inferVOAttention(op *Op) []Type {
	a := op.Attrs.(*AttentionAttrs)
	a.check()
	want(a.Rows == AllRows, "rows=%v: want all", a.Rows)
	exact("qk", op.Arg("qk"), F32(T, Dim(2*a.Heads*a.D)))
	x := op.Arg("x")
	activation("x", x)
	want(x.Type.Rows() == T, "x is %v, want T rows", x.Type)
	exact("m", op.Arg("m"), F32(Dim(a.Heads*a.Dv), Dim(x.Type.Width())))
	offsets(op.Arg("offsets"))
	exact("b", op.Arg("b"), F32(Dim(a.Dv)))
	return []Type{F32(T, Dim(a.Dv))}
}

func inferEmbed(op *Op) []Type {
	exact("ids", op.Arg("ids"), I32(T))
	exact("positions", op.Arg("positions"), I32(T))
	exact("types", op.Arg("types"), I32(T))
	tableOf("word", op.Arg("word"))
	h := op.Arg("word").Type.Width()
	for _, pair := range [][2]string{{"positions", "position"}, {"types", "type"}} {
		list, rows := op.Arg(pair[0]), op.Arg(pair[1])
		want((list == nil) == (rows == nil), "%s and %s must be given together", pair[0], pair[1])
		if rows != nil {
			tableOf(pair[1], rows)
			want(rows.Type.Width() == h, "%s is %v, want width %d", pair[1], rows.Type, h)
		}
	}
	return []Type{F32(T, Dim(h))}
}

func inferEmbedLayerNorm(op *Op) []Type {
	t := inferEmbed(op)
	exact("gamma", op.Arg("gamma"), F32(Dim(t[0].Width())))
	exact("beta", op.Arg("beta"), F32(Dim(t[0].Width())))
	return t
}

func inferLayerNorm(op *Op) []Type {
	x := op.Args[0]
	activation("x", x)
	exact("gamma", op.Args[1], F32(Dim(x.Type.Width())))
	exact("beta", op.Args[2], F32(Dim(x.Type.Width())))
	return []Type{x.Type}
}

func inferSkipLayerNorm(op *Op) []Type {
	x, residual := op.Arg("x"), op.Arg("residual")
	activation("x", x)
	activation("residual", residual)
	want(x.Type.Rows() == residual.Type.Rows(), "x is %v, residual is %v", x.Type, residual.Type)
	h := residual.Type.Width()
	if c := op.Arg("columns"); c != nil {
		want(indices("columns", c, h) == x.Type.Width(), "columns is %v, x is %v", c.Type, x.Type)
	} else {
		exact("x", x, residual.Type)
	}
	for _, name := range []string{"gamma", "beta", "bias"} {
		exact(name, op.Arg(name), F32(Dim(h)))
	}
	return []Type{residual.Type, residual.Type}
}

func inferLinear(op *Op) []Type {
	x, w := op.Arg("x"), op.Arg("w")
	activation("x", x)
	tableOf("w", w)
	n, k := int(w.Type.Shape[0]), w.Type.Width()
	if c := op.Arg("columns"); c != nil {
		want(indices("columns", c, x.Type.Width()) == k, "columns is %v, w is %v", c.Type, w.Type)
	} else {
		want(x.Type.Width() == k, "x is %v, w is %v", x.Type, w.Type)
	}
	t := F32(x.Type.Rows(), Dim(n))
	exact("b", op.Arg("b"), F32(Dim(n)))
	exact("residual", op.Arg("residual"), t)
	a := op.Attrs.(*LinearAttrs)
	want(a.Scaled >= 0 && a.Scaled <= n, "scaled is %d of %d features", a.Scaled, n)
	return []Type{t}
}

func inferSelect(op *Op) []Type {
	x := op.Arg("x")
	activation("x", x)
	want(x.Type.Rows() == T, "x is %v, want T rows", x.Type)
	offsets(op.Arg("offsets"))
	if a, ok := op.Attrs.(*SelectRowsAttrs); ok {
		want(a.Rows != AllRows, "rows is all, want first or last")
	}
	return []Type{F32(B, Dim(x.Type.Width()))}
}

func inferLinearNLL(op *Op) []Type {
	x, w := op.Arg("x"), op.Arg("w")
	activation("x", x)
	want(x.Type.Rows() == T, "x is %v, want T rows", x.Type)
	tableOf("w", w)
	want(w.Type.Width() == x.Type.Width() && w.Type.Rows() > 0, "x is %v, w is %v", x.Type, w.Type)
	exact("b", op.Arg("b"), F32(w.Type.Rows()))
	exact("ids", op.Arg("ids"), I32(T))
	offsets(op.Arg("offsets"))
	return []Type{F32(T), F32(T)}
}
