package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"etc/eval"
	"etc/executor/cpu"
	"etc/formats/rows"
	"etc/ir"
	"etc/prune"
)

// wrong is the tiny model with the sign of the last product turned, so that it
// says the contrary.
func wrong(t *testing.T, dense *ir.Graph) *ir.Graph {
	t.Helper()
	g := dense.Clone()
	for _, op := range slices.Backward(g.Ops) {
		if op.Kind != ir.Linear {
			continue
		}
		for _, name := range []string{"w", "b"} {
			a := op.Arg(name).Def.Attrs.(*ir.WeightAttrs)
			data := bytes.Clone(a.Data.Data)
			for i := a.Data.DType.Size() - 1; i < len(data); i += a.Data.DType.Size() {
				data[i] ^= 0x80 // the sign of a little-endian float
			}
			a.Data.Data = data
		}
		return g
	}
	t.Fatal("no product")
	return nil
}

func loadDev(t *testing.T) *rows.Data {
	t.Helper()
	data, err := loadData("--eval", devRows, rows.DataOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestJudgeGivesUp: of a model that says the contrary, a search asks the first
// 64 rows and tells so; one as good as the dense model is judged on all rows,
// and so is every model by the rows that accept, or where nothing is asked.
func TestJudgeGivesUp(t *testing.T) {
	c, data := openTiny(t), loadDev(t)
	var said bytes.Buffer
	r := &pruning{program: &program{err: &said}, flags: &pruneFlags{}, ctx: t.Context(), ckpt: c, data: data, drop: &eval.Drop{Percent: 1}}
	if err := r.importModel(); err != nil {
		t.Fatal(err)
	}
	search, accept, _, err := r.split()
	if err != nil {
		t.Fatal(err)
	}
	bad := wrong(t, r.dense)
	v, err := r.heard(search)(t.Context(), bad)
	if err != nil {
		t.Fatal(err)
	}
	if v.Inside || !v.Hopeless() || v.Rows != lookRows || v.Of != len(search.data.Examples) || v.Drop < 40 || v.Was == v.Dense {
		t.Errorf("of the contrary: %+v", v)
	}
	if line := r.lines[0]; !strings.Contains(line, "the first 64 of 339 rows, without hope for the others), allowed 1%: outside") {
		t.Errorf("told %q", line)
	}
	again := *search
	again.data = &rows.Data{Name: data.Name, Target: data.Target, Examples: search.data.Examples[:lookRows]}
	again.dense, again.searched = nil, false
	part, err := r.judge(&again)(t.Context(), bad)
	if err != nil || part.Drop != v.Drop || part.Metric != v.Metric || part.Was != v.Was || part.Low != v.Low {
		t.Errorf("the first rows by themselves: %+v, %v, want %+v", part, err, v)
	}
	same, err := r.judge(search)(t.Context(), r.dense)
	if err != nil || !same.Inside || same.Hopeless() || same.Rows != len(search.data.Examples) || same.Drop != 0 || same.Was != same.Dense {
		t.Errorf("of the dense model: %+v, %v", same, err)
	}
	if v, err := r.judge(accept)(t.Context(), bad); err != nil || v.Inside || v.Hopeless() {
		t.Errorf("on the accept rows: %+v, %v", v, err)
	}
	r.drop = nil
	if v, err := r.judge(search)(t.Context(), bad); err != nil || !v.Inside || v.Hopeless() {
		t.Errorf("with nothing asked: %+v, %v", v, err)
	}
}

// TestAgreementGivesUp: without labels too, a model that says the contrary is
// given up after 64 rows, with the answer that these give by themselves.
func TestAgreementGivesUp(t *testing.T) {
	c, data := openTiny(t), loadDev(t)
	for i := range data.Examples {
		data.Examples[i].Label = ""
	}
	data.Target = rows.NoTarget
	var said bytes.Buffer
	r := &pruning{program: &program{err: &said}, flags: &pruneFlags{}, ctx: t.Context(), ckpt: c, data: data, drop: &eval.Drop{Percent: 1}}
	if err := r.importModel(); err != nil {
		t.Fatal(err)
	}
	search, accept, _, err := r.split()
	if err != nil {
		t.Fatal(err)
	}
	bad := wrong(t, r.dense)
	v, err := r.judge(search)(t.Context(), bad)
	if err != nil {
		t.Fatal(err)
	}
	if v.Name != eval.NameAgreement || v.Inside || !v.Hopeless() || v.Rows != lookRows || v.Of != len(search.data.Examples) || v.Was != 1 || v.Metric > 0.2 {
		t.Errorf("of the contrary: %+v", v)
	}
	if v, err := r.judge(search)(t.Context(), r.dense); err != nil || !v.Inside || v.Rows != len(search.data.Examples) || v.Metric != 1 {
		t.Errorf("of the dense model: %+v, %v", v, err)
	}
	if v, err := r.judge(accept)(t.Context(), bad); err != nil || v.Inside || v.Hopeless() || v.Rows != len(accept.data.Examples) {
		t.Errorf("on the accept rows: %+v, %v", v, err)
	}
}

// TestNoTimeIsSaid: zeros that make nothing faster are called that, a gain at
// one shape is not, and a page without a table has a column of what was measured.
func TestNoTimeIsSaid(t *testing.T) {
	c := openTiny(t)
	var said bytes.Buffer
	r := &pruning{program: &program{err: &said}, flags: &pruneFlags{}, ctx: t.Context(), ckpt: c, target: cpu.Target}
	if err := r.importModel(); err != nil {
		t.Fatal(err)
	}
	found := &prune.Found{Graph: r.dense, Recipe: &prune.Recipe{Sparsity: 0.25}}
	if err := r.measureSpeed(found); err != nil {
		t.Fatal(err)
	}
	if n := len(r.measured); n == 0 || n != len(latencyShapes(&r.model)) || !strings.Contains(said.String(), "measured in turns with the dense model: 1×") {
		t.Errorf("%d ratios measured, told %q", n, said.String())
	}
	for _, s := range r.speedsOf(found) {
		if s.Predicted != nil || s.Measured == nil {
			t.Errorf("without a table: %+v", s)
		}
	}
	for _, x := range []struct {
		ratios []float64
		said   bool
	}{{[]float64{0.9, 1.04, 1}, true}, {[]float64{0.9, 1.06, 1}, false}} {
		r.measured, r.warnings = x.ratios, nil
		r.warnOfNoGain(found)
		if got := len(r.warnings) == 1 && strings.HasPrefix(r.warnings[0], "25 % of zeros bring no time on cpu:f32"); got != x.said {
			t.Errorf("%v: told %q", x.ratios, r.warnings)
		}
	}
}
