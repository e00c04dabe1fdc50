package safetensors

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etc/ir/tensor"
)

func TestRewriteIsTheIdentity(t *testing.T) {
	for _, header := range []string{
		`{"__metadata__":{"format":"pt","a":"\u003c"},` + two + ` , ` + one + "}  \n ",
		`{` + one + `,"e":{"dtype":"I64","shape":[0],"data_offsets":[8,8]},` + two + `}`,
	} {
		data := file(header, 12)
		f, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := f.Rewrite(&out, nil); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), data) {
			t.Errorf("%s is written back as %q", header, out.Bytes())
		}
	}
}

func TestRewriteChangesOnlyWhatIsReplaced(t *testing.T) {
	data := file(`{`+two+`,`+one+`}`, 12)
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	b := tensor.Tensor{DType: tensor.F16, Shape: []int{2, 1}, Data: []byte("BBBB")}
	if err := f.Rewrite(&out, map[string]tensor.Tensor{"b": b}); err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(data[:len(data)-4]), "BBBB"...)
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("got  %q\nwant %q", out.Bytes(), want)
	}
}

func TestRewriteRefusesAnotherShape(t *testing.T) {
	f, err := Parse(file(`{`+one+`}`, 8))
	if err != nil {
		t.Fatal(err)
	}
	for name, replace := range map[string]tensor.Tensor{
		"a":  {DType: tensor.F32, Shape: []int{1, 2}, Data: make([]byte, 8)},
		"a ": {DType: tensor.F32, Shape: []int{2}, Data: make([]byte, 8)},
	} {
		func() {
			defer func() {
				if s, _ := recover().(string); !strings.HasPrefix(s, "bug:") {
					t.Errorf("%q: %q, want a panic", name, s)
				}
			}()
			f.Rewrite(new(bytes.Buffer), map[string]tensor.Tensor{name: replace})
		}()
	}
}

// TestWriteReads writes tensors of odd sizes: what is read back is the same,
// in the same order, and every tensor lies at a multiple of its element size.
func TestWriteReads(t *testing.T) {
	var tensors []Named
	for i, d := range []tensor.DType{tensor.U8, tensor.F64, tensor.Bool, tensor.BF16, tensor.F32, tensor.F16, tensor.I64} {
		n := 2*i + 1
		tensors = append(tensors, Named{d.Code() + " <é\"\n>", tensor.Tensor{DType: d, Shape: []int{n}, Data: bytes.Repeat([]byte{byte(i)}, n*d.Size())}})
	}
	tensors = append(tensors, Named{"scalar", tensor.FromFloat32s(nil, []float32{1})})
	metadata := map[string]string{"format": "pt", "<z>": "ü\x00"}
	var out, again bytes.Buffer
	for _, w := range []*bytes.Buffer{&out, &again} {
		if err := Write(w, tensors, metadata); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Error("the same tensors give other bytes")
	}
	f, err := Parse(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(f.head)%8 != 0 {
		t.Errorf("data begins at byte %d, want a multiple of 8", len(f.head))
	}
	if !maps.Equal(f.Metadata(), metadata) {
		t.Errorf("metadata %v", f.Metadata())
	}
	for i, name := range f.Names() {
		got, _ := f.Tensor(name)
		want := tensors[i]
		if name != want.Name || got.String() != want.Tensor.String() || !bytes.Equal(got.Data, want.Tensor.Data) {
			t.Errorf("tensor %d: %q %v, want %q %v", i, name, got, want.Name, want.Tensor)
		}
	}
}

func TestWriteHeader(t *testing.T) {
	var out bytes.Buffer
	mask := tensor.Tensor{DType: tensor.U8, Shape: []int{1}, Data: []byte{7}}
	if err := Write(&out, []Named{{"m", mask}, {"<w>", tensor.FromFloat32s(nil, []float32{0})}}, map[string]string{"b": "2", "a": "1"}); err != nil {
		t.Fatal(err)
	}
	want := `{"__metadata__":{"a":"1","b":"2"},"m":{"dtype":"U8","shape":[1],"data_offsets":[4,5]},"<w>":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`
	if got := string(bytes.TrimRight(out.Bytes()[8:out.Len()-5], " ")); got != want {
		t.Errorf("header\n%s, want\n%s", got, want)
	}
}

// models are the checkpoints beside the repository.
func models(t *testing.T) []string {
	t.Helper()
	paths, _ := filepath.Glob("../../../shared/models/*/model.safetensors")
	if len(paths) == 0 {
		t.Fatal("no model in ../shared/models beside the repository")
	}
	return paths
}

func TestModelsWriteBack(t *testing.T) {
	for _, path := range models(t) {
		f, err := Open(path)
		if err != nil {
			t.Error(err)
			continue
		}
		var out bytes.Buffer
		if err := f.Rewrite(&out, nil); err != nil {
			t.Error(err)
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		if !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s: %d bytes written back differ from the file's %d", path, out.Len(), len(want))
		}
		f.Close()
	}
}

// TestModelsOpenIsQuick opens the largest model, of 90 MB: nothing but the header is read.
func TestModelsOpenIsQuick(t *testing.T) {
	const bound = 20 * time.Millisecond
	best := time.Hour
	for range 5 {
		begin := time.Now()
		f, err := Open("../../../shared/models/all-MiniLM-L6-v2/model.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(begin))
		f.Close()
	}
	t.Logf("opened in %v", best)
	if best > bound {
		t.Errorf("opening took %v, want at most %v", best, bound)
	}
}
