package kernels

import (
	"fmt"
	"math"

	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
	"etc/ir/interp"
)

// strideNames are the parameters with the stride of each matrix, and by how
// much it is longer than it must be: no two that a kernel has are the same.
var strideNames = map[string]struct {
	parameter string
	more      int
}{"x": {"ldx", 32}, "residual": {"ldr", 64}, "sum": {"lds", 96}, "norm": {"ldn", 0}, "y": {"ldy", 96}}

func (p *rowProblem) stride(name string, width int) int {
	return strideOfLinear(width) + strideNames[name].more
}

// matrix puts rows on the device, stride elements apart. What lies between
// width and stride has never been written, so that reading it is found: of
// tables too, where plans have zeros.
func (p *rowProblem) matrix(l *linearLaunch, name string, a *interp.Array, stride int, wide bool) {
	width, size := a.Shape[1], l.size(wide)
	at := l.Alloc(name, size*stride*a.Shape[0])
	for i := range a.Shape[0] {
		l.fill(at+uint64(size*stride*i), l.numbers(a.F[i*width:(i+1)*width], wide))
	}
	l.args[name] = ptxsim.Ptr(at)
}

// operands puts all that the kernel reads on the device.
func (p *rowProblem) operands(l *linearLaunch) {
	for name, a := range p.inputs {
		stride := p.stride(name, a.Shape[1])
		p.matrix(l, name, a, stride, p.wide(name))
		l.int(strideNames[name].parameter, stride)
	}
	for name, a := range p.tables {
		stride := (p.width + 7) / 8 * 8
		p.matrix(l, name, a, stride, false)
		l.int("ldw", stride)
	}
	for name, list := range p.lists {
		l.put(name, linearInts(list))
	}
	for name, v := range p.vectors {
		l.put(name, l.numbers(v, true))
	}
	if p.kernel.Family == "pool" || p.kernel.Family == "select_rows" {
		l.put("offsets", linearInts(p.offsets))
	}
	if p.kernel.Family == "skip_layernorm" {
		l.int("M", p.inputs["x"].Shape[1])
	}
	if p.places != nil {
		l.put("columns", linearInts(p.places))
	}
	l.int("H", p.width)
	l.args["scale"], l.args["eps"] = ptxsim.F32(rowScale), ptxsim.F32(float32(p.eps))
}

// run gives the bits of all results, after comparing them with what the
// operator means.
func (p *rowProblem) run(m *ptxsim.Module, o ptxsim.Options) ([]byte, ptxsim.Counters, error) {
	o.Count = true
	var none ptxsim.Counters
	want, err := p.means()
	if err != nil {
		return nil, none, err
	}
	l := newLinearLaunch(p.kernel, o)
	rows := 0
	for _, w := range want {
		rows = w.Shape[0]
	}
	count := rows - p.left
	l.put("count", linearInts([]int{count}))
	p.operands(l)
	for _, name := range rowResults(p.kernel.Family) {
		if p.has(name) {
			stride := p.stride(name, p.width)
			l.result(name, count, stride, p.wide(name))
			l.int(strideNames[name].parameter, stride)
		}
	}
	if err := l.run(m, p.kernel, launch.Size{Rows: max(rows, p.capacity)}); err != nil {
		return nil, none, err
	}
	if err := p.checkTraffic(l.Counters()); err != nil {
		return nil, none, err
	}
	var all []byte
	for _, name := range rowResults(p.kernel.Family) {
		if !p.has(name) {
			continue
		}
		got, bits, err := l.read(name, count, p.width, p.stride(name, p.width), p.wide(name))
		if err != nil {
			return nil, none, err
		}
		if err := p.compare(name, got, want[name]); err != nil {
			return nil, none, err
		}
		all = append(all, bits...)
	}
	return all, l.Counters(), nil
}

// compare holds a result to its bounds.
func (p *rowProblem) compare(name string, got []float64, want *interp.Array) error {
	for row := range len(got) / p.width {
		y := want.F[row*p.width : (row+1)*p.width]
		bounds := p.bounds(name, row, y)
		for c, x := range got[row*p.width : (row+1)*p.width] {
			if off := math.Abs(x - y[c]); !(off <= bounds[c]) {
				return fmt.Errorf("%s at row %d, column %d: %g, want %g, off by %g of %g", name, row, c, x, y[c], off, bounds[c])
			}
		}
	}
	return nil
}

// checkTraffic: where all pieces are whole and no columns are searched,
// sectors are read and written whole. Rows of tables begin at 16 bytes, so a
// warp may touch a sector more than it fills. Shared memory has no conflicts.
func (p *rowProblem) checkTraffic(c ptxsim.Counters) error {
	if c.SharedWavefronts != c.IdealWavefronts {
		return fmt.Errorf("%d passes over shared memory, want %d", c.SharedWavefronts, c.IdealWavefronts)
	}
	if sectors := float64(c.Sectors) / float64(c.IdealSectors); p.width%8 == 0 && p.places == nil && sectors > 1.1 {
		return fmt.Errorf("%.3f times the sectors that are needed, want 1.1 at most", sectors)
	}
	return nil
}
