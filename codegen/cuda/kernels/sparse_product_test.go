package kernels

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
	"etc/formats/plan/layout"
	"etc/ir"
	"etc/ir/interp"
	"etc/ir/tensor"
)

// A sparseProduct is a product with a sparse weight, and the numbers in it.
type sparseProduct struct {
	kernel  launch.Kernel
	t, n, k int
	keep    float64 // share of tiles, groups or values that are kept
	bare    bool    // no bias and no residual
	fewer   bool    // more inputs than the product takes: columns is there where the kernel gathers
	scaled  int     // outputs that are scaled, by a third

	x, w, bias, residual []float64 // rounded to what they are stored as
	columns              []int
}

// sparseKinds are the operators of the families.
var sparseKinds = map[string]ir.Kind{
	"block_sparse_linear": ir.BlockSparseLinear, "sparse24_linear": ir.Sparse24Linear, "csr_linear": ir.CSRLinear,
	"linear": ir.Linear, // of the same matrix, to compare
}

const sparseScale = 1.0 / 3

func (p *sparseProduct) bf16() bool   { return p.kernel.Value("DTYPE") == launch.BF16 }
func (p *sparseProduct) gather() bool { return p.kernel.Value("GATHER") == 1 || p.fewer }

// width is the number of columns of x.
func (p *sparseProduct) width() int {
	if p.gather() {
		return p.k + p.k/2 + 3
	}
	return p.k
}

// filled draws the numbers: normal, with means that are not zero.
func (p sparseProduct) filled() *sparseProduct {
	r := rand.New(rand.NewPCG(uint64(p.t*1000+p.n), uint64(p.k)))
	draw := func(n int, mean float64, round func(float64) float64) []float64 {
		all := make([]float64, n)
		for i := range all {
			all[i] = round(r.NormFloat64() + mean)
		}
		return all
	}
	single := func(v float64) float64 { return float64(float32(v)) }
	p.x = draw(p.t*p.width(), 0.3, p.round)
	p.w = draw(p.n*p.k, 0.2, p.round)
	p.thin(r)
	if !p.bare {
		p.bias = draw(p.n, -0.5, single)
		p.residual = draw(p.t*p.n, 1, p.round)
		if p.kernel.Value("R32") == 1 {
			p.residual = draw(p.t*p.n, 1, single)
		}
	}
	if p.gather() {
		for c, left := 0, p.k; left > 0; c++ {
			if r.IntN(p.width()-c) < left {
				p.columns, left = append(p.columns, c), left-1
			}
		}
	}
	return &p
}

// thin makes w sparse: tiles, groups of four or single values become zero.
func (p *sparseProduct) thin(r *rand.Rand) {
	tiles := map[[2]int]bool{}
	for i := range p.w {
		row, column := i/p.k, i%p.k
		keep := r.Float64() < p.keep
		switch p.kernel.Family {
		case "block_sparse_linear":
			tile := [2]int{row / 16, column / 16}
			if _, ok := tiles[tile]; !ok {
				tiles[tile] = keep
			}
			keep = tiles[tile]
		case "sparse24_linear":
			// The two that may stay of four go round from group to group.
			pair := [][2]int{{0, 1}, {2, 3}, {0, 3}, {1, 2}, {1, 3}, {0, 2}}[(column/4+row)%6]
			keep = keep && (column%4 == pair[0] || column%4 == pair[1])
		}
		if !keep {
			p.w[i] = 0
		}
	}
}

// round gives the nearest number of the storage type.
func (p *sparseProduct) round(v float64) float64 { return p.number(p.bits(v)) }

func (p *sparseProduct) bits(v float64) uint16 {
	if p.bf16() {
		return tensor.F32ToBF16(float32(v))
	}
	return tensor.F32ToF16(float32(v))
}

func (p *sparseProduct) number(bits uint16) float64 {
	if p.bf16() {
		return float64(tensor.BF16ToF32(bits))
	}
	return float64(tensor.F16ToF32(bits))
}

// mean evaluates the operator in float64.
func (p *sparseProduct) mean() ([]float64, error) {
	g := &ir.Graph{Name: "product"}
	extra := map[string]*interp.Array{"x": {Shape: []int{p.t, p.width()}, F: p.x}}
	attrs := &ir.LinearAttrs{Act: ir.ActKind(p.kernel.Value("ACT")), Scaled: p.scaled, Scale: sparseScale}
	args := []*ir.Value{g.NewInput("x", ir.F32(ir.T, ir.Dim(p.width()))), g.NewWeight("w", tensor.FromFloat64s([]int{p.n, p.k}, p.w)), nil, nil, nil}
	if p.bias != nil {
		args[2] = g.NewWeight("b", tensor.FromFloat64s([]int{p.n}, p.bias))
		args[3] = g.NewInput("xr", ir.F32(ir.T, ir.Dim(p.n)))
		extra["xr"] = &interp.Array{Shape: []int{p.t, p.n}, F: p.residual}
	}
	if p.gather() {
		var list []int32
		for _, c := range p.columns {
			list = append(list, int32(c))
		}
		args[4] = g.NewWeight("columns", tensor.FromInt32s([]int{p.k}, list))
	}
	op := g.New(sparseKinds[p.kernel.Family], attrs, "", args...)
	g.Outputs = []ir.Output{{Name: "y", Value: op.Result()}}
	out, err := interp.Run(g, interp.Inputs{Offsets: []int{0, p.t}, Extra: extra})
	if err != nil {
		return nil, err
	}
	return out["y"].F, nil
}

// tolerance is the largest error of output n of row t, whose mean is y.
//
// Products of two elements are exact in float32, and a sum of K of them and the
// bias, in any order, errs by at most (K+2)·2⁻²⁴ of the sum of their magnitudes;
// scaling adds one rounding more. An activation multiplies that by its steepest
// slope, below 1.13, and errs itself by less than 2⁻²¹ of its argument's
// magnitude (erff, tanhf and exact products around them). Adding the residual
// rounds once. Then y is rounded to what it is stored as, or to a multiple of
// the least number of that type.
func (p *sparseProduct) tolerance(t, n int, y float64) float64 {
	size, row := 0.0, p.x[t*p.width():]
	for i, w := range p.w[n*p.k : (n+1)*p.k] {
		c := i
		if p.gather() {
			c = p.columns[i]
		}
		size += math.Abs(row[c] * w)
	}
	rest := 0.0
	if p.bias != nil {
		size += math.Abs(p.bias[n])
		rest = math.Abs(p.residual[t*p.n+n])
	}
	unit, least := 0x1p-11, 0x1p-25
	switch {
	case p.kernel.Value("OUT32") == 1:
		unit, least = 0x1p-24, 0
	case p.bf16():
		unit, least = 0x1p-8, 0x1p-134
	}
	sum := 1.13*float64(p.k+3)*0x1p-24*size + (rest+size)*0x1p-24
	if p.kernel.Value("ACT") != 0 {
		sum += 0x1p-21 * size
	}
	return sum + unit*(math.Abs(y)+sum) + least
}

// sparsePoison fills results before a launch.
const sparsePoison = 0x5a

// sparseStride is a row's stride in elements: a multiple of 32, with some room.
func sparseStride(width int) int { return (width+31)/32*32 + 32 }

// pastRows is how many rows there is room for but nothing in.
const pastRows = 3

// A sparseLaunch puts the operands on a simulated device.
type sparseLaunch struct {
	*ptxsim.Device
	p    *sparseProduct
	args map[string]ptxsim.Arg
	err  error // the first
}

// put allocates and writes; what follows b, up to bytes, is never written.
func (l *sparseLaunch) put(name string, b []byte, bytes int) uint64 {
	at := l.Alloc(name, max(bytes, 1))
	l.args[name] = ptxsim.Ptr(at)
	if len(b) > 0 {
		if err := l.Write(at, b); err != nil && l.err == nil {
			l.err = err
		}
	}
	return at
}

func (l *sparseLaunch) int(name string, n int) { l.args[name] = ptxsim.I32(n) }

// rows puts a matrix of t rows with room between and after them.
func (l *sparseLaunch) rows(name, distance string, v []float64, width int, wide bool) {
	stride, size := sparseStride(width), 2
	if wide {
		size = 4
	}
	at := l.put(name, nil, (l.p.t+pastRows)*stride*size)
	for t := range l.p.t {
		if b := l.p.stored(v[t*width:(t+1)*width], wide); len(b) > 0 {
			if err := l.Write(at+uint64(t*stride*size), b); err != nil && l.err == nil {
				l.err = err
			}
		}
	}
	l.int(distance, stride)
}

// stored is the bytes of v, as float32 (wide) or in the storage type.
func (p *sparseProduct) stored(v []float64, wide bool) []byte {
	var b []byte
	for _, x := range v {
		if wide {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		} else {
			b = binary.LittleEndian.AppendUint16(b, p.bits(x))
		}
	}
	return b
}

// weights are the bits of w.
func (p *sparseProduct) weights() []uint16 {
	w := make([]uint16, len(p.w))
	for i, v := range p.w {
		w[i] = p.bits(v)
	}
	return w
}

// weight packs w and gives the addresses of its parts.
func (l *sparseLaunch) weight() {
	p := l.p
	w := p.weights()
	var b []byte
	var parts map[string]int
	switch p.kernel.Family {
	case "block_sparse_linear":
		b, parts = layout.PackGPUTiles(w, p.n, p.k), layout.GPUTileParts(p.n, p.k)
	case "sparse24_linear":
		b, parts = layout.PackGPU24(w, p.n, p.k), layout.GPU24Parts(p.n, p.k)
		l.int("ldv", layout.GPU24Width(p.k))
	case "linear":
		b = layout.PackPadded(w, p.n, p.k)
		l.int("ldw", layout.PaddedWidth(p.k))
	case "csr_linear":
		b = layout.PackGPUCSR(w, p.n, p.k)
		if p.gather() {
			b = layout.PackGPUCSRGathered(w, p.n, p.columns)
		}
		parts = layout.GPUCSRParts(p.n, len(b))
	}
	at := l.put("w", b, len(b))
	for name, offset := range parts {
		l.args[name] = ptxsim.Ptr(at + uint64(offset))
	}
}

// run launches the kernel for more rows than there are, and gives the bits of
// the result after comparing it with its meaning.
func (p *sparseProduct) run(m *ptxsim.Module, o ptxsim.Options) ([]byte, error) {
	bits, _, err := p.counted(m, o)
	return bits, err
}

func (p *sparseProduct) counted(m *ptxsim.Module, o ptxsim.Options) ([]byte, ptxsim.Counters, error) {
	var none ptxsim.Counters
	kernel, err := m.Kernel(p.kernel.Entry())
	if err != nil {
		return nil, none, err
	}
	l := &sparseLaunch{Device: ptxsim.NewDevice(o), p: p, args: map[string]ptxsim.Arg{}}
	l.put("count", binary.LittleEndian.AppendUint32(nil, uint32(p.t)), 4)
	l.rows("x", "ldx", p.x, p.width(), false)
	l.weight()
	for _, name := range []string{"bias", "residual", "columns"} {
		l.args[name] = ptxsim.Ptr(0)
	}
	l.int("ldr", 0)
	if p.bias != nil {
		l.put("bias", p.stored(p.bias, true), 4*p.n)
		l.rows("residual", "ldr", p.residual, p.n, p.kernel.Value("R32") == 1)
	}
	if p.gather() {
		var list []byte
		for _, c := range p.columns {
			list = binary.LittleEndian.AppendUint32(list, uint32(c))
		}
		l.put("columns", list, len(list))
	}
	size := 2 + 2*p.kernel.Value("OUT32")
	stride := sparseStride(p.n)
	y := l.put("y", bytes.Repeat([]byte{sparsePoison}, (p.t+pastRows)*stride*size), (p.t+pastRows)*stride*size)
	l.int("ldy", stride)
	for name, v := range map[string]int{"N": p.n, "K": p.k, "scaled": p.scaled} {
		l.int(name, v)
	}
	if p.fewer { // its weight names columns of x
		l.int("K", p.width())
	}
	l.args["scale"] = ptxsim.F32(sparseScale)
	if l.err != nil {
		return nil, none, l.err
	}
	launched := ptxsim.Launch{
		Kernel: kernel, Grid: p.kernel.Grid(launch.Size{Rows: p.t + 130, N: p.n}),
		Block: [3]int{p.kernel.Threads(), 1, 1}, Shared: p.kernel.Shared(),
	}
	for _, param := range p.kernel.Params() {
		arg, ok := l.args[param.Name]
		if !ok {
			return nil, none, fmt.Errorf("the test has no argument %s", param.Name)
		}
		launched.Args = append(launched.Args, arg)
	}
	if err := l.Launch(launched); err != nil {
		return nil, none, err
	}
	all := make([]byte, (p.t+pastRows)*stride*size)
	if err := l.Read(all, y); err != nil {
		return nil, none, err
	}
	bits, err := p.compare(all, stride, size)
	return bits, l.Counters(), err
}

// compare insists that y is what the operator means, and that nothing else is written.
func (p *sparseProduct) compare(all []byte, stride, size int) ([]byte, error) {
	want, err := p.mean()
	if err != nil {
		return nil, err
	}
	var bits []byte
	for i := 0; i < len(all); i += size {
		t, n, e := i/(stride*size), i/size%stride, all[i:i+size]
		if t >= p.t || n >= p.n {
			if !bytes.Equal(e, bytes.Repeat([]byte{sparsePoison}, size)) {
				return nil, fmt.Errorf("row %d, output %d is written: the result is %d by %d", t, n, p.t, p.n)
			}
			continue
		}
		got := 0.0
		if size == 4 {
			got = float64(math.Float32frombits(binary.LittleEndian.Uint32(e)))
		} else {
			got = p.number(binary.LittleEndian.Uint16(e))
		}
		mean := want[t*p.n+n]
		if tolerance := p.tolerance(t, n, mean); !(math.Abs(got-mean) <= tolerance) {
			return nil, fmt.Errorf("row %d, output %d is %g, want %g within %g", t, n, got, mean, tolerance)
		}
		bits = append(bits, e...)
	}
	return bits, nil
}

// name says what a case is, beside its kernel.
func (p *sparseProduct) name() string {
	name := fmt.Sprintf("%s/t%d_n%d_k%d_keep%g", p.kernel.Entry(), p.t, p.n, p.k, p.keep)
	if p.bare {
		name += "_bare"
	}
	if p.fewer {
		name += "_gathered"
	}
	return name
}

// testCase is p for all tests of kernels.
func (p sparseProduct) testCase() testCase {
	f := &p
	return testCase{f.name(), p.kernel, func(m *ptxsim.Module, o ptxsim.Options) error {
		if f.w == nil {
			f = f.filled()
		}
		_, err := f.run(m, o)
		return err
	}}
}

// sparseShapes pairs rows, outputs and inputs so that each of them meets several
// of the others: rows and outputs around the sizes of blocks, inputs around
// pieces of 8, tiles of 16 and panels of 64.
func sparseShapes(rows, outputs, inputs []int) [][3]int {
	var all [][3]int
	for i := range max(len(rows), len(outputs), len(inputs)) {
		all = append(all, [3]int{rows[i%len(rows)], outputs[i%len(outputs)], inputs[i%len(inputs)]})
	}
	return all
}

// only is p with one of its rows, the numbers unchanged.
func (p *sparseProduct) only(t int) *sparseProduct {
	c := *p
	c.t = 1
	c.x = p.x[t*p.width() : (t+1)*p.width()]
	if p.residual != nil {
		c.residual = p.residual[t*p.n : (t+1)*p.n]
	}
	return &c
}

// checkInvariance insists that rows have the same bits alone as among others.
func checkInvariance(t *testing.T, m *ptxsim.Module, p *sparseProduct) []byte {
	t.Helper()
	all, err := p.run(m, ptxsim.Options{Unchecked: true})
	if err != nil {
		t.Fatal(err)
	}
	size := len(all) / p.t
	for row := range p.t {
		alone, err := p.only(row).run(m, ptxsim.Options{Unchecked: true})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(alone, all[row*size:(row+1)*size]) {
			t.Errorf("row %d: its bits change with its batch", row)
		}
	}
	return all
}
