package ptxsim

import (
	"encoding/binary"
	"strings"
)

// decodeLdmatrix takes ldmatrix.sync.aligned.m8n8.x{1,2,4}[.trans].shared.b16.
func decodeLdmatrix(p *parser, in *inst, mods []string, o []operand) {
	p.want(in, o, 2, 2)
	name := strings.Replace(strings.Join(mods, "."), "shared::cta", "shared", 1)
	name, transposed := strings.CutSuffix(strings.TrimSuffix(name, ".shared.b16"), ".trans")
	n := map[string]int{"x1": 1, "x2": 2, "x4": 4}[strings.TrimPrefix(name, "sync.aligned.m8n8.")]
	if n == 0 {
		p.unsupported("instruction %q", in.op)
	}
	in.kind, in.exec = kindTogether, execLdmatrix
	if transposed {
		in.exec = execLdmatrixTransposed
	}
	in.v = p.vectorOf(o[0], n, single, true)
	in.m.size, in.m.count = 16, 1
	in.a, in.offset = p.addressOf(in, o[1], shared)
}

// matrixRows finds the rows of the matrices that in loads: row r of matrix q
// is at the address of lane 8q+r.
func (w *warp) matrixRows(in *inst, m uint32) (rows [32]int) {
	w.whole(in, m)
	for lane := range 8 * len(in.v) {
		rows[lane] = w.sharedAt(in, w.address(in, lane), 16, lane)
		w.readShared(in, rows[lane], 16, lane)
	}
	if w.block.run.options.Count {
		for q := range in.v {
			w.pass(in, 0xff<<(8*q), 16)
		}
	}
	return rows
}

// whole ends a collective of tensor cores in a warp that lacks threads.
func (w *warp) whole(in *inst, m uint32) {
	if m != allLanes {
		w.fatal(in, firstLane(^m), Divergence, "reached by lanes %08x, needs the whole warp", m)
	}
}

// execLdmatrix: lane l holds elements 2(l%4) and 2(l%4)+1 of row l/4.
func execLdmatrix(w *warp, in *inst, m uint32) {
	rows := w.matrixRows(in, m)
	for q, slot := range in.v {
		d := &w.r[slot]
		for r := range 8 {
			b := w.block.memory[rows[8*q+r]:][:16]
			for i := range 4 {
				d[4*r+i] = uint64(binary.LittleEndian.Uint32(b[4*i:]))
			}
		}
	}
}

// execLdmatrixTransposed: lane l holds elements l/4 of rows 2(l%4) and 2(l%4)+1.
func execLdmatrixTransposed(w *warp, in *inst, m uint32) {
	rows := w.matrixRows(in, m)
	for q, slot := range in.v {
		d := &w.r[slot]
		for lane := range d {
			row, column := 8*q+lane%4*2, lane/4*2
			low := binary.LittleEndian.Uint16(w.block.memory[rows[row]+column:])
			high := binary.LittleEndian.Uint16(w.block.memory[rows[row+1]+column:])
			d[lane] = uint64(low) | uint64(high)<<16
		}
	}
}
