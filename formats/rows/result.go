package rows

import (
	"encoding/json"
	"io"
	"math"

	"etc/fault"
)

// A Task says which fields a Result has.
type Task int

const (
	Classification Task = iota // Logits, Label, Score; Probabilities
	Embedding                  // Vector; Hidden
	CausalLM                   // NLL, Scored; TokenLogits, LastLogits
)

// A Result is what came out for one row. A slice behind the semicolon above is
// written only if it is not nil.
type Result struct {
	ID   json.RawMessage // of the row
	Line int             // of the row, written with Err only
	Err  error           // if not nil, nothing of what follows is written
	Task Task

	Logits        []float32 // [labels]
	Label         string
	Score         float32
	Probabilities []float32 // [labels]

	Vector []float32 // [H]
	Hidden Matrix    // [tokens][H]

	NLL         float32 // summed over the row; its first token is not scored
	Scored      int     // tokens in that sum
	TokenLogits Matrix  // [tokens][V]
	LastLogits  []float32
}

// A Matrix is rows of Width numbers, one after another.
type Matrix struct {
	Data  []float32
	Width int
}

// A Writer writes results, one JSON object a line, keys in the order of the
// fields above. It holds little more than FlushBytes. After an error of the
// output every further call returns that error.
type Writer struct {
	out io.Writer
	buf []byte
	err error
}

// FlushBytes is how much a Writer collects before it writes by itself.
const FlushBytes = 256 << 10

func NewWriter(out io.Writer) *Writer { return &Writer{out: out} }

// Flush writes what was collected.
func (w *Writer) Flush() error {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.out.Write(w.buf)
	}
	w.buf = w.buf[:0]
	return w.err
}

// Write adds the line of r. A number that is not finite has no JSON form: it is
// an error of kind fault.Corrupt, nothing is written, and the writer goes on.
func (w *Writer) Write(r *Result) error {
	if w.err != nil {
		return w.err
	}
	if r.Err == nil && !r.finite() {
		return fault.Newf(fault.Corrupt, "the result is not finite")
	}
	w.buf = append(w.buf, '{')
	if len(r.ID) > 0 {
		w.key("id")
		w.buf = append(w.buf, r.ID...)
	}
	switch {
	case r.Err != nil:
		w.failure(r)
	case r.Task == Classification:
		w.classification(r)
	case r.Task == Embedding:
		w.vector("embedding", r.Vector)
		w.matrix("last_hidden_state", r.Hidden)
	case r.Task == CausalLM:
		w.causal(r)
	}
	w.buf = append(w.buf, "}\n"...)
	w.relieve()
	return w.err
}

func (w *Writer) failure(r *Result) {
	w.key("line")
	w.buf = appendInt(w.buf, r.Line)
	w.key("error")
	w.buf = appendString(w.buf, r.Err.Error())
}

func (w *Writer) classification(r *Result) {
	w.vector("logits", r.Logits)
	w.key("label")
	w.buf = appendString(w.buf, r.Label)
	w.key("score")
	w.buf = appendFloat32(w.buf, r.Score)
	if r.Probabilities != nil {
		w.vector("probabilities", r.Probabilities)
	}
}

func (w *Writer) causal(r *Result) {
	w.key("nll")
	w.buf = appendFloat32(w.buf, r.NLL)
	w.key("scored")
	w.buf = appendInt(w.buf, r.Scored)
	w.matrix("logits", r.TokenLogits)
	if r.LastLogits != nil {
		w.vector("last_logits", r.LastLogits)
	}
}

// key begins the next member of the object.
func (w *Writer) key(name string) {
	if w.buf[len(w.buf)-1] != '{' {
		w.buf = append(w.buf, ',')
	}
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, `":`...)
}

func (w *Writer) vector(name string, v []float32) {
	w.key(name)
	w.buf = appendVector(w.buf, v)
}

// matrix writes m, unless it is empty, and flushes between its rows: the
// logits of all tokens are far larger than a line should be in memory.
func (w *Writer) matrix(name string, m Matrix) {
	if m.Data == nil {
		return
	}
	w.key(name)
	for i := 0; i < len(m.Data); i += m.Width {
		w.buf = append(w.buf, opener(i))
		w.buf = appendVector(w.buf, m.Data[i:i+m.Width])
		w.relieve()
	}
	w.buf = append(w.buf, ']')
}

// opener stands before element i of an array.
func opener(i int) byte {
	if i == 0 {
		return '['
	}
	return ','
}

// relieve flushes a full buffer; Write reports the error.
func (w *Writer) relieve() {
	if len(w.buf) >= FlushBytes {
		w.Flush()
	}
}

func (r *Result) finite() bool {
	for _, v := range [][]float32{{r.Score, r.NLL}, r.Logits, r.Probabilities, r.Vector, r.Hidden.Data, r.TokenLogits.Data, r.LastLogits} {
		for _, x := range v {
			if math.Float32bits(x)&exponentBits == exponentBits {
				return false
			}
		}
	}
	return true
}

const exponentBits = 0x7f800000 // all ones in what is not finite
