package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etc/compiler/frontend/frontendtest"
	"etc/formats/safetensors"
	"etc/ir/tensor"
	"etc/prune"
)

// weightsIn opens the weights of a folder, or another file of tensors in it.
func weightsIn(t *testing.T, folder, file string) *safetensors.File {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(folder, file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func tensorNamed(t *testing.T, f *safetensors.File, name string) tensor.Tensor {
	t.Helper()
	x, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	return x
}

// TestPrunedFolder: a pruned folder has the names, order, shapes, dtypes,
// metadata and other files of the checkpoint; without calibration what a mask keeps has its
// bytes, what it does not is +0, nothing else but biases changed, and the recipe
// counts the zeros.
func TestPrunedFolder(t *testing.T) {
	random := func(class string, d tensor.DType) string {
		return frontendtest.Random(t, rand.New(rand.NewPCG(8, 0)), class, frontendtest.Options{Layers: 2, Heads: 4, HeadSize: 8, Inner: 48, DType: d})
	}
	for name, model := range map[string]string{
		"tiny-sst2":     tinyModel,
		"transposed":    random("GPT2LMHeadModel", tensor.F16),
		"fused in_proj": random("TransformerModel", tensor.BF16),
	} {
		for _, m := range prune.Methods() {
			t.Run(name+" "+m.Name, func(t *testing.T) {
				out := filepath.Join(t.TempDir(), "pruned")
				mustRun(t, "prune", model, "-o", out, "--sparsity", "0.1", "--method", m.Name, "--quiet")
				checkPruned(t, model, out, magnitude)
			})
		}
	}
}

// TestPrunedVocabularyStaysTied: pruning changes neither of two names for one
// weight, so what it writes is still taken as tied.
func TestPrunedVocabularyStaysTied(t *testing.T) {
	const word, head = "transformer.wte.weight", "lm_head.weight"
	model := frontendtest.Random(t, rand.New(rand.NewPCG(8, 0)), "GPT2LMHeadModel", frontendtest.Options{Layers: 2, Heads: 4, HeadSize: 8, Inner: 48})
	tensors := map[string]tensor.Tensor{}
	before := weightsIn(t, model, "model.safetensors")
	for _, name := range before.Names() {
		tensors[name] = tensorNamed(t, before, name)
	}
	tensors[head] = tensors[word]
	frontendtest.WriteTensors(t, model, tensors)
	calib := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(calib, []byte(strings.Repeat(`{"ids":[1,2,3,4,5,6]}`+"\n", 8)), 0o666); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "pruned")
	mustRun(t, "prune", model, "-o", out, "--sparsity", "0.3", "--calib", calib, "--quiet")
	after := weightsIn(t, out, "model.safetensors")
	for _, name := range []string{word, head} {
		if !bytes.Equal(tensorNamed(t, after, name).Data, tensors[word].Data) {
			t.Errorf("%s changed", name)
		}
	}
	mustRun(t, "compile", out, "-o", filepath.Join(t.TempDir(), "p.etp"), "--quiet")
}

// magnitude is what scores are made of without calibration.
const magnitude = "magnitude of the weights"

func checkPruned(t *testing.T, model, out, scores string) {
	t.Helper()
	before, after := weightsIn(t, model, "model.safetensors"), weightsIn(t, out, "model.safetensors")
	masks := weightsIn(t, out, "etc-masks.safetensors")
	if !slices.Equal(before.Names(), after.Names()) || !maps.Equal(before.Metadata(), after.Metadata()) {
		t.Error("names, their order or metadata changed")
	}
	zeros := 0
	for _, name := range before.Names() {
		b, a := tensorNamed(t, before, name), tensorNamed(t, after, name)
		if a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) {
			t.Fatalf("%s is %v %v, was %v %v", name, a.DType, a.Shape, b.DType, b.Shape)
		}
		mask, masked := masks.Tensor(name)
		switch {
		case masked:
			zeros += checkMasked(t, name, b, a, mask, scores == magnitude)
		case len(b.Shape) == 2 && !bytes.Equal(b.Data, a.Data):
			t.Errorf("%s changed and has no mask", name)
		}
	}
	checkRecipe(t, out, scores, zeros)
	for _, file := range []string{"config.json", "tokenizer.json"} {
		was, err := os.ReadFile(filepath.Join(model, file))
		is, _ := os.ReadFile(filepath.Join(out, file))
		if err == nil && !bytes.Equal(was, is) {
			t.Errorf("%s changed", file)
		}
	}
}

// checkMasked compares a matrix with its mask and returns how many entries
// are zero.
func checkMasked(t *testing.T, name string, before, after, mask tensor.Tensor, bytesStay bool) (zeros int) {
	t.Helper()
	if mask.DType != tensor.U8 || !slices.Equal(mask.Shape, before.Shape) {
		t.Fatalf("mask of %s is %v %v", name, mask.DType, mask.Shape)
	}
	size := before.DType.Size()
	zero := make([]byte, size)
	for i, keep := range mask.Data {
		want := before.Data[i*size : (i+1)*size]
		if keep == 0 {
			want = zero
			zeros++
		}
		if (keep == 0 || bytesStay) && !bytes.Equal(after.Data[i*size:(i+1)*size], want) {
			t.Fatalf("%s: entry %d with mask %d is % x, want % x", name, i, keep, after.Data[i*size:(i+1)*size], want)
		}
	}
	return zeros
}

func checkRecipe(t *testing.T, folder, scores string, zeros int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "etc-recipe.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		prune.Recipe
		Etc, Source string
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	counted, total := 0, 0
	for _, m := range r.Matrices {
		counted += m.Zeros
		total += m.Shape[0] * m.Shape[1]
	}
	if counted != zeros || zeros == 0 || r.Sparsity != float64(zeros)/float64(total) {
		t.Errorf("recipe counts %d zeros, sparsity %v; the masks have %d of %d", counted, r.Sparsity, zeros, total)
	}
	if r.Schema != 3 || r.Method == "" || !strings.HasPrefix(r.Scores, scores) || r.Etc != version || len(r.Source) != 64 {
		t.Errorf("recipe begins %.300s", text)
	}
}

// TestMasksOfZerosThatWereThere: pruned twice, a model keeps the masks of what
// went first.
func TestMasksOfZerosThatWereThere(t *testing.T) {
	once, twice := filepath.Join(t.TempDir(), "once"), filepath.Join(t.TempDir(), "twice")
	mustRun(t, "prune", tinyModel, "-o", once, "--sparsity", "0.08", "--method", "heads", "--quiet")
	mustRun(t, "prune", once, "-o", twice, "--sparsity", "0.3", "--method", "neurons", "--quiet")
	checkPruned(t, once, twice, magnitude)
	first, second := weightsIn(t, once, "etc-masks.safetensors"), weightsIn(t, twice, "etc-masks.safetensors")
	for _, name := range first.Names() {
		was, is := tensorNamed(t, first, name), tensorNamed(t, second, name)
		for i, keep := range was.Data {
			if keep == 0 && is.Data[i] != 0 {
				t.Fatalf("%s: entry %d went first and has no mask now", name, i)
			}
		}
	}
}
