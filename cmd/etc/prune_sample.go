package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"slices"

	"etc/compiler"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/formats/tokenizer"
)

// A sample is rows as the model reads them.
type sample struct {
	ids, types [][]int32
	tokens     int
}

func (s *sample) add(enc tokenizer.Encoding) {
	s.ids, s.types = append(s.ids, enc.IDs), append(s.types, enc.TypeIDs)
	s.tokens += len(enc.IDs)
}

// append adds the rows of another sample.
func (s *sample) append(o *sample) {
	s.ids, s.types = append(s.ids, o.ids...), append(s.types, o.types...)
	s.tokens += o.tokens
}

// Calibration takes at most so many rows and tokens: enough to solve for the
// widths of encoders (notes on pruning, 2), and in the last layer of a classifier,
// which reads one token of each row.
const (
	calibrationRows   = 4096
	calibrationTokens = 64 << 10
	rebuildTokens     = 16 << 10 // inputs of a product, where each layer takes a run of its own
)

// A reader tokenises rows for a checkpoint.
type rowReader struct {
	tokenizer *tokenizer.Tokenizer // or nil
	longest   int
	model     *plan.Model
}

func (r *pruning) newRowReader() (*rowReader, error) {
	longest, err := compiler.LongestRow(r.ckpt)
	if err != nil {
		return nil, err
	}
	t, err := r.ckpt.ReadTokenizer()
	return &rowReader{t, longest, &r.model}, err
}

// sentences are the rows of a data file as a model reads them: both of a pair
// where it embeds sentences, windows of a text for a language model, and lines
// of it for others.
func (r *rowReader) sentences(data *rows.Data) ([]*rows.Row, error) {
	var list []*rows.Row
	for i := range data.Examples {
		e := &data.Examples[i]
		if r.model.Task == plan.Embedding && e.Pair != nil {
			list = append(list, &rows.Row{Line: e.Line, Text: e.Text}, &rows.Row{Line: e.Line, Text: *e.Pair})
			continue
		}
		list = append(list, &e.Row)
	}
	if r.model.Task != plan.CausalLM {
		return append(list, linesOf(data)...), nil
	}
	windows, err := cutText(data, r.tokenizer, r.longest)
	return append(list, windows...), err
}

// take is draw of a file that must have rows.
func (r *rowReader) take(data *rows.Data, seed uint64, mostRows, mostTokens int) (*sample, error) {
	s, err := r.draw(data, seed, mostRows, mostTokens)
	if err == nil && len(s.ids) == 0 {
		err = fault.Newf(fault.Corrupt, "%s: no rows to calibrate on: want some with a token", data.Name)
	}
	return s, err
}

// draw draws rows of a data file until there are enough: those whose SHA-256
// with the seed is smallest, in the order of the file, so that the draw
// depends on neither the order nor on the other rows. Rows without a token are none.
func (r *rowReader) draw(data *rows.Data, seed uint64, mostRows, mostTokens int) (*sample, error) {
	list, err := r.sentences(data)
	if err != nil {
		return nil, err
	}
	var drawn []drawnRow
	for i, row := range list {
		enc, err := tokensOf(r.tokenizer, row, r.longest)
		switch {
		case row.Err != nil:
			err = row.Err
		case err == nil && len(enc.IDs) == 0:
			continue
		}
		if err != nil {
			return nil, fault.Newf(fault.Corrupt, "%s: line %d: %w", data.Name, row.Line, err)
		}
		enc.Cut(r.longest)
		enc.Cut(r.model.Unpadded(enc.IDs))
		drawn = append(drawn, drawnRow{i, enc, lot(seed, enc)})
	}
	slices.SortFunc(drawn, func(a, b drawnRow) int { return bytes.Compare(a.lot, b.lot) })
	n, tokens := 0, 0
	for n < min(len(drawn), mostRows) && tokens < mostTokens {
		tokens += len(drawn[n].enc.IDs)
		n++
	}
	drawn = drawn[:n]
	slices.SortFunc(drawn, func(a, b drawnRow) int { return a.at - b.at })
	s := &sample{}
	for _, d := range drawn {
		s.add(d.enc)
	}
	return s, nil
}

// A drawnRow is a row with its place in the file and its lot.
type drawnRow struct {
	at  int
	enc tokenizer.Encoding
	lot []byte
}

// lot is what decides whether a row is drawn.
func lot(seed uint64, enc tokenizer.Encoding) []byte {
	h := sha256.New()
	b := binary.LittleEndian.AppendUint64(nil, seed)
	for _, id := range enc.IDs {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	h.Write(b)
	return h.Sum(nil)
}

// first is the first rows of s, at most so many and so many tokens.
func (s *sample) first(rows, tokens int) *sample {
	part := &sample{}
	for i := range min(rows, len(s.ids)) {
		if part.tokens >= tokens {
			break
		}
		part.add(tokenizer.Encoding{IDs: s.ids[i], TypeIDs: s.types[i]})
	}
	return part
}

// batchTokens is about how many tokens of a sample run at once.
const batchTokens = 2048

// batches cuts a sample where batches of about so many tokens are full: ids and
// type ids of each.
func (s *sample) batches(most int) iter.Seq2[[][]int32, [][]int32] {
	return func(yield func(ids, types [][]int32) bool) {
		for first := 0; first < len(s.ids); {
			n, tokens := 0, 0
			for first+n < len(s.ids) && (n == 0 || tokens+len(s.ids[first+n]) <= most) {
				tokens += len(s.ids[first+n])
				n++
			}
			if !yield(s.ids[first:first+n], s.types[first:first+n]) {
				return
			}
			first += n
		}
	}
}
