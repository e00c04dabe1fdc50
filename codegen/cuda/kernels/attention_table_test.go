package kernels

import (
	"fmt"
	"slices"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
)

// An attentionEntry is a kernel that is tested, and the batches it gets.
type attentionEntry struct {
	family    string
	constants map[string]int
	batches   []attentionBatch
}

func (e attentionEntry) kernel() launch.Kernel { return launch.Make(e.family, e.constants) }

// upTo is rows of every length from 1 to n.
func upTo(n int) attentionBatch {
	b := heads(1, 30)
	for i := range n {
		b.lengths = append(b.lengths, i+1)
	}
	return b
}

// heads is a batch of rows of those lengths. peak is about its largest score:
// with a small one softmaxes are flat, with a large one they pick one key.
func heads(n int, peak float64, lengths ...int) attentionBatch {
	b := attentionBatch{lengths: lengths, peak: peak}
	b.Heads, b.Exp2 = n, true
	return b
}

// below is b with scores that are all so small that 2^s is zero: only their
// distance from the largest may count.
func (b attentionBatch) below() attentionBatch {
	b.low = true
	return b
}

// natural is b with a softmax to base e.
func (b attentionBatch) natural() attentionBatch {
	b.Exp2 = false
	return b
}

// beside is b where nothing of the even rows and heads is a number: what
// reads a neighbour, be it to multiply it by zero, has no number either.
func (b attentionBatch) beside() attentionBatch {
	b.foul = true
	return b
}

// features is b for vo_attention, with n features a head, and b where that is wanted.
func (b attentionBatch) features(n int, bias bool) attentionBatch {
	b.n, b.withBias = n, bias
	return b
}

// Constants that many kernels share.
func attentionOf(d, dv, qb int, more map[string]int) map[string]int {
	all := map[string]int{"D": d, "DV": dv, "QB": qb}
	for name, v := range more {
		all[name] = v
	}
	return all
}

// attentionTable has every family, size of block, choice of queries, mask and
// bias, and heads of every residue of 16 on both sides.
var attentionTable = []attentionEntry{
	{"otf_attention", attentionOf(64, 64, 64, map[string]int{"MAXS": 128}), []attentionBatch{upTo(128), heads(3, 300, 64, 1, 128, 17), heads(2, 30, 100, 2).below()}},
	{"otf_attention", attentionOf(64, 64, 16, map[string]int{"MAXS": 128}), []attentionBatch{upTo(128), heads(2, 3, 16, 1, 31).natural()}},
	{"otf_attention", attentionOf(64, 64, 64, map[string]int{"MAXS": 128, "CAUSAL": 1}), []attentionBatch{upTo(128), heads(2, 300, 97, 5)}},
	{"otf_attention", attentionOf(64, 64, 64, map[string]int{"MAXS": 128, "BIAS": 1}), []attentionBatch{heads(2, 30, 1, 128, 50, 16, 65).natural()}},
	{"otf_attention", attentionOf(64, 64, 16, map[string]int{"MAXS": 128, "ROWS": 1}), []attentionBatch{upTo(128), heads(2, 30, 3, 128)}},
	{"otf_attention", attentionOf(64, 64, 16, map[string]int{"MAXS": 128, "ROWS": 2, "CAUSAL": 1}), []attentionBatch{upTo(128), heads(2, 30, 3, 128)}},
	{"otf_attention", attentionOf(64, 64, 64, map[string]int{"MAXS": 256}), []attentionBatch{heads(1, 30, 256, 130, 129, 1)}},
	{"otf_attention", attentionOf(64, 64, 16, map[string]int{"MAXS": 384}), []attentionBatch{heads(1, 30, 300, 384, 7)}},
	{"otf_attention", attentionOf(64, 64, 64, map[string]int{"MAXS": 128, "DTYPE": launch.BF16}), []attentionBatch{heads(2, 300, 128, 1, 33, 79)}},
	{"otf_attention", attentionOf(32, 32, 64, map[string]int{"MAXS": 64}), []attentionBatch{upTo(64), heads(3, 30, 64, 9)}},
	{"otf_attention", attentionOf(200, 200, 64, map[string]int{"MAXS": 64, "CAUSAL": 1}), []attentionBatch{heads(2, 30, 35, 64, 1, 16)}},
	{"otf_attention", attentionOf(40, 72, 16, map[string]int{"MAXS": 48, "CAUSAL": 1, "BIAS": 1}), []attentionBatch{upTo(48), heads(3, 30, 47, 2)}},
	{"otf_attention", attentionOf(8, 8, 64, map[string]int{"MAXS": 16}), []attentionBatch{upTo(16), heads(5, 300, 15, 16)}},
	{"otf_attention", attentionOf(24, 48, 16, map[string]int{"MAXS": 80, "ROWS": 1, "BIAS": 1}), []attentionBatch{heads(2, 30, 80, 79, 65, 1, 17)}},

	{"flash_attention", attentionOf(64, 64, 64, map[string]int{"KB": 64}), []attentionBatch{upTo(130), heads(2, 300, 300, 1, 64), heads(2, 30, 100, 2).below()}},
	{"flash_attention", attentionOf(64, 64, 16, map[string]int{"KB": 64}), []attentionBatch{heads(2, 30, 300, 31, 128).natural()}},
	{"flash_attention", attentionOf(64, 64, 64, map[string]int{"KB": 64, "CAUSAL": 1}), []attentionBatch{upTo(130), heads(1, 300, 300)}},
	{"flash_attention", attentionOf(64, 64, 64, map[string]int{"KB": 64, "BIAS": 1}), []attentionBatch{heads(2, 30, 1, 200, 64).natural()}},
	{"flash_attention", attentionOf(64, 64, 16, map[string]int{"KB": 64, "ROWS": 1}), []attentionBatch{heads(2, 30, 300, 1, 65)}},
	{"flash_attention", attentionOf(64, 64, 16, map[string]int{"KB": 64, "ROWS": 2, "CAUSAL": 1}), []attentionBatch{heads(2, 30, 300, 1, 65)}},
	{"flash_attention", attentionOf(64, 64, 64, map[string]int{"KB": 32, "DTYPE": launch.BF16}), []attentionBatch{heads(2, 300, 300, 33)}},
	{"flash_attention", attentionOf(200, 200, 64, map[string]int{"KB": 32, "CAUSAL": 1}), []attentionBatch{heads(1, 30, 100, 1, 32)}},
	{"flash_attention", attentionOf(24, 48, 16, map[string]int{"KB": 32, "CAUSAL": 1, "BIAS": 1}), []attentionBatch{upTo(100), heads(3, 30, 97, 4)}},
	{"flash_attention", attentionOf(64, 8, 64, map[string]int{"KB": 32}), []attentionBatch{heads(3, 30, 97, 160, 4)}},

	{"partial_otf_scores", map[string]int{"D": 64, "QB": 64, "SPLIT": 8}, []attentionBatch{upTo(130), heads(2, 30, 600, 1), heads(1, 30, 1700)}},
	{"partial_otf_scores", map[string]int{"D": 40, "QB": 16, "SPLIT": 2, "CAUSAL": 1}, []attentionBatch{upTo(100), heads(3, 30, 300), heads(1, 30, 460)}},
	{"partial_otf_scores", map[string]int{"D": 200, "QB": 16, "SPLIT": 1, "ROWS": 1}, []attentionBatch{heads(2, 30, 200, 1, 33)}},
	{"partial_otf_scores", map[string]int{"D": 64, "QB": 64, "SPLIT": 2, "DTYPE": launch.BF16}, []attentionBatch{heads(2, 30, 300, 65).natural(), heads(1, 30, 460)}},

	{"partial_otf_attention", attentionOf(64, 64, 64, nil), []attentionBatch{upTo(130), heads(2, 300, 300, 1, 64), heads(2, 30, 100, 2).below()}},
	{"partial_otf_attention", attentionOf(40, 72, 16, map[string]int{"CAUSAL": 1, "BIAS": 1}), []attentionBatch{upTo(100), heads(2, 30, 300).natural()}},
	{"partial_otf_attention", attentionOf(200, 200, 16, map[string]int{"ROWS": 2, "CAUSAL": 1}), []attentionBatch{heads(2, 30, 200, 1, 33)}},
	{"partial_otf_attention", attentionOf(64, 64, 64, map[string]int{"DTYPE": launch.BF16}), []attentionBatch{heads(2, 300, 200, 65)}},

	{"vo_attention", map[string]int{"D": 64, "QB": 64, "MAXS": 128, "BN": 64}, []attentionBatch{upTo(60).features(64, true), heads(3, 300, 128, 1, 33).features(136, true), heads(2, 300, 70, 40).features(75, true), heads(2, 30, 128, 9).features(66, true), heads(1, 30, 20).features(65, false), heads(1, 30, 20, 3).features(67, true), heads(1, 30, 20).features(68, true), heads(1, 30, 20).features(71, true), heads(1, 6, 2, 37, 1, 66).below().beside().features(67, true), heads(1, 6, 2, 70).below().beside().features(65, true)}},
	{"vo_attention", map[string]int{"D": 32, "QB": 16, "MAXS": 64, "BN": 64, "CAUSAL": 1, "OUT32": 1}, []attentionBatch{heads(3, 30, 64, 1, 17).features(75, false), heads(2, 30, 64, 5).features(72, true), heads(2, 300, 64, 40).features(66, true), heads(1, 30, 20).features(65, false)}},
	{"vo_attention", map[string]int{"D": 200, "QB": 16, "MAXS": 128, "BN": 128, "DTYPE": launch.BF16}, []attentionBatch{heads(2, 30, 128, 1, 17).features(131, true), heads(1, 30, 40).features(136, true)}},
}

// attentionGoldens are the kernels whose PTX is in testdata.
func attentionGoldens() []launch.Kernel {
	var all []launch.Kernel
	for _, e := range attentionTable {
		all = append(all, e.kernel())
	}
	return all
}

// small is a batch that is quick to run: of mutants it kills most.
func (e attentionEntry) small() attentionBatch {
	most := 70
	if n := e.constants["MAXS"]; n > 0 {
		most = min(most, n)
	}
	return heads(2, 300, min(9, most), 1, most-1).features(e.batches[0].n, true)
}

// edges are rows that end shortly before, at and after the end of a tile of
// keys, of a block of queries and of 16 keys, with their neighbours foul and
// scores so low that a key of zeros would win. The last begins a tile of keys.
func (e attentionEntry) edges() attentionBatch {
	b := heads(3, 6).below().beside().features(e.batches[0].n, true)
	last := 5
	for i, n := range []int{4, 7, 16, 18, 34, 37, 48, 49, 52, 64, 70, 80, 133} {
		if n <= e.longest() {
			b.lengths = append(b.lengths, 1+i%3, n)
		}
	}
	for _, n := range []int{33, 65} {
		if n <= e.longest() {
			last = n
		}
	}
	b.lengths = append(b.lengths, 2, last)
	return b
}

// tail is a batch whose last row begins the second tile of 32 keys or, without
// a bound, the third of 64: what reads past the row's end leaves the operand.
func (e attentionEntry) tail() attentionBatch {
	n := 133
	if e.constants["MAXS"] > 0 {
		n = min(33, e.longest())
	}
	return heads(2, 6, 2, n).beside().features(e.batches[0].n, true)
}

// inside are batches whose last row ends inside a tile of keys: in the second, the third and so on.
func (e attentionEntry) inside() []attentionBatch {
	var all []attentionBatch
	for _, n := range []int{45, 109, 150, 211} {
		if n <= e.longest() || n == 150 && e.constants["MAXS"] == 0 {
			all = append(all, heads(2, 6, 2, n).beside().features(e.batches[0].n, true))
		}
	}
	return all
}

// full is rows that fill their tiles of keys. A copy of the tile behind them, in
// which there is nothing, is under way where nobody waits for it any more.
func (e attentionEntry) full() attentionBatch {
	b := heads(1, 30).features(e.batches[0].n, true)
	for _, n := range []int{16, 32, 64, 96, 128, 192} {
		if n <= e.longest() || e.constants["MAXS"] == 0 {
			b.lengths = append(b.lengths, n)
		}
	}
	return b
}

// one is a row with one key behind two tiles.
func (e attentionEntry) one() attentionBatch {
	return heads(1, 3, min(129, e.longest())).features(e.batches[0].n, true)
}

// narrow are, for vo_attention, counts of features that end at every place of a
// chunk, in the first chunk and in the second; the batch ends in the first, the
// second and the third tile of keys.
func (e attentionEntry) narrow() []attentionBatch {
	var all []attentionBatch
	if e.family != "vo_attention" {
		return nil
	}
	for n := 1; n <= 16; n++ {
		for _, last := range []int{3, 35, 67} {
			if last <= e.longest() {
				all = append(all, heads(2, 6, 2, last).beside().features(n, true))
			}
		}
	}
	return all
}

// stub is a batch that ends with a few keys: of the first tile too no more may be read.
func (e attentionEntry) stub() attentionBatch {
	return heads(2, 6, 2, 3).beside().features(e.batches[0].n, true)
}

// flat is rows that end one key after a tile of 16, all of whose keys count for
// something. With one query a row there are all lengths.
func (e attentionEntry) flat() attentionBatch {
	b := heads(1, 3, 2, 5, 17, 33, 49, 65)
	if e.constants["ROWS"] > 0 {
		b = upTo(72)
		b.peak = 3
	}
	for i, n := range b.lengths {
		b.lengths[i] = min(n, e.longest())
	}
	return b.features(e.batches[0].n, true)
}

// peaks are softmaxes of hardly more than one key: if that is not among those
// that the largest is sought in, its weight is no number. With one query a row
// there are rows for each of the first 16 keys.
func (e attentionEntry) peaks() attentionBatch {
	b := heads(1, 3000, 64, 63, 17, 31, 9, 33, 49, 16, 50, 45, 65, 29, 38, 72).features(e.batches[0].n, true)
	if e.constants["ROWS"] > 0 {
		b.turn, b.lengths = true, append([]int{49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64}, b.lengths...)
	}
	for i, n := range b.lengths {
		b.lengths[i] = min(n, e.longest())
	}
	return b
}

// longest is how many tokens a row may have, or enough for the edges.
func (e attentionEntry) longest() int {
	if n := e.constants["MAXS"]; n > 0 {
		return n
	}
	return 135
}

// attentionCases are every kernel on each of its batches, on a small one, at the
// edges of its tiles and of its operands, on flat softmaxes and on peaks.
func attentionCases() []testCase {
	var all []testCase
	for _, e := range attentionTable {
		k := e.kernel()
		batches := slices.Concat(e.batches, []attentionBatch{e.small(), e.edges(), e.tail(), e.stub(), e.flat(), e.peaks(), e.full(), e.one()}, e.inside(), e.narrow())
		for _, b := range batches {
			full := batchFor(k, b)
			all = append(all, testCase{
				Name:   fmt.Sprintf("%s/%v", k.Entry(), full),
				Kernel: k,
				Run: func(m *ptxsim.Module, o ptxsim.Options) error {
					_, err := runAttention(m, o, k, full)
					return err
				},
			})
		}
	}
	return all
}
