package frontend

import (
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
)

var roberta = architecture{"roberta", []class{
	{"RobertaModel", plan.Embedding},
	{"RobertaForSequenceClassification", plan.Classification},
	{"RobertaForMaskedLM", later},
}, "roberta.", robertaConfig, buildRoBERTa}

// robertaConfig is BERT's, but for the positions: the padding token has the
// position of its id, and a row's first token the next.
func robertaConfig(c *checkpoint.Config) config {
	cfg := bertConfig(c)
	cfg.FirstPosition = c.OptionalSize(1, "pad_token_id") + 1
	return cfg
}

// buildRoBERTa is RobertaModel and RobertaForSequenceClassification of
// transformers: BERT without a pooler, with two linears in its head.
func buildRoBERTa(m *model) {
	x := m.bertEncoder()
	if m.class.task == plan.Embedding {
		m.embedding(x)
		return
	}
	m.label = "head"
	h := m.Hidden
	x = m.activate(ir.Tanh, m.apply(m.linear("classifier.dense", h, h), m.token(ir.FirstRows, x)))
	m.output("logits", m.apply(m.linear("classifier.out_proj", h, len(m.labels)), x), ir.Always)
}
