package nvrtc

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// key is the digest of all that the bytes of a job's code depend on.
func (c *Compiler) key(j *Job) string {
	h := sha256.New()
	for _, part := range append([]string{"etc nvrtc 3", c.version, c.build, j.Name, j.Source}, j.options()...) {
		fmt.Fprintf(h, "%d %s\n", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// path is where the code of a job is kept.
func (c *Compiler) path(j *Job) string {
	k := c.key(j)
	return filepath.Join(c.cache, "nvrtc", k[:2], k)
}

// sum is the digest before the content of an entry: of the content, and of the
// job that it is for.
func (c *Compiler) sum(j *Job, content []byte) []byte {
	sum := sha256.Sum256(append([]byte(c.key(j)), content...))
	return sum[:]
}

// load is the code of a job from the cache. What is not there, or not what was
// stored, counts as absent.
func (c *Compiler) load(j *Job) (Code, bool) {
	if c.cache == "" {
		return Code{}, false
	}
	b, err := os.ReadFile(c.path(j))
	if err != nil || len(b) < sha256.Size {
		return Code{}, false
	}
	var code Code
	sum, content := b[:sha256.Size], b[sha256.Size:]
	if !bytes.Equal(sum, c.sum(j, content)) || json.Unmarshal(content, &code) != nil || len(code.Bytes) == 0 {
		return Code{}, false
	}
	return code, true
}

// store keeps code, whole or not at all. A cache that cannot be written is as
// good as none.
func (c *Compiler) store(j *Job, code Code) {
	if c.cache == "" {
		return
	}
	content, err := json.Marshal(code)
	if err != nil {
		panic(fmt.Sprintf("bug: nvrtc: %v", err))
	}
	path := c.path(j)
	if os.MkdirAll(filepath.Dir(path), 0o777) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".unfinished-*")
	if err != nil {
		return
	}
	defer os.Remove(f.Name()) // finds nothing where all went well
	_, err = f.Write(append(c.sum(j, content), content...))
	if f.Close() == nil && err == nil {
		os.Rename(f.Name(), path)
	}
}
