package checkpoint

import (
	"bytes"
	"io/fs"
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

// files lists the regular files of a folder by their paths in it.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// writesBack writes the checkpoint and compares all files of the folder.
func writesBack(t *testing.T, dir string) {
	t.Helper()
	c := open(t, dir)
	out := filepath.Join(t.TempDir(), "out")
	if err := c.Write(out, false, nil); err != nil {
		t.Fatal(err)
	}
	want := files(t, dir)
	if got := files(t, out); !slices.Equal(got, want) {
		t.Errorf("%s: wrote %v, want %v", dir, got, want)
	}
	for _, name := range want {
		sameFile(t, filepath.Join(dir, name), filepath.Join(out, name))
	}
	a, err := c.Digest()
	if err != nil {
		t.Fatal(err)
	}
	b, err := open(t, out).Digest()
	if err != nil || a != b {
		t.Errorf("%s: digest %x, written %x (%v)", dir, a, b, err)
	}
}

func TestWriteIsTheIdentity(t *testing.T) { writesBack(t, tiny) }

func TestModelsWriteIsTheIdentity(t *testing.T) {
	dirs, _ := filepath.Glob("../../../shared/models/*")
	if len(dirs) == 0 {
		t.Fatal("no model in ../shared/models beside the repository")
	}
	for _, dir := range dirs {
		writesBack(t, dir)
	}
}

func TestWriteChangesOnlyWhatIsReplaced(t *testing.T) {
	c := open(t, tiny)
	const name = "bert.encoder.layer.1.output.dense.weight"
	old, _ := c.Tensor(name)
	zeros := tensor.FromFloat64s(old.Shape, make([]float64, old.Len()))
	out := filepath.Join(t.TempDir(), "out")
	if err := c.With(map[string]tensor.Tensor{name: zeros}).Write(out, false, nil); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(tiny + "/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(out + "/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Replace(before, old.Data, make([]byte, len(old.Data)), 1)
	if bytes.Equal(before, after) || !bytes.Equal(after, want) {
		t.Error("the file differs elsewhere, or not there")
	}
}

func TestWriteSideFiles(t *testing.T) {
	dir := folder(t, map[string][]byte{
		"config.json": []byte(` {"a" : 1}`), "model.safetensors": weights(t, vector("w", 1)),
		"vocab.txt": []byte("[PAD]\n"), "spiece.model": {0, 255}, "README.md": []byte("x"), "LICENSE": []byte("y"),
		"1_Pooling/config.json": []byte("{}"), "etc-recipe.json": []byte("old"),
		"pytorch_model.bin": []byte("left"), "pytorch_model.bin.index.json": []byte("left"), "onnx/model.json": []byte("left"),
		"model.safetensors.index.json": []byte("stale"),
	})
	out := filepath.Join(t.TempDir(), "out")
	if err := open(t, dir).Write(out, false, map[string][]byte{"etc-recipe.json": []byte("new"), "mask": nil}); err != nil {
		t.Fatal(err)
	}
	want := []string{"1_Pooling/config.json", "LICENSE", "README.md", "config.json", "etc-recipe.json", "mask", "model.safetensors", "spiece.model", "vocab.txt"}
	if got := files(t, out); !slices.Equal(got, want) {
		t.Errorf("wrote %v, want %v", got, want)
	}
	if got, _ := os.ReadFile(out + "/etc-recipe.json"); string(got) != "new" {
		t.Errorf("etc-recipe.json is %q, want that of extra", got)
	}
}

// A checkpoint may be a folder of links, to files and to folders.
func TestWriteFollowsLinks(t *testing.T) {
	real := folder(t, map[string][]byte{
		"config.json": []byte(` {"a" : 1}`), "model.safetensors": weights(t, vector("w", 1)), "1_Pooling/config.json": []byte("{}"),
	})
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	for _, name := range []string{"config.json", "model.safetensors", "1_Pooling"} {
		if err := os.Symlink(filepath.Join(real, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(t, dir).Write(out, false, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := files(t, out), files(t, real); !slices.Equal(got, want) {
		t.Errorf("wrote %v, want %v", got, want)
	}
}

func TestWriteRefusesInfinity(t *testing.T) {
	half := tensor.FromFloat32s([]int{1}, []float32{1}).Convert(tensor.F16)
	c := single(t, safetensors.Named{Name: "a", Tensor: half})
	over := c.With(map[string]tensor.Tensor{"a": tensor.FromFloat32s([]int{1}, []float32{70000})})
	out := filepath.Join(t.TempDir(), "out")
	if err := over.Write(out, false, nil); err == nil || !strings.Contains(err.Error(), `"a": element [0] is +Inf`) {
		t.Errorf("Write = %v", err)
	}
	if left, _ := filepath.Glob(out + "*"); left != nil {
		t.Errorf("Write left %v", left)
	}
}

// TestWritePlace: what stands at the place of the output, and what becomes of it.
func TestWritePlace(t *testing.T) {
	c := single(t, vector("w", 1))
	for name, at := range map[string]struct {
		files map[string][]byte
		place string
		force bool
		want  string // "" where it is written
	}{
		"exists":           {map[string][]byte{"d/config.json": nil}, "d", false, "exists already"},
		"replaced":         {map[string][]byte{"d/config.json": nil, "d/old": nil}, "d", true, ""},
		"no model folder":  {map[string][]byte{"d/thesis": nil}, "d", true, "is no model folder"},
		"a file":           {map[string][]byte{"d": nil}, "d", true, "is a file"},
		"no parent folder": {map[string][]byte{"x": nil}, "a/b", false, "no such folder"},
		"trailing slash":   {map[string][]byte{"x": nil}, "d/", false, ""},
	} {
		dir := folder(t, at.files)
		before := files(t, dir)
		err := c.Write(dir+"/"+at.place, at.force, nil)
		if at.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := files(t, dir+"/d"); !slices.Equal(got, []string{"config.json", "model.safetensors"}) {
				t.Errorf("%s: %v", name, got)
			}
		} else {
			if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), at.want) {
				t.Errorf("%s: %v, want a usage fault with %q", name, err, at.want)
			}
			if got := files(t, dir); !slices.Equal(got, before) {
				t.Errorf("%s: %v became %v", name, before, got)
			}
		}
		if left, _ := filepath.Glob(dir + "/*unfinished*"); left != nil {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

func TestWriteDoesNotReplaceItsSource(t *testing.T) {
	parent := folder(t, map[string][]byte{"config.json": nil, "in/config.json": []byte("{}"), "in/model.safetensors": weights(t, vector("w", 1))})
	c := open(t, parent+"/in")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(parent+"/in", link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Checkpoint{c, open(t, link)} {
		for _, dir := range []string{parent + "/in", parent, link} {
			if err := c.Write(dir, true, nil); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "holds the checkpoint") {
				t.Errorf("%s over %s: %v", c.Dir, dir, err)
			}
		}
	}
	if !exists(parent + "/in/model.safetensors") {
		t.Error("the source is gone")
	}
}

// TestWriteReplacesOnlyWhatMoves: a folder that the process runs in, and a mount
// point, are refused before anything is written.
func TestWriteReplacesOnlyWhatMoves(t *testing.T) {
	c := single(t, vector("w", 1))
	dir := folder(t, map[string][]byte{"at/in/x": nil, "at/config.json": nil, "empty/x": nil})
	if err := os.Remove(dir + "/empty/x"); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	for at, place := range map[string]string{"/empty": ".", "/at": ".", "/at/in": "..", "/at/in/": dir + "/at"} {
		t.Chdir(dir + at)
		err := c.Write(place, true, nil)
		if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "the command runs in it\nwrite to a new folder") {
			t.Errorf("%s in %s: %v", place, at, err)
		}
	}
	if got := files(t, dir); !slices.Equal(got, before) {
		t.Errorf("%v became %v", before, got)
	}
	for _, mount := range []string{"/dev/shm", "/proc"} { // of Linux
		if _, err := os.Stat(mount); err != nil {
			continue
		}
		if err := CheckReplaceable(mount); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "cannot be replaced") {
			t.Errorf("%s: %v", mount, err)
		}
		if left, _ := filepath.Glob(mount + ".unfinished*"); left != nil {
			t.Errorf("left %v", left)
		}
	}
}

// TestWriteKeepsPermissions: a folder that others may not see stays so.
func TestWriteKeepsPermissions(t *testing.T) {
	dir := folder(t, map[string][]byte{"d/config.json": nil})
	if err := os.Chmod(dir+"/d", 0o710); err != nil {
		t.Fatal(err)
	}
	if err := single(t, vector("w", 1)).Write(dir+"/d", true, nil); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir + "/d")
	if err != nil || info.Mode().Perm() != 0o710 {
		t.Errorf("%v %v, want 0710", info.Mode(), err)
	}
}

// TestDigest: what must change the digest does, and what must not does not.
func TestDigest(t *testing.T) {
	base := map[string][]byte{"config.json": []byte("{}"), "vocab.txt": []byte("a"), "model.safetensors": weights(t, vector("a", 1, 2), vector("b", 3))}
	digest := func(change map[string][]byte) string {
		all := map[string][]byte{}
		for _, m := range []map[string][]byte{base, change} {
			for k, v := range m {
				if all[k] = v; v == nil {
					delete(all, k)
				}
			}
		}
		d, err := open(t, folder(t, all)).Digest()
		if err != nil {
			t.Fatal(err)
		}
		return string(d[:])
	}
	want := digest(nil)
	index := []byte(`{"weight_map": {"a": "s1.safetensors", "b": "s2.safetensors"}}`)
	for name, change := range map[string]map[string][]byte{
		"order":  {"model.safetensors": weights(t, vector("b", 3), vector("a", 1, 2))},
		"readme": {"README.md": []byte("x")},
		"shards": {"model.safetensors": nil, indexFile: index, "s1.safetensors": weights(t, vector("a", 1, 2)), "s2.safetensors": weights(t, vector("b", 3))},
	} {
		if digest(change) != want {
			t.Errorf("%s: the digest changed", name)
		}
	}
	matrix := vector("a", 1, 2)
	matrix.Tensor.Shape = []int{2, 1}
	bits := vector("a", 1, 2)
	bits.Tensor.DType = tensor.I32
	seen := map[string]string{want: "base"}
	for name, change := range map[string]map[string][]byte{
		"config":     {"config.json": []byte("{ }")},
		"vocabulary": {"vocab.txt": []byte("b")},
		"no vocab":   {"vocab.txt": nil},
		"other file": {"vocab.txt": nil, "merges.txt": []byte("a")},
		"value":      {"model.safetensors": weights(t, vector("a", 1, 2), vector("b", 4))},
		"name":       {"model.safetensors": weights(t, vector("a", 1, 2), vector("c", 3))},
		"shape":      {"model.safetensors": weights(t, matrix, vector("b", 3))},
		"dtype":      {"model.safetensors": weights(t, bits, vector("b", 3))},
		"boundary":   {"model.safetensors": weights(t, vector("a", 1), vector("b", 2, 3))},
		"pooling": {"modules.json": []byte(`[{"path":"","type":"sentence_transformers.models.Transformer"},{"path":"p","type":"sentence_transformers.models.Pooling"}]`),
			"p/config.json": []byte(`{"pooling_mode_cls_token": true}`)},
	} {
		d := digest(change)
		if other, ok := seen[d]; ok {
			t.Errorf("%s: the digest is that of %s", name, other)
		}
		seen[d] = name
	}
	over := open(t, folder(t, base)).With(map[string]tensor.Tensor{"b": tensor.FromFloat32s([]int{1}, []float32{4})})
	if d, err := over.Digest(); err != nil || seen[string(d[:])] != "value" {
		t.Errorf("a replaced tensor gives another digest than the same in the file (%v)", err)
	}
}

// TestDigestOfChunks: every byte of a tensor of several chunks counts.
func TestDigestOfChunks(t *testing.T) {
	v := make([]float32, 3*chunkSize/4+1)
	c := single(t, vector("w", v...))
	seen := map[[32]byte]bool{}
	for _, at := range []int{-1, 0, chunkSize / 4, chunkSize/2 + 7, len(v) - 1} {
		if at >= 0 {
			v[at] = float32(math.Pi)
		}
		d, err := c.With(map[string]tensor.Tensor{"w": vector("w", v...).Tensor}).Digest()
		if err != nil || seen[d] {
			t.Errorf("element %d does not count (%v)", at, err)
		}
		seen[d] = true
	}
}
