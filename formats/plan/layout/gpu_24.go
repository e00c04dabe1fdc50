package layout

import (
	"math"

	"etc/fault"
)

// GPU24 is a matrix W [N,K] of which at most 2 of every 4 neighbouring inputs
// are kept, for the instruction mma.sp.m16n8k32 of tensor cores. N is padded to
// GPU24Rows(N) rows and K to GPUPanels(K)·64 inputs.
//
// Values[i·GPU24Width(K)+2g] and the one after it are what row i keeps of group
// g, inputs 4g to 4g+3; a place with nothing to keep holds +0.
//
// Meta has the positions of the kept values as threads of a warp take them.
// A strip of 32 rows is the work of two instructions of 16: row 4q+2m+h of a
// strip is row q+8h of instruction m. So a thread gets sums of four neighbouring
// rows, which it can store at once. Word Meta[((s·GPUPanels(K)+p)·2+m)·32+l] is
// for lane l, strip s, panel p of 64 inputs and instruction m: its lower half is
// of row s·32+l/4·4+2m, its upper half of the next row, both of the inputs
// p·64+l%4·16 to the 15th after it. Bits 4g to 4g+3 of a half are of the g-th
// group of those: the position of its first value in the lower two bits, that
// of the second, which is greater, in the upper two.
//
// The manual (PTX ISA, matrix fragments for sparse mma.m16n8k32 with .f16 and
// .bf16 types) gives the metadata of rows q and q+8 and of 32 inputs to two
// lanes of each four: for sparsity selector 0 to those with l%4 of 0 and 1, for
// selector 1 to those of 2 and 3. So the word of a lane serves both halves of a
// panel: the first 32 inputs by selector 0, the others by selector 1. Equal
// positions, the values 0, 5, 10 and 15 of four bits, are undefined there; those
// that descend have no use, and Check refuses both.
//
// The bytes are Values, then Meta (u32), without a gap.
type GPU24 struct {
	N, K   int
	Values []uint16
	Meta   []uint32
}

const (
	panelGroups = PanelInputs / groupInputs
	panelKept   = panelGroups * groupKept
	// wordGroups is the number of groups in each half of a word of Meta.
	wordGroups = 4
	warpLanes  = 32
	stripRows  = 2 * Width
	stripWords = 2 * warpLanes
	// firstPair is the positions 0 and 1, which groups with nothing to keep have.
	firstPair = 0<<0 | 1<<2
)

// GPU24Width is the number of values from one row to the next, 32 a panel.
func GPU24Width(k int) int { return GPUPanels(k) * panelKept }

// GPU24Rows is the number of rows with the padding after them, n rounded up to 32.
func GPU24Rows(n int) int { return strips(n) * stripRows }

func strips(n int) int { return (Blocks(n) + 1) / 2 }

func gpu24ValueBytes(n, k int) int {
	return product(strips(n), stripRows, GPUPanels(k), panelKept*halfSize)
}

// GPU24Bytes is the size of an [n,k] matrix; MaxInt if that is no size.
func GPU24Bytes(n, k int) int {
	values, meta := gpu24ValueBytes(n, k), product(strips(n), GPUPanels(k), stripWords*elemSize)
	if values > math.MaxInt-meta {
		return math.MaxInt
	}
	return values + meta
}

// GPU24Parts is where the arrays of an [n,k] matrix begin, in bytes, by the
// names of the kernel's parameters.
func GPU24Parts(n, k int) map[string]int {
	return map[string]int{"values": 0, "meta": gpu24ValueBytes(n, k)}
}

// PackGPU24 packs w [n,k], row-major, of which each 4 neighbouring inputs have
// at most 2 values that are not zero.
func PackGPU24(w []uint16, n, k int) []byte {
	checkElements("PackGPU24", w, n, k)
	b := make([]byte, GPU24Bytes(n, k))
	v := GPU24{n, k, halves(b[:gpu24ValueBytes(n, k)]), words(b[gpu24ValueBytes(n, k):])}
	for i := range GPU24Rows(n) {
		for g := range GPUPanels(k) * panelGroups {
			group := [groupInputs]uint16{}
			if i < n && g*groupInputs < k {
				copy(group[:], w[i*k+g*groupInputs:i*k+min(k, (g+1)*groupInputs)])
			}
			p, kept := packHalfGroup(group)
			copy(v.Values[i*GPU24Width(k)+g*groupKept:], kept[:])
			word, shift := v.nibble(i, g)
			v.Meta[word] |= p << shift
		}
	}
	return b
}

// packHalfGroup chooses two ascending positions that cover the values of a
// group, as four bits, and gives what stands there.
func packHalfGroup(group [groupInputs]uint16) (positions uint32, kept [groupKept]uint16) {
	var at []uint32
	for p, v := range group {
		if !isZero(v) {
			at = append(at, uint32(p))
		}
	}
	switch len(at) {
	case 0:
		return firstPair, kept
	case 1:
		if at[0] < groupInputs-1 {
			return at[0] | (at[0]+1)<<2, [groupKept]uint16{group[at[0]], 0}
		}
		return at[0] - 1 | at[0]<<2, [groupKept]uint16{0, group[at[0]]}
	case groupKept:
		return at[0] | at[1]<<2, [groupKept]uint16{group[at[0]], group[at[1]]}
	}
	panic("bug: PackGPU24: a group has more than 2 values")
}

// nibble is where Meta has the positions of group g of row i: a word of it, and a bit of that.
func (w GPU24) nibble(i, g int) (word, shift int) {
	panel, quarter := g/panelGroups, g%panelGroups/wordGroups
	instruction := (i/stripRows*GPUPanels(w.K)+panel)*2 + i%4/2
	lane := i%stripRows/4*4 + quarter
	return instruction*warpLanes + lane, i%2*16 + g%wordGroups*4
}

// positions are the two positions of group g of row i.
func (w GPU24) positions(i, g int) [groupKept]int {
	word, shift := w.nibble(i, g)
	bits := w.Meta[word] >> shift
	return [groupKept]int{int(bits & 3), int(bits >> 2 & 3)}
}

// CheckGPU24 views b as an [n,k] matrix.
func CheckGPU24(n, k int, b []byte) (GPU24, error) {
	const what = "gpu 2:4"
	if err := checkDims(what, n, k); err != nil {
		return GPU24{}, err
	}
	if err := checkSize(what, n, k, len(b), GPU24Bytes(n, k)); err != nil {
		return GPU24{}, err
	}
	if err := checkAlign(what, b, elemSize); err != nil {
		return GPU24{}, err
	}
	values := gpu24ValueBytes(n, k)
	w := GPU24{n, k, halves(b[:values]), words(b[values:])}
	if len(b) == 0 {
		return w, nil // n is then bounded by no byte, so no loop over it
	}
	for i := range GPU24Rows(n) {
		if err := w.checkRow(i); err != nil {
			return GPU24{}, err
		}
	}
	return w, nil
}

func (w GPU24) checkRow(i int) error {
	for g := range GPUPanels(w.K) * panelGroups {
		p := w.positions(i, g)
		if p[0] >= p[1] {
			return fault.Newf(fault.Corrupt, "gpu 2:4 weight: row %d: positions %d and %d of group %d do not ascend", i, p[0], p[1], g)
		}
		for j, v := range w.Values[i*GPU24Width(w.K)+g*groupKept:][:groupKept] {
			if v != 0 && (i >= w.N || g*groupInputs+p[j] >= w.K) {
				return fault.Newf(fault.Corrupt, "gpu 2:4 weight [%d %d]: a value at row %d, input %d", w.N, w.K, i, g*groupInputs+p[j])
			}
		}
	}
	return nil
}

// Unpack is W [N,K], row-major.
func (w GPU24) Unpack() []uint16 {
	d := make([]uint16, w.N*w.K)
	for i := range w.N {
		for g := range groups(w.K) {
			for j, p := range w.positions(i, g) {
				if x := g*groupInputs + p; x < w.K {
					d[i*w.K+x] = w.Values[i*GPU24Width(w.K)+g*groupKept+j]
				}
			}
		}
	}
	return d
}
