package checkpoint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"etc/fault"
)

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func id(c *Config, key string) string { n, ok := c.ID(key); return fmt.Sprint(n, ok) }

func TestConfigReads(t *testing.T) {
	c := parse(t, `{"model_type": "bert", "hidden_size": 384, "n_inner": null, "eps": 1e-12, "slope": -0.5,
		"tie": true, "architectures": ["BertModel", ""], "bos_token_id": 50256, "id2label": {"1": "b", "0": "a"}}`)
	for what, ok := range map[string]bool{
		"String":               c.String("model_type", "") == "bert",
		"String default":       c.String("absent", "x") == "x",
		"Size":                 c.Size("hidden_size") == 384,
		"Size of two names":    c.Size("dim", "hidden_size") == 384,
		"OptionalSize":         c.OptionalSize(1, "hidden_size") == 384,
		"OptionalSize of null": c.OptionalSize(1536, "n_inner") == 1536,
		"Positive":             c.Positive("eps", 1) == 1e-12,
		"Positive default":     c.Positive("absent", 1e-5) == 1e-5,
		"Float":                c.Float("slope", 0) == -0.5,
		"Bool":                 c.Bool("tie", false),
		"ID":                   id(c, "bos_token_id") == "50256 true" && id(parse(t, `{"k": 0}`), "k") == "0 true" && id(parse(t, `{"k": -1}`), "k") == "-1 true",
		"ID of null":           id(c, "n_inner") == "0 false" && id(c, "absent") == "0 false",
		"Bool default":         c.Bool("absent", true),
		"Strings":              slices.Equal(c.Strings("architectures"), []string{"BertModel", ""}),
		"Strings default":      c.Strings("absent") == nil,
		"IntLists":             fmt.Sprint(parse(t, `{"k": {"10": [2, 0], "3": []}}`).IntLists("k")) == "map[10:[2 0]]",
		"IntLists default":     c.IntLists("absent") == nil,
		"Labels":               slices.Equal(c.Labels(), []string{"a", "b"}),
		"Has":                  c.Has("tie") && !c.Has("n_inner") && !c.Has("absent"),
		"two labels":           slices.Equal(parse(t, `{}`).Labels(), []string{"LABEL_0", "LABEL_1"}),
		"three labels":         slices.Equal(parse(t, `{"num_labels": 3}`).Labels(), []string{"LABEL_0", "LABEL_1", "LABEL_2"}),
	} {
		if !ok {
			t.Errorf("%s: not as in the file", what)
		}
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestConfigNotRead(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":               {``, "not JSON: it ends too early"},
		"null":                {`null`, "holds null, want an object"},
		"list":                {`[]`, "holds [], want an object"},
		"cut":                 {`{"a": 1`, "not JSON: it ends too early"},
		"two objects":         {`{} {}`, "something follows"},
		"NaN":                 {`{"a": NaN}`, "not JSON"},
		"Infinity":            {`{"a": Infinity}`, "not JSON"},
		"comment":             {`{"a": 1} // b`, "something follows"},
		"key twice":           {`{"a": 1, "a": 1}`, `"a" stands there twice`},
		"key twice by escape": {`{"a": 1, "\u0061": 1}`, `"a" stands there twice`},
		"key twice inside":    {`{"x": [{"a": 1, "a": 1}]}`, `"a" stands there twice`},
		"not UTF-8":           {"{\"a\": \"\xff\"}", "not valid UTF-8"},
		"byte order mark":     {"\ufeff{}", "not JSON"},
		"deep":                {strings.Repeat(`{"a":`, 33) + strings.Repeat(`}`, 33), "nested deeper than 32"},
		"very deep":           {strings.Repeat(`[`, 500000), "nested deeper than 32"},
		"large":               {`{"a": "` + strings.Repeat("x", maxConfig) + `"}`, "want at most 1048576"},
	} {
		_, err := ParseConfig([]byte(c.text))
		if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "config.json") {
			t.Errorf("%s: %v, want a corrupt fault with %q", name, err, c.want)
		}
	}
}

func TestConfigNonsense(t *testing.T) {
	size := func(c *Config) { c.Size("k") }
	optional := func(c *Config) { c.OptionalSize(1, "k") }
	positive := func(c *Config) { c.Positive("k", 1) }
	float := func(c *Config) { c.Float("k", 1) }
	text := func(c *Config) { c.String("k", "") }
	truth := func(c *Config) { c.Bool("k", true) }
	list := func(c *Config) { c.Strings("k") }
	lists := func(c *Config) { c.IntLists("k") }
	labels := func(c *Config) { c.Labels() }
	token := func(c *Config) { c.ID("k") }
	const wantLists = "want an object from integers to lists of distinct integers, from 0"
	const wantLabels = `want an object from "0" … "n-1" to strings`
	for _, c := range []struct {
		text string
		get  func(*Config)
		want string
	}{
		{`{}`, size, `no "k", want an integer from 1`},
		{`{"k": null}`, size, `no "k", want`},
		{`{"k": 0}`, size, `"k" is 0, want an integer from 1`},
		{`{"k": -3}`, size, `"k" is -3, want`},
		{`{"k": 12.0}`, size, `"k" is 12.0, want`},
		{`{"k": 1e3}`, size, `"k" is 1e3, want`},
		{`{"k": 16777217}`, size, `"k" is 16777217, want`},
		{`{"k": 1000000000}`, size, `"k" is 1000000000, want`},
		{`{"k": 99999999999999999999}`, size, `"k" is 99999999999999999999, want`},
		{`{"k": "12"}`, size, `"k" is "12", want`},
		{`{"k": true}`, size, `"k" is true, want`},
		{`{"k": [ 1 ]}`, size, `"k" is [1], want`},
		{`{"k": {"a": 1}}`, size, `"k" is {"a":1}, want`},
		{`{"k": ` + strings.Repeat("9", 1000) + `}`, size, `"k" is ` + strings.Repeat("9", 60) + `…, want`},
		{`{"k": 1.0}`, token, `"k" is 1.0, want an integer`},
		{`{"k": "1"}`, token, `"k" is "1", want`},
		{`{"k": [1]}`, token, `"k" is [1], want`},
		{`{"k": 99999999999999999999}`, token, `"k" is 99999999999999999999, want`},
		{`{"k": 0}`, optional, `"k" is 0, want`},
		{`{"k": "x"}`, optional, `"k" is "x", want`},
		{`{"k": 0}`, positive, `"k" is 0, want a finite number above 0`},
		{`{"k": 0.0}`, positive, `"k" is 0.0, want`},
		{`{"k": -1e-12}`, positive, `"k" is -1e-12, want`},
		{`{"k": 1e999}`, positive, `"k" is 1e999, want`},
		{`{"k": 1e-999}`, positive, `"k" is 1e-999, want`},
		{`{"k": "NaN"}`, positive, `"k" is "NaN", want`},
		{`{"k": "1e-12"}`, positive, `"k" is "1e-12", want`},
		{`{"k": -1e999}`, float, `"k" is -1e999, want a finite number`},
		{`{"k": false}`, float, `"k" is false, want`},
		{`{"k": 1}`, text, `"k" is 1, want a string`},
		{`{"k": ["a"]}`, text, `"k" is ["a"], want`},
		{`{"k": 1}`, truth, `"k" is 1, want true or false`},
		{`{"k": "true"}`, truth, `"k" is "true", want`},
		{`{"k": "a"}`, list, `"k" is "a", want a list of strings`},
		{`{"k": [1]}`, list, `"k" is [1], want`},
		{`{"k": ["a", null]}`, list, `"k" is ["a",null], want`},
		{`{"k": [1]}`, lists, `"k" is [1], ` + wantLists},
		{`{"k": {"0": 1}}`, lists, wantLists},
		{`{"k": {"0": null}}`, lists, wantLists},
		{`{"k": {"0": [null]}}`, lists, wantLists},
		{`{"k": {"0": ["1"]}}`, lists, wantLists},
		{`{"k": {"0": [1.0]}}`, lists, wantLists},
		{`{"k": {"0": [-1]}}`, lists, wantLists},
		{`{"k": {"0": [-0]}}`, lists, wantLists},
		{`{"k": {"0": [1, 2, 1]}}`, lists, wantLists},
		{`{"k": {"00": [1]}}`, lists, wantLists},
		{`{"k": {"a": [1]}}`, lists, wantLists},
		{`{"k": {"0": [99999999999999999999]}}`, lists, wantLists},
		{`{"id2label": {}}`, labels, wantLabels},
		{`{"id2label": []}`, labels, wantLabels},
		{`{"id2label": {"0": "a", "2": "b"}}`, labels, wantLabels},
		{`{"id2label": {"1": "a", "2": "b"}}`, labels, wantLabels},
		{`{"id2label": {"0": "a", "01": "b"}}`, labels, wantLabels},
		{`{"id2label": {"0": 1}}`, labels, wantLabels},
		{`{"id2label": {"0": null}}`, labels, wantLabels},
		{`{"num_labels": 0}`, labels, `"num_labels" is 0, want`},
		{`{"num_labels": 1000000}`, labels, `"num_labels" is 1000000, want at most 65536`},
	} {
		cfg := parse(t, c.text)
		c.get(cfg)
		err := cfg.Err()
		if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want a corrupt fault with %q", c.text, err, c.want)
		}
	}
}

func TestConfigKeepsTheFirstFault(t *testing.T) {
	c := parse(t, `{"a": 0, "b": 0}`)
	if c.Size("a"); c.Size("b") != 1 {
		t.Error("a refused size is not 1")
	}
	c.Size("absent")
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), `"a" is 0`) {
		t.Errorf("Err = %v, want the fault of a", err)
	}
}
