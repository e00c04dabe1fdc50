// Command etc-bert writes a BERT checkpoint of random weights: by default one
// of the shape of BERT_BASE, for measurements on machines that have no real one.
// The same flags give the same bytes.
//
// It is a Hugging Face folder of BertForSequenceClassification with no
// tokenizer, in float32. No weight is zero, so that the compiler finds no
// structure in it.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"etc/formats/safetensors"
	"etc/ir/tensor"
)

// A shape is the sizes of a model, by default those of BERT_BASE.
type shape struct {
	layers, hidden, heads, inner int
	vocabulary, positions        int
	seed                         uint64
}

func main() {
	var s shape
	flag.IntVar(&s.layers, "layers", 12, "layers of the encoder")
	flag.IntVar(&s.hidden, "hidden", 768, "width of the hidden state")
	flag.IntVar(&s.heads, "heads", 12, "attention heads of a layer")
	flag.IntVar(&s.inner, "inner", 3072, "neurons of a layer")
	flag.IntVar(&s.vocabulary, "vocabulary", 30522, "number of token ids")
	flag.IntVar(&s.positions, "positions", 512, "longest row in tokens")
	flag.Uint64Var(&s.seed, "seed", 1, "of the weights")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: etc-bert [flags] FOLDER")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 || !s.valid() {
		flag.Usage()
		os.Exit(2)
	}
	if err := s.write(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "etc-bert:", err)
		os.Exit(1)
	}
}

// valid bounds the sizes, so that no product of two overflows.
func (s shape) valid() bool {
	for _, n := range []int{s.layers, s.hidden, s.heads, s.inner, s.vocabulary, s.positions} {
		if n < 1 || n > 1<<20 {
			return false
		}
	}
	return s.hidden%s.heads == 0
}

// write fills the folder, which must not exist.
func (s shape) write(folder string) error {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	config, err := json.MarshalIndent(s.config(), "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "config.json"), append(config, '\n'), 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewWriterSize(f, 1<<20)
	if err := safetensors.Write(b, s.weights(), map[string]string{"format": "pt"}); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func (s shape) config() map[string]any {
	return map[string]any{
		"architectures": []string{"BertForSequenceClassification"}, "model_type": "bert", "dtype": "float32",
		"num_hidden_layers": s.layers, "hidden_size": s.hidden, "num_attention_heads": s.heads, "intermediate_size": s.inner,
		"vocab_size": s.vocabulary, "max_position_embeddings": s.positions, "type_vocab_size": 2, "pad_token_id": 0,
		"hidden_act": "gelu", "layer_norm_eps": 1e-12, "position_embedding_type": "absolute",
		"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.02,
		"id2label": map[string]string{"0": "negative", "1": "positive"}, "label2id": map[string]int{"negative": 0, "positive": 1},
	}
}

// Deviations of the weights. They are a little above those that BERT is
// initialised with, so that attention and logits depend on the input.
const (
	spread     = 0.03
	normSpread = 0.1 // of LayerNorm's weights, whose mean is 1
)

// weights are all tensors, each with numbers of its own seed.
func (s shape) weights() []safetensors.Named {
	var all []safetensors.Named
	draw := func(name string, mean, spread float64, dims ...int) {
		n := 1
		for _, d := range dims {
			n *= d
		}
		all = append(all, safetensors.Named{Name: name, Tensor: tensor.FromFloat32s(dims, s.numbers(uint64(len(all)), n, mean, spread))})
	}
	linear := func(name string, out, in int) {
		draw(name+".weight", 0, spread, out, in)
		draw(name+".bias", 0, spread, out)
	}
	norm := func(name string) {
		draw(name+".weight", 1, normSpread, s.hidden)
		draw(name+".bias", 0, normSpread, s.hidden)
	}
	draw("bert.embeddings.word_embeddings.weight", 0, spread, s.vocabulary, s.hidden)
	draw("bert.embeddings.position_embeddings.weight", 0, spread, s.positions, s.hidden)
	draw("bert.embeddings.token_type_embeddings.weight", 0, spread, 2, s.hidden)
	norm("bert.embeddings.LayerNorm")
	for i := range s.layers {
		layer := fmt.Sprintf("bert.encoder.layer.%d.", i)
		for _, part := range []string{"query", "key", "value"} {
			linear(layer+"attention.self."+part, s.hidden, s.hidden)
		}
		linear(layer+"attention.output.dense", s.hidden, s.hidden)
		norm(layer + "attention.output.LayerNorm")
		linear(layer+"intermediate.dense", s.inner, s.hidden)
		linear(layer+"output.dense", s.hidden, s.inner)
		norm(layer + "output.LayerNorm")
	}
	linear("bert.pooler.dense", s.hidden, s.hidden)
	linear("classifier", 2, s.hidden)
	return all
}

// numbers are n normal numbers, none of them zero. The product is rounded
// before it is added, on every processor.
func (s shape) numbers(stream uint64, n int, mean, spread float64) []float32 {
	rng := rand.New(rand.NewPCG(s.seed, stream))
	all := make([]float32, n)
	for i := range all {
		for all[i] == 0 {
			all[i] = float32(mean + float64(spread*rng.NormFloat64()))
		}
	}
	return all
}
