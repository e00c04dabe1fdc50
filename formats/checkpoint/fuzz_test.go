package checkpoint

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etc/fault"
)

// FuzzConfig: any text is read or refused as corrupt, and what is read is sane.
func FuzzConfig(f *testing.F) {
	data, err := os.ReadFile(tiny + "/config.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, text := range []string{`{"k":1}`, `{"k":"x"}`, `{"k":[null]}`, `{"k":1e-999}`, `{"k":12.0}`, `{"k":-0}`, `{"id2label":{"0":"a","1":"b"}}`, `{"num_labels":9}`, `{"k":{"k":1,"k":2}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err == nil {
			if n := c.Size("k"); n < 1 || n > maxSize {
				t.Errorf("size %d", n)
			}
			if n := c.OptionalSize(7, "k"); n < 1 || n > maxSize {
				t.Errorf("optional size %d", n)
			}
			if v := c.Positive("k", 1); !(v > 0) || math.IsInf(v, 0) {
				t.Errorf("positive %v", v)
			}
			if v := c.Float("k", 1); math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("float %v", v)
			}
			c.String("k", "")
			c.Bool("k", false)
			c.Strings("k")
			if n := len(c.Labels()); c.Err() == nil && (n < 1 || n > max(maxLabels, len(data))) {
				t.Errorf("%d labels", n)
			}
			err = c.Err()
		}
		if err != nil && (fault.KindOf(err) != fault.Corrupt || strings.ContainsAny(err.Error(), "\n\r")) {
			t.Errorf("%q: not a fault of one line", err)
		}
	})
}

// FuzzIndex: no index leads out of its folder.
func FuzzIndex(f *testing.F) {
	for _, text := range []string{wholeMap, `{"a":"../x.safetensors"}`, `{"a":"..\\x.safetensors"}`, `{"a":null}`, `{"a":"CON.safetensors"}`, `{"a":".safetensors"}`} {
		f.Add([]byte(`{"metadata":{},"weight_map":` + text + `}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		of, err := parseIndex(data)
		if err != nil {
			if fault.KindOf(err) != fault.Corrupt || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("%q: not a fault of one line", err)
			}
			return
		}
		for tensor, name := range of {
			if filepath.Base(filepath.Join("dir", name)) != name || filepath.Dir(filepath.Join("dir", name)) != "dir" || strings.ContainsAny(name, "\\/:\x00") {
				t.Errorf("%q leads to %q", tensor, name)
			}
		}
	})
}
