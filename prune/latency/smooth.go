package latency

// Smooth makes measured times fit to choose by: for each shape they never grow
// as less is kept. Noise alone makes a smaller level look slower, and a level
// that takes longer than a larger one is of no use to anyone, who would run the
// larger one's zeros densely. Levels without a gain over the one above come out equal
// to it, so that no search prefers them.
//
// Heads and widths become their isotonic regression, the nearest ascending
// times by least squares. Lines that end in the same dense sublayer, those of
// d, dv and tiles, are held between it and the sublayer gone, then smoothed below it.
func (t *Table) Smooth() {
	var heads, d, dv, ffn [][]float64
	for _, a := range t.Attention {
		switch {
		case a.D < t.Model.D:
			d = append(d, a.Micros)
		case a.Dv < t.Model.Dv:
			dv = append(dv, a.Micros)
		default:
			heads = append(heads, a.Micros)
		}
	}
	for _, f := range t.FFN {
		ffn = append(ffn, f.Micros)
	}
	isotonic(heads)
	isotonic(ffn)
	for _, l := range [][][]float64{d, dv, timesOf(t.AttentionTiles)} {
		between(l, heads[0], heads[len(heads)-1])
	}
	between(timesOf(t.FFNTiles), ffn[0], ffn[len(ffn)-1])
}

func timesOf(tiles []TilesTime) (us [][]float64) {
	for _, x := range tiles {
		us = append(us, x.Micros)
	}
	return us
}

// between is isotonic of times held between low and high.
func between(us [][]float64, low, high []float64) {
	for _, at := range us {
		for i := range at {
			at[i] = min(max(at[i], low[i]), high[i])
		}
	}
	isotonic(us)
}

// isotonic replaces us[·][i], for each i, by the nearest ascending sequence by
// least squares: neighbours out of order become their mean until none are
// (pool adjacent violators; Barlow and others, Statistical Inference under
// Order Restrictions, 1972).
func isotonic(us [][]float64) {
	if len(us) == 0 {
		return
	}
	for i := range us[0] {
		var pools []pool
		for _, at := range us {
			p := pool{at[i], 1}
			for n := len(pools); n > 0 && pools[n-1].mean > p.mean; n-- {
				p, pools = p.with(pools[n-1]), pools[:n-1]
			}
			pools = append(pools, p)
		}
		j := 0
		for _, p := range pools {
			for range p.n {
				us[j][i] = p.mean
				j++
			}
		}
	}
}

// A pool is n neighbours of one mean.
type pool struct {
	mean float64
	n    int
}

func (p pool) with(q pool) pool {
	n := p.n + q.n
	return pool{(p.mean*float64(p.n) + q.mean*float64(q.n)) / float64(n), n}
}
