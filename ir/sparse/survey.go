package sparse

import (
	"encoding/binary"
	"math/bits"
	"runtime"

	"etc/fault"
	"etc/ir/tensor"
)

// Tile is the side of the square tiles that block-sparse forms keep or drop.
// The last row and column of tiles may reach past the matrix.
const Tile = 16

// A Matrix counts what the sparse forms of an [N,K] matrix would keep.
type Matrix struct {
	N, K     int
	NonZeros int  // elements
	Tiles    int  // 16×16 tiles with an element that is not zero
	NM24     bool // of no four neighbouring inputs, from a multiple of 4 on, more than two are not zero
}

// Survey counts the zeros of a float matrix. It reads every element once, on
// all processors, and gives the same answer with any number of them.
func Survey(t tensor.Tensor) Matrix {
	m := matrixOf(t)
	bands := (m.n + Tile - 1) / Tile
	parts := max(1, min(runtime.GOMAXPROCS(0), bands))
	found := make([]Matrix, parts)
	fault.Parallel(parts, func(p int) { found[p] = m.surveyBands(bands*p/parts, bands*(p+1)/parts) })
	total := Matrix{N: m.n, K: m.k, NM24: true}
	for _, f := range found {
		total.NonZeros += f.NonZeros
		total.Tiles += f.Tiles
		total.NM24 = total.NM24 && f.NM24
	}
	return total
}

// surveyBands counts the bands of Tile rows from lo up to hi.
func (m matrix) surveyBands(lo, hi int) Matrix {
	found := Matrix{NM24: true}
	padded := (m.k + Tile - 1) / Tile * Tile
	row := make([]byte, padded)  // 1 where an element is not zero
	band := make([]byte, padded) // rows of the band, or-ed
	for b := lo; b < hi; b++ {
		clear(band)
		for i := b * Tile; i < min((b+1)*Tile, m.n); i++ {
			m.mark(row, i)
			for j := 0; j < padded; j += 8 {
				word := binary.LittleEndian.Uint64(row[j:])
				found.NonZeros += bits.OnesCount64(word)
				found.NM24 = found.NM24 && atMostTwoOfFour(word)
				binary.LittleEndian.PutUint64(band[j:], binary.LittleEndian.Uint64(band[j:])|word)
			}
		}
		for j := 0; j < padded; j += Tile {
			if binary.LittleEndian.Uint64(band[j:])|binary.LittleEndian.Uint64(band[j+8:]) != 0 {
				found.Tiles++
			}
		}
	}
	return found
}

// atMostTwoOfFour looks at eight marks, two groups of four.
func atMostTwoOfFour(marks uint64) bool {
	return bits.OnesCount32(uint32(marks)) <= 2 && bits.OnesCount32(uint32(marks>>32)) <= 2
}

// mark sets marks[j] to 1 where element j of row i is not zero, to 0 elsewhere.
func (m matrix) mark(marks []byte, i int) {
	row := m.row(i)
	switch m.size {
	case 2:
		for j := range m.k {
			marks[j] = isSet(uint64(binary.LittleEndian.Uint16(row[2*j:])) << 49)
		}
	case 4:
		for j := range m.k {
			marks[j] = isSet(uint64(binary.LittleEndian.Uint32(row[4*j:])) << 33)
		}
	default:
		for j := range m.k {
			marks[j] = isSet(binary.LittleEndian.Uint64(row[8*j:]) << 1)
		}
	}
}

// isSet is 1 for any x but 0, without a branch: zeros are not to be guessed.
func isSet(x uint64) byte { return byte((x | -x) >> 63) }
