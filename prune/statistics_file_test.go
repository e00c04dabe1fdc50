package prune

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/fault"
)

// someStatistics are of two widths under three names.
func someStatistics() *Statistics {
	s, random := &Statistics{}, rand.New(rand.NewPCG(4, 2))
	for _, at := range []site{{"b", 3}, {"a", 5}, {"a", 3}} {
		for range 2*chunk + 7 {
			row := make([]float32, at.width)
			for j := range row {
				row[j] = float32(random.NormFloat64())
			}
			s.Add(at.name, row)
		}
	}
	return s
}

func written(t *testing.T, s *Statistics) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestStatisticsInAFile: what is read has the bits of what was written, and
// takes more rows as if it had never been written.
func TestStatisticsInAFile(t *testing.T) {
	s := someStatistics()
	file := written(t, s)
	read, err := ReadStatistics(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if read.Tokens() != s.Tokens() || len(read.sites) != len(s.sites) {
		t.Fatalf("%d tokens of %d sites, want %d of %d", read.Tokens(), len(read.sites), s.Tokens(), len(s.sites))
	}
	for range chunk + 1 {
		s.Add("a", []float32{1, -2, 3})
		read.Add("a", []float32{1, -2, 3})
	}
	for at := range s.sites {
		was, is := s.of(at.width, at.name), read.of(at.width, at.name)
		if was.n != is.n || !slices.Equal(was.sum, is.sum) || !slices.Equal(was.gram.Data, is.gram.Data) {
			t.Errorf("%v: %d rows, sums %v, want %d, %v", at, is.n, is.sum, was.n, was.sum)
		}
	}
	if !bytes.Equal(written(t, s), written(t, read)) {
		t.Error("written again, it is another file")
	}
}

// TestDamagedStatistics: whatever is cut off, added or changed in a number of
// the file, it is refused or read, and no more memory is asked for than there
// are bytes.
func TestDamagedStatistics(t *testing.T) {
	file := written(t, someStatistics())
	refused := func(what string, b []byte) {
		t.Helper()
		if s, err := ReadStatistics(bytes.NewReader(b), int64(len(b))); s != nil || err == nil {
			t.Errorf("%s: read", what)
		}
	}
	for n := range len(file) {
		refused("cut off", file[:n])
	}
	refused("longer", append(slices.Clone(file), 0))
	if _, err := ReadStatistics(bytes.NewReader(file[:9]), int64(len(file))); err == nil {
		t.Error("shorter than said: read")
	}
	counts := []int{0, 8, 17, 25} // sites, and of the first: the length of its name, width, rows
	for _, at := range counts {
		for _, n := range []uint64{1 << 62, 1<<63 - 1, 1 << 63, 1<<64 - 1, 1 << 20, 1 << 31, 0} {
			if at == 25 && n > 0 && n < 1<<63 {
				continue // so many rows there may have been
			}
			b := slices.Clone(file)
			binary.LittleEndian.PutUint64(b[at:], n)
			refused("another number", b)
		}
	}
	wide := slices.Clone(file)
	binary.LittleEndian.PutUint64(wide[17:], 1<<29)
	if _, err := ReadStatistics(bytes.NewReader(wide), 1<<32); err == nil {
		t.Error("moments larger than the file: read")
	}
	if _, err := ReadStatistics(bytes.NewReader(nil), 0); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("nothing: %v", err)
	}
}
