package layout

import (
	"math"

	"etc/fault"
)

// IntTiles is a matrix W [N,K] in integers of which only some 16×16 tiles are
// kept. Offsets and Columns are those of Tiles, Units those of IntPanels; tile
// t has Steps(Width) steps of Width lanes of four bytes, which hold
// q[r·Width+j][Columns[t]·Width+s·StepInputs+i]. What lies past N or K is 0.
//
// The bytes are Offsets (int32), Columns (int32), then from the next multiple
// of Align on the units of the block rows' features, float32, and Values. The
// gap is zero.
type IntTiles struct {
	Type             Int
	N, K             int
	Offsets, Columns []int32
	Units            []float32
	Values           []byte
}

// TileBytes is the size of a tile of t.
func (t Int) TileBytes() int { return Width * Width * int(t) }

// IntTileBytes is the size of an [n,k] matrix of t with the given number of kept tiles.
func IntTileBytes(t Int, n, tiles int) int {
	values := product(tiles, t.TileBytes())
	if values > math.MaxInt-Align-elemSize*(Blocks(n)+1+tiles)-unitBytes*Blocks(n) {
		return math.MaxInt
	}
	return tileIndexBytes(n, tiles) + unitBytes*Blocks(n) + values
}

// PackIntTiles quantises w [n,k], row-major, by rows and leaves out the tiles
// that have no value but zero before.
func PackIntTiles(t Int, w []float32, n, k int) []byte {
	tiles := CountTiles(w, n, k)
	b := make([]byte, IntTileBytes(t, n, tiles))
	columns, units := b[elemSize*(Blocks(n)+1):], b[tileIndexBytes(n, tiles):]
	values := units[unitBytes*Blocks(n):]
	q := make([]int16, n*k)
	for i := range n {
		putFloat(units, i, t.Quantise(q[i*k:(i+1)*k], w[i*k:(i+1)*k]))
	}
	at := 0
	for r := range Blocks(n) {
		for c := range Blocks(k) {
			if zeroTile(w, n, k, r, c) {
				continue
			}
			putInt(columns, at, c)
			t.packTile(values[at*t.TileBytes():], q, n, k, r, c)
			at++
		}
		putInt(b, r+1, at)
	}
	return b
}

func (t Int) packTile(dst []byte, q []int16, n, k, r, c int) {
	per := t.StepInputs()
	for i := r * Width; i < min(n, (r+1)*Width); i++ {
		for x := c * Width; x < min(k, (c+1)*Width); x++ {
			t.Put(dst, (x%Width/per*Width+i%Width)*per+x%per, q[i*k+x])
		}
	}
}

// CheckIntTiles views b as the kept tiles of an [n,k] matrix of t.
func CheckIntTiles(t Int, n, k int, b []byte) (IntTiles, error) {
	const what = "integer tile"
	if err := checkInts(what, t, n, k); err != nil {
		return IntTiles{}, err
	}
	offsets, columns, err := checkTileIndex(what, n, k, b, func(tiles int) int { return IntTileBytes(t, n, tiles) })
	if err != nil {
		return IntTiles{}, err
	}
	units := b[tileIndexBytes(n, len(columns)):]
	w := IntTiles{t, n, k, offsets, columns, floats(units[:unitBytes*Blocks(n)]), units[unitBytes*Blocks(n):]}
	if err := checkUnits(what, n, w.Units); err != nil {
		return IntTiles{}, err
	}
	return w, w.checkPadding()
}

// checkPadding insists that features past N and inputs past K are 0. Only tiles
// at the edges have any.
func (w IntTiles) checkPadding() error {
	per := w.Type.StepInputs()
	for r := range Blocks(w.N) {
		features := min(Width, w.N-r*Width)
		for t := int(w.Offsets[r]); t < int(w.Offsets[r+1]); t++ {
			inputs := min(Width, w.K-int(w.Columns[t])*Width)
			if features == Width && inputs == Width {
				continue
			}
			for i := range Width * Width {
				if (i/per%Width >= features || i/per/Width*per+i%per >= inputs) && w.Type.At(w.Tile(t), i) != 0 {
					return fault.Newf(fault.Corrupt, "integer tile weight [%d %d]: padding of tile %d is not zero", w.N, w.K, t)
				}
			}
		}
	}
	return nil
}

// Tile is tile t.
func (w IntTiles) Tile(t int) []byte {
	return w.Values[t*w.Type.TileBytes() : (t+1)*w.Type.TileBytes()]
}

// Unpack is the integers of W [N,K], row-major.
func (w IntTiles) Unpack() []int16 {
	d := make([]int16, w.N*w.K)
	per := w.Type.StepInputs()
	for r := range len(w.Offsets) - 1 {
		for t := int(w.Offsets[r]); t < int(w.Offsets[r+1]); t++ {
			first := int(w.Columns[t]) * Width
			for x := first; x < min(w.K, first+Width); x++ {
				for i := r * Width; i < min(w.N, (r+1)*Width); i++ {
					d[i*w.K+x] = w.Type.At(w.Tile(t), ((x-first)/per*Width+i%Width)*per+x%per)
				}
			}
		}
	}
	return d
}
