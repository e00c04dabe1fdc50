package frontend

import (
	"fmt"
	"math"

	"etc/ir"
)

// A norm is the gain and bias of a layer norm.
type norm struct{ gamma, beta *ir.Value }

// norm claims NAME.weight and NAME.bias.
func (m *model) norm(name string) norm {
	return norm{m.weight(name+".weight", m.Hidden), m.weight(name+".bias", m.Hidden)}
}

func (m *model) normalize(n norm, x *ir.Value) *ir.Value {
	return m.op(ir.LayerNorm, &ir.LayerNormAttrs{Eps: m.Eps}, x, n.gamma, n.beta)
}

// embed is scale·word[ids] + position[positions] (+ types[types]).
func (m *model) embed(scale float64, word, position, types *ir.Value) *ir.Value {
	m.label = "embeddings"
	ids, positions := m.input("ids"), m.input("positions")
	var typeIDs *ir.Value
	if types != nil {
		typeIDs = m.input("types")
	}
	return m.op(ir.Embed, &ir.EmbedAttrs{Scale: scale}, ids, positions, typeIDs, word, position, types)
}

// A block is one encoder layer. scale multiplies the scores q·kᵀ.
type block struct {
	widths
	query, key, value, out linear
	up, down               linear
	norm1, norm2           norm
	scale                  float64
}

// scoreScale is the usual scale of scores, 1/√d.
func (m *model) scoreScale() float64 { return 1 / math.Sqrt(float64(m.headSize())) }

// postNorm is layer i with its norms behind the residual sums, as in BERT:
//
//	x = norm1(x + attention(x)), x = norm2(x + feedForward(x))
func (m *model) postNorm(i int, x *ir.Value, b block) *ir.Value {
	m.label = fmt.Sprintf("layer %d attention", i)
	x = m.normalize(b.norm1, m.op(ir.Add, nil, x, m.attention(b, x)))
	m.label = fmt.Sprintf("layer %d ffn", i)
	return m.normalize(b.norm2, m.op(ir.Add, nil, x, m.feedForward(b, x)))
}

// preNorm is layer i with its norms in front, as in GPT-2:
//
//	x = x + attention(norm1(x)), x = x + feedForward(norm2(x))
func (m *model) preNorm(i int, x *ir.Value, b block) *ir.Value {
	m.label = fmt.Sprintf("layer %d attention", i)
	x = m.op(ir.Add, nil, x, m.attention(b, m.normalize(b.norm1, x)))
	m.label = fmt.Sprintf("layer %d ffn", i)
	return m.op(ir.Add, nil, x, m.feedForward(b, m.normalize(b.norm2, x)))
}

func (m *model) attention(b block, x *ir.Value) *ir.Value {
	if b.heads == 0 {
		return m.constant(b.out.b, x)
	}
	attrs := &ir.AttentionAttrs{Heads: b.heads, D: m.headSize(), Dv: m.headSize(), Scale: b.scale, Causal: m.Causal}
	q, k, v := m.apply(b.query, x), m.apply(b.key, x), m.apply(b.value, x)
	return m.apply(b.out, m.op(ir.Attention, attrs, q, k, v, m.input("offsets")))
}

func (m *model) feedForward(b block, x *ir.Value) *ir.Value {
	if b.inner == 0 {
		return m.constant(b.down.b, x)
	}
	act, err := activationNamed(m.Activation)
	if err != nil {
		m.refuse(err)
	}
	return m.apply(b.down, m.activate(act, m.apply(b.up, x)))
}

func (m *model) activate(act ir.ActKind, x *ir.Value) *ir.Value {
	if act == ir.NoAct {
		return x
	}
	return m.op(ir.Activation, &ir.ActivationAttrs{Act: act}, x)
}
