package frontend

import (
	"bytes"
	"slices"

	"etc/fault"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/tensor"
)

// readProblem sets task and labels of a sequence classification from
// problem_type and id2label. Where problem_type is absent, several labels
// exclude each other, and one label is taken for itself, by a sigmoid, as the
// text-classification pipeline of transformers does; a regression says so.
func (m *model) readProblem() {
	m.labels = m.source.Config.Labels()
	switch problem := m.source.Config.String("problem_type", ""); {
	case problem == "regression" && len(m.labels) != 1:
		m.refuse(fault.Newf(fault.Unsupported, "config.json: regression of %d values, supported is one", len(m.labels)))
	case problem == "regression":
		m.task = plan.Regression
	case problem == "multi_label_classification":
		m.task = plan.MultiLabel
	case problem != "" && problem != "single_label_classification":
		m.refuse(fault.Newf(fault.Corrupt, "config.json: problem_type %q, want single_label_classification, multi_label_classification or regression", problem))
	case len(m.labels) == 1:
		m.task = plan.MultiLabel
	}
}

// token is one token of each row of x [T,N].
func (m *model) token(which ir.RowKind, x *ir.Value) *ir.Value {
	return m.op(ir.SelectRows, &ir.SelectRowsAttrs{Rows: which}, x, m.input("offsets"))
}

// embedding ends a base model whose last hidden state is x [T,H]: a vector a
// row, by the pooling of the sentence-transformers files, else by the mean.
func (m *model) embedding(x *ir.Value) {
	m.label = "pooling"
	mode, unit := "mean", false
	if p := m.source.Pooling; p != nil {
		mode, unit = p.Mode, p.Normalize
	}
	var pooled *ir.Value
	switch mode {
	case "mean":
		pooled = m.op(ir.Pool, &ir.PoolAttrs{}, x, m.input("offsets"))
	case "cls":
		pooled = m.token(ir.FirstRows, x)
	case "lasttoken":
		pooled = m.token(ir.LastRows, x)
	case "":
		m.refuse(fault.Newf(fault.Unsupported, "modules.json: no Pooling, and so a vector for each token; want one for each text"))
		return
	default:
		m.refuse(fault.Newf(fault.Unsupported, "modules.json: pooling %q, supported are mean, cls and lasttoken", mode))
		return
	}
	if unit {
		pooled = m.op(ir.Normalize, nil, pooled)
	}
	m.output("embedding", pooled, ir.Always)
	m.output("hidden", x, ir.OnDemand)
}

// languageModel ends a causal language model whose last hidden state is x
// [T,H] with the product over the vocabulary.
func (m *model) languageModel(x *ir.Value, vocab linear) {
	m.label = "head"
	loss := m.g.New(ir.LinearNLL, nil, m.label, x, vocab.w, vocab.b, m.input("ids"), m.input("offsets"))
	m.output("nll", loss.Results[0], ir.Always)
	m.output("hit", loss.Results[1], ir.Always)
	m.output("logits", m.apply(vocab, x), ir.OnDemand)
	m.output("last_logits", m.apply(vocab, m.token(ir.LastRows, x)), ir.OnDemand)
}

// tied tells whether the product over the vocabulary and the embedding are one
// weight, which is tie_word_embeddings, by default def. Then a file has one of
// the two, or both with the same values; a file with two different ones means
// something else to every reader, and is refused.
func (m *model) tied(head, embedding string, def bool) bool {
	if !m.source.Config.Bool("tie_word_embeddings", def) {
		return false
	}
	m.weights.Alias(head, embedding)
	a, b := m.weights.Name(head), m.weights.Name(embedding)
	if a == b {
		return true
	}
	h, _ := m.source.Tensor(a)
	e, _ := m.source.Tensor(b)
	if !sameValues(h, e) {
		m.refuse(fault.Newf(fault.Unsupported, `weights %q and %q have different values, want the same ones: config.json does not say "tie_word_embeddings": false`, a, b).
			WithHint(`write that into config.json if the model has both, or take %s out of the file`, a))
	}
	return true
}

// sameValues compares tensors, also of different dtypes, by shape and values.
func sameValues(a, b tensor.Tensor) bool {
	if !slices.Equal(a.Shape, b.Shape) {
		return false
	}
	if a.DType == b.DType && bytes.Equal(a.Data, b.Data) {
		return true
	}
	if !a.DType.IsFloat() || !b.DType.IsFloat() {
		return false
	}
	const atOnce = 128 // elements, because all of a vocabulary would take gigabytes
	part := func(t tensor.Tensor, from int) []float64 {
		size, to := t.DType.Size(), min(from+atOnce, t.Len())
		return tensor.Tensor{DType: t.DType, Shape: []int{to - from}, Data: t.Data[from*size : to*size]}.Float64s()
	}
	for i := 0; i < a.Len(); i += atOnce {
		if !slices.Equal(part(a, i), part(b, i)) {
			return false
		}
	}
	return true
}
