package cost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"

	"etc/fault"
	"etc/ir"
)

// A Tuning is what was measured on a device: for a kernel, shape, storage type
// and compute capability the variant that took least. It overrides the model.
//
// As a file it is JSON, one line an entry and sorted, so that tables of several
// runs can be merged by hand or by Merge:
//
//	{"schema": 1, "entries": {
//	  "sm_90 f16 linear rows=256 n=768 k=768": {"use": "64x64x64", "us": 4.1},
//	  "sm_90 f16 attention heads=12 d=64 dv=64 tokens=128": {"use": "flash_attention 64", "us": 6.2}
//	}}
type Tuning struct {
	Schema  int                 `json:"schema"`
	Entries map[string]Measured `json:"entries"`
}

// A Measured is the best variant for one key, and its time.
type Measured struct {
	Use    string  `json:"use"`
	Micros float64 `json:"us"`
}

// tuningSchema is the version of the file.
const tuningSchema = 1

// ParseTuning reads a table. What is no table is fault.Corrupt, one of another
// version fault.Unfit.
func ParseTuning(b []byte) (*Tuning, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var t Tuning
	if err := d.Decode(&t); err != nil {
		return nil, fault.Newf(fault.Corrupt, "tuning table: %w", err)
	}
	if d.More() {
		return nil, fault.Newf(fault.Corrupt, "tuning table: goes on after its end")
	}
	if t.Schema != tuningSchema {
		return nil, fault.Newf(fault.Unfit, "tuning table of schema %d, this program reads %d", t.Schema, tuningSchema).WithHint("etc tune makes one")
	}
	for key, m := range t.Entries {
		if key == "" || m.Use == "" || !(m.Micros > 0) || math.IsInf(m.Micros, 0) {
			return nil, fault.Newf(fault.Corrupt, "tuning table: entry %q: want a variant to use and its time", key)
		}
	}
	return &t, nil
}

// Merge adds the entries of u. Where both have one, the faster stays.
func (t *Tuning) Merge(u *Tuning) {
	if t.Entries == nil {
		t.Entries = map[string]Measured{}
	}
	for key, m := range u.Entries {
		if had, ok := t.Entries[key]; !ok || m.Micros < had.Micros {
			t.Entries[key] = m
		}
	}
}

// Clone is a table of its own.
func (t *Tuning) Clone() *Tuning { return &Tuning{t.Schema, maps.Clone(t.Entries)} }

// NewTuning is a table without entries.
func NewTuning() *Tuning { return &Tuning{tuningSchema, map[string]Measured{}} }

// Encode is the table as a file: the same entries give the same bytes.
func (t *Tuning) Encode() []byte {
	b, err := json.MarshalIndent(t, "", " ") // sorts the keys of a map
	if err != nil {
		panic(fmt.Sprintf("bug: cost: tuning table: %v", err))
	}
	return append(b, '\n')
}

// LinearKey is the key of a dense product.
func LinearKey(sm int, dtype string, rows, n, k int) string {
	return fmt.Sprintf("sm_%d %s linear rows=%d n=%d k=%d", sm, dtype, rows, n, k)
}

// AttentionKey is the key of an attention over rows of up to so many tokens.
// One with a single query a row, the first or the last, has one of its own.
func AttentionKey(sm int, dtype string, a *ir.AttentionAttrs, tokens int) string {
	more := ""
	if a.Causal {
		more = " causal"
	}
	switch a.Rows {
	case ir.FirstRows:
		more += " first"
	case ir.LastRows:
		more += " last"
	}
	return fmt.Sprintf("sm_%d %s attention heads=%d d=%d dv=%d tokens=%d%s", sm, dtype, a.Heads, a.D, a.Dv, tokens, more)
}

// Variant names an attention operator with its block of queries.
func (e Estimate) Variant() string { return fmt.Sprintf("%v %d", e.Kind, e.Queries) }

// measured is what the table says of a key, "" where it says nothing.
func (t *Tuning) measured(key string) string {
	if t == nil {
		return ""
	}
	return t.Entries[key].Use
}
