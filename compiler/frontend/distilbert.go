package frontend

import (
	"fmt"

	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
)

// distilBERTEps is fixed in transformers' modeling_distilbert.py; config.json does not hold it.
const distilBERTEps = 1e-12

// distilBERTConfig reads the names that DistilBertConfig writes, or those of
// its attribute map. sinusoidal_pos_embds says how the positions began; they
// are stored weights in any case.
func distilBERTConfig(c *checkpoint.Config) config {
	return config{
		Vocab:      c.Size("vocab_size"),
		Positions:  c.Size("max_position_embeddings"),
		Hidden:     c.Size("dim", "hidden_size"),
		Layers:     c.Size("n_layers", "num_hidden_layers"),
		Heads:      c.Size("n_heads", "num_attention_heads"),
		Inner:      c.Size("hidden_dim"),
		Activation: c.String("activation", "gelu"),
		Eps:        distilBERTEps,
	}
}

// buildDistilBERT is DistilBertModel and DistilBertForSequenceClassification
// of transformers: BERT without token types, with a ReLU in its head.
func buildDistilBERT(m *model) {
	h := m.Hidden
	x := m.embed(1,
		m.weight("embeddings.word_embeddings.weight", m.Vocab, h),
		m.weight("embeddings.position_embeddings.weight", m.Positions, h), nil)
	x = m.normalize(m.norm("embeddings.LayerNorm"), x)
	m.tap(0, x)
	for i := range m.Layers {
		layer := fmt.Sprintf("transformer.layer.%d.", i)
		w := m.widths(i, layer, side{"attention.q_lin.weight", 0, 1}, side{"ffn.lin1.weight", 0, 1})
		x = m.postNorm(i, x, block{
			widths: w,
			query:  m.linear(layer+"attention.q_lin", h, w.features),
			key:    m.linear(layer+"attention.k_lin", h, w.features),
			value:  m.linear(layer+"attention.v_lin", h, w.features),
			out:    m.linear(layer+"attention.out_lin", w.features, h),
			norm1:  m.norm(layer + "sa_layer_norm"),
			up:     m.linear(layer+"ffn.lin1", h, w.inner),
			down:   m.linear(layer+"ffn.lin2", w.inner, h),
			norm2:  m.norm(layer + "output_layer_norm"),
			scale:  m.scoreScale(),
		})
		m.tap(i+1, x)
	}
	if m.class.task == plan.Embedding {
		m.embedding(x)
		return
	}
	m.label = "head"
	x = m.activate(ir.ReLU, m.apply(m.linear("pre_classifier", h, h), m.token(ir.FirstRows, x)))
	m.output("logits", m.apply(m.linear("classifier", h, len(m.labels)), x), ir.Always)
}
