package cpu

import (
	"etc/executor"
	"etc/executor/cpu/kernel"
	"etc/formats/plan"
	"etc/formats/plan/layout"
)

// Operands of linear and its sparse forms, in the order of the operator table.
const (
	linearX = iota
	linearW
	linearB
	linearResidual
	linearColumns
)

// tasksPerThread is how many tasks a step is cut into for each thread, so
// that a thread that loses its core costs its share and no more.
const tasksPerThread = 4

// rowChunk is how many rows a task takes at most: with K = 1536 they and a
// group of panels fit the second-level cache. A multiple of the rows of a
// product block at every level.
const rowChunk = 96

// panelGroup is the number of panels that a product block goes over at once.
const panelGroup = 3

// A grid cuts rows × panels of a product into tasks.
type grid struct{ rows, panels, rowTasks, panelTasks, groupPanels int }

// newGrid prefers to cut rows, because then each task reads its rows once;
// it cuts panels as well where there are too few rows for the threads.
func newGrid(rows, panels, threads int) grid {
	g := grid{rows: rows, panels: panels}
	g.rowTasks = max(1, (rows+rowChunk-1)/rowChunk)
	groups := (panels + panelGroup - 1) / panelGroup
	want := (threads*tasksPerThread + g.rowTasks - 1) / g.rowTasks
	if threads == 1 {
		want = 1
	}
	perTask := max(1, groups/max(1, want))
	g.groupPanels = perTask * panelGroup
	g.panelTasks = max(1, (panels+g.groupPanels-1)/g.groupPanels)
	return g
}

func (g grid) tasks() int { return g.rowTasks * g.panelTasks }

// at is the part of task i: rows from to to, panels first to last. Tasks next
// to each other share panels, which several threads then read together.
func (g grid) at(i int) (from, to, first, last int) {
	r, p := i%g.rowTasks, i/g.rowTasks
	from, to = g.rows*r/g.rowTasks, g.rows*(r+1)/g.rowTasks
	first = p * g.groupPanels
	return from, to, first, min(first+g.groupPanels, g.panels)
}

// bindLinear binds linear in all its forms.
func (d *Device) bindLinear(s *plan.Step) (step, int) {
	w := &d.weights[s.Args[linearW].Index]
	shape := d.program.Weights[s.Args[linearW].Index].Shape
	n, k := shape[0], shape[1]
	columns := d.indices(s, linearColumns)
	var integers *integerInput
	if w.quantised != nil {
		integers, columns = d.bindIntegers(s, w.quantised, columns), nil
	}
	gathered := 0
	if columns != nil {
		gathered = rowChunk * k
	}
	scratch := gathered
	switch {
	case integers != nil:
		scratch = integers.scratch
	case s.Op == plan.CSRLinear || s.Op == plan.Sparse24Linear:
		scratch += kernel.CSRScratch()
	}
	base := kernel.Linear{
		Bias: d.vector(s, linearB), Scaled: s.Params.Scaled, Scale: float32(s.Params.Scale),
		Activation: kernel.Activation(s.Params.Act),
	}
	out := d.program.Buffers[s.Results[0]].Rows
	return step{
		Step:  s,
		first: integers.phase(),
		cut: func(g *group) int {
			g.grid = newGrid(g.count(out), layout.Blocks(n), d.sharing)
			return g.grid.tasks()
		},
		task: func(g *group, worker, task int) {
			x, y, residual := d.input(g, s, linearX), d.output(g, s, 0), d.optional(g, s, linearResidual)
			from, to, first, last := g.grid.at(task)
			l := base
			l.Rows, l.X, l.XStride = to-from, x.Data[from*x.Stride:], x.Stride
			l.Y, l.YStride = y.Data[from*y.Stride:], y.Stride
			if residual.Data != nil {
				l.Residual, l.ResidualStride = residual.Data[from*residual.Stride:], residual.Stride
			}
			if columns != nil {
				l.X, l.XStride = d.scratch[worker], k
				gather(l.X, x, columns, from, to)
			}
			switch {
			case integers != nil:
				d.table.Integers(&l, integers.of(g).From(from), w.quantised, first, last)
			case s.Op == plan.Linear:
				d.table.Dense(&l, w.panels, first, last)
			case s.Op == plan.BlockSparseLinear:
				d.table.Tiles(&l, w.tiles, first, last)
			default:
				d.table.CSR(&l, w.csr, first, last, d.scratch[worker][gathered:])
			}
		},
		macs: func(b *executor.Batch) int64 { return int64(batchCount(b, out)) * w.kept(s.Op) },
	}, scratch
}

// kept is the number of elements that a product with w multiplies by.
func (w *weight) kept(op plan.Op) int64 {
	switch {
	case w.quantised != nil:
		return w.quantised.Kept()
	case op == plan.Linear:
		return int64(w.panels.N) * int64(w.panels.K)
	case op == plan.BlockSparseLinear:
		return int64(len(w.tiles.Values))
	}
	return int64(len(w.csr.Values))
}

// gather puts the given columns of rows from to to into dst, without gaps.
func gather(dst []float32, x Rows, columns []int32, from, to int) {
	for r := from; r < to; r++ {
		row, out := x.Row(r), dst[(r-from)*len(columns):][:len(columns)]
		for j, c := range columns {
			out[j] = row[c]
		}
	}
}
