package safetensors

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	lib "github.com/nlpodyssey/safetensors"
)

// FuzzParse: what the guard accepts, the library accepts with the same names,
// types, shapes and bytes; it is written back as it was.
func FuzzParse(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(damaged)) {
		if data := damaged[name].data; len(data) < 1<<12 {
			f.Add(data)
		}
	}
	f.Add(file(`{"__metadata__":{"format":"pt"},`+one+`,`+two+`}    `, 12))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := readHeader(data)
		if err != nil {
			return
		}
		theirs, err := lib.Deserialize(data)
		if err != nil {
			t.Fatalf("the library refuses: %v", err)
		}
		if theirs.Len() != len(h.entries) {
			t.Fatalf("%d tensors, the library has %d", len(h.entries), theirs.Len())
		}
		ours, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range ours.Names() {
			view, ok := theirs.Tensor(name)
			if !ok {
				t.Fatalf("the library lacks %q", name)
			}
			got, _ := ours.Tensor(name)
			same := slices.EqualFunc(got.Shape, view.Shape(), func(a int, b uint64) bool { return uint64(a) == b })
			if !same || got.DType.Code() != view.DType().String() || !bytes.Equal(got.Data, view.Data()) || got.Len() != len(got.Data)/got.DType.Size() {
				t.Fatalf("%q is %v, the library's %v%v", name, got, view.DType(), view.Shape())
			}
			e := h.entries[i]
			if from := data[h.size+e.begin : h.size+e.end]; !bytes.Equal(from, got.Data) {
				t.Fatalf("%q is not at its offsets", name)
			}
		}
		var out bytes.Buffer
		if err := ours.Rewrite(&out, nil); err != nil || !bytes.Equal(out.Bytes(), data) {
			t.Fatalf("written back as %q (%v)", out.Bytes(), err)
		}
	})
}
