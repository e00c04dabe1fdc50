// Package frontendtest writes small random checkpoints for tests: every class
// that the frontend supports, with odd sizes, under the names and in the
// dtypes that files in use have. Everything follows from the given source of
// random numbers. Only tests import it.
package frontendtest

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"etc/formats/safetensors"
	"etc/ir/tensor"
)

// Classes are the values of "architectures" that Random makes checkpoints of.
var Classes = []string{
	"BertModel", "BertForSequenceClassification",
	"DistilBertModel", "DistilBertForSequenceClassification",
	"GPT2Model", "GPT2LMHeadModel", "GPT2ForSequenceClassification",
	"TransformerModel",
}

// MaxLength is the longest row that every checkpoint takes: over a bucket of 128.
const MaxLength = 130

// Options choose among what files in use differ in. The zero Options are what
// today's libraries write, in f32, with random sizes.
type Options struct {
	DType tensor.DType // F32 where Invalid
	// Sizes; a random one where 0.
	Layers, Heads, HeadSize, Inner, Labels int

	NoPrefix  bool   // no "bert." and the like before the names of the base model
	GammaBeta bool   // gamma and beta instead of the weight and bias of a norm
	Zeros     bool   // rows, columns, heads, tiles, groups of 4 and elements of the layers' matrices are zero
	Problem   string // problem_type of a classification; absent where empty

	// Of GPT-2.
	Untied       bool // a vocabulary matrix of its own; also of TransformerModel
	ScaleByLayer bool // scale_attn_by_inverse_layer_idx

	// Of TransformerModel.
	ExampleNames, NormFirst, FinalNorm, StoredPositions bool
}

// RandomOptions draws every option but the sizes.
func RandomOptions(rng *rand.Rand) Options {
	yes := func() bool { return rng.IntN(2) == 0 }
	dtypes := []tensor.DType{tensor.F32, tensor.F16, tensor.BF16}
	return Options{
		DType: dtypes[rng.IntN(len(dtypes))], NoPrefix: yes(), GammaBeta: yes(), Zeros: yes(),
		Untied: yes(), ScaleByLayer: yes(),
		ExampleNames: yes(), NormFirst: yes(), FinalNorm: yes(), StoredPositions: yes(),
	}
}

// Random writes a checkpoint of the class, without a tokenizer, into a
// temporary folder and returns the folder.
func Random(t testing.TB, rng *rand.Rand, class string, o Options) string {
	t.Helper()
	c := &checkpoint{rng: rng, Options: o.sized(rng), config: map[string]any{"architectures": []string{class}}}
	c.write(class)
	dir := t.TempDir()
	text, err := json.MarshalIndent(c.config, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o666); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, c.tensors)
	return dir
}

// WriteTensors replaces the weights of the checkpoint in dir. The old file is
// left to those who have it open.
func WriteTensors(t testing.TB, dir string, tensors map[string]tensor.Tensor) {
	t.Helper()
	var list []safetensors.Named
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		list = append(list, safetensors.Named{Name: name, Tensor: tensors[name]})
	}
	writeFile(t, dir, list)
}

func writeFile(t testing.TB, dir string, tensors []safetensors.Named) {
	t.Helper()
	var b bytes.Buffer
	if err := safetensors.Write(&b, tensors, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "model.safetensors")
	if err := os.WriteFile(path+".new", b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// sized is o with random sizes in place of zeros.
func (o Options) sized(rng *rand.Rand) Options {
	for _, size := range []struct {
		n         *int
		low, high int
	}{{&o.Layers, 1, 3}, {&o.Heads, 1, 7}, {&o.HeadSize, 1, 13}, {&o.Inner, 1, 70}, {&o.Labels, 2, 5}} {
		drawn := size.low + rng.IntN(size.high-size.low+1)
		if *size.n == 0 {
			*size.n = drawn
		}
	}
	if o.DType == tensor.Invalid {
		o.DType = tensor.F32
	}
	return o
}

// A checkpoint is a folder under construction.
type checkpoint struct {
	Options
	rng     *rand.Rand
	config  map[string]any
	prefix  string // before the names that follow
	tensors []safetensors.Named
}

func (c *checkpoint) hidden() int { return c.Heads * c.HeadSize }

// add writes a tensor of random numbers with the given mean and deviation.
func (c *checkpoint) add(name string, mean, deviation float64, shape ...int) {
	n, _ := tensor.Elements(shape)
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(mean + deviation*c.rng.NormFloat64())
	}
	c.tensors = append(c.tensors, safetensors.Named{Name: c.prefix + name, Tensor: tensor.FromFloat32s(shape, v).Convert(c.DType)})
}

// table writes rows of an embedding.
func (c *checkpoint) table(name string, rows int) { c.add(name, 0, 1, rows, c.hidden()) }

// linear writes a weight [out, in] and a bias.
func (c *checkpoint) linear(name string, in, out int) {
	c.matrix(name+".weight", in, out, in)
	c.add(name+".bias", 0, 0.2, out)
}

// conv1D writes a weight [in, out] and a bias.
func (c *checkpoint) conv1D(name string, in, out int) {
	c.matrix(name+".weight", in, in, out)
	c.add(name+".bias", 0, 0.2, out)
}

// matrix writes a weight that sums over in numbers, so that products stay
// near 1, with some of it pruned where that is asked for.
func (c *checkpoint) matrix(name string, in, rows, cols int) {
	c.add(name, 0, 1/math.Sqrt(float64(in)), rows, cols)
	if !c.Zeros {
		return
	}
	t := &c.tensors[len(c.tensors)-1].Tensor
	v := t.Float32s()
	c.prune(v, rows, cols)
	*t = tensor.FromFloat32s(t.Shape, v).Convert(c.DType)
}

func (c *checkpoint) norm(name string) {
	gain, bias := ".weight", ".bias"
	if c.GammaBeta {
		gain, bias = ".gamma", ".beta"
	}
	c.add(name+gain, 1, 0.2, c.hidden())
	c.add(name+bias, 0, 0.2, c.hidden())
}
