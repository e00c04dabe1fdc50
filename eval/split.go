package eval

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"math/bits"
	"slices"

	"etc/formats/rows"
)

// Partition parts examples into those a search may look at, two of five, those
// that accept its result, two of five, and a reserve, one of five, for the case
// that they refuse it; each in their order. The part of a row is that of
// SHA-256 over seed and input, as a fraction: it does not depend on the other
// rows, and a row that occurs twice is never in two parts.
func Partition(examples []rows.Example, seed uint64) (search, accept, reserve []rows.Example) {
	const parts = 5
	for i := range examples {
		digest := inputDigest(seed, &examples[i].Row)
		part, _ := bits.Mul64(binary.BigEndian.Uint64(digest[:8]), parts)
		switch part {
		case 0, 1:
			search = append(search, examples[i])
		case 2, 3:
			accept = append(accept, examples[i])
		default:
			reserve = append(reserve, examples[i])
		}
	}
	return search, accept, reserve
}

// Shuffled are the examples in the order of SHA-256 over seed and input: any
// first part of them is as good as drawn at random, whatever the order of the
// file, and the order of two rows does not depend on the others.
func Shuffled(examples []rows.Example, seed uint64) []rows.Example {
	type keyed struct {
		key     [8]byte
		example rows.Example
	}
	all := make([]keyed, len(examples))
	for i := range examples {
		digest := inputDigest(seed, &examples[i].Row)
		// Other bytes than Partition's: the order within a part is no order of parts.
		all[i].key, all[i].example = [8]byte(digest[8:16]), examples[i]
	}
	slices.SortStableFunc(all, func(a, b keyed) int { return bytes.Compare(a.key[:], b.key[:]) })
	shuffled := make([]rows.Example, len(all))
	for i := range all {
		shuffled[i] = all[i].example
	}
	return shuffled
}

// inputDigest is SHA-256 over seed and what the model sees of r.
func inputDigest(seed uint64, r *rows.Row) []byte {
	digest := sha256.New()
	writeNumber(digest, seed)
	writeInput(digest, r)
	return digest.Sum(nil)
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
