package gpu

import (
	"fmt"
	"math"
	"strings"

	"etc/formats/plan"
	"etc/formats/plan/launch"
	"etc/formats/plan/layout"
	"etc/ir/tensor"
)

// A binding makes the launches of one shape in one slot.
type binding struct {
	*Device
	shape
	slot  *slot
	block block
}

// launches are those of step i, in order.
func (b *binding) launches(i int) []Operation {
	s := &b.program.Steps[i]
	_, list := stepOf(b.program, i, b.bucket)
	var ops []Operation
	for _, k := range kernelsFor(list, b.capacityOf(s)) {
		kernel := &b.program.Kernels[k]
		ops = append(ops, Operation{
			Label: s.Label + " " + kernel.Family, Step: i, Function: b.kernels[k],
			Grid: kernel.Grid(b.size(s, kernel.Kernel)), Threads: kernel.Threads, Shared: kernel.Shared,
			Args: b.args(i, kernel.Kernel),
		})
	}
	return ops
}

// kernelsFor are the kernels of the first class that takes so many rows.
func kernelsFor(list []plan.Launch, rows int) []int {
	for _, l := range list {
		if l.Tokens == 0 || rows <= l.Tokens {
			return l.Kernels
		}
	}
	panic("bug: executor/gpu: the launches of a step end before its rows do")
}

// capacityOf is the most rows that a step computes in batches of the shape.
func (b *binding) capacityOf(s *plan.Step) int {
	return rowsOf(b.program, s, b.tokens, b.rows)
}

// size is what the grid of a kernel of s depends on.
func (b *binding) size(s *plan.Step, k launch.Kernel) launch.Size {
	z := launch.Size{Rows: b.capacityOf(s), Heads: s.Params.Heads, N: s.Params.Dv}
	if queries := k.Value("QB"); queries > 0 {
		z.Tiles = b.tiles(queries)
	}
	if k.Value("ROWS") != 0 && s.Op.IsFusedAttention() {
		z.Tiles = b.rows
	}
	if w := matrixOf(b.program, s); w != nil && k.Family != "vo_attention" {
		z.N = w.Shape[0] // of vo_attention, whose matrix `linear` multiplies, the width of a value
	}
	return z
}

// args are the arguments of a kernel of step i, in the order of its parameters.
func (b *binding) args(i int, k launch.Kernel) []Arg {
	values := b.values(i, k)
	var args []Arg
	for _, p := range k.Params() {
		v, ok := values[p.Name]
		if !ok {
			panic(fmt.Sprintf("bug: executor/gpu: %s has no value for %s of %s", b.program.Steps[i].Label, p.Name, k.Entry()))
		}
		args = append(args, Arg{v, p.Kind.Bytes()})
	}
	return args
}

// A valueSet holds the bits of values by the names of kernel parameters.
type valueSet map[string]uint64

func (v valueSet) address(name string, a Address) { v[name] = uint64(a) }
func (v valueSet) int(name string, n int)         { v[name] = uint64(uint32(int32(n))) }
func (v valueSet) float(name string, f float64)   { v[name] = uint64(math.Float32bits(float32(f))) }

// values gives every name that a kernel of step i may have a parameter of.
func (b *binding) values(i int, k launch.Kernel) valueSet {
	s := &b.program.Steps[i]
	v := valueSet{}
	v.address("batch", b.slot.block)
	v.address("count", b.slot.block+tokensAt)
	if perRow(b.program, s) {
		v.address("count", b.slot.block+rowsAt)
	}
	for name, at := range map[string]int{"ids": b.block.ids, "types": b.block.types, "positions": b.block.positions, "rowof": b.block.rowOf, "offsets": b.block.offsets} {
		v.address(name, b.slot.block+Address(at))
	}
	v.address("tiles", b.slot.block+Address(b.block.tiles16))
	if k.Value("QB") == 64 {
		v.address("tiles", b.slot.block+Address(b.block.tiles64))
	}
	for j, name := range s.Op.Operands() {
		b.operand(v, strings.TrimSuffix(name, "?"), s.Args[j])
	}
	b.results(v, s)
	b.params(v, s)
	b.own(v, i, k)
	return v
}

// operand gives the address of an operand, and the distance of its rows.
func (b *binding) operand(v valueSet, name string, a plan.Arg) {
	distance := "ld" + name
	if name == "residual" {
		distance = "ldr"
	}
	switch a.Kind {
	case plan.None:
		v.address(name, 0)
		v.int(distance, 0)
	case plan.FromBuffer:
		v.address(name, b.bufferAt(a.Index, b.shape))
		v.int(distance, b.stride(a.Index))
	case plan.FromWeight:
		v.address(name, b.weights[a.Index])
		b.weight(v, name, a.Index)
	}
	if name == "b" {
		v["bias"] = v["b"]
	}
}

// stride is the distance of rows of a buffer, in elements.
func (b *binding) stride(i int) int {
	return b.program.Buffers[i].Stride / b.program.Buffers[i].DType.Size()
}

// weight gives what kernels ask of a weight besides its address.
func (b *binding) weight(v valueSet, name string, i int) {
	w := &b.program.Weights[i]
	base := b.weights[i]
	switch w.Layout {
	case plan.Padded:
		v.int("ldw", layout.PaddedWidth(w.Shape[1]))
	case plan.RowMajor:
		if w.DType == tensor.I32 {
			v.int("M", w.Shape[0])
		}
		if name == "bias" && len(w.Shape) == 2 {
			v.int("S", (w.Shape[1]+1)/2)
		}
	default:
		parts, stride := partsOf(w)
		for part, at := range parts {
			v.address(part, base+Address(at))
		}
		v.int("ldv", stride)
	}
	if name == "w" || name == "m" {
		v.int("N", w.Shape[0])
		v.int("K", w.Shape[1])
	}
}

// resultNames are the names of results where they are not y.
var resultNames = map[plan.Op][]string{plan.SkipLayerNorm: {"sum", "norm"}, plan.LinearNLL: {"nll", "hit"}}

// results gives the addresses of results, and the distance of their rows.
func (b *binding) results(v valueSet, s *plan.Step) {
	names := resultNames[s.Op]
	if names == nil {
		names = []string{"y"}
	}
	for i, r := range s.Results {
		v.address(names[i], 0)
		v.int("ld"+names[i][:1], 0)
		if r != plan.Unused {
			v.address(names[i], b.bufferAt(r, b.shape))
			v.int("ld"+names[i][:1], b.stride(r))
			v.int("H", b.program.Buffers[r].Width)
		}
	}
}

// params gives the parameters of s.
func (b *binding) params(v valueSet, s *plan.Step) {
	p := s.Params
	v.int("heads", p.Heads)
	v.int("scaled", p.Scaled)
	v.float("eps", p.Eps)
	scale, base := p.Scale, 1.0
	switch {
	case p.Heads > 0 && !p.Exp2: // kernels take powers of two
		scale, base = p.Scale*math.Log2E, math.Log2E
	case p.Heads == 0 && scale == 0:
		scale = 1 // of an embedding, whose 0 means that; of a product, no feature of which is scaled
	}
	v.float("scale", scale)
	v.float("bias_scale", base)
}

// own gives what only one operator has: its workspace, and the operands of
// kernels that make it.
func (b *binding) own(v valueSet, i int, k launch.Kernel) {
	s := &b.program.Steps[i]
	switch s.Op {
	case plan.SkipLayerNorm:
		if v["columns"] == 0 {
			v["M"] = v["H"]
		}
	case plan.PartialOTFAttention, plan.OTFAttention, plan.FlashAttention:
		v.address("scores", b.work)
		v.int("lds", b.scoresStride(b.bucket))
		if v["bias"] == 0 {
			v.int("S", 0)
		}
	case plan.VOAttention:
		v.address("vo", b.work)
		v.int("ldvo", b.valuesStride(s))
		if k.Family == "linear" { // x·Mᵀ into the workspace
			v["w"], v["y"], v["ldy"] = v["m"], v["vo"], v["ldvo"]
			for _, none := range []string{"bias", "residual", "columns", "ldr", "scaled"} {
				v[none] = 0
			}
		} else {
			v.int("N", s.Params.Dv)
		}
	case plan.LinearNLL:
		v.address("partial", b.work)
		v.int("chunks", b.nllChunks(i))
		v["V"] = v["N"]
	}
}

// scoresStride is the float32 values of a row of scores in the workspace of
// partial_otf_attention.
func (d *Device) scoresStride(bucket int) int {
	return launch.ScoresStride(d.program.Buckets[bucket].MaxTokens)
}

// valuesStride is the elements of a token in the workspace of vo_attention:
// the values of all heads.
func (d *Device) valuesStride(s *plan.Step) int {
	const line = 32 // elements of 64 bytes
	return (s.Params.Heads*s.Params.Dv + line - 1) / line * line
}

// nllPartial is the bytes of what linear_nll knows of a token after one chunk
// of the vocabulary.
const nllPartial = 16

// nllChunks is into how many chunks linear_nll cuts the vocabulary.
func (d *Device) nllChunks(i int) int {
	s := &d.program.Steps[i]
	v := matrixOf(d.program, s).Shape[0]
	for _, l := range s.Launches {
		for _, k := range l.Kernels {
			if kernel := d.program.Kernels[k].Kernel; kernel.Family == "linear_nll" {
				return launch.NLLChunks(kernel, v)
			}
		}
	}
	panic("bug: executor/gpu: linear_nll without its kernel")
}
