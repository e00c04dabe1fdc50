package prune

import (
	"slices"
	"testing"

	"etc/ir"
)

// TestResiduals: of a layer with its norm behind, the first product reads what
// the last one is added to; of one with its norm in front, none does.
func TestResiduals(t *testing.T) {
	g := encoder()
	blocks, err := Sublayers(g)
	if err != nil {
		t.Fatal(err)
	}
	other := blocks[0].Q.Arg("x") // as behind a norm: something that the sum of layer 1 does not add
	for _, op := range []*ir.Op{blocks[2].Q, blocks[2].K, blocks[2].V, blocks[3].In} {
		op.SetArg("x", other)
	}
	e, err := newEdit(g, nil, Method{criterion: &Criteria[0]})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []*matrix{e.layers[0].q, e.layers[1].in, nil, nil} {
		if e.layers[i].residual != want {
			t.Errorf("%s: residual %v, want %v", e.layers[i].label, e.layers[i].residual, want)
		}
	}
}

// TestResidualsAreMadeUpForAtTheEnd: what a block's residual stream has lost is
// made up for by the last product of the block, which is added to it, and by no
// other.
func TestResidualsAreMadeUpForAtTheEnd(t *testing.T) {
	g := encoder()
	m, err := MethodNamed("elements")
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.rank(g, statistics(t, g))
	if err != nil {
		t.Fatal(err)
	}
	want := map[*matrix]*matrix{}
	for _, l := range e.layers {
		if l.attention != nil {
			want[l.q], want[l.o] = nil, l.q
		} else {
			want[l.in], want[l.out] = nil, l.in
		}
	}
	seen := 0
	calibrate := calibrator(t, g.Clone())
	_, err = e.write(g, e.at(levels/2), &Rebuild{Damage: func(*ir.Graph) (float64, error) { return 0, nil }, Calibrate: func(g *ir.Graph, p *Pass) error {
		seen++
		if residual, ok := want[p.stage[0]]; !ok || p.residual != residual {
			t.Errorf("%s: residual %v, want %v", p.stage[0].name, p.residual, residual)
		}
		return calibrate(g, p)
	}})
	if err != nil || seen != len(want) {
		t.Errorf("%d passes, want %d: %v", seen, len(want), err)
	}
}

// TestMomentsOfUnbiased: a mean that no bias can take over counts.
func TestMomentsOfUnbiased(t *testing.T) {
	g := encoder()
	blocks, err := Sublayers(g)
	if err != nil {
		t.Fatal(err)
	}
	stats := statistics(t, g)
	blocks[1].Out.SetArg("b", nil)
	e, err := newEdit(g, stats, Method{criterion: &Criteria[0]})
	if err != nil {
		t.Fatal(err)
	}
	means := 0
	for _, l := range []*sublayer{e.layers[1], e.layers[3]} {
		m := l.out
		h := m.covariance()
		for i := range m.k {
			for j := range m.k {
				want := m.seen.gram.At(i, j) / float64(m.seen.n)
				if m.biased {
					want -= m.mean[i] * m.mean[j]
				} else if i == j && m.mean[i] != 0 {
					means++
				}
				if !near(h.At(i, j), want, 1e-12) || i == j && !near(m.worth[j], want, 1e-12) {
					t.Errorf("biased %v: moment (%d,%d) is %v, worth %v, want %v", m.biased, i, j, h.At(i, j), m.worth[j], want)
				}
			}
		}
	}
	if means == 0 {
		t.Error("no input has a mean: the test shows nothing")
	}
}

// TestKeptOfALayer: a head that has lost all of one side still counts, and widths are
// those of the widest head.
func TestKeptOfALayer(t *testing.T) {
	of := func(n int) *matrix { return &matrix{n: n, k: n, mask: mask{unread: make([]bool, n)}} }
	const heads, d, dv = 4, 3, 2
	a := &attention{heads: heads, d: d, dv: dv, q: of(heads * d), v: of(heads * dv)}
	for _, i := range []int{0, 1, 2, 3, 9, 10} { // all of head 0, one of 1, two of 3
		a.q.unread[i] = true
	}
	for _, i := range []int{0, 1, 2, 3, 6} { // all of heads 0 and 1, one of 3
		a.v.unread[i] = true
	}
	a.v.unread[4] = true // one of head 2
	k := (&sublayer{attention: a}).kept()
	if !slices.Equal(k.Heads, []int{1, 2, 3}) || k.Of != heads || k.D != 3 || k.Dv != 1 || k.Width != nil {
		t.Errorf("kept %+v", k)
	}
}
