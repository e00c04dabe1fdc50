package kernels

import (
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/tensor"
)

// A lossProblem is a batch whose loss is asked for.
type lossProblem struct {
	dtype    int
	offsets  []int
	x, w     *interp.Array
	bias     []float64
	ids      []int
	onlyLoss bool // the hits are not wanted
	full     bool // the grid has no room for more tokens
}

// lossKernels are the two of a storage type.
func lossKernels(dtype int) (product, combine launch.Kernel) {
	tile := launch.NLLTile()
	tile["DTYPE"] = dtype
	return launch.Make("linear_nll", tile), launch.Make("linear_nll_combine", nil)
}

// linearNLLGoldens are the kernels of linear_nll whose PTX is in testdata.
func linearNLLGoldens() []launch.Kernel {
	f16, combine := lossKernels(launch.F16)
	bf16, _ := lossKernels(launch.BF16)
	return []launch.Kernel{f16, bf16, combine}
}

// lossNumbers draws a batch of rows of those lengths. Every third token is the
// word with the largest logit. With spread 0 all words are alike: every logit
// of a token is the same, and word 0 is the one that counts.
func lossNumbers(dtype, vocabulary, k int, spread float64, lengths ...int) *lossProblem {
	rng := rand.New(rand.NewPCG(uint64(vocabulary), uint64(k+len(lengths))))
	p := &lossProblem{dtype: dtype, offsets: []int{0}}
	for _, n := range lengths {
		p.offsets = append(p.offsets, p.offsets[len(p.offsets)-1]+n)
	}
	p.x = &interp.Array{Shape: []int{p.tokens(), k}}
	for range p.tokens() * k {
		p.x.F = append(p.x.F, p.round(rng.NormFloat64()+0.25))
	}
	p.w = &interp.Array{Shape: []int{vocabulary, k}}
	for range vocabulary * k {
		p.w.F = append(p.w.F, p.round(0.125+spread*rng.NormFloat64()))
	}
	for range vocabulary {
		p.bias = append(p.bias, float64(float32(spread*rng.NormFloat64())))
	}
	for t := range p.tokens() {
		p.ids = append(p.ids, rng.IntN(vocabulary))
		if t > 0 && t%3 == 0 {
			logits, _ := p.logits(t - 1)
			for v, l := range logits {
				if l > logits[p.ids[t]] || l == logits[p.ids[t]] && v < p.ids[t] {
					p.ids[t] = v
				}
			}
		}
	}
	return p
}

func (p *lossProblem) tokens() int { return p.offsets[len(p.offsets)-1] }

func (p *lossProblem) round(x float64) float64 {
	l := linearLaunch{bf16: p.dtype == launch.BF16}
	return l.number(l.numbers([]float64{x}, false))
}

func (p *lossProblem) String() string {
	return fmt.Sprintf("%v,vocabulary=%d,k=%d", p.offsets, p.w.Shape[0], p.w.Shape[1])
}

// logits are those of a token, and the most that one of them is off: K
// products and the bias summed in float32.
func (p *lossProblem) logits(t int) (logits []float64, off float64) {
	k := p.w.Shape[1]
	for v := range p.w.Shape[0] {
		sum, size := 0.0, 0.0
		for i, x := range p.x.F[t*k : (t+1)*k] {
			sum, size = sum+x*p.w.F[v*k+i], size+math.Abs(x*p.w.F[v*k+i])
		}
		if p.bias != nil {
			sum, size = sum+p.bias[v], size+math.Abs(p.bias[v])
		}
		logits, off = append(logits, sum), max(off, float64(k+2)*0x1p-24*size)
	}
	return logits, off
}

// run gives the bits of the losses, after comparing them and the hits.
func (p *lossProblem) run(product, combine *ptxsim.Module, o ptxsim.Options) ([]byte, ptxsim.Counters, error) {
	k1, k2 := lossKernels(p.dtype)
	l := newLinearLaunch(k1, o)
	for name, a := range newLinearLaunch(k2, o).args {
		l.args[name] = a
	}
	tokens, vocabulary := p.tokens(), p.w.Shape[0]
	chunks := launch.NLLChunks(k1, vocabulary)
	l.put("count", linearInts([]int{tokens}))
	l.rows("x", p.x, false)
	l.weights(p.w)
	if p.bias != nil {
		l.put("bias", l.numbers(p.bias, true))
	}
	l.put("ids", linearInts(p.ids))
	l.put("offsets", linearInts(p.offsets))
	l.put("rowof", linearInts(p.rowOf()))
	l.args["partial"] = ptxsim.Ptr(l.Alloc("partial", 16*tokens*chunks))
	l.result("nll", tokens, 3, true)
	l.int("ldn", 3)
	if !p.onlyLoss {
		l.result("hit", tokens, 2, true)
		l.int("ldh", 2)
	}
	l.int("K", p.w.Shape[1])
	l.int("V", vocabulary)
	l.int("chunks", chunks)
	size := launch.Size{Rows: tokens + 70, N: vocabulary}
	if p.full {
		size.Rows = tokens
	}
	if err := l.run(product, k1, size); err != nil {
		return nil, ptxsim.Counters{}, fmt.Errorf("%v: %w", p, err)
	}
	counters := l.Counters()
	partial := make([]byte, 16*tokens*chunks)
	if err := l.Read(partial, l.args["partial"].Bits); err != nil {
		return nil, counters, err
	}
	if err := p.comparePartial(partial, chunks, k1.Value("BN")*k1.Value("TILES")); err != nil {
		return nil, counters, err
	}
	if err := l.run(combine, k2, size); err != nil {
		return nil, counters, fmt.Errorf("%v: %w", p, err)
	}
	nll, bits, err := l.read("nll", tokens, 1, 3, true)
	if err != nil {
		return nil, counters, err
	}
	hit := make([]float64, tokens)
	if !p.onlyLoss {
		if hit, _, err = l.read("hit", tokens, 1, 2, true); err != nil {
			return nil, counters, err
		}
	}
	return bits, counters, p.compare(nll, hit, chunks)
}

// comparePartial holds what is said of each chunk of words, of which there are
// size in a whole one, to the logits. The word is one with a logit that may be
// the largest; it is the lowest of them where those are all the same.
func (p *lossProblem) comparePartial(partial []byte, chunks, size int) error {
	rows, tokens, vocabulary := p.rowOf(), p.tokens(), p.w.Shape[0]
	for t := range tokens {
		logits, off := make([]float64, vocabulary), 0.0 // a row's first token: those of zeros
		if t > p.offsets[rows[t]] {
			logits, off = p.logits(t - 1)
		} else if p.bias != nil {
			copy(logits, p.bias)
		}
		for c := range chunks {
			first := c * size
			of := logits[first:min(first+size, vocabulary)]
			x := chunkOf(partial[16*(c*tokens+t):])
			largest := slices.Max(of)
			lowest, same, sum := -1, true, 0.0
			for v, l := range of {
				sum += math.Exp(l - largest)
				if l >= largest-2*off {
					same = same && l == largest
					if lowest < 0 {
						lowest = v
					}
				}
			}
			bad := func(what string, got, want, bound float64) error {
				return fmt.Errorf("%v: %s of chunk %d, token %d is %g, want %g within %.2g", p, what, c, t, got, want, bound)
			}
			if !(math.Abs(float64(x.largest)-largest) <= off) {
				return bad("the largest logit", float64(x.largest), largest, off)
			}
			if bound := 2*off + 20*0x1p-21; !(math.Abs(math.Log(float64(x.sum)/sum)) <= bound) {
				return bad("the sum", float64(x.sum), sum, sum*bound)
			}
			w := x.word - first
			if w < 0 || w >= len(of) || of[w] < largest-2*off || same && w != lowest {
				return bad("the word", float64(x.word), float64(first+lowest), 0)
			}
			want, id := math.Inf(-1), p.ids[t]-first
			if id >= 0 && id < len(of) {
				want = of[id]
			}
			if l := float64(x.logit); l != want && !(math.Abs(l-want) <= off) {
				return bad("the word's logit", l, want, off)
			}
		}
	}
	return nil
}

// chunkOf is one of a partial result.
func chunkOf(b []byte) chunkResult {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
	float := func(i int) float32 { return math.Float32frombits(word(i)) }
	return chunkResult{float(0), float(1), int(int32(word(2))), float(3)}
}

func (p *lossProblem) rowOf() []int {
	var rows []int
	for r := range len(p.offsets) - 1 {
		for range p.offsets[r+1] - p.offsets[r] {
			rows = append(rows, r)
		}
	}
	return rows
}

func (p *lossProblem) means() (map[string]*interp.Array, error) {
	g := &ir.Graph{Name: "loss"}
	args := []*ir.Value{g.NewInput("xin", ir.F32(ir.T, ir.Dim(p.x.Shape[1]))), g.NewWeight("w", tensor.FromFloat64s(p.w.Shape, p.w.F)),
		nil, g.NewInput("ids", ir.I32(ir.T)), g.NewInput("offsets", ir.I32(ir.Ends))}
	if p.bias != nil {
		args[2] = g.NewWeight("b", tensor.FromFloat64s([]int{len(p.bias)}, p.bias))
	}
	op := g.New(ir.LinearNLL, nil, "", args...)
	g.Outputs = []ir.Output{{Name: "nll", Value: op.Results[0]}, {Name: "hit", Value: op.Results[1]}}
	return interp.Run(g, interp.Inputs{Offsets: p.offsets, IDs: p.ids, Extra: map[string]*interp.Array{"xin": p.x}})
}

// compare: a loss is off by that of its logit and of the others, which move
// the logarithm by no more than the most of them; by the sum of exponentials,
// whose parts pass at most 20 additions in a chunk and one for each chunk, each
// with a factor of ex2.approx (2⁻²²) and a rounding; and by three roundings of
// the last subtraction. A hit is decided where the logits lie further apart
// than they are off, or are the same.
func (p *lossProblem) compare(nll, hit []float64, chunks int) error {
	want, err := p.means()
	if err != nil {
		return err
	}
	rows := p.rowOf()
	for t := range nll {
		if t == p.offsets[rows[t]] {
			if nll[t] != 0 || hit[t] != 0 {
				return fmt.Errorf("%v: first token %d has loss %g and hit %g, want none", p, t, nll[t], hit[t])
			}
			continue
		}
		logits, off := p.logits(t - 1)
		largest, decided := 0.0, true
		for _, l := range logits {
			largest = max(largest, math.Abs(l))
			d := math.Abs(l - logits[p.ids[t]])
			decided = decided && (d == 0 || d > 2*off)
		}
		bound := 2*off + float64(20+chunks)*0x1p-21 + 0x1p-22*(largest+math.Abs(want["nll"].F[t]))
		if !(math.Abs(nll[t]-want["nll"].F[t]) <= bound) {
			return fmt.Errorf("%v: loss of token %d is %g, want %g within %.2g", p, t, nll[t], want["nll"].F[t], bound)
		}
		if decided && !p.onlyLoss && hit[t] != want["hit"].F[t] {
			return fmt.Errorf("%v: hit of token %d is %g, want %g", p, t, hit[t], want["hit"].F[t])
		}
	}
	return nil
}

// lossProblems meet vocabularies of less than a warp, than a tile, than a
// chunk and of several chunks with every kind of rest; rows of one token; row
// ends at and beside the ends of tiles.
func lossProblems(dtype int) []*lossProblem {
	all := []*lossProblem{
		lossNumbers(dtype, 1, 5, 1, 3, 1, 2),
		lossNumbers(dtype, 7, 64, 1, 1, 1, 63, 1),
		lossNumbers(dtype, 129, 33, 3, 5, 60, 70, 2),
		lossNumbers(dtype, 512, 200, 0.5, 64, 64),
		lossNumbers(dtype, 1100, 40, 8, 9, 56, 1, 3),
		lossNumbers(dtype, 700, 24, 0, 17, 3),
		lossNumbers(dtype, 560, 200, 0.5, 64), // the last tile of a thread's words is whole, and the next begins at the end
		lossNumbers(dtype, 562, 40, 1, 5, 4),
	}
	all[6].full = true // and no row is left over
	all[1].bias, all[3].bias = nil, nil
	all[2].onlyLoss = true
	all[5].bias = nil
	return all
}

// linearGolden is the kernel of testdata that runs beside the one of a case.
func linearGolden(k launch.Kernel) (*ptxsim.Module, error) {
	f, err := os.Open(filepath.Join("testdata", "ptx", k.Entry()+".ptx.gz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	ptx, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	return ptxsim.Parse(ptx)
}

// linearNLLCases run both kernels. The module under test is the one of the
// case's kernel; the other comes from testdata.
func linearNLLCases() []testCase {
	var all []testCase
	for _, dtype := range []int{launch.F16, launch.BF16} {
		product, combine := lossKernels(dtype)
		for _, p := range lossProblems(dtype) {
			all = append(all, testCase{
				Name:   fmt.Sprintf("%s/%v", product.Entry(), p),
				Kernel: product,
				Run: func(m *ptxsim.Module, o ptxsim.Options) error {
					other, err := linearGolden(combine)
					if err != nil {
						return err
					}
					_, _, err = p.run(m, other, o)
					return err
				},
			})
			if dtype == launch.BF16 {
				continue
			}
			all = append(all, testCase{
				Name:   fmt.Sprintf("%s/%v", combine.Entry(), p),
				Kernel: combine,
				Run: func(m *ptxsim.Module, o ptxsim.Options) error {
					other, err := linearGolden(product)
					if err != nil {
						return err
					}
					_, _, err = p.run(other, m, o)
					return err
				},
			})
		}
	}
	return append(all, combineCases()...)
}
