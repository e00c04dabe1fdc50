package cost

import (
	"math"
	"testing"

	"etc/ir"
)

var cards = []GPU{A100, H200}

// candidate is the one of that kind and block of queries.
func candidate(t *testing.T, g GPU, a *ir.AttentionAttrs, s int, kind ir.Kind, queries int) Estimate {
	t.Helper()
	for _, e := range g.Candidates(a, s) {
		if e.Kind == kind && e.Queries == queries {
			return e
		}
	}
	t.Fatalf("%s has no %v with %d queries", g.Name, kind, queries)
	return Estimate{}
}

// TestGPUAttentionChoice: short rows on the fly, long ones by blocks of keys,
// once and for all; never what needs more shared memory than a block may have,
// and nothing that is slower than another that fits.
func TestGPUAttentionChoice(t *testing.T) {
	for _, g := range cards {
		for _, a := range []*ir.AttentionAttrs{attention(12, 64, 64), attention(12, 32, 32), attention(4, 200, 200), {Heads: 12, D: 64, Dv: 64, Causal: true}} {
			if e := g.ChooseAttention(a, 64); e.Kind != ir.OTFAttention {
				t.Errorf("%s, %+v: %v for 64 tokens, want otf_attention", g.Name, *a, e.Kind)
			}
			changes, last := 0, ir.OTFAttention
			for s := 16; s <= 1<<14; s += 16 {
				chosen := g.ChooseAttention(a, s)
				for _, e := range g.Candidates(a, s) {
					if g.Fits(e) && e.Seconds < chosen.Seconds {
						t.Fatalf("%s, %+v, %d tokens: %v is chosen, %v is faster", g.Name, *a, s, chosen.Variant(), e.Variant())
					}
				}
				if !g.Fits(chosen) {
					t.Fatalf("%s, %+v, %d tokens: %v does not fit", g.Name, *a, s, chosen.Variant())
				}
				if chosen.Kind != last {
					changes, last = changes+1, chosen.Kind
				}
			}
			if last != ir.FlashAttention || changes != 1 {
				t.Errorf("%s, %+v: ends with %v after %d changes, want flash_attention after one", g.Name, *a, last, changes)
			}
		}
	}
}

// TestGPUAttentionThreshold: whole rows of scores up to the lengths at which
// another library stops, by notes/et-paper.md §2 256 to 384 tokens on sm_80,
// within a factor of two.
func TestGPUAttentionThreshold(t *testing.T) {
	a := attention(12, 64, 64)
	for s, want := range map[int]ir.Kind{128: ir.OTFAttention, 192: ir.OTFAttention, 768: ir.FlashAttention} {
		if got := A100.ChooseAttention(a, s); got.Kind != want {
			t.Errorf("%d tokens: %v, want %v", s, got.Kind, want)
		}
	}
}

// TestGPUAttentionTrade at what notes/et-paper.md §1.2 to §1.4 and §2 count:
// what on the fly reads again grows with the square of the row, as S²d/QB, and
// partial pays 2·4·S² bytes of scores a head for reading half as often.
func TestGPUAttentionTrade(t *testing.T) {
	a := attention(12, 64, 64)
	for _, g := range cards {
		for _, s := range []int{64, 128, 256} {
			otf, partial := candidate(t, g, a, s, ir.OTFAttention, 64), candidate(t, g, a, s, ir.PartialOTFAttention, 64)
			flash := candidate(t, g, a, s, ir.FlashAttention, 64)
			time := func(e Estimate) float64 { // where there is room
				fixed := 0.0
				if e.Kind == ir.PartialOTFAttention {
					fixed = g.Launch
				}
				return (e.Seconds-fixed)/g.crowding(&e) + fixed
			}
			reads := float64(12*s*s) / 64 * 2 * 128 / g.L2
			scores := float64(12*4*s*s) / g.DRAM
			if got, want := time(partial)-time(otf), 2*scores-reads/2+g.Launch; math.Abs(got-want) > 1e-12 {
				t.Errorf("%s, %d tokens: partial costs %.3g s more, want %.3g", g.Name, s, got, want)
			}
			if time(flash) <= time(otf) {
				t.Errorf("%s, %d tokens: rescaling costs nothing", g.Name, s)
			}
			narrow := candidate(t, g, a, s, ir.FlashAttention, 16)
			if got := time(narrow) - time(flash); math.Abs(got-3*reads) > 1e-12 {
				t.Errorf("%s, %d tokens: blocks of 16 queries cost %.3g s more, want to read three times more, %.3g", g.Name, s, got, 3*reads)
			}
		}
	}
}

// TestGPUAttentionRows: one query a row is cheap and in blocks of 16; a causal
// row costs little more than half.
func TestGPUAttentionRows(t *testing.T) {
	for _, g := range cards {
		all := g.ChooseAttention(attention(12, 64, 64), 512)
		for _, rows := range []ir.RowKind{ir.FirstRows, ir.LastRows} {
			one := g.Candidates(&ir.AttentionAttrs{Heads: 12, D: 64, Dv: 64, Rows: rows}, 512)
			for _, e := range one {
				if e.Queries != 16 || e.Kind != ir.PartialOTFAttention && e.Seconds > all.Seconds/8 {
					t.Errorf("%s: %+v for one query a row, %+v for all", g.Name, e, all)
				}
			}
			if len(one) != len(attentionKinds) {
				t.Errorf("%s: %d candidates", g.Name, len(one))
			}
		}
		causal := candidate(t, g, &ir.AttentionAttrs{Heads: 12, D: 64, Dv: 64, Causal: true}, 512, ir.FlashAttention, 64)
		if share := causal.Seconds / candidate(t, g, attention(12, 64, 64), 512, ir.FlashAttention, 64).Seconds; share < 0.5 || share > 0.6 {
			t.Errorf("%s: a causal row costs %.2f of a whole one", g.Name, share)
		}
	}
}

// TestAttentionKernelsAreThere: every candidate names kernels of the table,
// with the storage type and bias that were asked for, and its shared memory is
// that of the greediest.
func TestAttentionKernelsAreThere(t *testing.T) {
	for _, g := range cards {
		for dtype, number := range map[string]int{"f16": 0, "bf16": 1} {
			g.DType = dtype
			for _, rows := range []ir.RowKind{ir.AllRows, ir.FirstRows, ir.LastRows} {
				for _, d := range []int{8, 64, 128, 136, 256} {
					a := &ir.AttentionAttrs{Heads: 3, D: d, Dv: 64, Rows: rows, Causal: d == 64}
					for _, s := range []int{1, 16, 100, 300} {
						for _, e := range g.Candidates(a, s) {
							most := 0
							for _, k := range g.AttentionKernels(a, true, e, s) {
								if err := k.Check(); err != nil && g.Fits(e) {
									t.Errorf("%s, %+v, %d tokens, %s: %v", g.Name, *a, s, e.Variant(), err)
								}
								if k.Value("DTYPE") != number || k.Value("ROWS") != int(rows) || k.Value("D") != d || k.Value("QB") != e.Queries {
									t.Errorf("%s is not for %+v", k.Entry(), *a)
								}
								if k.Family != "partial_otf_scores" && (k.Value("BIAS") != 1 || k.Value("DV") != 64) {
									t.Errorf("%s has no bias, or other values", k.Entry())
								}
								if maxs := k.Value("MAXS"); k.Family == "otf_attention" && (maxs < s || maxs >= s+16) {
									t.Errorf("%s for %d tokens", k.Entry(), s)
								}
								most = max(most, k.Shared())
							}
							if e.Shared != most {
								t.Errorf("%s: %d bytes of shared memory, want %d", e.Variant(), e.Shared, most)
							}
						}
					}
				}
			}
		}
	}
}

// TestAttentionThatDoesNotFit is no choice, not even a measured one.
func TestAttentionThatDoesNotFit(t *testing.T) {
	a := attention(12, 64, 64)
	for _, g := range cards {
		e := candidate(t, g, a, 2048, ir.OTFAttention, 64)
		if g.Fits(e) || e.Shared < 64*2048*4 {
			t.Errorf("%s: %+v", g.Name, e)
		}
		g.Tuning = NewTuning()
		g.Tuning.Entries[AttentionKey(g.SM, "", a, 2048)] = Measured{e.Variant(), 1}
		for _, other := range g.RankAttention(a, 2048) {
			if other.Variant() == e.Variant() || other.Measured {
				t.Errorf("%s: %+v is a choice", g.Name, other)
			}
		}
	}
}

// TestCrowding: eight warps keep a multiprocessor busy, which has 100 KiB here.
func TestCrowding(t *testing.T) {
	g := GPU{Shared: 100 << 10}
	for _, c := range []struct {
		shared, queries int
		want            float64
	}{{49 << 10, 64, 1}, {49<<10 + 1, 64, 1.3}, {99 << 10, 64, 1.3}, {24 << 10, 16, 1.3}, {32 << 10, 16, 1.7}} {
		if got := g.crowding(&Estimate{Shared: c.shared, Queries: c.queries}); got != c.want {
			t.Errorf("%d bytes, %d queries: %g, want %g", c.shared, c.queries, got, c.want)
		}
	}
}

// TestPredictAttention: a batch is no faster than tensor cores and the model of
// one row allow; where blocks are too few for the card it takes as long as if
// there were one for each multiprocessor, and whole rounds cost what rows do.
func TestPredictAttention(t *testing.T) {
	a := attention(12, 64, 64)
	for _, g := range cards {
		e := candidate(t, g, a, 128, ir.OTFAttention, 64) // 24 blocks a row
		last := 0.0
		for rows := 1; rows <= 64; rows++ {
			p := g.PredictAttention(a, e, 128, rows)
			if p.Seconds < last*(1-1e-9) || p.Seconds-g.Launch < e.Seconds*float64(rows)*(1-1e-9) || p.Seconds < p.Flops/g.Tensor {
				t.Fatalf("%s: %d rows in %g s, fewer in %g, one in %g", g.Name, rows, p.Seconds, last, e.Seconds)
			}
			last = p.Seconds
		}
		full := 2 * g.Multiprocessor / 24 // rows that make two rounds
		round := e.Seconds * float64(g.Multiprocessor) / 24
		for rows, rounds := range map[int]float64{1: 1, full / 2: 1, full/2 + 1: 2, full: 2, full + 1: 3} {
			if got := g.PredictAttention(a, e, 128, rows).Seconds - g.Launch; math.Abs(got-rounds*round) > 1e-12 {
				t.Errorf("%s: %d rows take %g s, want %g", g.Name, rows, got, rounds*round)
			}
		}
	}
}
