package ptxsim

import (
	"math"
	"strings"
	"sync"
)

// An mmaForm is one spelling of mma.
type mmaForm struct {
	exec    func(w *warp, in *inst, m uint32)
	wide    *wideTable
	b       int  // registers of b
	sparse  bool // a holds two of each four, metadata says which
	ordered bool // the metadata must ascend
}

func mmaOf(name string) (f mmaForm, ok bool) {
	rest, types, _ := strings.Cut(name, ".row.col.")
	switch types {
	case "f32.f16.f16.f32":
		f.wide = wideHalf()
	case "f32.bf16.bf16.f32":
		f.wide = wideBrain()
	default:
		return f, false
	}
	switch rest {
	case "mma.sync.aligned.m16n8k16":
		f.exec, f.b = execMMA, 2
	case "mma.sp.sync.aligned.m16n8k32":
		f.exec, f.b, f.sparse = execSparseMMA, 4, true
	case "mma.sp::ordered_metadata.sync.aligned.m16n8k32":
		f.exec, f.b, f.sparse, f.ordered = execSparseMMA, 4, true, true
	default:
		return f, false
	}
	return f, true
}

// A wideTable has the float32 of each number of 16 bits.
type wideTable [1 << 16]float32

var (
	wideHalf  = sync.OnceValue(func() *wideTable { return widen(halfToFloat) })
	wideBrain = sync.OnceValue(func() *wideTable {
		return widen(func(x uint16) float32 { return math.Float32frombits(uint32(x) << 16) })
	})
)

func widen(f func(x uint16) float32) *wideTable {
	var t wideTable
	for i := range t {
		t[i] = f(uint16(i))
	}
	return &t
}

func (in *inst) isMMA() bool { return strings.HasPrefix(in.op, "mma.") }

// Places in the vector of an mma.
const (
	mmaD, mmaA, mmaC, mmaB = 0, 4, 8, 12
)

// decodeMMA takes m16n8k16 of f16 and bf16 with sums in f32, and its sparse
// form of twice the depth: d, a, b, c[, metadata, selector].
func decodeMMA(p *parser, in *inst, _ []string, o []operand) {
	f, ok := mmaOf(in.op)
	if !ok {
		p.unsupported("instruction %q", in.op)
	}
	in.kind, in.exec, in.wide = kindTogether, f.exec, f.wide
	if f.sparse {
		p.want(in, o, 6, 6)
		if o[5].form != literal || o[5].imm > 1 {
			p.refuse("selector of %s must be 0 or 1", in.op)
		}
		in.a, in.b = p.source(o[4], single), int32(o[5].imm)
		in.ordered = f.ordered
	} else {
		p.want(in, o, 4, 4)
	}
	in.v = p.vectorOf(o[0], 4, single, true)
	in.v = append(in.v, p.vectorOf(o[1], 4, single, false)...)
	in.v = append(in.v, p.vectorOf(o[3], 4, single, false)...)
	in.v = append(in.v, p.vectorOf(o[2], f.b, single, false)...)
}

// fragmentA is the 16×16 matrix in four registers. Of lane 4g+t, the register
// r holds columns 2t and 2t+1, plus 8 where r is 2 or 3, of row g, plus 8
// where r is odd.
func (w *warp) fragmentA(in *inst, a *[16][16]float32) {
	for r := range 4 {
		for lane, x := range &w.r[in.v[mmaA+r]] {
			to := (*[2]float32)(a[(lane/4+r%2*8)&15][(lane%4*2+r/2*8)&14:])
			to[0], to[1] = in.wide[x&0xffff], in.wide[x>>16&0xffff]
		}
	}
}

// fragmentB is a matrix of 8 columns, b[column][row], 8 rows to a register:
// register r of lane 4g+t holds rows 8r+2t and 8r+2t+1 of column g.
func (w *warp) fragmentB(in *inst, b *[8][32]float32) {
	for r, slot := range in.v[mmaB:] {
		for lane, x := range &w.r[slot] {
			to := (*[2]float32)(b[lane/4&7][(8*r+lane%4*2)&30:])
			to[0], to[1] = in.wide[x&0xffff], in.wide[x>>16&0xffff]
		}
	}
}

// addTo writes c+s to d. Registers 0 and 1 of lane 4g+t hold columns 2t and
// 2t+1 of row g, 2 and 3 those of row g+8.
func (w *warp) addTo(in *inst, s *[16][8]float32) {
	for r := range 4 {
		c, d := &w.r[in.v[mmaC+r]], &w.r[in.v[mmaD+r]]
		for lane := range d {
			d[lane] = bitsOf(float(c[lane]) + s[(lane/4+r/2*8)&15][(lane%4*2+r%2)&7])
		}
	}
}

// dot16 sums 16 products, each exact, in the order that doc.go gives.
func dot16(a *[16]float32, b *[16]float32) float32 {
	s0 := a[0]*b[0] + a[1]*b[1] + a[2]*b[2] + a[3]*b[3]
	s1 := a[4]*b[4] + a[5]*b[5] + a[6]*b[6] + a[7]*b[7]
	s2 := a[8]*b[8] + a[9]*b[9] + a[10]*b[10] + a[11]*b[11]
	s3 := a[12]*b[12] + a[13]*b[13] + a[14]*b[14] + a[15]*b[15]
	return (s0 + s1) + (s2 + s3)
}

func execMMA(w *warp, in *inst, m uint32) {
	w.whole(in, m)
	var a [16][16]float32
	var b [8][32]float32
	w.fragmentA(in, &a)
	w.fragmentB(in, &b)
	var s [16][8]float32
	for i := range s {
		for j := range s[i] {
			s[i][j] = dot16(&a[i], (*[16]float32)(b[j][:16]))
		}
	}
	w.addTo(in, &s)
}

// execSparseMMA multiplies a, of which each four columns have two that are
// stored, with 32 rows of b. The metadata of rows g and g+8 lies in two lanes
// of 4g to 4g+3, the first two with selector 0, the others with 1: columns 0
// to 15 in the first, 16 to 31 in the second; row g in the lower half, g+8 in
// the upper; four bits for each four columns, the place of the first stored
// one in the lower two.
func execSparseMMA(w *warp, in *inst, m uint32) {
	w.whole(in, m)
	var a [16][16]float32
	var b [8][32]float32
	w.fragmentA(in, &a)
	w.fragmentB(in, &b)
	meta := &w.r[in.a]
	var s [16][8]float32
	for i := range s {
		var row [16]int // of b, for each stored column of a
		for k := range row {
			lane := i%8*4 + 2*int(in.b) + k/8
			field := meta[lane] >> (16 * (i / 8)) >> (2 * (k % 8))
			row[k] = k/2*4 + int(field&3)
			if in.ordered && k%2 == 1 && row[k] <= row[k-1] {
				w.report(in, lane, BadMetadata, "places %d and %d of row %d do not ascend", row[k-1]%4, row[k]%4, i)
			}
		}
		for j := range s[i] {
			var picked [16]float32
			for k, r := range row {
				picked[k] = b[j][r]
			}
			s[i][j] = dot16(&a[i], &picked)
		}
	}
	w.addTo(in, &s)
}
