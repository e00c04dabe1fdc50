package plan

import (
	"encoding/binary"
	"math"

	"etc/formats/plan/layout"
	"etc/ir/tensor"
)

// A maker builds a plan by hand.
type maker struct{ Program }

// newMaker builds a program for a CPU.
func newMaker(p Plan, target string) *maker {
	m := &maker{Program{Plan: &p, Target: target}}
	p.Programs = []*Program{&m.Program}
	return m
}

func (m *maker) weight(name string, l Layout, d tensor.DType, shape []int, b []byte) Arg {
	m.Data = append(m.Data, make([]byte, int(align(int64(len(m.Data))))-len(m.Data))...)
	m.Weights = append(m.Weights, Weight{Name: name, Layout: l, DType: d, Shape: shape, Offset: int64(len(m.Data)), Size: int64(len(b))})
	m.Data = append(m.Data, b...)
	m.Data = append(m.Data, make([]byte, int(align(int64(len(m.Data))))-len(m.Data))...)
	return Arg{FromWeight, len(m.Weights) - 1}
}

// values are numbers that are not zero, no two neighbours the same.
func values(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i%7+1) / 8
	}
	return v
}

// f32 is a row-major vector or table.
func (m *maker) f32(name string, shape ...int) Arg {
	n, _ := tensor.Elements(shape)
	var b []byte
	for _, v := range values(n) {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return m.weight(name, RowMajor, tensor.F32, shape, b)
}

func (m *maker) columns(list ...int) Arg {
	var b []byte
	for _, c := range list {
		b = binary.LittleEndian.AppendUint32(b, uint32(c))
	}
	return m.weight("columns", RowMajor, tensor.I32, []int{len(list)}, b)
}

// matrix is [n,k], sparse enough for each layout.
func (m *maker) matrix(name string, l Layout, n, k int) Arg {
	w := values(n * k)
	for i := range w {
		if l != Panels && l != Padded && l != IntPanels && i%k%4 > 1 {
			w[i] = 0
		}
	}
	var b []byte
	h, elem := halves(w), targets[m.Target].elem
	if within(int(l), int(Panels), int(NM24)) {
		elem = tensor.F32
	}
	switch l {
	case Padded:
		b = layout.PackPadded(h, n, k)
	case GPUTiles:
		b = layout.PackGPUTiles(h, n, k)
	case GPUCSR:
		b = layout.PackGPUCSR(h, n, k)
	case GPU24:
		b = layout.PackGPU24(h, n, k)
	case Panels:
		b = make([]byte, layout.PanelBytes(n, k))
		layout.PackPanels(b, w, n, k)
	case Tiles:
		b = layout.PackTiles(w, n, k)
	case CSR:
		b = layout.PackCSR(w, n, k)
	case NM24:
		b = layout.PackSparse24(w, n, k)
	case IntPanels:
		b = layout.PackIntPanels(layout.Int(elem.Size()), w, n, k)
	case IntTiles:
		b = layout.PackIntTiles(layout.Int(elem.Size()), w, n, k)
	}
	return m.weight(name, l, elem, []int{n, k}, b)
}

// matrixOf is the matrix of an operator.
func (m *maker) matrixOf(o Op, name string, n, k int) Arg {
	l, _ := o.Matrix(m.Target)
	return m.matrix(name, l, n, k)
}

// halves are the bits of values as f16.
func halves(v []float32) []uint16 {
	b := tensor.FromFloat32s([]int{len(v)}, v).Convert(tensor.F16).Data
	h := make([]uint16, len(v))
	for i := range h {
		h[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return h
}

// step appends a step with results of the given shapes; {} is one that is unused.
func (m *maker) step(op Op, label string, p Params, results []shape, args ...Arg) []Arg {
	s := Step{Op: op, Label: label, Params: p}
	s.Args = append(s.Args, args...)
	for len(s.Args) < len(op.Operands()) {
		s.Args = append(s.Args, Arg{})
	}
	_, s.Reduction = op.Matrix(m.Target)
	var out []Arg
	for _, r := range results {
		if r == (shape{}) {
			s.Results = append(s.Results, Unused)
			continue
		}
		s.Results = append(s.Results, len(m.Buffers))
		out = append(out, Arg{FromBuffer, len(m.Buffers)})
		elem := targets[m.Target].activations()
		m.Buffers = append(m.Buffers, Buffer{Rows: r.rows, DType: elem, Width: r.width, Stride: int(align(int64(r.width * elem.Size())))})
	}
	m.Steps = append(m.Steps, s)
	return out
}

func (m *maker) output(name string, buffer Arg, when When) {
	m.Outputs = append(m.Outputs, Output{Name: name, Buffer: buffer.Index, When: when})
}

// finish fills in what follows from steps and outputs: definitions, needs and
// places, each buffer at the lowest place free over its life.
func (m *maker) finish() *Plan {
	first, last := m.lives()
	for i := range m.Outputs {
		o := &m.Outputs[i]
		o.After = first[o.Buffer]
		m.need(o.After, 1<<i)
		if o.When != Tap {
			last[o.Buffer] = len(m.Steps)
		}
	}
	for i := range m.Buffers {
		b := &m.Buffers[i]
		for again := true; again; {
			again = false
			for j, o := range m.Buffers[:i] {
				if o.Rows == b.Rows && first[i] <= last[j] && first[j] <= last[i] && o.Offset < b.Offset+b.Stride && b.Offset < o.Offset+o.Stride {
					b.Offset, again = o.Offset+o.Stride, true
				}
			}
		}
	}
	return m.Plan
}

func (m *maker) lives() (first, last []int) {
	first, last = make([]int, len(m.Buffers)), make([]int, len(m.Buffers))
	for i, s := range m.Steps {
		for _, r := range s.Results {
			if r != Unused {
				first[r], last[r] = i, i
			}
		}
		for _, a := range s.Args {
			if a.Kind == FromBuffer {
				last[a.Index] = i
			}
		}
	}
	return first, last
}

func (m *maker) need(step int, mask uint64) {
	m.Steps[step].Needed |= mask
	for _, a := range m.Steps[step].Args {
		if a.Kind == FromBuffer {
			for from, s := range m.Steps {
				for _, r := range s.Results {
					if r == a.Index {
						m.need(from, mask)
					}
				}
			}
		}
	}
}

func tokens(width int) []shape { return []shape{{PerToken, width}} }
func rows(width int) []shape   { return []shape{{PerRow, width}} }

// mini is a valid plan of a small classifier that has every operator at least once.
func mini() *Plan { return miniFor("cpu:f32") }

// miniPadded is mini with a token of padding.
func miniPadded() *Plan {
	p := mini()
	p.Model.Padding = []int{0}
	return p
}

// miniFor is mini for another CPU target.
func miniFor(target string) *Plan {
	const (
		vocab, hidden, longest = 10, 8, 12
		heads, d, dv, labels   = 2, 3, 2, 3
	)
	m := newMaker(Plan{
		Model: Model{Architecture: "MiniForSequenceClassification", Task: Classification, Labels: []string{"no", "maybe", "yes"},
			MaxTokens: longest, VocabSize: vocab, TypeVocabSize: 2, PositionOffset: 1, Layers: 1, Hidden: hidden},
		Provenance:     Provenance{Version: "test", Source: [32]byte{1, 2, 3}, Flags: []Flag{{"buckets", "4,12"}, {"target", "cpu:f32"}}},
		Tokenizer:      []byte{3, 1, 4},
		Code:           []byte{},
		MaxBatchTokens: 64,
	}, target)
	m.Graph = "graph \"mini\"\n"
	ids, offsets, none := Arg{Kind: FromIDs}, Arg{Kind: FromOffsets}, Arg{}
	attention := Params{Heads: heads, D: d, Dv: dv, Scale: 1, Exp2: true}
	last := attention
	last.Rows, last.Causal = LastRows, true
	norm := []Arg{m.f32("gamma", hidden), m.f32("beta", hidden)}
	word := m.f32("word", vocab, hidden)

	h := m.step(EmbedLayerNorm, "embeddings", Params{Scale: 2, Eps: 1e-12}, tokens(hidden), ids, Arg{Kind: FromPositions}, Arg{Kind: FromTypes},
		word, m.f32("position", longest+1, hidden), m.f32("type", 2, hidden), norm[0], norm[1])[0]
	e := m.step(Embed, "embeddings", Params{}, tokens(hidden), ids, none, none, word)[0]
	hid := m.step(LayerNorm, "embeddings", Params{Eps: 1e-5}, tokens(hidden), e, norm[0], norm[1])[0]
	qkv := m.step(Linear, "layer 0 attention", Params{Scaled: heads * d, Scale: 0.5}, tokens(heads*(2*d+dv)), h,
		m.matrixOf(Linear, "qkv", heads*(2*d+dv), hidden), m.f32("qkv.b", heads*(2*d+dv)))[0]
	a := m.step(OTFAttention, "layer 0 attention", attention, tokens(heads*dv), qkv, offsets, none, m.f32("distances", heads, 2*longest-1))[0]
	o := m.step(BlockSparseLinear, "layer 0 attention", Params{}, tokens(6), a, m.matrixOf(BlockSparseLinear, "o", 6, heads*dv))[0]
	sum := m.step(SkipLayerNorm, "layer 0 attention", Params{Eps: 1e-12}, []shape{{PerToken, hidden}, {PerToken, hidden}}, o, h, norm[0], norm[1],
		m.f32("o.b", hidden), m.columns(0, 1, 2, 4, 6, 7))
	f := m.step(CSRLinear, "layer 0 ffn", Params{Act: GELU}, tokens(5), sum[1], m.matrixOf(CSRLinear, "up", 5, 4), m.f32("up.b", 5), none, m.columns(1, 2, 3, 7))[0]
	g := m.step(Sparse24Linear, "layer 0 ffn", Params{}, tokens(hidden), f, m.matrixOf(Sparse24Linear, "down", hidden, 5), none, sum[0])[0]
	qk := m.step(Linear, "layer 1", Params{}, tokens(2*heads*d), g, m.matrixOf(Linear, "qk", 2*heads*d, hidden))[0]
	vo := m.step(VOAttention, "layer 1", Params{Heads: heads, D: d, Dv: 7, Scale: 1}, tokens(7), qk, g, m.matrixOf(VOAttention, "m", heads*7, hidden), offsets, m.f32("vo.b", 7))[0]
	unit := m.step(Normalize, "layer 1", Params{}, tokens(7), vo)[0]
	row := m.step(SelectRows, "head", Params{Rows: LastRows}, rows(hidden), g, offsets)[0]
	q := m.step(Linear, "head", Params{}, rows(heads*d), row, m.matrixOf(Linear, "q", heads*d, hidden))[0]
	kv := m.step(Linear, "head", Params{}, tokens(heads*(d+dv)), g, m.matrixOf(Linear, "kv", heads*(d+dv), hidden))[0]
	trimmed := m.step(PartialOTFAttention, "head", last, rows(heads*dv), kv, offsets, q)[0]
	flash := m.step(FlashAttention, "head", attention, tokens(heads*dv), qkv, offsets)[0]
	pooled := m.step(Pool, "head", Params{}, rows(heads*dv), flash, offsets)[0]
	logits := m.step(Linear, "head", Params{Act: Tanh}, rows(labels), pooled, m.matrixOf(Linear, "classes", labels, heads*dv), m.f32("classes.b", labels))[0]
	nll := m.step(LinearNLL, "loss", Params{}, []shape{{PerToken, 1}, {}}, g, m.matrixOf(LinearNLL, "vocabulary", vocab, hidden), none, ids, offsets)[0]

	m.output("logits", logits, Always)
	m.output("embedding", trimmed, Always)
	m.output("hidden", hid, OnDemand)
	m.output("nll", nll, OnDemand)
	m.output("layer.0", h, Tap)
	m.output("layer.1", g, Tap)
	m.output("unit", unit, Tap)
	p := m.finish()
	for _, n := range []int{4, longest} {
		b := Bucket{MaxTokens: n}
		for i, s := range m.Steps {
			if s.Op.IsFusedAttention() {
				b.Choices = append(b.Choices, Choice{Step: i, Op: OTFAttention, Workspace: 1 << 10})
			}
		}
		m.Buckets = append(m.Buckets, b)
	}
	return p
}
