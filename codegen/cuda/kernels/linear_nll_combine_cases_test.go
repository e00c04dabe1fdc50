package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
)

// A chunkResult is what linear_nll finds in a chunk of the vocabulary for a
// token: the largest logit, the sum of e^(logit - largest), the lowest word
// with the largest, and the logit of the next token's word or -Inf.
type chunkResult struct {
	largest, sum float32
	word         int
	logit        float32
}

// A combineProblem is chunks of every token of a batch of two rows, the first
// of one token; each token is followed by its word.
type combineProblem struct {
	tokens, chunks int
	spread         float64 // of the largest logits
	parts          [][]chunkResult
	ids            []int
	noHit, noLoss  bool
}

// drawn fills a problem. Each third token has one chunk that outweighs the
// others, each at another place; each fifth has equal chunks.
func (p combineProblem) drawn() *combineProblem {
	r := rand.New(rand.NewPCG(uint64(p.tokens), uint64(p.chunks)))
	for t := range p.tokens {
		var parts []chunkResult
		at := r.IntN(p.chunks)
		for c := range p.chunks {
			x := chunkResult{float32(p.spread * r.NormFloat64()), float32(1 + 20*r.Float64()), 512*c + r.IntN(512), float32(math.Inf(-1))}
			switch {
			case t%3 == 0 && c == t/3%p.chunks:
				x.largest += float32(3 + 10*p.spread)
			case t%5 == 0:
				x.largest = 2
			}
			if c == at {
				x.logit = x.largest - float32(3*r.Float64())
			}
			parts = append(parts, x)
		}
		p.parts = append(p.parts, parts)
		p.ids = append(p.ids, 512*at+r.IntN(512))
		if word := parts[lowestLargest(parts)].word; t%2 == 0 {
			p.ids[t] = word
		}
	}
	return &p
}

// lowestLargest is the first chunk with the largest logit.
func lowestLargest(parts []chunkResult) int {
	best := 0
	for c, x := range parts {
		if x.largest > parts[best].largest {
			best = c
		}
	}
	return best
}

// run launches k. The sum passes an addition for each chunk, with a factor of
// ex2.approx (2^-22) whose argument, at most 100, is off by 2^-23 of itself;
// the loss is three roundings from it.
func (p *combineProblem) run(k launch.Kernel, m *ptxsim.Module, o ptxsim.Options) error {
	l := newLinearLaunch(k, o)
	var partial []byte
	for c := range p.chunks {
		for t := range p.tokens {
			x := p.parts[t][c]
			for _, w := range []uint32{math.Float32bits(x.largest), math.Float32bits(x.sum), uint32(x.word), math.Float32bits(x.logit)} {
				partial = binary.LittleEndian.AppendUint32(partial, w)
			}
		}
	}
	rows := make([]int, p.tokens)
	for t := 1; t < p.tokens; t++ {
		rows[t] = 1
	}
	l.put("count", linearInts([]int{p.tokens}))
	l.put("ids", linearInts(p.ids))
	l.put("offsets", linearInts([]int{0, min(1, p.tokens), p.tokens}))
	l.put("rowof", linearInts(rows))
	l.put("partial", partial)
	l.int("chunks", p.chunks)
	for i, name := range []string{"nll", "hit"} {
		if !(p.noHit && name == "hit" || p.noLoss && name == "nll") {
			l.result(name, p.tokens, 2+i, true)
			l.int("ld"+name[:1], 2+i)
		}
	}
	if err := l.run(m, k, launch.Size{Rows: p.tokens + 40, N: 512 * p.chunks}); err != nil {
		return err
	}
	return p.compare(l)
}

func (p *combineProblem) compare(l *linearLaunch) error {
	for i, name := range []string{"nll", "hit"} {
		if p.noHit && name == "hit" || p.noLoss && name == "nll" {
			continue
		}
		got, _, err := l.read(name, p.tokens, 1, 2+i, true)
		if err != nil {
			return err
		}
		for t, x := range got {
			want, bound := p.mean(t, name)
			if !(math.Abs(x-want) <= bound) {
				return fmt.Errorf("%s of token %d is %g, want %g within %.2g", name, t, x, want, bound)
			}
		}
	}
	return nil
}

// mean is a token's loss or hit and how far it may be off. Tokens 0 and 1 begin rows.
func (p *combineProblem) mean(t int, name string) (want, bound float64) {
	if t < 2 {
		return 0, 0
	}
	best := lowestLargest(p.parts[t])
	if name == "hit" {
		if p.ids[t] == p.parts[t][best].word {
			return 1, 0
		}
		return 0, 0
	}
	largest, sum, logit := float64(p.parts[t][best].largest), 0.0, math.Inf(-1)
	for _, x := range p.parts[t] {
		sum += float64(x.sum) * math.Exp(float64(x.largest)-largest)
		logit = max(logit, float64(x.logit))
	}
	return largest - logit + math.Log(sum), float64(p.chunks)*0x1p-15 + 0x1p-21*(math.Abs(largest)+math.Abs(logit)+math.Log(sum))
}

// combineCases have every remainder of chunks that the unrolled loop leaves,
// and tokens beside the ends of blocks.
func combineCases() []testCase {
	_, k := lossKernels(launch.F16)
	var all []testCase
	for chunks := 1; chunks < 12; chunks++ {
		for _, spread := range []float64{0.5, 6} {
			p := combineProblem{tokens: 31 + chunks%4, chunks: chunks, spread: spread, noHit: chunks == 3, noLoss: chunks == 6}.drawn()
			all = append(all, testCase{
				Name:   fmt.Sprintf("%s/tokens=%d,chunks=%d,spread=%g", k.Entry(), p.tokens, chunks, spread),
				Kernel: k,
				Run:    func(m *ptxsim.Module, o ptxsim.Options) error { return p.run(k, m, o) },
			})
		}
	}
	return all
}
