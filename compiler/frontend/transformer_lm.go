package frontend

import (
	"fmt"
	"math"

	"etc/fault"
	"etc/formats/checkpoint"
	"etc/ir"
	"etc/ir/tensor"
)

// tutorialPositions is max_len of PositionalEncoding in PyTorch's tutorial.
const tutorialPositions = 5000

func transformerLMConfig(c *checkpoint.Config) config {
	return config{
		Vocab:      c.Size("vocab_size"),
		Positions:  c.OptionalSize(tutorialPositions, "max_position_embeddings"),
		Hidden:     c.Size("d_model"),
		Layers:     c.Size("num_layers"),
		Heads:      c.Size("nhead"),
		Inner:      c.Size("dim_feedforward"),
		Activation: c.String("activation", "relu"),
		Eps:        c.Positive("layer_norm_eps", 1e-5),
		Causal:     true,
	}
}

// transformerLMNames are the two sets of names in use.
type transformerLMNames struct{ embedding, layers, finalNorm string }

var (
	// The language modelling tutorial of PyTorch, where "encoder" is the embedding.
	tutorialNames = transformerLMNames{"encoder", "transformer_encoder.layers.", "transformer_encoder.norm"}
	// word_language_model of pytorch/examples, where "encoder" is the encoder.
	exampleNames = transformerLMNames{"input_emb", "encoder.layers.", "encoder.norm"}
)

// buildTransformerLM is the language model of the E.T. paper: PyTorch's
// nn.TransformerEncoder between an embedding and a product over the
// vocabulary. The weights decide whether there is a final norm, whether the
// positions are stored, and, unless tie_word_embeddings says so, whether the
// decoder is the embedding.
func buildTransformerLM(m *model) {
	c, h := m.source.Config, m.Hidden
	m.mustBeBool("causal", true)
	m.mustBe("position_embedding", "sinusoidal")
	names := tutorialNames
	if m.weights.Has(exampleNames.layers + "0.norm1.weight") { // not by the embedding, which may be tied away
		names = exampleNames
	}
	scale := 1.0
	if c.Bool("scale_embedding", true) {
		scale = math.Sqrt(float64(h))
	}
	tied := m.tied("decoder.weight", names.embedding+".weight", !(m.weights.Has("decoder.weight") && m.weights.Has(names.embedding+".weight")))
	word := m.weight(names.embedding+".weight", m.Vocab, h)
	positions := m.positionTable()
	x := m.embed(scale, word, positions, nil)
	m.tap(0, x)
	layerOf := m.postNorm
	if c.Bool("norm_first", false) {
		layerOf = m.preNorm
	}
	finalNorm := c.Bool("final_norm", false) || m.weights.Has(names.finalNorm+".weight")
	for i := range m.Layers {
		layer := fmt.Sprintf("%s%d.", names.layers, i)
		w := m.widths(i, layer, side{"self_attn.in_proj_weight", 0, 3}, side{"linear1.weight", 0, 1})
		qkv := m.linears(layer+"self_attn.in_proj_weight", layer+"self_attn.in_proj_bias", h, w.features, w.features, w.features)
		x = layerOf(i, x, block{
			widths: w,
			query:  qkv[0],
			key:    qkv[1],
			value:  qkv[2],
			out:    m.linear(layer+"self_attn.out_proj", w.features, h),
			norm1:  m.norm(layer + "norm1"),
			up:     m.linear(layer+"linear1", h, w.inner),
			down:   m.linear(layer+"linear2", w.inner, h),
			norm2:  m.norm(layer + "norm2"),
			scale:  m.scoreScale(),
		})
		m.tap(i+1, x)
	}
	if finalNorm {
		m.label = "final norm"
		x = m.normalize(m.norm(names.finalNorm), x)
	}
	vocab := linear{word, m.weight("decoder.bias", m.Vocab)}
	if !tied {
		vocab.w = m.weight("decoder.weight", m.Vocab, h)
	}
	m.languageModel(x, vocab)
	if a := positions.Def.Attrs.(*ir.WeightAttrs); a.Data.Data == nil && m.Err() == nil {
		a.Data = m.sinusoids()
	}
}

// positionTable is the weight pos_encoder.pe where it is stored, [P,1,H] as
// the tutorial has it, [1,P,H] or [P,H]; else the place of the sinusoids,
// which are computed once nothing contradicts their size.
func (m *model) positionTable() *ir.Value {
	const name = "pos_encoder.pe"
	h := m.Hidden
	if !m.weights.Has(name) {
		return m.place([]int{m.Positions, h}, ir.WeightAttrs{Name: "positions"})
	}
	found := m.weights.Name(name)
	stored, _ := m.source.Tensor(found)
	rows := tableRows(stored.Shape, h)
	if !m.source.Config.Has("max_position_embeddings") && rows > 0 {
		m.Positions = rows
	}
	if rows < m.Positions {
		m.refuse(fault.Newf(fault.Corrupt, "weight %q: shape %v, want at least [%d 1 %d]", found, stored.Shape, m.Positions, h))
		return m.place([]int{m.Positions, h}, ir.WeightAttrs{})
	}
	t := m.weights.Tensor(name, stored.Shape...)
	t.Shape = []int{rows, h}
	return m.place(t.Shape, ir.WeightAttrs{Name: found, Tensor: found, Data: t})
}

// tableRows is P of a shape that is [P,width] but for dimensions of 1; 0 for
// any other shape.
func tableRows(shape []int, width int) int {
	if len(shape) < 2 || shape[len(shape)-1] != width {
		return 0
	}
	rows := 1
	for _, d := range shape[:len(shape)-1] {
		if d != 1 && rows != 1 {
			return 0
		}
		rows *= d
	}
	return rows
}

// maxSinusoids bounds the computed table, the one thing here whose size no
// tensor of the file vouches for: 2^16 positions of width 1024.
const maxSinusoids = 1 << 26

// sinusoids is PositionalEncoding of the tutorial, [P,H]:
//
//	pe[p][2i] = sin(p·w), pe[p][2i+1] = cos(p·w), w = exp(2i · (−ln 10000 / H))
//
// with every step rounded to float32, as torch rounds them. An odd H, which
// the tutorial cannot do, ends with a sine.
func (m *model) sinusoids() tensor.Tensor {
	h := m.Hidden
	if m.Positions > maxSinusoids/h {
		m.refuse(fault.Newf(fault.Corrupt, "config.json: %d positions of width %d are not stored and too many to compute", m.Positions, h))
		return tensor.Tensor{}
	}
	step := float32(-math.Log(10000) / float64(h))
	table := make([]float32, m.Positions*h)
	for i := 0; i < h; i += 2 {
		w := float32(math.Exp(float64(float32(i) * step)))
		for p := range m.Positions {
			angle := float64(float32(p) * w)
			table[p*h+i] = float32(math.Sin(angle))
			if i+1 < h {
				table[p*h+i+1] = float32(math.Cos(angle))
			}
		}
	}
	return tensor.FromFloat32s([]int{m.Positions, h}, table)
}
