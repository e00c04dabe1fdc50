package latency

import "sort"

// Times between measured points are on the line through the two beside them.
// Arguments beyond a table's ends count as the ends.

// AttentionTime is what one attention sublayer takes with so many heads of
// widths d and dv, for each shape. Without heads or without values it is gone.
//
// Heads were measured at the dense widths, and either width with all heads. The
// work of the two widths adds up, and each head's is the same, so that
//
//	gone + (heads − gone)·(d + dv − dense − gone)/(dense − gone)
//
// is taken for the rest, by the times that their names stand for.
func (t *Table) AttentionTime(heads, d, dv int) []float64 {
	lines := t.attentionLines()
	gone, dense := lines.heads[0].us, t.attentionDense()
	if heads <= 0 || dv <= 0 {
		return clone(gone)
	}
	at := lines.heads.at(float64(heads))
	byD, byDv := lines.d.at(float64(d)), lines.dv.at(float64(dv))
	for i := range at {
		if whole := dense[i] - gone[i]; whole > 0 {
			kept := max(0, byD[i]+byDv[i]-dense[i]-gone[i]) / whole
			at[i] = gone[i] + (at[i]-gone[i])*kept
		}
	}
	return at
}

// FFNTime is what one feed-forward sublayer of that width takes, for each shape.
func (t *Table) FFNTime(width int) []float64 { return t.ffnLine().at(float64(width)) }

// AttentionTilesTime is what one attention sublayer takes that keeps this share
// of its tiles, for each shape. Below the lowest density of the table it takes
// what it takes there, until nothing is kept.
func (t *Table) AttentionTilesTime(density float64) []float64 {
	return t.tilesTime(t.AttentionTiles, density, t.attentionGone(), t.attentionDense())
}

// FFNTilesTime is the same of a feed-forward sublayer.
func (t *Table) FFNTilesTime(density float64) []float64 {
	return t.tilesTime(t.FFNTiles, density, t.FFN[0].Micros, t.FFN[len(t.FFN)-1].Micros)
}

// LastAttention is what an attention sublayer takes as the last one of a
// model, where it takes us elsewhere.
func (t *Table) LastAttention(us []float64) []float64 { return product(us, t.Last.Attention) }

// LastFFN is the same of a feed-forward sublayer.
func (t *Table) LastFFN(us []float64) []float64 { return product(us, t.Last.FFN) }

// Dense is what the whole dense model takes with so many layers, for each shape.
func (t *Table) Dense(layers int) []float64 {
	attention, ffn := t.attentionDense(), t.FFN[len(t.FFN)-1].Micros
	lastAttention, lastFFN := t.LastAttention(attention), t.LastFFN(ffn)
	us := clone(t.Rest)
	for i := range us {
		us[i] += float64(layers-1)*(attention[i]+ffn[i]) + lastAttention[i] + lastFFN[i]
	}
	return us
}

// A point is a place on a line and the times there.
type point struct {
	x  float64
	us []float64
}

// A line is points with x ascending, at least one.
type line []point

// at is a slice of its own.
func (l line) at(x float64) []float64 {
	i := sort.Search(len(l), func(i int) bool { return l[i].x >= x })
	switch {
	case i == len(l):
		return clone(l[i-1].us)
	case i == 0 || l[i].x == x:
		return clone(l[i].us)
	}
	below, above := l[i-1], l[i]
	share := (x - below.x) / (above.x - below.x)
	us := clone(below.us)
	for j := range us {
		us[j] += share * (above.us[j] - us[j])
	}
	return us
}

type attentionLines struct{ heads, d, dv line }

// attentionLines are the three of t.Attention, each up to the dense sublayer.
func (t *Table) attentionLines() (l attentionLines) {
	m := &t.Model
	var dense []float64
	for _, a := range t.Attention {
		switch {
		case a.D < m.D:
			l.d = append(l.d, point{float64(a.D), a.Micros})
		case a.Dv < m.Dv:
			l.dv = append(l.dv, point{float64(a.Dv), a.Micros})
		default:
			l.heads = append(l.heads, point{float64(a.Heads), a.Micros})
			dense = a.Micros
		}
	}
	l.d = append(l.d, point{float64(m.D), dense})
	l.dv = append(l.dv, point{float64(m.Dv), dense})
	return l
}

func (t *Table) attentionGone() []float64 { return t.Attention[0].Micros }

func (t *Table) attentionDense() []float64 {
	heads := t.attentionLines().heads
	return heads[len(heads)-1].us
}

func (t *Table) ffnLine() (l line) {
	for _, f := range t.FFN {
		l = append(l, point{float64(f.Width), f.Micros})
	}
	return l
}

func (t *Table) tilesTime(tiles []TilesTime, density float64, gone, dense []float64) []float64 {
	if !(density > 0) {
		return clone(gone)
	}
	return t.tilesLine(tiles, dense).at(density)
}

// tilesLine ends in the dense sublayer.
func (t *Table) tilesLine(tiles []TilesTime, dense []float64) (l line) {
	for _, x := range tiles {
		l = append(l, point{x.Density, x.Micros})
	}
	return append(l, point{1, dense})
}

func product(us, shares []float64) []float64 {
	us = clone(us)
	for i := range us {
		us[i] *= shares[i]
	}
	return us
}

func clone(us []float64) []float64 { return append([]float64(nil), us...) }
