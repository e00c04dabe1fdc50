package layout

import (
	"math"

	"etc/fault"
)

// Tiles is a matrix W [N,K] of which only some 16×16 tiles are kept. Block row
// r (Width output features) has the tiles Offsets[r] to Offsets[r+1]; tile t
// covers inputs Columns[t]·Width and on, and holds
// Values[(t·Width+k)·Width+j] = W[r·Width+j][Columns[t]·Width+k].
// Features past N and inputs past K are +0; kernels do not read inputs past K.
//
// The bytes are Offsets (int32), Columns (int32), then Values from the next
// multiple of Align on; the gap is zero.
type Tiles struct {
	N, K             int
	Offsets, Columns []int32
	Values           []float32
}

const tileFloats = Width * Width

// TileBytes is the size of an [n,k] matrix with the given number of kept tiles.
func TileBytes(n, k, tiles int) int {
	values := product(tiles, tileFloats*elemSize)
	if values > math.MaxInt-Align-elemSize*(Blocks(n)+1+tiles) {
		return math.MaxInt
	}
	return tileIndexBytes(n, tiles) + values
}

func tileIndexBytes(n, tiles int) int {
	return alignUp(elemSize * (Blocks(n) + 1 + tiles))
}

// CountTiles is the number of tiles of w [n,k], row-major, with a value that
// is not zero. PackTiles keeps exactly these.
func CountTiles(w []float32, n, k int) int {
	count := 0
	for r := range Blocks(n) {
		for c := range Blocks(k) {
			if !zeroTile(w, n, k, r, c) {
				count++
			}
		}
	}
	return count
}

func zeroTile(w []float32, n, k, r, c int) bool {
	for i := r * Width; i < min(n, (r+1)*Width); i++ {
		for _, v := range w[i*k+c*Width : i*k+min(k, (c+1)*Width)] {
			if v != 0 {
				return false
			}
		}
	}
	return true
}

// PackTiles is w [n,k], row-major, without its zero tiles.
func PackTiles(w []float32, n, k int) []byte {
	tiles := CountTiles(w, n, k)
	b := make([]byte, TileBytes(n, k, tiles))
	columns, values := b[elemSize*(Blocks(n)+1):], b[tileIndexBytes(n, tiles):]
	t := 0
	for r := range Blocks(n) {
		for c := range Blocks(k) {
			if zeroTile(w, n, k, r, c) {
				continue
			}
			putInt(columns, t, c)
			packTile(values[t*tileFloats*elemSize:], w, n, k, r, c)
			t++
		}
		putInt(b, r+1, t)
	}
	return b
}

func packTile(dst []byte, w []float32, n, k, r, c int) {
	for i := r * Width; i < min(n, (r+1)*Width); i++ {
		for x := c * Width; x < min(k, (c+1)*Width); x++ {
			putFloat(dst, (x%Width)*Width+i%Width, w[i*k+x])
		}
	}
}

// CheckTiles views b as the kept tiles of an [n,k] matrix.
func CheckTiles(n, k int, b []byte) (Tiles, error) {
	const what = "tile"
	if err := checkDims(what, n, k); err != nil {
		return Tiles{}, err
	}
	offsets, columns, err := checkTileIndex(what, n, k, b, func(tiles int) int { return TileBytes(n, k, tiles) })
	if err != nil {
		return Tiles{}, err
	}
	return Tiles{n, k, offsets, columns, floats(b[tileIndexBytes(n, len(columns)):])}, nil
}

// checkTileIndex views the offsets and columns of tiles at the start of b,
// whose size with so many tiles size gives. The shape has been checked.
func checkTileIndex(what string, n, k int, b []byte, size func(tiles int) int) (offsets, columns []int32, err error) {
	rows := Blocks(n)
	if len(b) < elemSize*(rows+1) {
		return nil, nil, fault.Newf(fault.Corrupt, "%s weight [%d %d]: %d bytes, too few for %d offsets", what, n, k, len(b), rows+1)
	}
	if err := checkAlign(what, b, elemSize); err != nil {
		return nil, nil, err
	}
	offsets = ints(b[:elemSize*(rows+1)])
	tiles := int(offsets[rows])
	if tiles < 0 {
		return nil, nil, fault.Newf(fault.Corrupt, "%s weight [%d %d]: %d tiles", what, n, k, tiles)
	}
	if err := checkSize(what, n, k, len(b), size(tiles)); err != nil {
		return nil, nil, err
	}
	if err := checkOffsets(what, offsets); err != nil {
		return nil, nil, err
	}
	start := elemSize * (rows + 1)
	columns = ints(b[start : start+elemSize*tiles])
	if err := checkColumns(what, offsets, columns, Blocks(k)); err != nil {
		return nil, nil, err
	}
	return offsets, columns, checkGap(what, b[start+elemSize*tiles:tileIndexBytes(n, tiles)])
}

func checkGap(what string, gap []byte) error {
	for _, v := range gap {
		if v != 0 {
			return fault.Newf(fault.Corrupt, "%s weight: the gap between its arrays is not zero", what)
		}
	}
	return nil
}

// Unpack is W [N,K], row-major. What a forged tile holds past N or K is dropped.
func (w Tiles) Unpack() []float32 {
	d := make([]float32, w.N*w.K)
	for r := range len(w.Offsets) - 1 {
		for t := int(w.Offsets[r]); t < int(w.Offsets[r+1]); t++ {
			first := int(w.Columns[t]) * Width
			for x := first; x < min(w.K, first+Width); x++ {
				for i := r * Width; i < min(w.N, (r+1)*Width); i++ {
					d[i*w.K+x] = w.Values[(t*Width+x-first)*Width+i%Width]
				}
			}
		}
	}
	return d
}
