package checkpoint

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"etc/fault"
)

const (
	configFile = "config.json"
	maxConfig  = 1 << 20 // bytes of config.json
	maxSize    = 1 << 24 // of a width, a count or a vocabulary; the largest vocabularies are below 2^20
	maxLabels  = 1 << 16 // of labels that only num_labels promises
)

// A Config is config.json, read key by key with the type that is wanted. The
// getters record the first value that is not as wanted, which Err returns, and
// give the smallest sane value in its place. A null counts as absent. What is
// never asked for, such as bos_token_id, is never judged.
//
// What a key means belongs to the architecture: compiler/frontend.
type Config struct {
	file   string // its name in errors
	raw    []byte
	fields fields
	err    error
}

// ParseConfig reads the text of a config.json of at most 1 MiB.
func ParseConfig(data []byte) (*Config, error) {
	if len(data) > maxConfig {
		return nil, fault.Newf(fault.Corrupt, "%s: %d bytes, want at most %d", configFile, len(data), maxConfig)
	}
	f, err := parseObject(configFile, data)
	if err != nil {
		return nil, err
	}
	return &Config{file: configFile, raw: data, fields: f}, nil
}

// Err is the first fault of any getter so far; its kind is fault.Corrupt.
func (c *Config) Err() error { return c.err }

func (c *Config) refuse(key string, value json.RawMessage, want string) {
	if c.err == nil {
		c.err = fault.Newf(fault.Corrupt, "%s: %q is %s, want %s", c.file, key, oneLine(value), want)
	}
}

func (c *Config) missing(keys []string, want string) {
	if c.err == nil {
		c.err = fault.Newf(fault.Corrupt, `%s: no "%s", want %s`, c.file, strings.Join(keys, `" or "`), want)
	}
}

// Has reports whether key has a value other than null.
func (c *Config) Has(key string) bool {
	_, _, ok := c.fields.get(key)
	return ok
}

// String is the string under key, or the default where there is none.
func (c *Config) String(key, def string) string {
	_, raw, ok := c.fields.get(key)
	if !ok {
		return def
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		c.refuse(key, raw, "a string")
		return def
	}
	return s
}

// Bool is the boolean under key, or the default where there is none.
func (c *Config) Bool(key string, def bool) bool {
	_, raw, ok := c.fields.get(key)
	if !ok {
		return def
	}
	var b bool
	if json.Unmarshal(raw, &b) != nil {
		c.refuse(key, raw, "true or false")
		return def
	}
	return b
}

const wantSize = "an integer from 1 to 16777216"

// Size is the positive integer under the first of keys, which are spellings of
// one thing. It must be there.
func (c *Config) Size(keys ...string) int {
	key, raw, ok := c.fields.get(keys...)
	if !ok {
		c.missing(keys, wantSize)
		return 1
	}
	return c.size(key, raw)
}

// OptionalSize is Size, with a default where no key has a value.
func (c *Config) OptionalSize(def int, keys ...string) int {
	key, raw, ok := c.fields.get(keys...)
	if !ok {
		return def
	}
	return c.size(key, raw)
}

func (c *Config) size(key string, raw json.RawMessage) int {
	// JSON has no integers: 12.0 and 1e3 are refused because the reference
	// implementations fail on them as sizes.
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < 1 || n > maxSize {
		c.refuse(key, raw, wantSize)
		return 1
	}
	return n
}

// ID is the integer under key, such as the id of a token; ok tells whether
// there is one.
func (c *Config) ID(key string) (id int, ok bool) {
	_, raw, ok := c.fields.get(key)
	if !ok {
		return 0, false
	}
	id, err := strconv.Atoi(string(raw))
	if err != nil {
		c.refuse(key, raw, "an integer")
		return 0, false
	}
	return id, true
}

// Float is the finite number under key, or the default where there is none.
func (c *Config) Float(key string, def float64) float64 {
	return c.float(key, def, -math.MaxFloat64, "a finite number")
}

// Positive is the finite number above zero under key, or the default where
// there is none.
func (c *Config) Positive(key string, def float64) float64 {
	return c.float(key, def, math.SmallestNonzeroFloat64, "a finite number above 0")
}

func (c *Config) float(key string, def, least float64, want string) float64 {
	_, raw, ok := c.fields.get(key)
	if !ok {
		return def
	}
	v, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || v < least {
		c.refuse(key, raw, want)
		return def
	}
	return v
}

// Strings is the list of strings under key; nil where there is none.
func (c *Config) Strings(key string) []string {
	_, raw, ok := c.fields.get(key)
	if !ok {
		return nil
	}
	var list []*string // a pointer, because null would pass for an empty string
	if json.Unmarshal(raw, &list) != nil || slices.Contains(list, nil) {
		c.refuse(key, raw, "a list of strings")
		return nil
	}
	values := make([]string, len(list))
	for i, s := range list {
		values[i] = *s
	}
	return values
}

// IntLists is the object under key, from integers to lists of distinct
// integers, none below 0: {"0": [2, 4]}. It is nil where there is none. Lists
// without an element are left out.
func (c *Config) IntLists(key string) map[int][]int {
	_, raw, ok := c.fields.get(key)
	if !ok {
		return nil
	}
	const want = "an object from integers to lists of distinct integers, from 0"
	var lists map[string][]json.RawMessage // raw, because null would pass for 0
	if json.Unmarshal(raw, &lists) != nil {
		c.refuse(key, raw, want)
		return nil
	}
	byInt := map[int][]int{}
	for name, texts := range lists {
		n, known := natural(name)
		list, distinct := naturals(texts)
		if !known || !distinct || texts == nil {
			c.refuse(key, raw, want)
			return nil
		}
		if len(list) > 0 {
			byInt[n] = list
		}
	}
	return byInt
}

// naturals reads a list; ok is false unless they are natural and distinct.
func naturals(texts []json.RawMessage) (list []int, ok bool) {
	seen := map[int]bool{}
	for _, text := range texts {
		n, ok := natural(string(text))
		if !ok || seen[n] {
			return nil, false
		}
		seen[n] = true
		list = append(list, n)
	}
	return list, true
}

// natural is the number that text spells in the one way JSON has for it.
func natural(text string) (n int, ok bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == text
}

// Labels are the names of the outputs of a classification head: those of
// id2label, whose keys must be "0" to "n-1" in any order; else LABEL_0 to
// LABEL_n-1 for n of num_labels; else the two that transformers assumes.
func (c *Config) Labels() []string {
	_, raw, ok := c.fields.get("id2label")
	if !ok {
		return c.numberedLabels()
	}
	const want = `an object from "0" … "n-1" to strings`
	var byID map[string]*string
	if json.Unmarshal(raw, &byID) != nil || len(byID) == 0 {
		c.refuse("id2label", raw, want)
		return nil
	}
	labels := make([]string, len(byID))
	for i := range labels {
		label := byID[strconv.Itoa(i)]
		if label == nil {
			c.refuse("id2label", raw, want)
			return nil
		}
		labels[i] = *label
	}
	return labels
}

func (c *Config) numberedLabels() []string {
	n := c.OptionalSize(2, "num_labels")
	if n > maxLabels {
		c.refuse("num_labels", c.fields["num_labels"], "at most 65536 labels without id2label")
		return nil
	}
	labels := make([]string, n)
	for i := range labels {
		labels[i] = "LABEL_" + strconv.Itoa(i)
	}
	return labels
}
