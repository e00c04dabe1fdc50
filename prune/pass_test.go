package prune

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/fault"
	"etc/prune/linalg"
)

// show gives p a batch, as rows of float32.
func show(p *Pass, dense bool, name string, x linalg.Matrix) {
	p.See(dense, name, x.Cols, x.Rows, func(i int) []float32 {
		row := make([]float32, x.Cols)
		for j, v := range x.Row(i) {
			row[j] = float32(v)
		}
		return row
	})
}

// rounded is x in float32.
func rounded(x linalg.Matrix) linalg.Matrix {
	x = x.Clone()
	for i, v := range x.Data {
		x.Data[i] = float64(float32(v))
	}
	return x
}

// outputsOf is x·Wᵀ + b, without linalg; b may be nil.
func outputsOf(w linalg.Matrix, b []float64, x linalg.Matrix) linalg.Matrix {
	y := linalg.New(x.Rows, w.Rows)
	for r := range y.Rows {
		for i := range y.Cols {
			if b != nil {
				y.Set(r, i, b[i])
			}
			for j, v := range x.Row(r) {
				y.Set(r, i, y.At(r, i)+v*w.At(i, j))
			}
		}
	}
	return y
}

// stacked is rows of some batches under each other.
func stacked(list ...linalg.Matrix) linalg.Matrix {
	all := linalg.Matrix{Cols: list[0].Cols, Stride: list[0].Cols}
	for _, m := range list {
		all.Rows += m.Rows
		all.Data = append(all.Data, m.Clone().Data...)
	}
	return all
}

// checkAim compares with moments of all rows at once.
func checkAim(t *testing.T, name string, a *aim, m *matrix, x, y linalg.Matrix) {
	t.Helper()
	n := float64(x.Rows)
	meanX, meanY := make([]float64, x.Cols), make([]float64, y.Cols)
	for r := range x.Rows {
		for j, v := range x.Row(r) {
			meanX[j] += v / n
		}
		for j, v := range y.Row(r) {
			meanY[j] += v / n
		}
	}
	for j, v := range meanX {
		if !near(a.mean[j], v, 1e-12) {
			t.Errorf("%s: mean of input %d is %v, want %v", name, j, a.mean[j], v)
		}
	}
	for i, v := range meanY {
		if !near(a.want[i], v, 1e-12) {
			t.Errorf("%s: mean of output %d is %v, want %v", name, i, a.want[i], v)
		}
	}
	if !m.biased {
		clear(meanX)
		clear(meanY)
	}
	moment := func(of linalg.Matrix, mean []float64, i, j int) float64 {
		sum := 0.0
		for r := range x.Rows {
			sum += (x.At(r, i) - meanX[i]) * (of.At(r, j) - mean[j]) / n
		}
		return sum
	}
	for i := range x.Cols {
		for j := range x.Cols {
			if want := moment(x, meanX, i, j); !near(a.h.At(i, j), want, 1e-10) {
				t.Errorf("%s: moment (%d,%d) is %v, want %v", name, i, j, a.h.At(i, j), want)
			}
		}
		for j := range y.Cols {
			if want := moment(y, meanY, i, j); !near(a.g.At(i, j), want, 1e-10) {
				t.Errorf("%s: moment of input %d with output %d is %v, want %v", name, i, j, a.g.At(i, j), want)
			}
		}
	}
}

// TestPassSumsWhatItSees: the moments of a stage's inputs in the pruned model
// with the dense model's outputs, with and without what a residual lost, over
// most batches, every fifth, and all.
func TestPassSumsWhatItSees(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	const n, k, batches = 4, 3, 11
	for _, withResidual := range []bool{false, true} {
		for _, biased := range []bool{false, true} {
			stage := []*matrix{product(rng, n, k, biased), product(rng, 2, k, true)}
			var residual *matrix
			if withResidual {
				stage, residual = stage[:1], product(rng, 2, n, true)
				residual.name, residual.block = "first", "block"
			}
			p := newPass(stage, residual)
			inputs, outputs := make([][]linalg.Matrix, 2), make([][][]linalg.Matrix, 2)
			for which := range outputs {
				outputs[which] = make([][]linalg.Matrix, len(stage))
			}
			for batch := range batches {
				rows := 2 + batch%3
				x, dense := rounded(tokens(rng, rows, k)), rounded(tokens(rng, rows, k))
				show(p, false, "w", x)
				show(p, true, "w", dense)
				lost := linalg.New(rows, n)
				if withResidual {
					was, now := rounded(tokens(rng, rows, n)), rounded(tokens(rng, rows, n))
					show(p, false, "first", now)
					show(p, true, "first", was)
					for i := range lost.Data {
						lost.Data[i] = was.Data[i] - now.Data[i]
					}
				}
				if err := p.End(); err != nil {
					t.Fatal(err)
				}
				which := 0
				if batch == 4 || batch == 9 {
					which = 1
				}
				inputs[which] = append(inputs[which], x)
				for i, m := range stage {
					y := outputsOf(m.dense(), m.denseBias(), dense)
					if withResidual {
						addMatrix(y, lost)
					}
					outputs[which][i] = append(outputs[which][i], y)
				}
			}
			whole := p.merged()
			for i, m := range stage {
				name := fmt.Sprintf("residual %v, biased %v, product %d", withResidual, m.biased, i)
				fit, check := stacked(outputs[0][i]...), stacked(outputs[1][i]...)
				checkAim(t, name+", fit", p.fit.aim(i, m), m, stacked(inputs[0]...), fit)
				checkAim(t, name+", check", p.check.aim(i, m), m, stacked(inputs[1]...), check)
				checkAim(t, name+", all", whole.aim(i, m), m, stacked(append(slices.Clone(inputs[0]), inputs[1]...)...), stacked(fit, check))
			}
		}
	}
}

// TestPassRefusesHalfABatch: a batch that one of the models, or the residual,
// has not shown is an error, as are numbers of rows that differ.
func TestPassRefusesHalfABatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	x, other, fewer := tokens(rng, 4, 3), tokens(rng, 4, 2), tokens(rng, 3, 3)
	fewerOther := tokens(rng, 3, 2)
	for name, see := range map[string]func(p *Pass){
		"nothing":                 func(p *Pass) {},
		"not the dense model":     func(p *Pass) { show(p, false, "w", x) },
		"not the pruned model":    func(p *Pass) { show(p, true, "w", x) },
		"other numbers of rows":   func(p *Pass) { show(p, false, "w", x); show(p, true, "w", fewer) },
		"not the residual":        func(p *Pass) { show(p, false, "w", x); show(p, true, "w", x) },
		"not the pruned residual": func(p *Pass) { show(p, false, "w", x); show(p, true, "w", x); show(p, true, "r", other) },
		"fewer rows of a residual": func(p *Pass) {
			show(p, false, "w", x)
			show(p, true, "w", x)
			show(p, true, "r", other)
			show(p, false, "r", fewerOther)
		},
	} {
		residual := product(rng, 3, 2, true)
		residual.name = "r"
		p := newPass([]*matrix{product(rng, 2, 3, true)}, residual)
		see(p)
		if err := p.End(); fault.KindOf(err) != fault.Internal || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPassForgetsABatch: what one batch showed does not stand for the next.
func TestPassForgetsABatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	p, x := newPass([]*matrix{product(rng, 2, 3, true)}, nil), tokens(rng, 4, 3)
	show(p, false, "w", x)
	show(p, true, "w", x)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	show(p, false, "w", x)
	if err := p.End(); err == nil {
		t.Error("a batch without the dense model was taken")
	}
}

// TestPassWantsNames of the stage and of the residual, at their widths, and
// takes the name that products of one input share.
func TestPassWantsNames(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 3))
	m, residual := product(rng, 2, 3, true), product(rng, 4, 2, true)
	m.shared, residual.name = "block", "r"
	p := newPass([]*matrix{m}, residual)
	for _, c := range []struct {
		name  string
		width int
		want  bool
	}{{"w", 3, true}, {"block", 3, true}, {"r", 2, true}, {"w", 2, false}, {"r", 3, false}, {"other", 3, false}, {"", 3, false}} {
		if p.Wants(c.name, c.width) != c.want {
			t.Errorf("inputs %q of %d wanted: %v", c.name, c.width, !c.want)
		}
	}
	p = newPass([]*matrix{m}, nil)
	x := tokens(rng, 4, 3)
	show(p, false, "block", x)
	show(p, true, "w", x)
	if err := p.End(); err != nil {
		t.Error(err)
	}
}
