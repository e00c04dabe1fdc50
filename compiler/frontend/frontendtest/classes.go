package frontendtest

import (
	"fmt"
	"strings"
)

// vocabulary is the number of token ids, odd.
const vocabulary = 37

// write fills config and tensors for a class.
func (c *checkpoint) write(class string) {
	switch {
	case strings.HasPrefix(class, "Bert"):
		c.bert(class)
	case strings.HasPrefix(class, "DistilBert"):
		c.distilBERT(class)
	case strings.HasPrefix(class, "GPT2"):
		c.gpt2(class)
	case class == "TransformerModel":
		c.transformerLM()
	default:
		panic("bug: frontendtest: no class " + class)
	}
}

// set adds keys and values to config.json.
func (c *checkpoint) set(pairs ...any) {
	for i := 0; i < len(pairs); i += 2 {
		c.config[pairs[i].(string)] = pairs[i+1]
	}
}

// base puts prefix before the names that follow, unless there is to be none.
func (c *checkpoint) base(prefix string) {
	if !c.NoPrefix {
		c.prefix = prefix
	}
}

// labels says how many labels a classification has.
func (c *checkpoint) labels() {
	names := map[string]string{}
	for i := range c.Labels {
		names[fmt.Sprint(i)] = fmt.Sprintf("label %d", i)
	}
	c.set("id2label", names)
	if c.Problem != "" {
		c.set("problem_type", c.Problem)
	}
}

func (c *checkpoint) bert(class string) {
	h := c.hidden()
	c.set("model_type", "bert", "vocab_size", vocabulary, "max_position_embeddings", MaxLength, "type_vocab_size", 2,
		"hidden_size", h, "num_hidden_layers", c.Layers, "num_attention_heads", c.Heads, "intermediate_size", c.Inner,
		"hidden_act", "gelu", "layer_norm_eps", 1e-12)
	c.base("bert.")
	c.table("embeddings.word_embeddings.weight", vocabulary)
	c.table("embeddings.position_embeddings.weight", MaxLength)
	c.table("embeddings.token_type_embeddings.weight", 2)
	c.norm("embeddings.LayerNorm")
	for i := range c.Layers {
		layer := fmt.Sprintf("encoder.layer.%d.", i)
		c.linear(layer+"attention.self.query", h, h)
		c.linear(layer+"attention.self.key", h, h)
		c.linear(layer+"attention.self.value", h, h)
		c.linear(layer+"attention.output.dense", h, h)
		c.norm(layer + "attention.output.LayerNorm")
		c.linear(layer+"intermediate.dense", h, c.Inner)
		c.linear(layer+"output.dense", c.Inner, h)
		c.norm(layer + "output.LayerNorm")
	}
	c.Zeros = false
	c.linear("pooler.dense", h, h) // a base model has it too, and does not use it
	c.prefix = ""
	if class == "BertForSequenceClassification" {
		c.labels()
		c.linear("classifier", h, c.Labels)
	}
}

func (c *checkpoint) distilBERT(class string) {
	h := c.hidden()
	c.set("model_type", "distilbert", "vocab_size", vocabulary, "max_position_embeddings", MaxLength,
		"dim", h, "n_layers", c.Layers, "n_heads", c.Heads, "hidden_dim", c.Inner, "activation", "gelu")
	c.base("distilbert.")
	c.table("embeddings.word_embeddings.weight", vocabulary)
	c.table("embeddings.position_embeddings.weight", MaxLength)
	c.norm("embeddings.LayerNorm")
	for i := range c.Layers {
		layer := fmt.Sprintf("transformer.layer.%d.", i)
		c.linear(layer+"attention.q_lin", h, h)
		c.linear(layer+"attention.k_lin", h, h)
		c.linear(layer+"attention.v_lin", h, h)
		c.linear(layer+"attention.out_lin", h, h)
		c.norm(layer + "sa_layer_norm")
		c.linear(layer+"ffn.lin1", h, c.Inner)
		c.linear(layer+"ffn.lin2", c.Inner, h)
		c.norm(layer + "output_layer_norm")
	}
	c.Zeros = false
	c.prefix = ""
	if class == "DistilBertForSequenceClassification" {
		c.labels()
		c.linear("pre_classifier", h, h)
		c.linear("classifier", h, c.Labels)
	}
}

func (c *checkpoint) gpt2(class string) {
	h := c.hidden()
	c.set("model_type", "gpt2", "vocab_size", vocabulary, "n_positions", MaxLength, "n_embd", h, "n_layer", c.Layers, "n_head", c.Heads,
		"n_inner", c.Inner, "activation_function", "gelu_new", "layer_norm_epsilon", 1e-5,
		"scale_attn_weights", true, "scale_attn_by_inverse_layer_idx", c.ScaleByLayer, "tie_word_embeddings", !c.Untied)
	c.base("transformer.")
	c.table("wte.weight", vocabulary)
	c.table("wpe.weight", MaxLength)
	for i := range c.Layers {
		layer := fmt.Sprintf("h.%d.", i)
		c.norm(layer + "ln_1")
		c.conv1D(layer+"attn.c_attn", h, 3*h)
		c.conv1D(layer+"attn.c_proj", h, h)
		c.norm(layer + "ln_2")
		c.conv1D(layer+"mlp.c_fc", h, c.Inner)
		c.conv1D(layer+"mlp.c_proj", c.Inner, h)
	}
	c.norm("ln_f")
	c.Zeros = false
	c.prefix = ""
	switch class {
	case "GPT2LMHeadModel":
		if c.Untied {
			c.matrix("lm_head.weight", h, vocabulary, h)
		}
	case "GPT2ForSequenceClassification":
		c.labels()
		c.set("pad_token_id", vocabulary-1)
		c.matrix("score.weight", h, c.Labels, h)
	}
}

func (c *checkpoint) transformerLM() {
	h := c.hidden()
	c.set("model_type", "transformer-lm", "d_model", h, "nhead", c.Heads, "dim_feedforward", c.Inner, "num_layers", c.Layers,
		"vocab_size", vocabulary, "activation", "relu", "norm_first", c.NormFirst, "final_norm", c.FinalNorm, "layer_norm_eps", 1e-5,
		"causal", true, "scale_embedding", true, "position_embedding", "sinusoidal", "max_position_embeddings", MaxLength)
	embedding, encoder := "encoder.weight", "transformer_encoder."
	if c.ExampleNames {
		embedding, encoder = "input_emb.weight", "encoder."
	}
	c.add(embedding, 0, 0.3, vocabulary, h)
	for i := range c.Layers {
		layer := fmt.Sprintf("%slayers.%d.", encoder, i)
		c.matrix(layer+"self_attn.in_proj_weight", h, 3*h, h)
		c.add(layer+"self_attn.in_proj_bias", 0, 0.2, 3*h)
		c.linear(layer+"self_attn.out_proj", h, h)
		c.linear(layer+"linear1", h, c.Inner)
		c.linear(layer+"linear2", c.Inner, h)
		c.norm(layer + "norm1")
		c.norm(layer + "norm2")
	}
	if c.FinalNorm {
		c.norm(encoder + "norm")
	}
	c.Zeros = false
	if c.Untied {
		c.matrix("decoder.weight", h, vocabulary, h)
	}
	c.add("decoder.bias", 0, 0.2, vocabulary)
	if c.StoredPositions { // last, so that the other weights are those of the same seed without them
		c.add("pos_encoder.pe", 0, 0.5, MaxLength, 1, h)
	}
}
