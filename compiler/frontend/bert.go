package frontend

import (
	"fmt"

	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
)

func bertConfig(c *checkpoint.Config) config {
	return config{
		Vocab:      c.Size("vocab_size"),
		Positions:  c.Size("max_position_embeddings"),
		Types:      c.OptionalSize(2, "type_vocab_size"),
		Hidden:     c.Size("hidden_size"),
		Layers:     c.Size("num_hidden_layers"),
		Heads:      c.Size("num_attention_heads"),
		Inner:      c.Size("intermediate_size"),
		Activation: c.String("hidden_act", "gelu"),
		Eps:        c.Positive("layer_norm_eps", 1e-12),
	}
}

// buildBERT is BertModel and BertForSequenceClassification of transformers.
// An embedding does not use the pooler.
func buildBERT(m *model) {
	m.mustBeBool("is_decoder", false)
	x := m.bertEncoder()
	if m.class.task == plan.Embedding {
		m.embedding(x)
		return
	}
	m.label = "head"
	h := m.Hidden
	x = m.activate(ir.Tanh, m.apply(m.linear("pooler.dense", h, h), m.token(ir.FirstRows, x)))
	m.output("logits", m.apply(m.linear("classifier", h, len(m.labels)), x), ir.Always)
}

// bertEncoder is embeddings and layers, up to the last hidden state [T,H].
func (m *model) bertEncoder() *ir.Value {
	m.mustBe("position_embedding_type", "absolute")
	h := m.Hidden
	x := m.embed(1,
		m.weight("embeddings.word_embeddings.weight", m.Vocab, h),
		m.weight("embeddings.position_embeddings.weight", m.Positions, h),
		m.weight("embeddings.token_type_embeddings.weight", m.Types, h))
	x = m.normalize(m.norm("embeddings.LayerNorm"), x)
	m.tap(0, x)
	for i := range m.Layers {
		layer := fmt.Sprintf("encoder.layer.%d.", i)
		w := m.widths(i, layer, side{"attention.self.query.weight", 0, 1}, side{"intermediate.dense.weight", 0, 1})
		x = m.postNorm(i, x, block{
			widths: w,
			query:  m.linear(layer+"attention.self.query", h, w.features),
			key:    m.linear(layer+"attention.self.key", h, w.features),
			value:  m.linear(layer+"attention.self.value", h, w.features),
			out:    m.linear(layer+"attention.output.dense", w.features, h),
			norm1:  m.norm(layer + "attention.output.LayerNorm"),
			up:     m.linear(layer+"intermediate.dense", h, w.inner),
			down:   m.linear(layer+"output.dense", w.inner, h),
			norm2:  m.norm(layer + "output.LayerNorm"),
			scale:  m.scoreScale(),
		})
		m.tap(i+1, x)
	}
	return x
}
