package kernels

import (
	"encoding/binary"
	"fmt"
	"math"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
	"etc/ir/interp"
	"etc/ir/tensor"
)

// A linearLaunch puts the operands of a product on a simulated device and runs
// its kernels there. What lies between width and stride of a row of x has
// never been written.
type linearLaunch struct {
	*ptxsim.Device
	bf16 bool
	args map[string]ptxsim.Arg
	err  error // the first
}

func newLinearLaunch(k launch.Kernel, o ptxsim.Options) *linearLaunch {
	l := &linearLaunch{Device: ptxsim.NewDevice(o), bf16: k.Value("DTYPE") == launch.BF16, args: map[string]ptxsim.Arg{}}
	for _, p := range k.Params() {
		l.args[p.Name] = map[launch.ParamKind]ptxsim.Arg{launch.Pointer: ptxsim.Ptr(0), launch.Int: ptxsim.I32(0), launch.Float: ptxsim.F32(1)}[p.Kind]
	}
	return l
}

func (l *linearLaunch) int(name string, n int) { l.args[name] = ptxsim.I32(n) }

// put allocates memory of that content and keeps its address as an argument.
func (l *linearLaunch) put(name string, content []byte) uint64 {
	at := l.Alloc(name, len(content))
	l.args[name] = ptxsim.Ptr(at)
	l.fill(at, content)
	return at
}

func (l *linearLaunch) fill(at uint64, content []byte) {
	if err := l.Write(at, content); err != nil && l.err == nil {
		l.err = err
	}
}

// rows are activations: the rows of a matrix, stride elements apart.
func (l *linearLaunch) rows(name string, a *interp.Array, wide bool) {
	rows, width, size := a.Shape[0], a.Shape[1], l.size(wide)
	stride := strideOfLinear(width)
	at := l.Alloc(name, size*stride*rows)
	l.args[name] = ptxsim.Ptr(at)
	for i := range rows {
		l.fill(at+uint64(size*stride*i), l.numbers(a.F[i*width:(i+1)*width], wide))
	}
	l.int("ld"+name[:1], stride)
}

// strideOfLinear is a row's stride in elements: a multiple of 64 bytes.
func strideOfLinear(width int) int { return (width + 31) / 32 * 32 }

// weights are rows padded with zeros to 8 elements.
func (l *linearLaunch) weights(a *interp.Array) {
	n, k := a.Shape[0], a.Shape[1]
	stride := (k + 7) / 8 * 8
	var all []byte
	for i := range n {
		all = append(all, l.numbers(a.F[i*k:(i+1)*k], false)...)
		all = append(all, make([]byte, 2*(stride-k))...)
	}
	l.put("w", all)
	l.int("ldw", stride)
}

func (l *linearLaunch) size(wide bool) int {
	if wide {
		return 4
	}
	return 2
}

// numbers are values in the storage type or, wide, in float32.
func (l *linearLaunch) numbers(list []float64, wide bool) []byte {
	var b []byte
	for _, x := range list {
		switch {
		case wide:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		case l.bf16:
			b = binary.LittleEndian.AppendUint16(b, tensor.F32ToBF16(float32(x)))
		default:
			b = binary.LittleEndian.AppendUint16(b, tensor.F32ToF16(float32(x)))
		}
	}
	return b
}

func (l *linearLaunch) number(b []byte) float64 {
	switch {
	case len(b) == 4:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case l.bf16:
		return float64(tensor.BF16ToF32(binary.LittleEndian.Uint16(b)))
	}
	return float64(tensor.F16ToF32(binary.LittleEndian.Uint16(b)))
}

func linearInts(list []int) []byte {
	var b []byte
	for _, n := range list {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// linearPoison fills results before a launch; beyond is the rows behind them.
const (
	linearPoison = 0x5a
	linearBeyond = 2
)

// result allocates rows of stride elements, full of poison.
func (l *linearLaunch) result(name string, rows, stride int, wide bool) {
	all := make([]byte, (rows+linearBeyond)*stride*l.size(wide))
	for i := range all {
		all[i] = linearPoison
	}
	l.put(name, all)
}

// run launches k for a size of which s is the capacity.
func (l *linearLaunch) run(m *ptxsim.Module, k launch.Kernel, s launch.Size) error {
	if l.err != nil {
		return l.err
	}
	kernel, err := m.Kernel(k.Entry())
	if err != nil {
		return err
	}
	launched := ptxsim.Launch{Kernel: kernel, Grid: k.Grid(s), Block: [3]int{k.Threads(), 1, 1}, Shared: k.Shared()}
	for _, p := range k.Params() {
		launched.Args = append(launched.Args, l.args[p.Name])
	}
	return l.Launch(launched)
}

// read gives the values and bits of a result. Whatever is no element of it
// must be poison still.
func (l *linearLaunch) read(name string, rows, width, stride int, wide bool) ([]float64, []byte, error) {
	size := l.size(wide)
	all := make([]byte, (rows+linearBeyond)*stride*size)
	if err := l.Read(all, l.args[name].Bits); err != nil {
		return nil, nil, err
	}
	var values []float64
	var bits []byte
	for i := 0; i < len(all); i += size {
		row, column := i/size/stride, i/size%stride
		if row < rows && column < width {
			values = append(values, l.number(all[i:i+size]))
			bits = append(bits, all[i:i+size]...)
			continue
		}
		for _, b := range all[i : i+size] {
			if b != linearPoison {
				return nil, nil, fmt.Errorf("row %d, column %d of %s is written, which is %d by %d", row, column, name, rows, width)
			}
		}
	}
	return values, bits, nil
}
