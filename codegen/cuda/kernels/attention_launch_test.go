package kernels

import (
	"encoding/binary"
	"fmt"
	"math"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/tensor"
)

// An attentionLaunch puts the operands of one kernel on a simulated device and
// runs it there. What lies between width and stride of a row, behind the last
// row and in tiles past the count has never been written.
type attentionLaunch struct {
	*ptxsim.Device
	b      *attentionBatch
	kernel launch.Kernel
	args   map[string]ptxsim.Arg
	err    error // the first
}

func (b *attentionBatch) on(k launch.Kernel, o ptxsim.Options) *attentionLaunch {
	l := &attentionLaunch{Device: ptxsim.NewDevice(o), b: b, kernel: k, args: map[string]ptxsim.Arg{}}
	l.int("heads", b.Heads)
	l.float("scale", l.factor()*b.Scale)
	l.float("bias_scale", l.factor())
	l.int("S", 0)
	for _, name := range []string{"q", "bias", "b"} {
		l.args[name] = ptxsim.Ptr(0)
		l.int("ld"+name, 0)
	}
	if b.table != nil {
		l.floats("bias", b.table.F)
		l.int("S", (b.table.Shape[1]+1)/2)
	}
	l.batch()
	return l
}

// factor turns scores into those of a softmax to base 2.
func (l *attentionLaunch) factor() float64 {
	if l.b.Exp2 {
		return 1
	}
	return math.Log2E
}

func (l *attentionLaunch) int(name string, n int) { l.args[name] = ptxsim.I32(n) }
func (l *attentionLaunch) float(name string, f float64) {
	l.args[name] = ptxsim.F32(float32(f))
}

// memory allocates and keeps the address as an argument.
func (l *attentionLaunch) memory(name string, bytes int) uint64 {
	at := l.Alloc(name, bytes)
	l.args[name] = ptxsim.Ptr(at)
	return at
}

func (l *attentionLaunch) write(at uint64, b []byte) {
	if err := l.Write(at, b); err != nil && l.err == nil {
		l.err = err
	}
}

// batch is struct Batch with its lists.
func (l *attentionLaunch) batch() {
	b := l.b
	counts := map[int]int{}
	for _, qb := range []int{16, 64} {
		var tiles []byte
		for row, n := range b.lengths {
			for q := 0; q < n; q += qb {
				tiles = binary.LittleEndian.AppendUint32(tiles, uint32(row))
				tiles = binary.LittleEndian.AppendUint32(tiles, uint32(q))
			}
		}
		counts[qb] = len(tiles) / 8
		if qb == l.kernel.Value("QB") {
			l.write(l.memory("tiles", len(tiles)+8*attentionRoom), tiles)
		}
	}
	l.write(l.memory("batch", 16), attentionInts(b.tokens(), len(b.lengths), counts[16], counts[64]))
	l.write(l.memory("offsets", 4*len(b.offsets)), attentionInts(b.offsets...))
}

// attentionRoom is how many rows and tiles there is room for but nothing in.
const attentionRoom = 3

func attentionInts(list ...int) []byte {
	var b []byte
	for _, n := range list {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

func (l *attentionLaunch) floats(name string, list []float64) {
	var b []byte
	for _, x := range list {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
	}
	l.write(l.memory(name, len(b)), b)
}

// attentionStride is a row's stride in elements: a multiple of 32, with some room.
func attentionStride(width int) int { return (width+31)/32*32 + 32 }

// matrix is an operand in the storage type: matrices of the same rows side by side.
func (l *attentionLaunch) matrix(name string, parts ...*interp.Array) {
	width := 0
	for _, p := range parts {
		width += p.Shape[1]
	}
	stride := attentionStride(width)
	room := stride * attentionRoom
	if l.b.foul {
		room = width - stride // what reads on leaves the operand
	}
	at := l.memory(name, 2*(stride*parts[0].Shape[0]+room))
	for row, b := range l.b.meaning.operand(name, func() [][]byte { return l.b.stored(parts) }) {
		l.write(at+uint64(2*stride*row), b)
	}
	l.int("ld"+name, stride)
}

// stored is the rows of matrices side by side.
func (b *attentionBatch) stored(parts []*interp.Array) [][]byte {
	rows := make([][]byte, parts[0].Shape[0])
	for row := range rows {
		for _, p := range parts {
			for _, x := range rowsOf(p, row, row+1).F {
				rows[row] = binary.LittleEndian.AppendUint16(rows[row], b.bits(x))
			}
		}
	}
	return rows
}

func (b *attentionBatch) bits(x float64) uint16 {
	if b.bf16 {
		return tensor.F32ToBF16(float32(x))
	}
	return tensor.F32ToF16(float32(x))
}

// attentionPoison fills results before a kernel runs.
const attentionPoison = 0x5a

// result allocates rows of that many bytes each and fills them with poison.
func (l *attentionLaunch) result(name string, rows, bytes int) uint64 {
	at := l.memory(name, bytes*(rows+attentionRoom))
	all := make([]byte, bytes*(rows+attentionRoom))
	for i := range all {
		all[i] = attentionPoison
	}
	l.write(at, all)
	return at
}

// run launches the kernel for more tiles than there are.
func (l *attentionLaunch) run(m *ptxsim.Module, n int) error {
	if l.err != nil {
		return l.err
	}
	kernel, err := m.Kernel(l.kernel.Entry())
	if err != nil {
		return err
	}
	tiles := len(l.b.lengths)
	if l.b.Rows == ir.AllRows {
		tiles = 0
		for _, length := range l.b.lengths {
			tiles += (length + l.kernel.Value("QB") - 1) / l.kernel.Value("QB")
		}
	}
	grid := l.kernel.Grid(launch.Size{Tiles: tiles + attentionRoom, Heads: l.b.Heads, N: n})
	launched := ptxsim.Launch{Kernel: kernel, Grid: grid, Block: [3]int{l.kernel.Threads(), 1, 1}, Shared: l.kernel.Shared()}
	for _, p := range l.kernel.Params() {
		arg, ok := l.args[p.Name]
		if !ok {
			return fmt.Errorf("the test has no argument %s", p.Name)
		}
		launched.Args = append(launched.Args, arg)
	}
	return l.Launch(launched)
}

// rows reads the result at at: rows of width elements of size bytes, stride
// bytes apart. Bytes of no element must be poison still.
func (l *attentionLaunch) rows(at uint64, rows, width, size, stride int) ([]float64, []byte, error) {
	all := make([]byte, stride*(rows+attentionRoom))
	if err := l.Read(all, at); err != nil {
		return nil, nil, err
	}
	var values []float64
	var bits []byte
	for i := 0; i < len(all); i += size {
		row, column := i/stride, i%stride/size
		if row >= rows || column >= width {
			for _, b := range all[i : i+size] {
				if b != attentionPoison {
					return nil, nil, fmt.Errorf("row %d, column %d is written: the result is %d by %d", row, column, rows, width)
				}
			}
			continue
		}
		values = append(values, l.b.number(all[i:i+size]))
		bits = append(bits, all[i:i+size]...)
	}
	return values, bits, nil
}

// number is a float32 or an element of the storage type.
func (b *attentionBatch) number(e []byte) float64 {
	switch {
	case len(e) == 4:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(e)))
	case b.bf16:
		return float64(tensor.BF16ToF32(binary.LittleEndian.Uint16(e)))
	}
	return float64(tensor.F16ToF32(binary.LittleEndian.Uint16(e)))
}
