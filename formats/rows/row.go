// Package rows carries what a user feeds and gets back: input rows (plain text
// or JSON objects, one a line) stream in, results stream out as one JSON
// object a line, and labelled data files for eval and prune are loaded whole.
//
// Every input line gives exactly one Row, in input order. What is wrong with a
// line stays inside its Row, as Err of kind fault.Corrupt; only a failing
// source ends the stream. Memory is bounded by QueueBytes and MaxLine,
// whatever is fed.
package rows

import "encoding/json"

// MaxLine is the longest line taken, in bytes without its line end. A longer
// one is a row error and is skipped without being held.
const MaxLine = 16 << 20

// A Row is one input: either Text, with or without Pair, or IDs.
type Row struct {
	Line int             // of the input, from 1
	ID   json.RawMessage // the value of "id" as it stood, empty without one
	Err  error           // why this row cannot be run; then only Line and ID count

	Text    string
	Pair    *string // second sentence, nil without one
	IDs     []int32 // token ids, none negative; empty for a text row
	TypeIDs []int32 // as long as IDs, or empty
}

// Size is the memory that r holds, in bytes.
func (r *Row) Size() int {
	size := rowOverhead + cap(r.ID) + len(r.Text) + 4*cap(r.IDs) + 4*cap(r.TypeIDs)
	if r.Pair != nil {
		size += len(*r.Pair)
	}
	return size
}

// rowOverhead is about what a Row takes beside what it points to, its place
// in the queue and the allocator's rounding included.
const rowOverhead = 256

// reset empties r for another line and keeps its id slices.
func (r *Row) reset(line int) {
	*r = Row{Line: line, ID: r.ID[:0], IDs: r.IDs[:0], TypeIDs: r.TypeIDs[:0]}
}
