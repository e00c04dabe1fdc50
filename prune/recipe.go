package prune

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"io"

	"etc/fault"
)

// A Recipe says what was done, for etc-recipe.json, fully enough to prune
// another checkpoint of the same model in the same way.
type Recipe struct {
	Schema   int      `json:"schema"`
	Method   string   `json:"method"`
	Scores   string   `json:"scores"`   // what decided, for people
	Sparsity float64  `json:"sparsity"` // share of zeros in the encoder's matrices
	Layers   []Kept   `json:"layers"`
	Matrices []Record `json:"matrices"`
}

// Kept is what a sublayer keeps.
type Kept struct {
	Block string `json:"block"`
	Heads []int  `json:"heads,omitempty"` // their numbers, in an attention
	Of    int    `json:"of,omitempty"`    // how many heads there were
	D     int    `json:"d,omitempty"`     // features of a head's scores, the most that any keeps
	Dv    int    `json:"d_v,omitempty"`   // and of its values
	Width *int   `json:"width,omitempty"` // neurons, in a feed-forward block
}

// A Record is one matrix of the recipe.
type Record struct {
	Weight  string  `json:"weight"`
	Block   string  `json:"block"`
	Shape   [2]int  `json:"shape"`
	Zeros   int     `json:"zeros"`
	Rows    int     `json:"zero_rows"`        // rows without another entry
	Columns int     `json:"zero_columns"`     // columns without another entry
	Lambda  float64 `json:"lambda,omitempty"` // the pull towards the old weights, as a part of the mean variance of an input
	Target  way     `json:"target,omitempty"` // what least squares went by and aimed at
	Mask    Mask    `json:"mask"`
}

// recipeSchema is the version of the JSON shape.
const recipeSchema = 3

// A Mask is what goes from a matrix, each part empty where nothing does: bits
// in rows of bytes, the first in the lowest, deflated, in base64.
type Mask struct {
	Rows    string `json:"rows,omitempty"`
	Unread  string `json:"unread,omitempty"`
	Columns string `json:"columns,omitempty"`
	Entries string `json:"entries,omitempty"`
}

func (m *mask) encode() Mask {
	return Mask{encodeBits(m.rows), encodeBits(m.unread), encodeBits(m.columns), encodeBits(m.entries)}
}

func encodeBits(marks []bool) string {
	packed, any := make([]byte, (len(marks)+7)/8), false
	for i, yes := range marks {
		if yes {
			packed[i/8] |= 1 << (i % 8)
			any = true
		}
	}
	if !any {
		return ""
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		panic("bug: prune: " + err.Error())
	}
	w.Write(packed) // to memory
	w.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// decodeBits is n marks, nil where s is empty.
func decodeBits(s string, n int) ([]bool, error) {
	if s == "" {
		return nil, nil
	}
	deflated, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fault.Newf(fault.Corrupt, "mask: %w", err)
	}
	packed, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(deflated)), int64(n)/8+2))
	if err != nil || len(packed) != (n+7)/8 {
		return nil, fault.Newf(fault.Corrupt, "mask of %d bytes, want the bits of %d entries", len(packed), n)
	}
	if n%8 != 0 && packed[n/8]>>(n%8) != 0 {
		return nil, fault.Newf(fault.Corrupt, "mask with bits beyond its %d entries", n)
	}
	marks := make([]bool, n)
	for i := range marks {
		marks[i] = packed[i/8]>>(i%8)&1 == 1
	}
	return marks, nil
}

// kept says what a sublayer keeps.
func (l *sublayer) kept() Kept {
	k := Kept{Block: l.label}
	if l.ffn != nil {
		width := l.ffn.in.n - countTrue(l.ffn.in.unread)
		k.Width = &width
		return k
	}
	a := l.attention
	k.Heads, k.Of = []int{}, a.heads
	for h := range a.heads {
		d := a.d - countTrue(a.q.unread[h*a.d:(h+1)*a.d])
		dv := a.dv - countTrue(a.v.unread[h*a.dv:(h+1)*a.dv])
		if d > 0 || dv > 0 {
			k.Heads = append(k.Heads, h)
		}
		k.D, k.Dv = max(k.D, d), max(k.Dv, dv)
	}
	return k
}
