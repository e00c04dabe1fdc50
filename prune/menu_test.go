package prune

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"etc/prune/latency"
)

// The sublayers that menus are made for: heads of 48 and 32, 200 neurons.
const menuHeads, menuD, menuDv, menuInner = 3, 48, 32, 200

// menuEdit is two layers with dials of losses that rise in ways of their own.
func menuEdit() *Edit {
	e := &Edit{}
	add := func(l *sublayer, kind string, of group, loss func(part float64) float64) {
		d := &dial{of, kind, l, nil, make([]float64, of.units+1)}
		for r := range d.loss {
			d.loss[r] = loss(float64(r) / float64(of.units))
		}
		e.dials = append(e.dials, d)
	}
	for range 2 {
		a := &sublayer{attention: &attention{heads: menuHeads, d: menuD, dv: menuDv}}
		f := &sublayer{ffn: &ffn{}}
		e.layers = append(e.layers, a, f)
		add(f, "neurons", group{menuInner, neuronStep, menuInner - neuronStep, 1}, func(p float64) float64 { return p * p })
		add(a, "dv", some(menuDv), func(p float64) float64 { return 0.9 * p })
		add(a, "d", some(menuD), func(p float64) float64 { return min(1, 2.9*p) }) // more than a head loses
		add(a, "heads", some(menuHeads), math.Sqrt)
	}
	return e
}

// menuTimes is a table in which all that is kept takes time.
func menuTimes() *latency.Table {
	t := &latency.Table{
		Model:  latency.Dimensions{Heads: menuHeads, D: menuD, Dv: menuDv, Inner: menuInner},
		Shapes: []latency.Shape{{Batch: 1, Tokens: 32}, {Batch: 8, Tokens: 32}},
		Last:   latency.Last{Attention: []float64{0.5, 0.25}, FFN: []float64{0.125, 0.75}},
	}
	for h := range menuHeads + 1 {
		t.Attention = append(t.Attention, latency.AttentionTime{Heads: h, D: menuD, Dv: menuDv, Micros: []float64{4 + 20*float64(h), 40 + 90*float64(h)}})
	}
	t.Attention = append(t.Attention,
		latency.AttentionTime{Heads: menuHeads, D: 16, Dv: menuDv, Micros: []float64{44, 240}},
		latency.AttentionTime{Heads: menuHeads, D: menuD, Dv: 16, Micros: []float64{54, 260}})
	for _, w := range []int{0, menuInner} {
		t.FFN = append(t.FFN, latency.FFNTime{Width: w, Micros: []float64{5 + 2*float64(w), 30 + 14*float64(w)}})
	}
	return t
}

// TestWidthOptions: sixteenths of the dense width in whole panels, each with
// what the dial says is lost, and none at all.
func TestWidthOptions(t *testing.T) {
	e, table := menuEdit(), menuTimes()
	l := e.layers[1]
	at := e.dialOf(l, "neurons")
	var widths []int
	for _, o := range e.widthOptions(l, table) {
		gone := o.turned[at]
		widths = append(widths, menuInner-gone)
		if len(o.turned) != 1 || o.local != e.dials[at].loss[gone] || !slices.Equal(o.times, table.FFNTime(menuInner-gone)) {
			t.Errorf("%d of %d neurons gone: %+v", gone, menuInner, o)
		}
	}
	if want := []int{200, 192, 176, 176, 160, 144, 128, 112, 112, 96, 80, 64, 64, 48, 32, 16, 0}; !slices.Equal(widths, want) {
		t.Errorf("widths %v, want %v", widths, want)
	}
}

// TestHeadOptions: every number of heads, down to none, with full and narrower
// features. What stays of the outputs is the product of what each leaves.
func TestHeadOptions(t *testing.T) {
	e, table := menuEdit(), menuTimes()
	l := e.layers[2]
	heads, scores, values := e.dialOf(l, "heads"), e.dialOf(l, "d"), e.dialOf(l, "dv")
	var kept, want []string
	for _, o := range e.headOptions(l, table) {
		gone, d, dv := o.turned[heads], menuD-o.turned[scores], menuDv-o.turned[values]
		kept = append(kept, fmt.Sprint(menuHeads-gone, d, dv))
		left := (1 - math.Sqrt(float64(gone)/menuHeads)) * (1 - 2.9*float64(menuD-d)/menuD) * (1 - 0.9*float64(menuDv-dv)/menuDv)
		if len(o.turned) != 3 || !near(o.local, 1-left, 1e-12) || !slices.Equal(o.times, table.AttentionTime(menuHeads-gone, d, dv)) {
			t.Errorf("%d heads of %d and %d: %+v, want to lose %v", menuHeads-gone, d, dv, o, 1-left)
		}
	}
	for h := menuHeads; h > 0; h-- {
		for _, d := range []int{48, 32} {
			for _, dv := range []int{32, 16} {
				want = append(want, fmt.Sprint(h, d, dv))
			}
		}
	}
	if want = append(want, fmt.Sprint(0, menuD, menuDv)); !slices.Equal(kept, want) {
		t.Errorf("options %v, want %v", kept, want)
	}
}

// TestMenus: the last layer's sublayers take what last ones take; options that
// others beat are left out.
func TestMenus(t *testing.T) {
	e, table := menuEdit(), menuTimes()
	menus := e.menus(table)
	for i, m := range menus {
		options, last := e.headOptions, table.LastAttention
		if i%2 == 1 {
			options, last = e.widthOptions, table.LastFFN
		}
		want := options(e.layers[i], table)
		if i >= 2 {
			for j := range want {
				want[j].times = last(want[j].times)
			}
		}
		want = worthwhile(want)
		if m.layer != e.layers[i] || len(m.options) != len(want) {
			t.Fatalf("menu %d: %d options, want %d", i, len(m.options), len(want))
		}
		for j, o := range m.options {
			if !slices.Equal(o.times, want[j].times) || o.local != want[j].local {
				t.Errorf("menu %d: option %+v, want %+v", i, o, want[j])
			}
		}
	}
	if len(menus) != 4 || len(menus[0].options) == len(e.headOptions(e.layers[0], table)) {
		t.Errorf("%d menus, nothing is beaten: the example shows little", len(menus))
	}
}
