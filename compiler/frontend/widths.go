package frontend

import (
	"fmt"
	"maps"
	"slices"

	"etc/fault"
)

// A model that was pruned elsewhere and saved small has layers narrower inside
// than config.json says: fewer heads, which transformers 4 lists under
// pruned_heads, and fewer neurons. The hidden size, which the layers share, and
// the width of one head stay what they were.

// widths say how wide a layer is inside.
type widths struct {
	heads    int
	features int // of all its heads together, in each of q, k and v
	inner    int // neurons of its feed-forward block
}

// A side is the dimension of a layer's weight along which the layer may be
// narrower. The weight holds that many parts side by side.
type side struct {
	weight     string // without the layer's prefix
	dim, parts int
}

// readPrunedHeads sets pruned from pruned_heads, which lists by layer the heads
// that are gone, by their numbers in the model as it was.
func (m *model) readPrunedHeads() {
	const key = "pruned_heads"
	lists := m.source.Config.IntLists(key)
	for _, layer := range slices.Sorted(maps.Keys(lists)) { // in order, so that the first fault is always the same
		heads := lists[layer]
		if layer >= m.Layers {
			m.refuse(fault.Newf(fault.Corrupt, "config.json: %s of layer %d, want one of the %d layers from 0", key, layer, m.Layers))
		}
		if last := slices.Max(heads); last >= m.Heads {
			m.refuse(fault.Newf(fault.Corrupt, "config.json: %s of layer %d: head %d, want one of the %d heads from 0", key, layer, last, m.Heads))
		}
		m.pruned[layer] = len(heads)
	}
}

// widths returns how wide layer i is inside, whose weights have that prefix. It
// has the heads that pruned_heads leaves; where no head of any layer is listed
// there, as many as qkv has features for. It has as many neurons as up has. No
// layer is wider than config.json says, and what else it claims must agree.
func (m *model) widths(i int, prefix string, qkv, up side) widths {
	w := widths{heads: m.Heads - m.pruned[i], inner: m.Inner}
	by := "pruned_heads"
	if len(m.pruned) == 0 {
		w.heads, by = m.wholeHeads(prefix, qkv), qkv.weight
	}
	if n, _, ok := m.stored(prefix, up); ok {
		w.inner = min(n, m.Inner)
	}
	w.features = w.heads * m.headSize()
	if len(m.pruned) > 0 || w.heads < m.Heads || w.inner < m.Inner {
		m.weights.Because(prefix, fmt.Sprintf("layer %d has %d of %d heads by %s, %d of %d neurons by %s",
			i, w.heads, m.Heads, by, w.inner, m.Inner, up.weight))
	}
	return w
}

// wholeHeads is how many heads a side has the features of.
func (m *model) wholeHeads(prefix string, s side) int {
	n, shape, ok := m.stored(prefix, s)
	head := s.parts * m.headSize()
	if !ok || n > m.Heads*head {
		return m.Heads // to be refused when the weight is claimed
	}
	if n%head != 0 && m.Err() == nil {
		m.refuse(fault.Newf(fault.Corrupt, "weight %q: shape %v, want whole heads: a multiple of %d in place of %d",
			m.weights.Name(prefix+s.weight), shape, head, n))
	}
	return n / head
}

// stored is the size of a side in the file, and the shape it is part of.
func (m *model) stored(prefix string, s side) (n int, shape []int, ok bool) {
	t, ok := m.source.Tensor(m.weights.Name(prefix + s.weight))
	if !ok || s.dim >= len(t.Shape) {
		return 0, nil, false
	}
	return t.Shape[s.dim], t.Shape, true
}
