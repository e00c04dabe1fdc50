package checkpoint

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"etc/fault"
	"etc/formats/safetensors"
	"etc/formats/tokenizer"
)

const (
	weightsFile = "model.safetensors"
	indexFile   = "model.safetensors.index.json"
	maxSmall    = 64 << 20 // bytes of a tokenizer, index or pooling file; the largest vocabularies take 35 MB
)

// Open reads the model folder at path, or the folder of the weight file or of
// the index at path. In a folder that has both, model.safetensors goes before
// the index, as in transformers. A path that is not there, and a folder
// without config.json or weights, is fault.Usage; weights in another format
// are fault.Unsupported; anything damaged is fault.Corrupt.
func Open(path string) (*Checkpoint, error) {
	dir, weights, err := locate(path)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Dir: dir, home: map[string]*safetensors.File{}}
	if err := c.readSmallFiles(); err != nil {
		return nil, inFolder(dir, err)
	}
	if weights == indexFile {
		err = c.openShards()
	} else {
		err = c.openSingle(weights)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// inFolder puts the folder before an error that names a file in it.
func inFolder(dir string, err error) error {
	if fault.KindOf(err) == fault.Internal {
		return err
	}
	return fault.Newf(fault.KindOf(err), "%s: %w", dir, err)
}

// locate finds the folder, and in it the name of the weight file or the index.
func locate(path string) (dir, weights string, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", fault.Newf(fault.Usage, "%s: no such file or folder", path)
	case err != nil:
		return "", "", err
	case info.IsDir():
		weights, err = weightsIn(path)
		return path, weights, err
	}
	dir, base := filepath.Split(path)
	dir = filepath.Clean(dir)
	switch {
	case base == indexFile:
		return dir, base, nil
	case filepath.Ext(base) != ".safetensors":
		return "", "", fault.Newf(fault.Unsupported, "%s: not a .safetensors file, want a model folder or the %s inside one", path, weightsFile)
	case base != weightsFile && isShard(dir, base):
		return dir, indexFile, nil
	}
	return dir, base, nil
}

// weightsIn is the name of the weight file or the index in a folder.
func weightsIn(dir string) (string, error) {
	for _, name := range []string{weightsFile, indexFile} {
		if exists(filepath.Join(dir, name)) {
			return name, nil
		}
	}
	for _, name := range []string{"pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack"} {
		if exists(filepath.Join(dir, name)) {
			return "", fault.Newf(fault.Unsupported, "%s: has %s, want %s", dir, name, weightsFile).
				WithHint("in Python, load it with transformers and call model.save_pretrained(folder, safe_serialization=True)")
		}
	}
	return "", fault.Newf(fault.Usage, "%s: no %s in this folder", dir, weightsFile)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isShard reports whether the index in dir names the file base.
func isShard(dir, base string) bool {
	data, err := readSmall(dir, indexFile)
	if data == nil || err != nil {
		return false
	}
	of, err := parseIndex(data)
	return err == nil && slices.Contains(slices.Collect(maps.Values(of)), base)
}

// readSmall reads a file of at most maxSmall bytes; nil where there is none.
func readSmall(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path) // before opening, which would wait on a named pipe
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fault.Newf(fault.Corrupt, "%s: not a regular file", name)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSmall {
		return nil, fault.Newf(fault.Corrupt, "%s: more than %d bytes", name, maxSmall)
	}
	return data, nil
}

// readSmallFiles reads everything but the weights.
func (c *Checkpoint) readSmallFiles() error {
	config, err := readSmall(c.Dir, configFile)
	if err != nil {
		return err
	}
	if config == nil {
		return fault.Newf(fault.Usage, "no %s beside the weights", configFile)
	}
	if c.Config, err = ParseConfig(config); err != nil {
		return err
	}
	for _, f := range tokenizerFiles(&c.Tokenizer) {
		if *f.data, err = readSmall(c.Dir, f.name); err != nil {
			return err
		}
	}
	c.Tokenizer.ModelClass, c.Tokenizer.ModelType = c.Config.String("tokenizer_class", ""), c.Config.String("model_type", "")
	c.Pooling, err = readPooling(c.Dir)
	return err
}

type smallFile struct {
	name string
	data *[]byte
}

// tokenizerFiles lists the tokenizer's files in a fixed order.
func tokenizerFiles(t *tokenizer.Files) []smallFile {
	return []smallFile{
		{"tokenizer.json", &t.TokenizerJSON},
		{"tokenizer_config.json", &t.TokenizerConfig},
		{"special_tokens_map.json", &t.SpecialTokensMap},
		{"vocab.txt", &t.VocabTxt},
		{"vocab.json", &t.VocabJSON},
		{"merges.txt", &t.MergesTxt},
		{"added_tokens.json", &t.AddedTokens},
	}
}

func (c *Checkpoint) openSingle(name string) error {
	f, err := safetensors.Open(filepath.Join(c.Dir, name))
	if err != nil {
		return err
	}
	// Whatever it was called, transformers looks for this name.
	c.add(weightsFile, f)
	return nil
}

func (c *Checkpoint) add(name string, f *safetensors.File) {
	c.shards = append(c.shards, shard{name, f})
	for _, tensor := range f.Names() {
		c.names = append(c.names, tensor)
		c.home[tensor] = f
	}
}

// openShards opens what the index names. The index and the shards must list
// the same tensors: a shard that holds one more is refused, because nobody
// can say which of two readings of the checkpoint was meant.
func (c *Checkpoint) openShards() error {
	index, err := readSmall(c.Dir, indexFile)
	if err != nil {
		return inFolder(c.Dir, err)
	}
	of, err := parseIndex(index)
	if err != nil {
		return inFolder(c.Dir, err)
	}
	c.index = index
	for _, name := range slices.Compact(slices.Sorted(maps.Values(of))) {
		path := filepath.Join(c.Dir, name)
		if !exists(path) {
			return fault.Newf(fault.Corrupt, "%s: %s names %q, which is not there", c.Dir, indexFile, name)
		}
		if !isRegular(path) {
			return fault.Newf(fault.Corrupt, "%s: %s names %q, which is not a regular file", c.Dir, indexFile, name)
		}
		f, err := safetensors.Open(path)
		if err != nil {
			return err
		}
		for _, tensor := range f.Names() {
			if of[tensor] != name {
				f.Close()
				return fault.Newf(fault.Corrupt, "%s holds %q, which %s does not place there", path, tensor, indexFile)
			}
		}
		c.add(name, f)
	}
	return c.checkComplete(of)
}

// checkComplete looks for tensors that the index lists and no shard holds.
func (c *Checkpoint) checkComplete(of map[string]string) error {
	if len(c.names) == len(of) {
		return nil // every tensor held is listed, so none is missing
	}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if !c.Has(name) {
			return fault.Newf(fault.Corrupt, "%s: %s places %q in %q, which does not hold it", c.Dir, indexFile, name, of[name])
		}
	}
	panic("bug: checkpoint: more tensors than the index lists")
}

// parseIndex reads a model.safetensors.index.json: the shard of each tensor.
func parseIndex(data []byte) (of map[string]string, err error) {
	f, err := parseObject(indexFile, data)
	if err != nil {
		return nil, err
	}
	_, raw, _ := f.get("weight_map")
	if json.Unmarshal(raw, &of) != nil || len(of) == 0 {
		return nil, fault.Newf(fault.Corrupt, "%s: weight_map is %s, want an object from tensor to file names", indexFile, oneLine(raw))
	}
	for _, tensor := range slices.Sorted(maps.Keys(of)) {
		if name := of[tensor]; !isPlainName(name) || !strings.HasSuffix(name, ".safetensors") {
			return nil, fault.Newf(fault.Corrupt, "%s: shard %q, want the name of a .safetensors file in the same folder", indexFile, name)
		}
	}
	return of, nil
}

// isPlainName reports whether name stays in the folder it is joined to, on
// every system: no separators, drives, dots alone or control characters.
func isPlainName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) < 256 && filepath.IsLocal(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || strings.ContainsRune(`/\:`, r) })
}
