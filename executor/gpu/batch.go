package gpu

import (
	"encoding/binary"

	"etc/executor"
)

// A shape is what a sequence of launches is made for: any batch of rows of
// one bucket that has at most so many tokens and rows.
type shape struct {
	bucket       int
	tokens, rows int // capacities: 64·2ⁿ and 2ⁿ
	wanted       uint64
}

// leastTokens is the smallest class of tokens.
const leastTokens = 64

// shapeOf is the smallest shape that serves b.
func shapeOf(b *executor.Batch) shape {
	return shape{b.Bucket, classOf(len(b.IDs), leastTokens), classOf(len(b.Offsets)-1, 1), b.Wanted}
}

// classOf is the smallest least·2ⁿ that is not below n.
func classOf(n, least int) int {
	for least < n {
		least *= 2
	}
	return least
}

// tiles is the most blocks of so many queries that batches of the shape have.
func (s shape) tiles(queries int) int { return s.tokens/queries + s.rows }

// A block is where the parts of a batch lie in the memory that kernels read
// them from: struct Batch of prelude.cuh, then lists, each at a multiple of
// 256 bytes. It follows from the shape, so that launches can be made before
// there is a batch.
type block struct {
	ids, types, positions, rowOf int // i32[T]
	offsets                      int // i32[B+1]
	tiles16, tiles64             int // struct Tile: the row, and its first query of the block
	size                         int
}

// Places in struct Batch.
const (
	tokensAt  = 0
	rowsAt    = 4
	tiles16At = 8
	tiles64At = 12
	batchSize = 16
)

const blockAlign = 256

func blockOf(s shape) block {
	var b block
	end := batchSize
	place := func(at *int, bytes int) {
		*at = (end + blockAlign - 1) &^ (blockAlign - 1)
		end = *at + bytes
	}
	for _, at := range []*int{&b.ids, &b.types, &b.positions, &b.rowOf} {
		place(at, 4*s.tokens)
	}
	place(&b.offsets, 4*(s.rows+1))
	place(&b.tiles16, 8*s.tiles(16))
	place(&b.tiles64, 8*s.tiles(64))
	b.size = end
	return b
}

// fill writes batch into m. What lies between and behind the lists keeps what
// it had: kernels do not read it.
func (b block) fill(m []byte, batch *executor.Batch) {
	putInts(m[b.ids:], batch.IDs)
	putInts(m[b.types:], batch.Types)
	putInts(m[b.positions:], batch.Positions)
	putInts(m[b.offsets:], batch.Offsets)
	rows := len(batch.Offsets) - 1
	for r := range rows {
		for t := batch.Offsets[r]; t < batch.Offsets[r+1]; t++ {
			putInt(m[b.rowOf+4*int(t):], int32(r))
		}
	}
	putInt(m[tokensAt:], int32(len(batch.IDs)))
	putInt(m[rowsAt:], int32(rows))
	putInt(m[tiles16At:], fillTiles(m[b.tiles16:], batch.Offsets, 16))
	putInt(m[tiles64At:], fillTiles(m[b.tiles64:], batch.Offsets, 64))
}

// fillTiles cuts each row into blocks of queries and returns how many there are.
func fillTiles(m []byte, offsets []int32, queries int32) int32 {
	n := int32(0)
	for r := range len(offsets) - 1 {
		for q := int32(0); q < offsets[r+1]-offsets[r]; q += queries {
			putInt(m[8*n:], int32(r))
			putInt(m[8*n+4:], q)
			n++
		}
	}
	return n
}

func putInts(m []byte, list []int32) {
	for i, v := range list {
		putInt(m[4*i:], v)
	}
}

func putInt(m []byte, v int32) { binary.LittleEndian.PutUint32(m, uint32(v)) }
