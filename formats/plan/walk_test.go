package plan

import (
	"encoding/binary"
	"fmt"

	"etc/formats/plan/layout"
)

// A walker runs a plan as an executor would, but only follows the addresses:
// every access is computed from what a kernel goes by (parameters, shapes of
// weights, lengths of rows) and must lie in the row, buffer, arena or weight
// it is meant for, and every read must find what the right step has written.
type walker struct {
	plan    *Program
	lengths []int
	count   [3]int // by Rows: T and B
	arena   [3]int
	owner   map[place]int // buffer whose values lie there
	busy    map[int]bool  // buffers that the step reads or has written
	err     error
}

// A place is 64 bytes of an arena.
type place struct {
	rows Rows
	at   int
}

// maxPlaces bounds the work of following a forged plan with huge buffers.
const maxPlaces = 1 << 20

func walk(p *Program, outputs uint64, lengths []int) error {
	w := &walker{plan: p, lengths: lengths, owner: map[place]int{}}
	for _, n := range lengths {
		w.count[PerToken] += n
		w.count[PerRow]++
	}
	for _, b := range p.Buckets {
		for _, ch := range b.Choices {
			call{w, &p.Steps[ch.Step]}.kernels(ch.Op, ch.Launches, b.MaxTokens)
		}
	}
	perToken, perRow := p.ArenaBytes(outputs)
	w.arena[PerToken], w.arena[PerRow] = perToken*w.count[PerToken], perRow*w.count[PerRow]
	for _, i := range p.StepsFor(outputs) {
		w.step(&p.Steps[i])
		for o, out := range p.Outputs {
			if outputs>>o&1 == 1 && out.After == i && out.When == Tap {
				w.rows(out.Buffer, p.Buffers[out.Buffer].Rows, p.Buffers[out.Buffer].Width, false)
			}
		}
		if w.err != nil {
			return fmt.Errorf("step %d (%v): %w", i, p.Steps[i].Op, w.err)
		}
	}
	for o, out := range p.Outputs {
		if outputs>>o&1 == 1 && out.When != Tap {
			w.rows(out.Buffer, p.Buffers[out.Buffer].Rows, p.Buffers[out.Buffer].Width, false)
		}
	}
	return w.err
}

func (w *walker) must(ok bool, format string, args ...any) {
	if !ok && w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// rows touches the first n columns of every row of a buffer.
func (w *walker) rows(buffer int, r Rows, n int, write bool) {
	b := w.plan.Buffers[buffer]
	w.must(b.Rows == r, "buffer %d has %v rows, the kernel counts %v", buffer, b.Rows, r)
	size := b.DType.Size()
	w.must(n <= b.Width && size*n <= b.Stride, "buffer %d: %d columns, it has %d in %d bytes", buffer, n, b.Width, b.Stride)
	count := w.count[r]
	start := b.Offset * count
	last := start + (count-1)*b.Stride + size*n
	w.must(start >= 0 && last <= w.arena[r], "buffer %d: bytes %d to %d of an arena of %d", buffer, start, last, w.arena[r])
	if w.err != nil || count*n > maxPlaces {
		return
	}
	for row := range count {
		for at := 0; at < size*n; at += layout.Align {
			p := place{r, (start + row*b.Stride + at) / layout.Align}
			got, ok := w.owner[p]
			if write {
				w.must(!ok || !w.busy[got], "buffer %d, row %d: lies over buffer %d of the same step", buffer, row, got)
				w.owner[p] = buffer
				continue
			}
			w.must(ok && got == buffer, "buffer %d, row %d: reads what buffer %d holds (written: %v)", buffer, row, got, ok)
		}
	}
}

// A call is one step with its operands by name.
type call struct {
	*walker
	*Step
}

func (c call) arg(name string) (Arg, bool) {
	for i, n := range c.Op.Operands() {
		if n == name || n == name+"?" {
			return c.Args[i], c.Args[i].Kind != None
		}
	}
	return Arg{}, false
}

// read touches n columns of each row of an activation, if it is there.
func (c call) read(name string, r Rows, n int) {
	if a, ok := c.arg(name); ok {
		c.rows(a.Index, r, n, false)
	}
}

// vector touches elements up to n of a weight, if it is there.
func (c call) vector(name string, n int) {
	if a, ok := c.arg(name); ok {
		wt := c.plan.Weights[a.Index]
		c.must(wt.Layout == RowMajor && elemSize*n <= int(wt.Size) && wt.Offset+wt.Size <= int64(len(c.plan.Data)), "%s: %d elements of %d bytes", name, n, wt.Size)
	}
}

// entry touches a row of a table.
func (c call) entry(name string, row int) (width int) {
	if a, ok := c.arg(name); ok {
		w := c.plan.Weights[a.Index]
		if width = w.Shape[1]; w.Layout == RowMajor {
			c.vector(name, (row+1)*width)
		} else {
			end := 2 * (row*layout.PaddedWidth(width) + width)
			c.must(w.Layout == Padded && end <= int(w.Size) && w.Offset+w.Size <= int64(len(c.plan.Data)), "%s: row %d of %d bytes", name, row, w.Size)
		}
	}
	return width
}

// columns are the numbers of a list, nil where it is absent.
func (c call) columns(name string) []int {
	a, ok := c.arg(name)
	if !ok {
		return nil
	}
	wt := c.plan.Weights[a.Index]
	list := make([]int, wt.Shape[0])
	for i := range list {
		list[i] = int(int32(binary.LittleEndian.Uint32(c.plan.Data[int(wt.Offset)+elemSize*i:])))
	}
	return list
}

// matrix reads every element of a packed weight.
func (c call) matrix(name string) (n, k int) {
	a, _ := c.arg(name)
	wt := c.plan.Weights[a.Index]
	n, k = wt.Shape[0], wt.Shape[1]
	b := c.plan.Data[wt.Offset : wt.Offset+wt.Size]
	if n*k > maxPlaces {
		return n, k
	}
	var err error
	switch wt.Layout {
	case Panels:
		var m layout.Panels
		if m, err = layout.CheckPanels(n, k, b); err == nil {
			m.Unpack()
		}
	case Tiles:
		var m layout.Tiles
		if m, err = layout.CheckTiles(n, k, b); err == nil {
			m.Unpack()
		}
	case CSR:
		var m layout.CSR
		if m, err = layout.CheckCSR(n, k, b); err == nil {
			m.Unpack()
		}
	case Padded:
		var m layout.Padded
		if m, err = layout.CheckPadded(n, k, b); err == nil {
			m.Unpack()
		}
	case GPUTiles:
		var m layout.GPUTiles
		if m, err = layout.CheckGPUTiles(n, k, b); err == nil {
			m.Unpack()
		}
	case GPUCSR:
		var m layout.GPUCSR
		if m, err = layout.CheckGPUCSR(n, k, b); err == nil {
			m.Unpack()
		}
	case GPU24:
		var m layout.GPU24
		if m, err = layout.CheckGPU24(n, k, b); err == nil {
			m.Unpack()
		}
	case IntPanels:
		var m layout.IntPanels
		if m, err = layout.CheckIntPanels(layout.Int(wt.DType.Size()), n, k, b); err == nil {
			m.Unpack()
		}
	case IntTiles:
		var m layout.IntTiles
		if m, err = layout.CheckIntTiles(layout.Int(wt.DType.Size()), n, k, b); err == nil {
			m.Unpack()
		}
	case NM24:
		var m layout.Sparse24
		if m, err = layout.CheckSparse24(n, k, b); err == nil {
			m.Unpack()
		}
	}
	c.must(err == nil, "%v", err)
	return n, k
}

// rowsOf is what an activation has.
func (c call) rowsOf(name string) Rows {
	a, _ := c.arg(name)
	return c.plan.Buffers[a.Index].Rows
}

func (c call) write(r Rows, n int) {
	for _, b := range c.Results {
		if b != Unused {
			c.rows(b, r, n, true)
			c.busy[b] = true
		}
	}
}

func (w *walker) step(s *Step) {
	c, p := call{w, s}, s.Params
	w.busy = map[int]bool{}
	if s.Launches != nil {
		c.kernels(s.Op, s.Launches, w.plan.Buckets[len(w.plan.Buckets)-1].MaxTokens)
	}
	for _, a := range s.Args {
		if a.Kind == FromBuffer {
			w.busy[a.Index] = true
		}
	}
	switch s.Op {
	case Embed, EmbedLayerNorm:
		c.embed()
	case LayerNorm:
		g, _ := c.arg("gamma")
		n := w.plan.Weights[g.Index].Shape[0]
		c.read("x", c.rowsOf("x"), n)
		c.vector("beta", n)
		c.write(c.rowsOf("x"), n)
	case SkipLayerNorm:
		c.skip()
	case Linear, BlockSparseLinear, CSRLinear, Sparse24Linear:
		c.linear()
	case OTFAttention, PartialOTFAttention, FlashAttention:
		c.attention()
	case VOAttention:
		n, k := c.matrix("m")
		c.must(n == p.Heads*p.Dv, "m has %d rows", n)
		c.read("qk", PerToken, 2*p.Heads*p.D)
		c.read("x", PerToken, k)
		c.vector("b", p.Dv)
		c.write(PerToken, p.Dv)
	case SelectRows, Pool:
		x, _ := c.arg("x")
		n := w.plan.Buffers[x.Index].Width
		c.read("x", PerToken, n)
		c.write(PerRow, n)
	case Normalize:
		x, _ := c.arg("x")
		n := w.plan.Buffers[x.Index].Width
		c.read("x", c.rowsOf("x"), n)
		c.write(c.rowsOf("x"), n)
	case LinearNLL:
		n, k := c.matrix("w")
		c.must(w.plan.Model.VocabSize-1 < n, "w has no row for the last id")
		c.read("x", PerToken, k)
		c.vector("b", n)
		c.write(PerToken, 1)
	default:
		c.must(false, "operator %d", s.Op)
	}
}

// kernels looks at what executors and kernels go by on a GPU: that the widths,
// storage types and longest rows which are compiled in are those of operands.
func (c call) kernels(op Op, list []Launch, longest int) {
	for _, l := range list {
		for _, i := range l.Kernels {
			k := c.plan.Kernels[i]
			for _, d := range k.Defines {
				switch d.Name {
				case "D":
					c.must(d.Value == c.Params.D, "%s: heads of %d", k.Entry(), c.Params.D)
				case "DV":
					c.must(d.Value == c.Params.Dv, "%s: values of %d", k.Entry(), c.Params.Dv)
				case "MAXS":
					c.must(d.Value >= longest, "%s: rows of %d", k.Entry(), longest)
				case "GATHER":
					_, gathers := c.arg("columns")
					c.must((d.Value == 1) == (gathers && op != VOAttention), "%s: columns", k.Entry())
				case "OUT32":
					if b := c.Results[0]; b != Unused && k.Family != "linear" || op != VOAttention && b != Unused {
						c.must(c.plan.Buffers[b].DType.Size() == 2+2*d.Value, "%s: result of %v", k.Entry(), c.plan.Buffers[b].DType)
					}
				}
			}
		}
	}
}

func (c call) embed() {
	m := c.plan.Model
	n := c.entry("word", m.VocabSize-1)
	for _, l := range c.lengths {
		c.entry("position", m.PositionOffset+l-1)
	}
	c.entry("type", max(0, m.TypeVocabSize-1))
	for _, name := range []string{"position", "type"} {
		if _, ok := c.arg(name); ok {
			c.must(c.entry(name, 0) == n, "%s is not %d wide", name, n)
		}
	}
	c.vector("gamma", n)
	c.vector("beta", n)
	c.write(PerToken, n)
}

func (c call) skip() {
	g, _ := c.arg("gamma")
	n, r := c.plan.Weights[g.Index].Shape[0], c.rowsOf("x")
	kept := n
	if list := c.columns("columns"); list != nil {
		kept = len(list)
		for _, column := range list {
			c.must(0 <= column && column < n, "column %d of %d", column, n)
		}
	}
	c.read("x", r, kept)
	c.read("residual", r, n)
	c.vector("beta", n)
	c.vector("bias", n)
	c.write(r, n)
}

func (c call) linear() {
	n, k := c.matrix("w")
	r := c.rowsOf("x")
	if list := c.columns("columns"); list != nil {
		c.must(len(list) == k, "%d columns for %d inputs", len(list), k)
		k = 0
		for _, column := range list {
			c.must(column >= 0, "column %d", column)
			k = max(k, column+1)
		}
	}
	c.read("x", r, k)
	c.vector("b", n)
	c.read("residual", r, n)
	c.must(c.Params.Scaled <= n, "%d features scaled", c.Params.Scaled)
	c.write(r, n)
}

func (c call) attention() {
	p, r := c.Params, PerToken
	width := p.Heads * (p.D + p.Dv)
	if _, ok := c.arg("q"); ok {
		r = PerRow
		c.read("q", PerRow, p.Heads*p.D)
	} else {
		width += p.Heads * p.D
	}
	c.read("qkv", PerToken, width)
	if a, ok := c.arg("bias"); ok {
		s := (c.plan.Weights[a.Index].Shape[1] + 1) / 2
		for _, l := range c.lengths {
			c.must(l <= s, "a row of %d tokens, distances up to %d", l, s)
		}
		c.entry("bias", p.Heads-1)
	}
	c.write(r, p.Heads*p.Dv)
}

// walkAll follows p for every output alone and all together, over batches of
// short and longest rows.
func walkAll(p *Plan) error {
	for _, q := range p.Programs {
		if err := walkProgram(q); err != nil {
			return fmt.Errorf("%s: %w", q.Target, err)
		}
	}
	return nil
}

func walkProgram(p *Program) error {
	longest := p.Buckets[len(p.Buckets)-1].MaxTokens
	masks := []uint64{^uint64(0) >> (MostOutputs - len(p.Outputs))}
	for i := range p.Outputs {
		masks = append(masks, 1<<i)
	}
	for _, mask := range masks {
		for _, lengths := range [][]int{{1}, {longest}, {2, 1, longest}} {
			if err := walk(p, mask, lengths); err != nil {
				return fmt.Errorf("outputs %#x, rows %v: %w", mask, lengths, err)
			}
		}
	}
	return nil
}
