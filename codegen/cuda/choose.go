package cuda

import (
	"maps"

	"etc/compiler/cost"
	"etc/formats/plan/launch"
	"etc/ir"
	"etc/ir/tensor"
)

// A chooser picks the kernels of operators from the table in
// formats/plan/launch: by their attributes, the storage of their operands, and
// for tiles by the cost model.
type chooser struct {
	model   *cost.GPU
	elem    tensor.DType
	storage func(*ir.Value) tensor.DType
	longest int // row of any bucket
}

// A class is the kernels that run where a step has at most so many rows; 0:
// any number.
type class struct {
	rows    int
	kernels []launch.Kernel
}

// always is the one class of an operator whose kernels do not follow its rows.
func always(kernels ...launch.Kernel) []class { return []class{{0, kernels}} }

// make is the kernel of that family with the storage type of the target.
func (c *chooser) make(family string, constants map[string]int) launch.Kernel {
	constants["DTYPE"] = launch.F16
	if c.elem == tensor.BF16 {
		constants["DTYPE"] = launch.BF16
	}
	return launch.Make(family, constants)
}

// wide is 1 where v is kept in float32, else 0; an absent value is not.
func (c *chooser) wide(v *ir.Value) int {
	if v != nil && c.storage(v) == tensor.F32 {
		return 1
	}
	return 0
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// kernels are those of an operator that is no attention over qkv.
func (c *chooser) kernels(op *ir.Op) []class {
	out := c.wide(op.Results[0])
	family := op.Kind.String()
	switch op.Kind {
	case ir.Embed, ir.EmbedLayerNorm:
		return always(c.make(family, map[string]int{"OUT32": out}))
	case ir.LayerNorm, ir.Pool, ir.Normalize:
		return always(c.make(family, map[string]int{"X32": c.wide(op.Arg("x")), "OUT32": out}))
	case ir.SelectRows:
		last := flag(op.Attrs.(*ir.SelectRowsAttrs).Rows == ir.LastRows)
		return always(c.make(family, map[string]int{"X32": c.wide(op.Arg("x")), "OUT32": out, "LAST": last}))
	case ir.SkipLayerNorm:
		return always(c.make(family, map[string]int{
			"X32": c.wide(op.Arg("x")), "R32": c.wide(op.Arg("residual")), "S32": out, "N32": c.wide(op.Results[1]),
		}))
	case ir.Linear:
		return c.linear(op)
	case ir.BlockSparseLinear:
		return always(c.make(family, c.epilogue(op, blockSparseTile)))
	case ir.Sparse24Linear:
		return always(c.make(family, c.epilogue(op, sparse24Tile)))
	case ir.CSRLinear:
		return always(c.make(family, c.epilogue(op, nil)))
	case ir.LinearNLL:
		return always(c.make(family, launch.NLLTile()), launch.Make("linear_nll_combine", nil))
	case ir.VOAttention:
		return c.valueOutput(op)
	}
	panic("bug: codegen/cuda: no kernel for " + family)
}

// epilogue adds to the constants of a product those of its end.
func (c *chooser) epilogue(op *ir.Op, tile map[string]int) map[string]int {
	all := map[string]int{
		"ACT": int(op.Attrs.(*ir.LinearAttrs).Act), "R32": c.wide(op.Arg("residual")), "OUT32": c.wide(op.Result()),
	}
	if op.Kind != ir.CSRLinear { // its columns are gathered when it is packed
		all["GATHER"] = flag(op.Arg("columns") != nil)
	}
	maps.Copy(all, tile)
	return all
}

// The blocks of sparse products: 64 rows by 128 outputs, so that two and more
// of them fit a multiprocessor of any target.
var (
	blockSparseTile = map[string]int{"BM": 64, "ROWS": 8, "WM": 16, "STAGES": 2}
	sparse24Tile    = map[string]int{"BM": 64, "BN": 128, "STAGES": 3}
)

// RowClasses are the numbers of rows up to which a tile is chosen by itself; 0
// is any number.
var RowClasses = []int{64, 128, 256, 1024, 4096, 0}

// linear chooses a tile for each class of rows. Tiles may differ because all
// of them sum in one order.
func (c *chooser) linear(op *ir.Op) []class {
	w := op.Arg("w").Type
	return c.product(int(w.Rows()), w.Width(), func(tile map[string]int) launch.Kernel {
		return c.make("linear", c.epilogue(op, tile))
	})
}

// product is a class for each change of the best tile of a product.
func (c *chooser) product(n, k int, kernel func(tile map[string]int) launch.Kernel) []class {
	var all []class
	last := -1
	for _, rows := range RowClasses {
		best := c.model.Tile(Tiles, rows, n, k)
		if best == last {
			all[len(all)-1].rows = rows
			continue
		}
		last = best
		all = append(all, class{rows, []launch.Kernel{kernel(launch.LinearTiles()[best].Constants())}})
	}
	return all
}

// Tiles are launch.LinearTiles as the cost model takes them.
var Tiles = func() []cost.Tile {
	var all []cost.Tile
	for _, t := range launch.LinearTiles() {
		k := launch.Make("linear", t.Constants())
		all = append(all, cost.Tile{
			Name: t.Name(), Rows: t.BM, Outputs: t.BN, Blocks: t.Blocks, Warps: k.Threads() / 32, Rate: t.Rate, Shared: k.Shared(),
		})
	}
	return all
}()

// valueOutput is the product x·Mᵀ into the workspace, then the attention over it.
func (c *chooser) valueOutput(op *ir.Op) []class {
	a := op.Attrs.(*ir.AttentionAttrs)
	m := op.Arg("m").Type
	constants, ok := valueOutputConstants(c.model, a, c.longest)
	if !ok {
		panic("bug: codegen/cuda: vo_attention does not fit a block of " + c.model.Name)
	}
	constants["OUT32"] = c.wide(op.Result())
	attention := c.make("vo_attention", constants)
	all := c.product(int(m.Rows()), m.Width(), func(tile map[string]int) launch.Kernel { return c.make("linear", tile) })
	for i := range all {
		all[i].kernels = append(all[i].kernels, attention)
	}
	return all
}

// valueOutputConstants are those of vo_attention for rows of up to s tokens:
// the larger block of queries whose scores a block of the card holds.
func valueOutputConstants(model *cost.GPU, a *ir.AttentionAttrs, s int) (map[string]int, bool) {
	for _, queries := range []int{64, 16} {
		constants := map[string]int{"BN": 64, "CAUSAL": flag(a.Causal), "D": a.D, "MAXS": roundUp(s, 16), "QB": queries}
		if launch.Make("vo_attention", constants).Fits(model.MostShared) {
			return constants, true
		}
	}
	return nil, false
}

// ValueOutputFits reports whether there is a kernel for attention with W_V and
// W_O multiplied beforehand, for rows of up to s tokens. Heads will be padded.
func ValueOutputFits(model *cost.GPU, a *ir.AttentionAttrs, s int) bool {
	padded := *a
	padded.D = roundUp(a.D, HeadMultiple)
	_, ok := valueOutputConstants(model, &padded, s)
	return ok
}

// attention is the operator and the kernels of an attention over qkv for rows
// of up to s tokens: the best by the model of those that fit a block.
func (c *chooser) attention(op *ir.Op, s int) (cost.Estimate, []class) {
	a := op.Attrs.(*ir.AttentionAttrs)
	for _, e := range c.model.RankAttention(a, s) {
		kernels := c.model.AttentionKernels(a, op.Arg("bias") != nil, e, s)
		fit := true
		for _, k := range kernels {
			fit = fit && k.Fits(c.model.MostShared)
		}
		if fit {
			return e, always(kernels...)
		}
	}
	panic("bug: codegen/cuda: no attention kernel fits a block of " + c.model.Name)
}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }
