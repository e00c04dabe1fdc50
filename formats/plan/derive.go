package plan

import "fmt"

// A shape is that of an activation: [T or B, width].
type shape struct {
	rows  Rows
	width int
}

func (s shape) String() string { return fmt.Sprintf("[%v,%d]", s.rows, s.width) }

// A stepView is one step under derivation. Its operands are present unless
// optional and of their kinds; every dimension is at most maxDim, so that
// sums and products of two stay in int.
type stepView struct {
	*programChecker
	*Step
	info *opInfo
	err  error // the first thing that must hold and does not
}

func (v *stepView) want(ok bool, format string, args ...any) {
	if !ok && v.err == nil {
		v.err = fmt.Errorf(format, args...)
	}
}

// arg is the operand of that name.
func (v *stepView) arg(name string) Arg {
	for i, o := range v.info.operands {
		if o.name == name {
			return v.Args[i]
		}
	}
	panic("bug: plan: operator " + v.info.name + " has no operand " + name)
}

func (v *stepView) has(name string) bool { return v.arg(name).Kind != None }

// act is the shape of an activation that is there.
func (v *stepView) act(name string) shape {
	b := v.program.Buffers[v.arg(name).Index]
	return shape{b.Rows, b.Width}
}

// dims is the shape of a matrix or table that is there.
func (v *stepView) dims(name string) (n, k int) {
	s := v.plan.Weights[v.arg(name).Index].Shape
	return s[0], s[1]
}

func (v *stepView) wantAct(name string, s shape) {
	if v.has(name) {
		got := v.act(name)
		v.want(got == s, "%s is %v, want %v", name, got, s)
	}
}

func (v *stepView) wantTokens(name string) shape {
	s := v.act(name)
	v.want(s.rows == PerToken, "%s is %v, want T rows", name, s)
	return s
}

func (v *stepView) wantVector(name string, n int) {
	if v.has(name) {
		got := v.plan.Weights[v.arg(name).Index].Shape[0]
		v.want(got == n, "%s is [%d], want [%d]", name, got, n)
	}
}

// wantColumns checks a list of n columns of something limit wide.
func (v *stepView) wantColumns(name string, n, limit int) {
	w := v.arg(name).Index
	got, last := v.plan.Weights[w].Shape[0], v.lastColumn[w]
	v.want(got == n, "%s has %d numbers, want %d", name, got, n)
	v.want(last < limit, "%s goes up to %d, want below %d", name, last, limit)
}

func (v *stepView) embed() []shape {
	m := &v.plan.Model
	rows, width := v.dims("word")
	v.want(rows == m.VocabSize, "word has %d rows, the vocabulary %d", rows, m.VocabSize)
	for _, t := range []struct {
		list, table string
		rows        int
	}{{"positions", "position", m.PositionOffset + m.MaxTokens}, {"types", "type", max(1, m.TypeVocabSize)}} {
		v.want(v.has(t.list) == v.has(t.table), "%s and %s must be given together", t.list, t.table)
		if v.has(t.table) {
			n, k := v.dims(t.table)
			v.want(n >= t.rows, "%s has %d rows, want at least %d", t.table, n, t.rows)
			v.want(k == width, "%s is %d wide, word %d", t.table, k, width)
		}
	}
	return []shape{{PerToken, width}}
}

func (v *stepView) embedLayerNorm() []shape {
	s := v.embed()
	v.wantVector("gamma", s[0].width)
	v.wantVector("beta", s[0].width)
	return s
}

func (v *stepView) layerNorm() []shape {
	x := v.act("x")
	v.wantVector("gamma", x.width)
	v.wantVector("beta", x.width)
	return []shape{x}
}

func (v *stepView) skipLayerNorm() []shape {
	x, residual := v.act("x"), v.act("residual")
	if v.has("columns") {
		v.want(x.rows == residual.rows, "x is %v, residual %v", x, residual)
		v.wantColumns("columns", x.width, residual.width)
	} else {
		v.wantAct("x", residual)
	}
	for _, name := range []string{"gamma", "beta", "bias"} {
		v.wantVector(name, residual.width)
	}
	return []shape{residual, residual}
}

func (v *stepView) linear() []shape {
	x := v.act("x")
	n, k := v.dims("w")
	if v.has("columns") {
		v.wantColumns("columns", k, x.width)
	} else {
		v.want(x.width == k, "x is %v, w [%d,%d]", x, n, k)
	}
	y := shape{x.rows, n}
	v.wantVector("b", n)
	v.wantAct("residual", y)
	v.want(v.Params.Scaled <= n, "%d of %d features are scaled", v.Params.Scaled, n)
	return []shape{y}
}

func (v *stepView) attention() []shape {
	p := v.Params
	y, width := shape{PerToken, p.Heads * p.Dv}, p.Heads*(2*p.D+p.Dv)
	v.want(v.has("q") == (p.Rows != AllRows), "rows is %v: q must be given for first and last, and only then", p.Rows)
	if v.has("q") {
		y.rows = PerRow
		width -= p.Heads * p.D
		v.wantAct("q", shape{PerRow, p.Heads * p.D})
	}
	v.wantAct("qkv", shape{PerToken, width})
	if v.has("bias") {
		n, k := v.dims("bias")
		v.want(n == p.Heads && k%2 == 1, "bias is [%d,%d], want [%d,2S-1]", n, k, p.Heads)
		v.want((k+1)/2 >= v.plan.Model.MaxTokens, "bias serves rows of %d tokens, the model takes %d", (k+1)/2, v.plan.Model.MaxTokens)
	}
	return []shape{y}
}

func (v *stepView) voAttention() []shape {
	p := v.Params
	v.want(p.Rows == AllRows, "rows is %v, want all", p.Rows)
	v.wantAct("qk", shape{PerToken, 2 * p.Heads * p.D})
	x := v.wantTokens("x")
	n, k := v.dims("m")
	v.want(n == p.Heads*p.Dv && k == x.width, "m is [%d,%d], want [%d,%d]", n, k, p.Heads*p.Dv, x.width)
	v.wantVector("b", p.Dv)
	return []shape{{PerToken, p.Dv}}
}

func (v *stepView) selectRows() []shape {
	v.want(v.Params.Rows != AllRows, "rows is all, want first or last")
	return v.pool()
}

func (v *stepView) pool() []shape { return []shape{{PerRow, v.wantTokens("x").width}} }

func (v *stepView) normalize() []shape { return []shape{v.act("x")} }

// linearNLL: the next token's id is a row of w.
func (v *stepView) linearNLL() []shape {
	x := v.wantTokens("x")
	n, k := v.dims("w")
	v.want(x.width == k, "x is %v, w [%d,%d]", x, n, k)
	v.want(n == v.plan.Model.VocabSize, "w has %d rows, the vocabulary %d", n, v.plan.Model.VocabSize)
	v.wantVector("b", n)
	return []shape{{PerToken, 1}, {PerToken, 1}}
}
