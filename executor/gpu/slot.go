package gpu

import (
	"encoding/binary"
	"math"

	"etc/executor"
	"etc/formats/plan"
	"etc/ir/tensor"
)

// A slot is the memory of one batch under way.
type slot struct {
	batch   *executor.Batch // nil: free
	in      []byte          // the block, on the host
	block   Address         // and on the device
	bytes   int             // of both
	taps    Address         // copies of buffers that later steps write over
	tapped  int64           // bytes of it
	out     []byte          // outputs as they come from the device
	parts   []part          // of out
	results [][]float32
}

// A part is one output in a slot's host memory.
type part struct {
	output, at, bytes int
}

// free gives all of it back.
func (s *slot) free(d Driver) {
	s.freeBlock(d)
	s.freeTaps(d)
	s.freeOut(d)
}

func (s *slot) freeBlock(d Driver) {
	if s.in != nil {
		d.FreeStaging(s.in)
	}
	if s.block != 0 {
		d.Free(s.block)
	}
	s.in, s.block, s.bytes = nil, 0, 0
}

func (s *slot) freeTaps(d Driver) {
	if s.taps != 0 {
		d.Free(s.taps)
	}
	s.taps, s.tapped = 0, 0
}

func (s *slot) freeOut(d Driver) {
	if s.out != nil {
		d.FreeStaging(s.out)
	}
	s.out = nil
}

// prepare makes the memory of a free slot large enough for batches of that
// shape. Sequences that hold old addresses of it are let go. Where it fails,
// the slot holds what it has and counts as small.
func (d *Device) prepare(at int, sh shape) (err error) {
	s := &d.slots[at]
	if size := blockOf(sh).size; size > s.bytes {
		d.cache.clearSlot(at)
		s.freeBlock(d.driver)
		if s.in, err = d.driver.Staging(size); err != nil {
			return err
		}
		if s.block, err = d.driver.Alloc("batch", int64(size)); err != nil {
			return err
		}
		s.bytes = size
	}
	if size := d.tapBytes(sh); size > s.tapped {
		d.cache.clearSlot(at)
		s.freeTaps(d.driver)
		if s.taps, err = d.driver.Alloc("taps", size); err != nil {
			return err
		}
		s.tapped = size
	}
	size := 0
	for i := range d.program.Outputs {
		if sh.wanted>>i&1 != 0 {
			size += d.outputBytes(i, sh.tokens, sh.rows)
		}
	}
	if size > len(s.out) {
		s.freeOut(d.driver)
		s.out, err = d.driver.Staging(size)
	}
	return err
}

// outputBytes is what output i takes with its gaps.
func (d *Device) outputBytes(i, tokens, rows int) int {
	b := &d.program.Buffers[d.program.Outputs[i].Buffer]
	if b.Rows == plan.PerRow {
		return b.Stride * rows
	}
	return b.Stride * tokens
}

// tapBytes is the memory of all wanted taps of a shape; tapAt is where that of
// output i lies in it.
func (d *Device) tapBytes(sh shape) int64 { return d.tapAt(len(d.program.Outputs), sh) }

func (d *Device) tapAt(output int, sh shape) int64 {
	at := int64(0)
	for i, o := range d.program.Outputs[:output] {
		if o.When == plan.Tap && sh.wanted>>i&1 != 0 {
			at += (int64(d.outputBytes(i, sh.tokens, sh.rows)) + blockAlign - 1) &^ (blockAlign - 1)
		}
	}
	return at
}

// downloads lists the transfers of the wanted outputs, and notes where they go.
func (d *Device) downloads(s *slot, sh shape) []Transfer {
	var list []Transfer
	s.parts = s.parts[:0]
	end := 0
	tokens, rows := len(s.batch.IDs), len(s.batch.Offsets)-1
	for i, o := range d.program.Outputs {
		if sh.wanted>>i&1 == 0 {
			continue
		}
		from := d.bufferAt(o.Buffer, sh)
		if o.When == plan.Tap {
			from = s.taps + Address(d.tapAt(i, sh))
		}
		n := d.outputBytes(i, tokens, rows)
		s.parts = append(s.parts, part{i, end, n})
		if n > 0 {
			list = append(list, Transfer{s.out[end : end+n], from})
		}
		end += n
	}
	return list
}

// bufferAt is the address of a buffer in batches of a shape.
func (d *Device) bufferAt(i int, sh shape) Address {
	b := &d.program.Buffers[i]
	if b.Rows == plan.PerRow {
		return d.arena[1] + Address(b.Offset*sh.rows)
	}
	return d.arena[0] + Address(b.Offset*sh.tokens)
}

// unpack makes the results of b float32, without gaps.
func (d *Device) unpack(s *slot, b *executor.Batch) {
	for _, p := range s.parts {
		buffer := &d.program.Buffers[d.program.Outputs[p.output].Buffer]
		out := s.results[p.output][:0]
		for row := p.at; row < p.at+p.bytes; row += buffer.Stride {
			out = appendFloats(out, s.out[row:], buffer.Width, buffer.DType)
		}
		s.results[p.output], b.Results[p.output] = out, out
	}
}

// appendFloats appends n numbers of that type.
func appendFloats(out []float32, from []byte, n int, t tensor.DType) []float32 {
	switch t {
	case tensor.F16:
		for i := range n {
			out = append(out, tensor.F16ToF32(binary.LittleEndian.Uint16(from[2*i:])))
		}
	case tensor.BF16:
		for i := range n {
			out = append(out, tensor.BF16ToF32(binary.LittleEndian.Uint16(from[2*i:])))
		}
	default:
		for i := range n {
			out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(from[4*i:])))
		}
	}
	return out
}

// count adds b to the counters.
func (d *Device) count(b *executor.Batch) {
	d.counters.Batches++
	d.counters.Tokens += int64(len(b.IDs))
	d.counters.Rows += int64(len(b.Offsets) - 1)
	for i := range d.program.Steps {
		if d.program.Steps[i].Needed&b.Wanted != 0 {
			d.counters.MultiplyAdds += d.multiplyAdds(&d.program.Steps[i], b)
		}
	}
}

// multiplyAdds is the work of a step: by the weights that it reads, and by the
// scores and values of attention.
func (d *Device) multiplyAdds(s *plan.Step, b *executor.Batch) int64 {
	n := int64(0)
	if w := matrixOf(d.program, s); w != nil {
		n += kept(w) * int64(rowsOf(d.program, s, len(b.IDs), len(b.Offsets)-1))
	}
	if s.Params.Heads > 0 {
		n += b.Pairs(&s.Params) * int64(s.Params.Heads) * int64(s.Params.D+s.Params.Dv)
	}
	return n
}
