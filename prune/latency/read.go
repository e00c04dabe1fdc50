package latency

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"unicode"
	"unicode/utf8"

	"etc/fault"
)

// Bounds of a file, far above any that is measured.
const (
	MaxBytes    = 1 << 20
	maxSize     = 1 << 20 // of a dimension
	maxMicros   = 1e12    // of a time: eleven days
	maxShapes   = 16
	maxText     = 500 // bytes
	hintMeasure = "etc prune --measure makes one"
)

// Read reads a table, strictly: unknown fields, points that are missing or out of
// order, times that are none or grow as less is kept are fault.Corrupt, another
// schema is fault.Unfit.
func Read(b []byte) (*Table, error) {
	if len(b) > MaxBytes {
		return nil, corrupt("%d bytes, want at most %d", len(b), MaxBytes)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var t Table
	if err := d.Decode(&t); err != nil {
		return nil, corrupt("%w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, corrupt("goes on after its end")
	}
	if t.Schema != Schema {
		return nil, fault.Newf(fault.Unfit, "latency table of schema %d, this program reads %d", t.Schema, Schema).WithHint(hintMeasure)
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return &t, nil
}

func corrupt(format string, args ...any) *fault.Error {
	return fault.Newf(fault.Corrupt, "latency table: "+format, args...).WithHint(hintMeasure)
}

// check is all that Read refuses in a table of its schema.
func (t *Table) check() error {
	for _, f := range []func() error{t.checkTexts, t.checkSizes, t.checkShares, t.checkAttention, t.checkFFN} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) checkTexts() error {
	if t.Target == "" || t.Source == "" {
		return corrupt("target %q, source %q: want neither empty", t.Target, t.Source)
	}
	for _, text := range []string{t.Target, t.Level, t.Source} {
		if len(text) > maxText || !utf8.ValidString(text) {
			return corrupt("text %.40q is too long or no UTF-8", text)
		}
		for _, r := range text {
			if !unicode.IsPrint(r) || r == utf8.RuneError {
				return corrupt("text %.40q has a character that does not print", text)
			}
		}
	}
	return nil
}

func (t *Table) checkSizes() error {
	m := &t.Model
	for _, n := range []int{m.Hidden, m.Heads, m.D, m.Dv, m.Inner, m.Vocab + 1} {
		if n < 1 || n > maxSize {
			return corrupt("model %+v: want sizes from 1 to %d", *m, maxSize)
		}
	}
	if n := len(t.Shapes); n < 1 || n > maxShapes {
		return corrupt("%d shapes, want 1 to %d", n, maxShapes)
	}
	for i, s := range t.Shapes {
		if s.Batch < 1 || s.Batch > maxSize || s.Tokens < 1 || s.Tokens > maxSize {
			return corrupt("shape %d×%d: want numbers from 1 to %d", s.Batch, s.Tokens, maxSize)
		}
		for _, other := range t.Shapes[:i] {
			if s == other {
				return corrupt("shape %d×%d is given twice", s.Batch, s.Tokens)
			}
		}
	}
	return nil
}

func (t *Table) checkShares() error {
	if err := t.checkTimes("rest", t.Rest); err != nil {
		return err
	}
	for _, shares := range [][]float64{t.Last.Attention, t.Last.FFN} {
		if err := t.checkTimes("last layer", shares); err != nil {
			return err
		}
		for _, s := range shares {
			if s > 1 {
				return corrupt("last layer: share %v, want 0 to 1", s)
			}
		}
	}
	return nil
}

func (t *Table) checkTimes(what string, us []float64) error {
	if len(us) != len(t.Shapes) {
		return corrupt("%s: %d times, want one for each of %d shapes", what, len(us), len(t.Shapes))
	}
	for _, v := range us {
		if !(v >= 0 && v <= maxMicros) || v == 0 && math.Signbit(v) {
			return corrupt("%s: time %v, want 0 to %v µs", what, v, maxMicros)
		}
	}
	return nil
}

// checkAttention checks the lines of t.Attention and that nothing else is there.
func (t *Table) checkAttention() error {
	m := &t.Model
	const heads, d, dv = 0, 1, 2
	now := heads
	for _, a := range t.Attention {
		at := heads
		switch {
		case a.Dv == m.Dv && a.D == m.D && a.Heads >= 0 && a.Heads <= m.Heads:
		case a.Dv == m.Dv && a.D > 0 && a.D < m.D && a.Heads == m.Heads:
			at = d
		case a.D == m.D && a.Dv > 0 && a.Dv < m.Dv && a.Heads == m.Heads:
			at = dv
		default:
			return corrupt("attention of %d heads, d %d, dv %d: want fewer of one of %d, %d, %d", a.Heads, a.D, a.Dv, m.Heads, m.D, m.Dv)
		}
		if at < now {
			return corrupt("attention: want the points of heads, then of d, then of dv")
		}
		now = at
	}
	// The lines of widths may be no more than the dense end, heads have both.
	l := t.attentionLines()
	if n := len(l.heads); n < 2 || l.heads[0].x != 0 || l.heads[n-1].x != float64(m.Heads) {
		return corrupt("attention: want points from 0 heads to %d", m.Heads)
	}
	if err := t.checkLine("attention", l.heads); err != nil {
		return err
	}
	gone := l.heads[0].us
	for _, widths := range []line{l.d, l.dv, t.tilesLine(t.AttentionTiles, t.attentionDense())} {
		if err := t.checkLine("attention", append(line{{0, gone}}, widths...)); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) checkFFN() error {
	l := t.ffnLine()
	if n := len(l); n < 2 || l[0].x != 0 || l[n-1].x != float64(t.Model.Inner) {
		return corrupt("ffn: want points from width 0 to %d", t.Model.Inner)
	}
	if err := t.checkLine("ffn", l); err != nil {
		return err
	}
	return t.checkLine("ffn", append(line{l[0]}, t.tilesLine(t.FFNTiles, l[len(l)-1].us)...))
}

// checkLine checks points whose places ascend and whose times do not descend.
func (t *Table) checkLine(what string, l line) error {
	for i, p := range l {
		if err := t.checkTimes(what, p.us); err != nil {
			return err
		}
		if i == 0 {
			continue
		}
		if !(p.x > l[i-1].x) {
			return corrupt("%s: %v after %v: want them ascending, each once", what, p.x, l[i-1].x)
		}
		for j, v := range p.us {
			if v < l[i-1].us[j] {
				return corrupt("%s: %v µs at %v, more at %v: want times that do not grow as less is kept", what, v, p.x, l[i-1].x)
			}
		}
	}
	return nil
}
