package prune

// The schemes of E.T. (SC'21, section 5; docs/references.md): tiles
// everywhere, and two that know how attention is computed. A criterion is
// chosen beside: et-tile:magnitude is what the paper does before it retrains.
var (
	// ETTile is E.T.'s tensor-tile pruning.
	ETTile = structure{"et-tile", "E.T.: 16×16 tiles of every matrix", "energy", func(e *Edit) { e.removeTiles(false) }}

	// ETAware1 prunes rows of W_V, which leaves narrower values and fewer columns
	// of W_O, and tiles of the others.
	ETAware1 = structure{"et-aware1", "E.T., attention-aware 1: rows of W_V, tiles elsewhere", "energy", func(e *Edit) {
		e.narrowValues()
		e.removeTilesBut(func(a *attention, m *matrix) bool { return m == a.v })
	}}

	// ETAware2 prunes columns of W_V·W_O, the outputs that all heads share, and
	// tiles of the products beside them.
	ETAware2 = structure{"et-aware2", "E.T., attention-aware 2: columns of W_V·W_O, tiles elsewhere", "energy", func(e *Edit) {
		e.attentions(func(l *sublayer, _ *attention) { e.removeOutputs(l) })
		e.removeTilesBut(func(a *attention, m *matrix) bool { return m == a.v || m == a.o })
	}}
)

// removeTilesBut makes dials of tiles for all matrices but some of attentions.
func (e *Edit) removeTilesBut(but func(a *attention, m *matrix) bool) {
	for _, l := range e.layers {
		for _, m := range l.matrices() {
			if l.attention == nil || !but(l.attention, m) {
				e.removeTilesOf(l, m, false)
			}
		}
	}
}
