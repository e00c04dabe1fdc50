package nvrtc

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"etc/memo"
)

// cacheIn is the cache in a folder, nil for none.
func cacheIn(folder string) *memo.Memo {
	if folder == "" {
		return nil
	}
	return memo.Open(filepath.Join(folder, "nvrtc"))
}

// question is all that the bytes of a job's code depend on.
func (c *Compiler) question(j *Job) memo.Question {
	return memo.Ask(append([]string{"etc nvrtc 4", c.version, c.build, j.Name, j.Source}, j.options()...)...)
}

// load is the code of a job from the cache.
func (c *Compiler) load(j *Job) (Code, bool) {
	var code Code
	known := c.cache.Load(c.question(j), func(from io.Reader, _ int64) error {
		err := json.NewDecoder(from).Decode(&code)
		if err == nil && len(code.Bytes) == 0 {
			err = fmt.Errorf("no code")
		}
		return err
	})
	return code, known
}

// store keeps the code of a job.
func (c *Compiler) store(j *Job, code Code) {
	c.cache.Store(c.question(j), func(to io.Writer) error { return json.NewEncoder(to).Encode(code) })
}
