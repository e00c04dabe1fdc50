package frontend

import (
	"fmt"

	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
)

func gpt2Config(c *checkpoint.Config) config {
	h := c.Size("n_embd", "hidden_size")
	return config{
		Vocab:      c.Size("vocab_size"),
		Positions:  c.Size("n_positions", "max_position_embeddings", "n_ctx"),
		Hidden:     h,
		Layers:     c.Size("n_layer", "num_hidden_layers"),
		Heads:      c.Size("n_head", "num_attention_heads"),
		Inner:      c.OptionalSize(4*h, "n_inner"),
		Activation: c.String("activation_function", "gelu_new"),
		Eps:        c.Positive("layer_norm_epsilon", 1e-5),
		Causal:     true,
	}
}

// buildGPT2 is GPT2Model, GPT2LMHeadModel and GPT2ForSequenceClassification
// of transformers. The last of the hidden states is the one after ln_f; a
// classification reads the last token that is not padding. As no token sees those
// after it, this is the last one of the row without its padding.
func buildGPT2(m *model) {
	m.mustBeBool("add_cross_attention", false)
	byRoot := m.source.Config.Bool("scale_attn_weights", true)
	byLayer := m.source.Config.Bool("scale_attn_by_inverse_layer_idx", false)
	h := m.Hidden
	tied := m.class.task == plan.CausalLM && m.tied("lm_head.weight", "wte.weight", true)
	x := m.embed(1, m.weight("wte.weight", m.Vocab, h), m.weight("wpe.weight", m.Positions, h), nil)
	for i := range m.Layers {
		m.tap(i, x)
		scale := 1.0
		if byRoot {
			scale = m.scoreScale()
		}
		if byLayer {
			scale /= float64(i + 1)
		}
		layer := fmt.Sprintf("h.%d.", i)
		w := m.widths(i, layer, side{"attn.c_attn.weight", 1, 3}, side{"mlp.c_fc.weight", 1, 1})
		qkv := m.conv1Ds(layer+"attn.c_attn", h, w.features, w.features, w.features)
		x = m.preNorm(i, x, block{
			norm1:  m.norm(layer + "ln_1"),
			widths: w,
			query:  qkv[0],
			key:    qkv[1],
			value:  qkv[2],
			out:    m.conv1D(layer+"attn.c_proj", w.features, h),
			norm2:  m.norm(layer + "ln_2"),
			up:     m.conv1D(layer+"mlp.c_fc", h, w.inner),
			down:   m.conv1D(layer+"mlp.c_proj", w.inner, h),
			scale:  scale,
		})
	}
	m.label = "final norm"
	x = m.normalize(m.norm("ln_f"), x)
	m.tap(m.Layers, x)
	switch m.class.task {
	case plan.Embedding:
		m.embedding(x)
	case plan.CausalLM:
		vocab := "wte"
		if !tied {
			vocab = "lm_head"
		}
		m.languageModel(x, m.linearNoBias(vocab, h, m.Vocab))
	default:
		m.label = "head"
		if id, ok := m.source.Config.ID("pad_token_id"); ok && id >= 0 && id < m.Vocab {
			m.padding = []int{id}
		}
		score := m.linearNoBias("score", h, len(m.labels))
		m.output("logits", m.apply(score, m.token(ir.LastRows, x)), ir.Always)
	}
}
