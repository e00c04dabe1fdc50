package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vexPrefix begins the names of instructions that neither avo nor the Go
// assembler knows. Registers are given to them as to any other; then
// encodeUnknown writes their bytes.
const vexPrefix = "VEX."

// vexOpcodes are those of VEX.256.66.0F38.W0.
var vexOpcodes = map[string]byte{"VPDPBUSD": 0x50, "VPDPWSSD": 0x52}

// encodeUnknown replaces the unknown instructions of a file whose registers are assigned.
func encodeUnknown(f *ir.File) error {
	for _, fn := range f.Functions() {
		var nodes []ir.Node
		for _, n := range fn.Nodes {
			i, ok := n.(*ir.Instruction)
			if !ok || !strings.HasPrefix(i.Opcode, vexPrefix) {
				nodes = append(nodes, n)
				continue
			}
			encoded, err := encodeVEX(i)
			if err != nil {
				return err
			}
			nodes = append(nodes, encoded...)
		}
		fn.Nodes = nodes
	}
	return nil
}

// encodeVEX is an instruction of three registers as a comment and bytes. The
// operands are in Go's order: second source, first source, destination.
func encodeVEX(i *ir.Instruction) ([]ir.Node, error) {
	name := strings.TrimPrefix(i.Opcode, vexPrefix)
	var r [3]byte
	for k, o := range i.Operands {
		p := reg.ToPhysical(o.(reg.Register))
		if p == nil || p.Kind() != reg.KindVector || p.PhysicalIndex() > 15 {
			return nil, fmt.Errorf("%s: operand %d is none of 16 vector registers", name, k)
		}
		r[k] = byte(p.PhysicalIndex())
	}
	source2, source1, to := r[0], r[1], r[2]
	high := func(r byte) byte { return ^r >> 3 & 1 } // inverted, as is what holds source1
	b := []byte{
		0xc4, high(to)<<7 | 1<<6 | high(source2)<<5 | 0b00010, // map 0F38
		^source1&15<<3 | 1<<2 | 0b01, // 256 bits, prefix 66
		vexOpcodes[name], 0b11<<6 | to&7<<3 | source2&7,
	}
	return []ir.Node{
		ir.NewComment(fmt.Sprintf("%s Y%d, Y%d, Y%d", name, source2, source1, to)),
		&ir.Instruction{Opcode: "LONG", Operands: []operand.Op{operand.U32(binary.LittleEndian.Uint32(b))}},
		&ir.Instruction{Opcode: "BYTE", Operands: []operand.Op{operand.U8(b[4])}},
	}, nil
}
