package latency

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
)

// Bytes is the table as a file, its one canonical form: JSON with a line for
// each point.
func (t *Table) Bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"schema\": %d,\n", t.Schema)
	field(&b, "target", t.Target)
	field(&b, "level", t.Level)
	field(&b, "source", t.Source)
	field(&b, "model", t.Model)
	field(&b, "shapes", t.Shapes)
	field(&b, "rest_us", t.Rest)
	field(&b, "last", t.Last)
	list(&b, "attention", t.Attention)
	list(&b, "ffn", t.FFN)
	list(&b, "attention_tiles", t.AttentionTiles)
	list(&b, "ffn_tiles", t.FFNTiles)
	b.Truncate(b.Len() - len(",\n"))
	b.WriteString("}\n")
	return b.Bytes()
}

// Digest is the SHA-256 of Bytes in hex: the same however a file is laid out.
func (t *Table) Digest() string { return fmt.Sprintf("%x", sha256.Sum256(t.Bytes())) }

// Round rounds times to nanoseconds and shares to four places, so that files
// are short. Order stays.
func (t *Table) Round() {
	round(t.Rest, 1e3)
	round(t.Last.Attention, 1e4)
	round(t.Last.FFN, 1e4)
	for _, a := range t.Attention {
		round(a.Micros, 1e3)
	}
	for _, f := range t.FFN {
		round(f.Micros, 1e3)
	}
	for _, tiles := range [][]TilesTime{t.AttentionTiles, t.FFNTiles} {
		for _, x := range tiles {
			round(x.Micros, 1e3)
		}
	}
}

func round(v []float64, unit float64) {
	for i := range v {
		v[i] = math.Round(v[i]*unit) / unit
	}
}

func field(b *bytes.Buffer, name string, v any) { fmt.Fprintf(b, "%q: %s,\n", name, encoded(v)) }

func list[T any](b *bytes.Buffer, name string, all []T) {
	fmt.Fprintf(b, "%q: [", name)
	for i, v := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "\n %s", encoded(v))
	}
	b.WriteString("],\n")
}

// encoded panics on times that are no numbers, which no table has.
func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("bug: latency table: %v", err))
	}
	return text
}
