package layout

import (
	"math"
	"math/bits"

	"etc/fault"
)

// PanelInputs is the number of neighbouring inputs that a kernel for GPUs
// keeps on chip at a time: 128 bytes of a row of x.
const PanelInputs = 64

// panelTiles is the number of tiles side by side in a panel.
const panelTiles = PanelInputs / Width

// GPUTiles is a matrix W [N,K] of which only some 16×16 tiles are kept, for
// tensor cores: tiles by block rows of 16 outputs, in a block row by inputs,
// Values[(t·16+j)·16+k] = W[r·16+j][c·16+k] for tile t of block row r and block
// column c. Outputs past N and inputs past K are +0.
//
// Index[r·Panels(K)+p] says which tiles block row r has in panel p, the inputs
// from p·PanelInputs on: bit b of the lowest four is set where it has block
// column 4p+b, and the other bits are the number of tiles before them. So a
// kernel finds the tiles of any panel without a search.
//
// The bytes are Index (u32), then Values from the next multiple of Align on;
// the gap is zero.
type GPUTiles struct {
	N, K   int
	Index  []uint32
	Values []uint16
}

// GPUPanels is the number of panels that k inputs fill or begin.
func GPUPanels(k int) int { return (k + PanelInputs - 1) / PanelInputs }

// maxGPUTiles is the number of tiles that an index can count.
const maxGPUTiles = math.MaxUint32 >> panelTiles

const tileHalves = Width * Width

func gpuTileIndexes(n, k int) int { return product(Blocks(n), GPUPanels(k)) }

// GPUTileBytes is the size of an [n,k] matrix with the given number of kept
// tiles; MaxInt if that is no size.
func GPUTileBytes(n, k, tiles int) int {
	index, values := product(gpuTileIndexes(n, k), elemSize), product(tiles, tileHalves*halfSize)
	if index > math.MaxInt-Align || values > math.MaxInt-alignUp(index) {
		return math.MaxInt
	}
	return alignUp(index) + values
}

// GPUTileParts is where the arrays of an [n,k] matrix begin, in bytes, by the
// names of the kernel's parameters.
func GPUTileParts(n, k int) map[string]int {
	return map[string]int{"index": 0, "tiles": GPUTileBytes(n, k, 0)}
}

// PackGPUTiles is w [n,k], row-major, without its tiles of zeros.
func PackGPUTiles(w []uint16, n, k int) []byte {
	checkElements("PackGPUTiles", w, n, k)
	m := matrix{w, n, k}
	kept := 0
	index := make([]uint32, 0, gpuTileIndexes(n, k))
	for r := range Blocks(n) {
		for p := range GPUPanels(k) {
			mask := m.keptTiles(r, p)
			index = append(index, uint32(kept)<<panelTiles|mask)
			kept += bits.OnesCount32(mask)
		}
	}
	if kept > maxGPUTiles {
		panic("bug: PackGPUTiles: more tiles than an index can count")
	}
	b := make([]byte, GPUTileBytes(n, k, kept))
	values := b[GPUTileBytes(n, k, 0):]
	for i, x := range index {
		putWord(b, i, x)
		r, p := i/GPUPanels(k), i%GPUPanels(k)
		t := int(x >> panelTiles)
		for mask := x & (1<<panelTiles - 1); mask != 0; mask &= mask - 1 {
			m.packTile(values[t*tileHalves*halfSize:], r, p*panelTiles+bits.TrailingZeros32(mask))
			t++
		}
	}
	return b
}

// A matrix is W [n,k], row-major.
type matrix struct {
	w    []uint16
	n, k int
}

// keptTiles is a bit for each tile of block row r in panel p: whether a value of it is not zero.
func (m matrix) keptTiles(r, p int) (mask uint32) {
	for b := range panelTiles {
		m.eachOfTile(r, p*panelTiles+b, func(_ int, v uint16) {
			if !isZero(v) {
				mask |= 1 << b
			}
		})
	}
	return mask
}

func (m matrix) packTile(dst []byte, r, c int) {
	m.eachOfTile(r, c, func(at int, v uint16) { putHalf(dst, at, v) })
}

// eachOfTile calls f for the elements of tile (r,c), and where each has its place in a tile.
func (m matrix) eachOfTile(r, c int, f func(at int, v uint16)) {
	for i := r * Width; i < min(m.n, (r+1)*Width); i++ {
		for x := c * Width; x < min(m.k, (c+1)*Width); x++ {
			f(i%Width*Width+x%Width, m.w[i*m.k+x])
		}
	}
}

// CheckGPUTiles views b as the kept tiles of an [n,k] matrix.
func CheckGPUTiles(n, k int, b []byte) (GPUTiles, error) {
	const what = "gpu tile"
	if err := checkDims(what, n, k); err != nil {
		return GPUTiles{}, err
	}
	start := GPUTileBytes(n, k, 0)
	if len(b) < start {
		return GPUTiles{}, fault.Newf(fault.Corrupt, "gpu tile weight [%d %d]: %d bytes, too few for its index, %d", n, k, len(b), start)
	}
	if err := checkAlign(what, b, elemSize); err != nil {
		return GPUTiles{}, err
	}
	end := gpuTileIndexes(n, k) * elemSize
	w := GPUTiles{n, k, words(b[:end]), halves(b[start:])}
	tiles, err := w.countTiles()
	if err != nil {
		return GPUTiles{}, err
	}
	if err := checkSize(what, n, k, len(b), GPUTileBytes(n, k, tiles)); err != nil {
		return GPUTiles{}, err
	}
	if err := checkGap(what, b[end:start]); err != nil {
		return GPUTiles{}, err
	}
	return w, w.checkPadding()
}

// countTiles insists that the index counts tiles from 0 on and names none past K.
func (w GPUTiles) countTiles() (int, error) {
	tiles := 0
	for i, x := range w.Index {
		mask := x & (1<<panelTiles - 1)
		if int(x>>panelTiles) != tiles {
			return 0, fault.Newf(fault.Corrupt, "gpu tile weight: index %d counts %d tiles before it, want %d", i, x>>panelTiles, tiles)
		}
		if left := Blocks(w.K) - i%GPUPanels(w.K)*panelTiles; mask>>min(left, panelTiles) != 0 {
			return 0, fault.Newf(fault.Corrupt, "gpu tile weight: index %d has a tile past the %d inputs", i, w.K)
		}
		if tiles += bits.OnesCount32(mask); tiles > maxGPUTiles {
			return 0, fault.Newf(fault.Corrupt, "gpu tile weight: more than %d tiles", maxGPUTiles)
		}
	}
	return tiles, nil
}

// checkPadding insists that tiles hold nothing past N or K. The index has been checked.
func (w GPUTiles) checkPadding() error {
	var err error
	w.eachTile(func(t, r, c int) {
		for j := range Width {
			row := w.Values[t*tileHalves+j*Width:][:Width]
			kept := max(0, min(Width, w.K-c*Width))
			if r*Width+j >= w.N {
				kept = 0
			}
			if err == nil && !zeros(row[kept:]) {
				err = fault.Newf(fault.Corrupt, "gpu tile weight [%d %d]: tile %d holds a value outside the matrix", w.N, w.K, t)
			}
		}
	})
	return err
}

// eachTile calls f for each tile t, at block row r and block column c.
func (w GPUTiles) eachTile(f func(t, r, c int)) {
	t := 0
	for i, x := range w.Index {
		for mask := x & (1<<panelTiles - 1); mask != 0; mask &= mask - 1 {
			f(t, i/GPUPanels(w.K), i%GPUPanels(w.K)*panelTiles+bits.TrailingZeros32(mask))
			t++
		}
	}
}

// Unpack is W [N,K], row-major.
func (w GPUTiles) Unpack() []uint16 {
	d := make([]uint16, w.N*w.K)
	w.eachTile(func(t, r, c int) {
		for i := r * Width; i < min(w.N, (r+1)*Width); i++ {
			for x := c * Width; x < min(w.K, (c+1)*Width); x++ {
				d[i*w.K+x] = w.Values[t*tileHalves+i%Width*Width+x%Width]
			}
		}
	})
	return d
}
