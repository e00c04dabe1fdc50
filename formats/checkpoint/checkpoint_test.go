package checkpoint

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etc/fault"
	"etc/formats/safetensors"
	"etc/ir/tensor"
)

const tiny = "../../testdata/tiny-sst2"

// weights makes a weight file of tensors, in order.
func weights(t testing.TB, tensors ...safetensors.Named) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := safetensors.Write(&b, tensors, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// vector is an F32 tensor of one dimension.
func vector(name string, v ...float32) safetensors.Named {
	return safetensors.Named{Name: name, Tensor: tensor.FromFloat32s([]int{len(v)}, v)}
}

// folder makes a model folder of files by their paths in it.
func folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB, path string) *Checkpoint {
	t.Helper()
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// single is a folder with one weight file of these tensors.
func single(t testing.TB, tensors ...safetensors.Named) *Checkpoint {
	t.Helper()
	return open(t, folder(t, map[string][]byte{"config.json": []byte("{}"), "model.safetensors": weights(t, tensors...)}))
}

func TestOpenByFolderOrFile(t *testing.T) {
	for _, path := range []string{tiny, tiny + "/", tiny + "/model.safetensors"} {
		c := open(t, path)
		if got := c.Config.Size("hidden_size"); got != 128 {
			t.Errorf("%s: hidden_size %d", path, got)
		}
		word, ok := c.Tensor("bert.embeddings.word_embeddings.weight")
		if !ok || word.String() != "f16[6164 128]" {
			t.Errorf("%s: word embeddings are %v", path, word)
		}
		want, err := os.ReadFile(tiny + "/tokenizer.json")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(c.Tokenizer.TokenizerJSON, want) || c.Tokenizer.TokenizerConfig == nil || c.Tokenizer.VocabTxt != nil {
			t.Errorf("%s: the tokenizer's files are not those of the folder", path)
		}
		if c.Pooling != nil {
			t.Errorf("%s: pooling %v without modules.json", path, c.Pooling)
		}
	}
}

// TestTokenizerFromAllFiles: added_tokens.json, and the class and type that config.json names, reach the tokenizer.
func TestTokenizerFromAllFiles(t *testing.T) {
	files := map[string][]byte{
		"config.json":           []byte(`{"model_type": "bert"}`),
		"model.safetensors":     weights(t, vector("w", 1)),
		"vocab.txt":             []byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nA\n"),
		"added_tokens.json":     []byte(`{"[E1]": 7}`),
		"tokenizer_config.json": []byte(`{"do_lower_case": false}`),
	}
	tok, err := open(t, folder(t, files)).ReadTokenizer()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := tok.NewEncoder().AppendIDs(nil, "a[E1]A")
	if err != nil || !slices.Equal(ids, []int32{5, 7, 6}) {
		t.Errorf("ids %v, %v, want 5 7 6", ids, err)
	}
	files["config.json"] = []byte(`{"model_type": "bert", "tokenizer_class": "BertJapaneseTokenizer"}`)
	if _, err := open(t, folder(t, files)).ReadTokenizer(); fault.KindOf(err) != fault.Unsupported {
		t.Errorf("error %v, want that of a class that is not supported", err)
	}
	delete(files, "vocab.txt")
	files["config.json"] = []byte(`{"model_type": "roberta"}`)
	files["vocab.json"] = []byte(`{"<s>": 0, "</s>": 1, "a": 2}`)
	files["merges.txt"], files["added_tokens.json"] = []byte{}, []byte(`{}`)
	files["tokenizer_config.json"] = []byte(`{"added_tokens_decoder": {"3": {"content": "<mask>", "lstrip": true}}}`)
	tok, err = open(t, folder(t, files)).ReadTokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if single, _ := tok.Specials(); single != 2 {
		t.Errorf("%d special tokens around a text, want RoBERTa's 2", single)
	}
}

func TestOpenOfAnotherName(t *testing.T) {
	dir := folder(t, map[string][]byte{"config.json": []byte("{}"), "x.safetensors": weights(t, vector("w", 1))})
	c := open(t, dir+"/x.safetensors")
	if !c.Has("w") {
		t.Error("no weight w")
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := c.Write(out, false, nil); err != nil {
		t.Fatal(err)
	}
	sameFile(t, dir+"/x.safetensors", out+"/model.safetensors")
}

func TestOpenRefuses(t *testing.T) {
	config, w := []byte("{}"), weights(t, vector("w", 1))
	for name, c := range map[string]struct {
		files map[string][]byte
		path  string
		kind  fault.Kind
		want  string
	}{
		"no folder":  {map[string][]byte{"config.json": config}, "absent", fault.Usage, "no such file or folder"},
		"no file":    {map[string][]byte{"config.json": config}, "model.safetensors", fault.Usage, "no such file or folder"},
		"no weights": {map[string][]byte{"config.json": config}, "", fault.Usage, "no model.safetensors"},
		"no config":  {map[string][]byte{"model.safetensors": w}, "", fault.Usage, "no config.json"},
		"pytorch":    {map[string][]byte{"config.json": config, "pytorch_model.bin": w}, "", fault.Unsupported, "save_pretrained"},
		"pytorch file": {map[string][]byte{"config.json": config, "pytorch_model.bin": w}, "pytorch_model.bin", fault.Unsupported,
			"not a .safetensors file"},
		"damaged weights": {map[string][]byte{"config.json": config, "model.safetensors": w[:len(w)-1]}, "", fault.Corrupt, "model.safetensors: tensor \"w\": ends"},
		"damaged config":  {map[string][]byte{"config.json": []byte("{,}"), "model.safetensors": w}, "", fault.Corrupt, "config.json: not JSON"},
		"config a folder": {map[string][]byte{"config.json/x": nil, "model.safetensors": w}, "", fault.Corrupt, "config.json: not a regular file"},
	} {
		dir := folder(t, c.files)
		_, err := Open(filepath.Join(dir, c.path))
		if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want kind %d and %q", name, err, c.kind, c.want)
		}
	}
}

func TestWithLaysOver(t *testing.T) {
	half := tensor.FromFloat32s([]int{2}, []float32{1, 2}).Convert(tensor.F16)
	c := single(t, vector("a", 1, 2), safetensors.Named{Name: "h", Tensor: half}, vector("b", 3))
	x := 1 + math.Pow(2, -11) + math.Pow(2, -40) // rounded twice it would become 1
	over := c.With(map[string]tensor.Tensor{"h": tensor.FromFloat64s([]int{2}, []float64{x, 0})})
	got, _ := over.Tensor("h")
	if got.DType != tensor.F16 || !slices.Equal(got.Float64s(), []float64{1 + math.Pow(2, -10), 0}) {
		t.Errorf("h is %v %v", got, got.Float64s())
	}
	if old, _ := c.Tensor("h"); !slices.Equal(old.Float64s(), []float64{1, 2}) {
		t.Errorf("below, h became %v", old.Float64s())
	}
	both := over.With(map[string]tensor.Tensor{"b": tensor.FromFloat32s([]int{1}, []float32{9})})
	h, _ := both.Tensor("h")
	b, _ := both.Tensor("b")
	if h.Float64s()[1] != 0 || b.Float64s()[0] != 9 {
		t.Errorf("h %v, b %v", h.Float64s(), b.Float64s())
	}
	if b, _ := over.Tensor("b"); b.Float64s()[0] != 3 {
		t.Errorf("below, b became %v", b.Float64s())
	}
}

func TestWithRefusesAnotherShape(t *testing.T) {
	c := single(t, vector("a", 1, 2))
	for _, replace := range []map[string]tensor.Tensor{
		{"a": tensor.FromFloat32s([]int{2, 1}, []float32{1, 2})},
		{"b": tensor.FromFloat32s([]int{2}, []float32{1, 2})},
		{"a": tensor.FromInt32s([]int{2}, []int32{1, 2})},
	} {
		func() {
			defer func() {
				if s, _ := recover().(string); !strings.HasPrefix(s, "bug:") {
					t.Errorf("%v: %q, want a panic", replace, s)
				}
			}()
			c.With(replace)
		}()
	}
}

func TestCheckFiniteNamesTheFirst(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	const rows, width = 700, 1000 // several chunks
	for _, d := range []tensor.DType{tensor.F16, tensor.BF16, tensor.F32, tensor.F64} {
		for _, bad := range []float32{nan, inf, -inf} {
			for _, at := range []int{0, 5, 262144, 262143, rows*width - 1} {
				v := make([]float32, rows*width)
				for i := range v {
					v[i] = 65504 * float32(1-2*(i&1)) // the largest of F16, of both signs
				}
				v[at], v[rows*width-1] = bad, bad
				big := tensor.FromFloat32s([]int{rows, width}, v).Convert(d)
				after := tensor.FromFloat32s(nil, []float32{nan}).Convert(d)
				c := &Checkpoint{replaced: map[string]tensor.Tensor{"after": after, "big": big, "fine": tensor.FromFloat32s([]int{1}, v[1:2])}}
				err := c.CheckFinite([]string{"fine", "big", "after"})
				want := fmt.Sprintf(`weight "big": element [%d %d] is %v, want`, at/width, at%width, bad)
				if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), want) {
					t.Fatalf("%v with %v at %d: %v, want %q", d, bad, at, err, want)
				}
			}
		}
	}
}

// TestCheckFiniteFloat64: what float32 would round to infinity is refused, and
// nothing below it.
func TestCheckFiniteFloat64(t *testing.T) {
	last := math.Float64frombits(tooLarge - 1)
	for v, want := range map[float64]string{
		0: "", -1e-300: "", math.SmallestNonzeroFloat64: "", math.MaxFloat32: "", -last: "", last: "",
		math.Float64frombits(tooLarge): "is 3.4028235677973366e+38, want a number that float32 holds", -1e300: "is -1e+300, want a number that float32 holds",
		math.MaxFloat64: "want a number that float32 holds", math.Inf(1): "is +Inf, want a finite number", math.NaN(): "is NaN, want a finite number",
	} {
		if rounded := math.IsInf(float64(float32(v)), 0) || v != v; rounded != (want != "") {
			t.Errorf("%v: float32 makes %v of it", v, float32(v))
		}
		c := &Checkpoint{replaced: map[string]tensor.Tensor{"w": tensor.FromFloat64s([]int{3}, []float64{1, v, -1})}}
		err := c.CheckFinite([]string{"w"})
		if want == "" && err != nil || want != "" && (fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), `"w": element [1] `) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v: %v, want %q", v, err, want)
		}
	}
}

func TestCheckFiniteAcceptsEveryFiniteNumber(t *testing.T) {
	for _, d := range []tensor.DType{tensor.F16, tensor.BF16} {
		var fine []byte
		for h := range 1 << 16 {
			one := tensor.Tensor{DType: d, Shape: []int{1}, Data: []byte{byte(h), byte(h >> 8)}}
			finite := !math.IsNaN(one.Float64s()[0]) && !math.IsInf(one.Float64s()[0], 0)
			c := &Checkpoint{replaced: map[string]tensor.Tensor{"x": one}}
			if err := c.CheckFinite([]string{"x"}); (err == nil) != finite {
				t.Fatalf("%v %#04x is %v: %v", d, h, one.Float64s(), err)
			}
			if finite {
				fine = append(fine, one.Data...)
			}
		}
		all := tensor.Tensor{DType: d, Shape: []int{len(fine) / 2}, Data: fine}
		c := &Checkpoint{replaced: map[string]tensor.Tensor{"x": all}}
		if err := c.CheckFinite([]string{"x"}); err != nil {
			t.Errorf("%v: %v", d, err)
		}
	}
	c := single(t, safetensors.Named{Name: "ids", Tensor: tensor.FromInt32s([]int{1}, []int32{0x7f800000})})
	if err := c.CheckFinite(c.Names()); err != nil {
		t.Errorf("integers: %v", err)
	}
}

func TestShrunkWeightsAreCorrupt(t *testing.T) {
	big := safetensors.Named{Name: "w", Tensor: tensor.FromFloat32s([]int{1 << 20}, make([]float32, 1<<20))}
	c := single(t, big)
	if err := os.Truncate(filepath.Join(c.Dir, "model.safetensors"), 8192); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	_, digest := c.Digest()
	for what, err := range map[string]error{
		"CheckFinite": c.CheckFinite(c.Names()),
		"Digest":      digest,
		"Write":       c.Write(out, false, nil),
	} {
		if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), "shrank") {
			t.Errorf("%s: %v, want that the file shrank", what, err)
		}
	}
	if left, _ := filepath.Glob(out + "*"); left != nil {
		t.Errorf("Write left %v", left)
	}
}
