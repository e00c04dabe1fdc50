package gpu

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/executor"
)

func TestShapes(t *testing.T) {
	for _, c := range []struct{ tokens, rows, tokenClass, rowClass int }{
		{1, 1, 64, 1}, {64, 2, 64, 2}, {65, 3, 128, 4}, {128, 64, 128, 64}, {129, 65, 256, 128}, {1 << 24, 1 << 20, 1 << 24, 1 << 20},
	} {
		b := &executor.Batch{Bucket: 3, Wanted: 5, IDs: make([]int32, c.tokens), Offsets: make([]int32, c.rows+1)}
		if s := shapeOf(b); s != (shape{3, c.tokenClass, c.rowClass, 5}) {
			t.Errorf("%d tokens in %d rows: %+v", c.tokens, c.rows, s)
		}
	}
}

func ints(m []byte, at, n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = int32(binary.LittleEndian.Uint32(m[at+4*i:]))
	}
	return list
}

// TestBlock: whatever the lengths of rows, the lists of a batch lie one behind
// another at multiples of 256 bytes, each has room for any batch of the shape,
// and what is written is what kernels are to read.
func TestBlock(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	lengths := [][]int{{1}, {64}, {65}, slices.Repeat([]int{1}, 64), slices.Repeat([]int{17}, 15), slices.Repeat([]int{65}, 7)}
	for range 50 {
		var random []int
		for range 1 + rng.IntN(20) {
			random = append(random, 1+rng.IntN(1+rng.IntN(150)))
		}
		lengths = append(lengths, random)
	}
	for _, list := range lengths {
		b := &executor.Batch{Offsets: []int32{0}}
		var rowOf, tiles16, tiles64 []int32
		for r, n := range list {
			for i := range n {
				b.IDs, b.Types, b.Positions = append(b.IDs, rng.Int32()), append(b.Types, int32(i%2)), append(b.Positions, int32(i))
				rowOf = append(rowOf, int32(r))
				if i%16 == 0 {
					tiles16 = append(tiles16, int32(r), int32(i))
				}
				if i%64 == 0 {
					tiles64 = append(tiles64, int32(r), int32(i))
				}
			}
			b.Offsets = append(b.Offsets, int32(len(b.IDs)))
		}
		sh := shapeOf(b)
		k := blockOf(sh)
		end := batchSize
		for i, part := range []struct{ at, bytes int }{
			{k.ids, 4 * sh.tokens}, {k.types, 4 * sh.tokens}, {k.positions, 4 * sh.tokens}, {k.rowOf, 4 * sh.tokens},
			{k.offsets, 4 * (sh.rows + 1)}, {k.tiles16, 8 * sh.tiles(16)}, {k.tiles64, 8 * sh.tiles(64)},
		} {
			if part.at < end || part.at%256 != 0 {
				t.Fatalf("list %d lies at %d, the one before it ends at %d", i, part.at, end)
			}
			end = part.at + part.bytes
		}
		if k.size != end || len(tiles16) > 2*sh.tiles(16) || len(tiles64) > 2*sh.tiles(64) {
			t.Fatalf("%v: %d bytes for %d, %d and %d tiles", list, k.size, end, len(tiles16)/2, len(tiles64)/2)
		}
		m := make([]byte, k.size)
		k.fill(m, b)
		T, B := len(b.IDs), len(list)
		for i, part := range []struct {
			at   int
			want []int32
		}{
			{0, []int32{int32(T), int32(B), int32(len(tiles16) / 2), int32(len(tiles64) / 2)}},
			{k.ids, b.IDs}, {k.types, b.Types}, {k.positions, b.Positions}, {k.rowOf, rowOf}, {k.offsets, b.Offsets},
			{k.tiles16, tiles16}, {k.tiles64, tiles64},
		} {
			if got := ints(m, part.at, len(part.want)); !slices.Equal(got, part.want) {
				t.Fatalf("%v: part %d is %v, want %v", list, i, got, part.want)
			}
		}
	}
}
