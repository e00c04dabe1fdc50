package main

import (
	"fmt"
	"testing"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// TestVEX holds the bytes of instructions that the Go assembler does not know
// against those of GNU as, in Go's order of operands.
func TestVEX(t *testing.T) {
	for _, c := range []struct {
		bits        int
		w, x, acc   reg.Register
		long, fifth uint32
	}{
		{8, reg.Y2, reg.Y4, reg.Y0, 0x505de2c4, 0xc2},
		{16, reg.Y12, reg.Y14, reg.Y11, 0x520d42c4, 0xdc},
		{16, reg.Y3, reg.Y15, reg.Y8, 0x520562c4, 0xc3},
	} {
		nodes, err := encodeVEX(vexDots(c.bits, c.w, c.x, c.acc))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range nodes {
			if i, ok := n.(*ir.Instruction); ok {
				got = append(got, fmt.Sprint(i.Opcode, i.Operands))
			}
		}
		want := []string{fmt.Sprint("LONG", []operand.Op{operand.U32(c.long)}), fmt.Sprint("BYTE", []operand.Op{operand.U8(c.fifth)})}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("int%d %v, %v, %v: %v, want %v", c.bits, c.w, c.x, c.acc, got, want)
		}
	}
	if _, err := encodeVEX(vexDots(8, reg.Y16, reg.Y1, reg.Y2)); err == nil {
		t.Error("a register that VEX does not have is encoded")
	}
}
