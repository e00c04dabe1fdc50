package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"etc/fault"
)

const shard1, shard2 = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"

// sharded are the files of a checkpoint in two shards, with that weight_map.
func sharded(t testing.TB, weightMap string) map[string][]byte {
	return map[string][]byte{
		"config.json": []byte("{}"),
		shard1:        weights(t, vector("c", 1), vector("a", 2)),
		shard2:        weights(t, vector("b", 3)),
		indexFile:     fmt.Appendf(nil, `{"metadata": {"total_size": 12}, "weight_map": %s}`, weightMap),
	}
}

const wholeMap = `{"b": "` + shard2 + `", "a": "` + shard1 + `", "c": "` + shard1 + `"}`

func TestShards(t *testing.T) {
	dir := folder(t, sharded(t, wholeMap))
	for _, path := range []string{"", indexFile, shard2} {
		c := open(t, filepath.Join(dir, path))
		if got := c.Names(); !slices.Equal(got, []string{"c", "a", "b"}) {
			t.Errorf("%q: names %v, want the shards' order", path, got)
		}
		b, _ := c.Tensor("b")
		if b.Float64s()[0] != 3 {
			t.Errorf("%q: b is %v", path, b.Float64s())
		}
	}
}

func TestSingleFileGoesBeforeTheIndex(t *testing.T) {
	files := sharded(t, wholeMap)
	files[weightsFile] = weights(t, vector("x", 1))
	if c := open(t, folder(t, files)); !slices.Equal(c.Names(), []string{"x"}) {
		t.Errorf("names %v, want those of %s", c.Names(), weightsFile)
	}
}

func TestShardsRefused(t *testing.T) {
	for weightMap, want := range map[string]string{
		`null`:                             "weight_map is , want an object",
		`[]`:                               "weight_map is [], want",
		`{}`:                               "weight_map is {}, want",
		`{"a": 1}`:                         `weight_map is {"a":1}, want`,
		`{"a": null}`:                      `shard ""`,
		`{"a": "../other/x.safetensors"}`:  `shard "../other/x.safetensors", want the name`,
		`{"a": "/etc/x.safetensors"}`:      `shard "/etc/x.safetensors", want the name`,
		`{"a": "sub/x.safetensors"}`:       "want the name",
		`{"a": "sub\\x.safetensors"}`:      "want the name",
		`{"a": "..\\x.safetensors"}`:       "want the name",
		`{"a": "x\u0000.safetensors"}`:     "want the name",
		`{"a": "C:x.safetensors"}`:         "want the name",
		`{"a": ".."}`:                      "want the name",
		`{"a": "config.json"}`:             "want the name of a .safetensors file",
		`{"a": "model-00003.safetensors"}`: `names "model-00003.safetensors", which is not there`,
		`{"a": "` + shard1 + `"}`:          `"c", which model.safetensors.index.json does not place there`,
		wholeMap[:len(wholeMap)-1] + `, "d": "` + shard2 + `"}`:                 `places "d" in "` + shard2 + `", which does not hold it`,
		`{"a": "` + shard2 + `", "b": "` + shard2 + `", "c": "` + shard1 + `"}`: `"a", which model.safetensors.index.json does not place there`,
		wholeMap[:len(wholeMap)-1] + `, "a": "` + shard1 + `"}`:                 `"a" stands there twice`,
	} {
		dir := folder(t, sharded(t, weightMap))
		_, err := Open(dir)
		if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want a corrupt fault with %q", weightMap, err, want)
		}
	}
}

// TestShardNotAFile: what the index names is part of the input, so a folder or a
// pipe there is damage, and no pipe is waited for.
func TestShardNotAFile(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"folder": func(path string) error { return os.Mkdir(path, 0o777) },
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o666) },
	} {
		dir := folder(t, sharded(t, wholeMap))
		path := filepath.Join(dir, shard2)
		if err := errors.Join(os.Remove(path), put(path)); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), `"`+shard2+`", which is not a regular file`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShardsAreWrittenBack(t *testing.T) {
	dir := folder(t, sharded(t, wholeMap))
	c := open(t, dir)
	out := filepath.Join(t.TempDir(), "out")
	if err := c.Write(out, false, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{shard1, shard2, indexFile, "config.json"} {
		sameFile(t, filepath.Join(dir, name), filepath.Join(out, name))
	}
	if exists(filepath.Join(out, weightsFile)) {
		t.Errorf("%s was written beside the shards", weightsFile)
	}
}

// sameFile compares two files byte for byte.
func sameFile(t *testing.T, a, b string) {
	t.Helper()
	want, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(b)
	if err != nil {
		t.Error(err)
		return
	}
	if string(got) != string(want) {
		t.Errorf("%s differs from %s", b, a)
	}
}
