package eval

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"

	"etc/formats/rows"
)

// Split parts examples into those a search may look at and those that accept
// its result, about half each, in their order. The side of a row is a bit of
// SHA-256 over seed and input: it does not depend on the other rows, and a row
// that occurs twice is never on both sides.
func Split(examples []rows.Example, seed uint64) (search, accept []rows.Example) {
	digest := sha256.New()
	for i := range examples {
		digest.Reset()
		writeNumber(digest, seed)
		writeInput(digest, &examples[i].Row)
		if digest.Sum(nil)[0]&1 == 0 {
			search = append(search, examples[i])
		} else {
			accept = append(accept, examples[i])
		}
	}
	return search, accept
}

// writeInput hashes what the model sees of r: its kind, then each part after its
// length, so that no two inputs write the same bytes.
func writeInput(digest hash.Hash, r *rows.Row) {
	const text, pair, ids = 0, 1, 2
	switch {
	case len(r.IDs) > 0:
		writeNumber(digest, ids)
		writeIDs(digest, r.IDs)
		writeIDs(digest, r.TypeIDs)
	case r.Pair != nil:
		writeNumber(digest, pair)
		writeText(digest, r.Text)
		writeText(digest, *r.Pair)
	default:
		writeNumber(digest, text)
		writeText(digest, r.Text)
	}
}

func writeText(digest hash.Hash, s string) {
	writeNumber(digest, uint64(len(s)))
	io.WriteString(digest, s)
}

func writeIDs(digest hash.Hash, ids []int32) {
	writeNumber(digest, uint64(len(ids)))
	for _, id := range ids {
		writeNumber(digest, uint64(id))
	}
}

func writeNumber(digest hash.Hash, n uint64) {
	var b [8]byte
	digest.Write(binary.LittleEndian.AppendUint64(b[:0], n))
}
