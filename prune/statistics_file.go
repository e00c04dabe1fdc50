package prune

import (
	"cmp"
	"encoding/binary"
	"io"
	"maps"
	"math"
	"slices"

	"etc/fault"
)

// Statistics in a file are, in little-endian: the number of sites, then by name
// and width of each: the bytes of its name and their number before them, width,
// n, Σx, and the rows of Σx·xᵀ up to the diagonal, in float64.

// mostName bounds names in a file of statistics.
const mostName = 1 << 12

// Write writes s so that ReadStatistics finds the same bits.
func (s *Statistics) Write(to io.Writer) error {
	w := &numberWriter{to: to}
	w.count(len(s.sites))
	for _, at := range slices.SortedFunc(maps.Keys(s.sites), bySite) {
		m := s.sites[at]
		m.flush()
		w.count(len(at.name))
		w.bytes([]byte(at.name))
		w.count(at.width)
		w.count(m.n)
		w.floats(m.sum)
		for i := range at.width {
			w.floats(m.gram.Row(i)[:i+1])
		}
	}
	return w.err
}

func bySite(a, b site) int {
	return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.width, b.width))
}

// ReadStatistics reads what Write wrote, size bytes. What cannot be that is
// fault.Corrupt; memory for no more than size is asked for.
func ReadStatistics(from io.Reader, size int64) (*Statistics, error) {
	r := &numberReader{from: from, left: size}
	s := &Statistics{sites: map[site]*moments{}}
	for range r.count(size) {
		name := make([]byte, r.count(mostName))
		r.bytes(name)
		width := r.count(size)
		n := r.count(math.MaxInt64)
		if r.err != nil || n == 0 || !r.has(width) {
			return nil, errStatistics
		}
		m := newMoments(width)
		m.n = n
		r.floats(m.sum)
		for i := range width {
			r.floats(m.gram.Row(i)[:i+1])
			for j, v := range m.gram.Row(i)[:i] {
				m.gram.Set(j, i, v)
			}
		}
		s.sites[site{string(name), width}] = m
	}
	if r.err != nil || r.left != 0 {
		return nil, errStatistics
	}
	return s, nil
}

var errStatistics = fault.Newf(fault.Corrupt, "not a file of statistics")

// numberSize is the bytes of a number in a file.
const numberSize = 8

// A numberWriter keeps its first error.
type numberWriter struct {
	to  io.Writer
	row []byte
	err error
}

func (w *numberWriter) bytes(b []byte) {
	if w.err == nil {
		_, w.err = w.to.Write(b)
	}
}

func (w *numberWriter) count(n int) {
	w.bytes(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func (w *numberWriter) floats(x []float64) {
	w.row = w.row[:0]
	for _, v := range x {
		w.row = binary.LittleEndian.AppendUint64(w.row, math.Float64bits(v))
	}
	w.bytes(w.row)
}

// A numberReader reads no further than left, and keeps its first error.
type numberReader struct {
	from io.Reader
	left int64
	row  []byte
	err  error
}

// has tells whether moments of a width can follow.
func (r *numberReader) has(width int) bool {
	const most = 1 << 20 // no product is wider, and its square is still a number
	return width > 0 && width <= most && int64(width)*int64(width+3)/2*numberSize <= r.left
}

func (r *numberReader) bytes(to []byte) {
	if r.err == nil && int64(len(to)) > r.left {
		r.err = errStatistics
	}
	if r.err != nil {
		return
	}
	_, r.err = io.ReadFull(r.from, to)
	r.left -= int64(len(to))
}

// count is a number from 0 to most; 0 behind an error.
func (r *numberReader) count(most int64) int {
	var b [numberSize]byte
	r.bytes(b[:])
	n := binary.LittleEndian.Uint64(b[:])
	if r.err == nil && n > uint64(most) {
		r.err = errStatistics
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *numberReader) floats(to []float64) {
	r.row = slices.Grow(r.row[:0], numberSize*len(to))[:numberSize*len(to)]
	r.bytes(r.row)
	if r.err != nil {
		return
	}
	for i := range to {
		to[i] = math.Float64frombits(binary.LittleEndian.Uint64(r.row[numberSize*i:]))
	}
}
