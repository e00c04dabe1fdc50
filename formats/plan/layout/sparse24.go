package layout

import (
	"math"

	"etc/fault"
)

// Sparse24 is a matrix W [N,K] of which at most 2 of every 4 neighbouring
// inputs are kept: group g of row i (inputs 4g to 4g+3) has the values
// Values[(i·groups+g)·2] and the one after it, at the two-bit positions in
// nibble g of the row's positions, lower position in the lower bits, lower
// nibble first. The positions of a group ascend. A place with nothing to keep
// holds +0.
//
// It is the form of sparse tensor cores, values and positions apart. The
// bytes are the values, then for each row its (groups+1)/2 bytes of positions;
// the upper nibble of an odd last byte is zero.
type Sparse24 struct {
	N, K      int
	Values    []float32
	Positions []byte
}

const (
	groupInputs = 4
	groupKept   = 2
)

func groups(k int) int        { return (k + groupInputs - 1) / groupInputs }
func positionBytes(k int) int { return (groups(k) + 1) / 2 }

// Sparse24Bytes is the size of an [n,k] matrix; MaxInt if that is no size.
func Sparse24Bytes(n, k int) int {
	values, positions := product(n, groups(k), groupKept*elemSize), product(n, positionBytes(k))
	if values > math.MaxInt-positions {
		return math.MaxInt
	}
	return values + positions
}

// IsSparse24 reports whether each 4 neighbouring inputs of w [n,k],
// row-major, have at most 2 values that are not zero.
func IsSparse24(w []float32, n, k int) bool {
	for i := range n {
		row := w[i*k : (i+1)*k]
		for g := 0; g < k; g += groupInputs {
			kept := 0
			for _, v := range row[g:min(k, g+groupInputs)] {
				if v != 0 {
					kept++
				}
			}
			if kept > groupKept {
				return false
			}
		}
	}
	return true
}

// PackSparse24 packs w [n,k], row-major, which IsSparse24.
func PackSparse24(w []float32, n, k int) []byte {
	if !IsSparse24(w, n, k) {
		panic("bug: PackSparse24: a group has more than 2 values")
	}
	b := make([]byte, Sparse24Bytes(n, k))
	positions := b[n*groups(k)*groupKept*elemSize:]
	for i := range n {
		row := w[i*k : (i+1)*k]
		for g := range groups(k) {
			p, v := packGroup(row[g*groupInputs : min(k, (g+1)*groupInputs)])
			putFloat(b, (i*groups(k)+g)*groupKept, v[0])
			putFloat(b, (i*groups(k)+g)*groupKept+1, v[1])
			positions[i*positionBytes(k)+g/2] |= (p[0] | p[1]<<2) << (4 * (g % 2))
		}
	}
	return b
}

// packGroup chooses two ascending positions that cover the values of a group.
func packGroup(w []float32) (p [2]byte, v [2]float32) {
	at := func(i byte) float32 {
		if int(i) < len(w) {
			return w[i]
		}
		return 0
	}
	p = [2]byte{0, 1}
	for a := byte(0); a < groupInputs; a++ {
		if at(a) == 0 {
			continue
		}
		p = [2]byte{a, a + 1}
		for b := a + 1; b < groupInputs; b++ {
			if at(b) != 0 {
				p[1] = b
			}
		}
		break
	}
	if p[1] == groupInputs {
		p = [2]byte{groupInputs - 2, groupInputs - 1}
	}
	for i := range v {
		if x := at(p[i]); x != 0 { // not -0, which is nothing to keep
			v[i] = x
		}
	}
	return p, v
}

// CheckSparse24 views b as an [n,k] matrix.
func CheckSparse24(n, k int, b []byte) (Sparse24, error) {
	const what = "2:4"
	if err := checkDims(what, n, k); err != nil {
		return Sparse24{}, err
	}
	if err := checkSize(what, n, k, len(b), Sparse24Bytes(n, k)); err != nil {
		return Sparse24{}, err
	}
	if err := checkAlign(what, b, elemSize); err != nil {
		return Sparse24{}, err
	}
	values := n * groups(k) * groupKept * elemSize
	w := Sparse24{n, k, floats(b[:values]), b[values:]}
	if k == 0 {
		return w, nil // n is then bounded by no byte, so no loop over it
	}
	for i := range n {
		if err := w.checkRow(i); err != nil {
			return Sparse24{}, err
		}
	}
	return w, nil
}

func (w Sparse24) checkRow(i int) error {
	for g := range groups(w.K) {
		p0, p1 := w.positions(i, g)
		if p0 >= p1 {
			return fault.Newf(fault.Corrupt, "2:4 weight: row %d: positions %d and %d of group %d do not ascend", i, p0, p1, g)
		}
		v := w.Values[(i*groups(w.K)+g)*groupKept:]
		for j, p := range [groupKept]int{p0, p1} {
			if g*groupInputs+p >= w.K && math.Float32bits(v[j]) != 0 {
				return fault.Newf(fault.Corrupt, "2:4 weight: row %d: a value at input %d of %d", i, g*groupInputs+p, w.K)
			}
		}
	}
	if groups(w.K)%2 == 1 && w.Positions[(i+1)*positionBytes(w.K)-1]>>4 != 0 {
		return fault.Newf(fault.Corrupt, "2:4 weight: row %d: padding is not zero", i)
	}
	return nil
}

// positions are the two positions of group g of row i.
func (w Sparse24) positions(i, g int) (int, int) {
	nibble := w.Positions[i*positionBytes(w.K)+g/2] >> (4 * (g % 2))
	return int(nibble & 3), int(nibble >> 2 & 3)
}

// Expand is W in CSR form, for the kernel of that name: what is zero is dropped.
func (w Sparse24) Expand() CSR {
	kept := 0
	for _, v := range w.Values {
		if v != 0 {
			kept++
		}
	}
	c := CSR{N: w.N, K: w.K, Values: make([]float32, 0, kept)}
	if w.K > 0 {
		c.Masks = make([]uint64, 0, Stripes(w.K)*w.N)
	}
	const stripeGroups = Stripe / groupInputs
	for s := range Stripes(w.K) {
		for i := range w.N {
			mask := uint64(0)
			for g := s * stripeGroups; g < min(groups(w.K), (s+1)*stripeGroups); g++ {
				p0, p1 := w.positions(i, g)
				v := w.Values[(i*groups(w.K)+g)*groupKept:]
				for j, p := range [groupKept]int{p0, p1} {
					if v[j] != 0 {
						mask |= 1 << (g%stripeGroups*groupInputs + p)
						c.Values = append(c.Values, v[j])
					}
				}
			}
			c.Masks = append(c.Masks, mask)
		}
	}
	c.findStarts()
	return c
}

// Unpack is W [N,K], row-major.
func (w Sparse24) Unpack() []float32 { return w.Expand().Unpack() }
