package executor

import (
	"etc/fault"
	"etc/formats/rows"
	"etc/formats/tokenizer"
)

// An encoder tokenises for one goroutine; without a tokenizer it has none.
type encoder struct {
	*tokenizer.Encoder
	row tokenizer.Encoding
}

// keepIDs bounds the ids of one row that an encoder keeps memory for.
const keepIDs = 1 << 16

// encode turns one row into ids that the plan can run, or says why not. They
// are valid as long as the row and what is kept.
func (x *Executor) encode(e *encoder, r *rows.Row, keep *store[int32]) (tokenizer.Encoding, error) {
	if len(r.IDs) > 0 {
		enc := tokenizer.Encoding{IDs: r.IDs, TypeIDs: r.TypeIDs}
		if x.options.Truncate {
			enc.Cut(x.longest())
		}
		err := x.CheckIDs(&enc)
		enc.Cut(x.program.Model.Unpadded(enc.IDs))
		return enc, err
	}
	if e.Encoder == nil {
		return tokenizer.Encoding{}, fault.Newf(fault.Corrupt, "text row: this plan has no tokenizer, so it takes rows of ids")
	}
	limit := 0
	if x.options.Truncate {
		limit = x.longest()
	}
	if cap(e.row.IDs) > keepIDs {
		e.row = tokenizer.Encoding{}
	}
	if err := e.Encode(&e.row, r.Text, r.Pair, limit); err != nil {
		return tokenizer.Encoding{}, err
	}
	if err := x.CheckIDs(&e.row); err != nil {
		return tokenizer.Encoding{}, err
	}
	e.row.Cut(x.program.Model.Unpadded(e.row.IDs))
	return tokenizer.Encoding{IDs: keep.keep(e.row.IDs), TypeIDs: keep.keep(e.row.TypeIDs)}, nil
}

// CheckIDs refuses a row that the model does not take.
func (x *Executor) CheckIDs(enc *tokenizer.Encoding) error {
	m := &x.program.Model
	switch n := len(enc.IDs); {
	case n == 0:
		return fault.Newf(fault.Corrupt, "row has no tokens")
	case n > x.longest():
		return fault.Newf(fault.Corrupt, "row has %d tokens, the longest bucket takes %d (--truncate cuts)", n, x.longest())
	case len(enc.TypeIDs) != 0 && len(enc.TypeIDs) != n:
		return fault.Newf(fault.Corrupt, "row has %d tokens and %d type ids", n, len(enc.TypeIDs))
	}
	for _, id := range enc.IDs {
		if id < 0 || int(id) >= m.VocabSize {
			return fault.Newf(fault.Corrupt, "token id %d is outside the vocabulary of %d", id, m.VocabSize)
		}
	}
	for _, t := range enc.TypeIDs {
		if t < 0 || int(t) >= max(1, m.TypeVocabSize) {
			return fault.Newf(fault.Corrupt, "type id %d: the model has %d types", t, m.TypeVocabSize)
		}
	}
	return nil
}
