package plan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"etc/formats/plan/launch"
	"etc/ir/tensor"
)

// cuts are the constants of kernels that say how work is cut.
var cuts = map[string]map[string]int{
	"linear":              {"BM": 64, "BN": 64, "BK": 64, "STAGES": 4, "WM": 32, "WN": 32},
	"linear_nll":          {"BM": 64, "BN": 128, "BK": 32, "STAGES": 4, "WM": 64, "WN": 32, "TILES": 4},
	"block_sparse_linear": {"BM": 64, "ROWS": 8, "WM": 16, "STAGES": 2},
	"sparse24_linear":     {"BM": 64, "BN": 128, "STAGES": 3},
	"otf_attention":       {"QB": 16},
	"flash_attention":     {"QB": 16, "KB": 32},
	"partial_otf_scores":  {"QB": 16, "SPLIT": 1}, "partial_otf_attention": {"QB": 16},
	"vo_attention": {"QB": 64, "BN": 64},
}

// wide makes a buffer one of float32.
func (m *maker) wide(a Arg) Arg {
	b := &m.Buffers[a.Index]
	b.DType, b.Stride = tensor.F32, int(align(int64(4*b.Width)))
	return a
}

func (m *maker) table(name string, rows, width int) Arg { return m.matrix(name, Padded, rows, width) }

// kernel is the index of a kernel, with source and images.
func (m *maker) kernel(family string, constants map[string]int) int {
	k := launch.Make(family, constants)
	for i := range m.Kernels {
		if m.Kernels[i].Entry() == k.Entry() {
			return i
		}
	}
	put := func(text string) Span {
		s := Span{len(m.Code), len(text)}
		m.Code = append(m.Code, text...)
		m.Code = append(m.Code, make([]byte, int(align(int64(len(m.Code))))-len(m.Code))...)
		return s
	}
	m.Kernels = append(m.Kernels, Kernel{
		Kernel: k, Threads: k.Threads(), Shared: k.Shared(), Source: put("// source of " + k.Entry()),
		Images: []Image{
			{SM: 80, Code: put(elf + "80"), Registers: 100, Blocks: 2},
			{SM: 80, PTX: true, Code: put(".version 7.1 // " + k.Entry())},
			{SM: 90, Code: put(elf + "90"), Registers: 90, Blocks: 2},
		},
	})
	return len(m.Kernels) - 1
}

// launch is the kernels of an operator in place of step s, for rows of so many tokens.
func (m *maker) launch(s *Step, op Op, tokens int) []int {
	l := &launched{&stepView{programChecker: &programChecker{checker: &checker{plan: m.Plan}, program: &m.Program, target: targets[m.Target]}, Step: s, info: s.Op.info()}, op, tokens}
	var all []int
	for i, family := range families[op] {
		values := maps.Clone(cuts[family])
		if values == nil {
			values = map[string]int{}
		}
		for _, d := range launch.Make(family, nil).Defines {
			switch _, cut := values[d.Name]; {
			case cut, op == VOAttention && i == 0 && d.Name != "DTYPE":
			case d.Name == "MAXS":
				values["MAXS"] = (tokens + 15) / 16 * 16
			default:
				values[d.Name] = max(0, constants[d.Name](l))
			}
		}
		all = append(all, m.kernel(family, values))
	}
	return all
}

// mixed is mini, and a program for GPUs with every operator.
func mixed() *Plan {
	const (
		vocab, hidden, longest = 10, 8, 12
		heads, d, dv, labels   = 2, 8, 16, 3
	)
	p := mini()
	m := &maker{Program{Plan: p, Target: "sm_80:f16", Graph: "graph \"gpu\"\n"}}
	p.Programs = append(p.Programs, &m.Program)
	ids, offsets, none := Arg{Kind: FromIDs}, Arg{Kind: FromOffsets}, Arg{}
	attention := Params{Heads: heads, D: d, Dv: dv, Scale: 1, Exp2: true}
	last := attention
	last.Rows, last.Causal = LastRows, true
	norm := []Arg{m.f32("gamma", hidden), m.f32("beta", hidden)}
	word := m.table("word", vocab, hidden)

	h := m.step(EmbedLayerNorm, "embeddings", Params{Scale: 2, Eps: 1e-12}, tokens(hidden), ids, Arg{Kind: FromPositions}, Arg{Kind: FromTypes},
		word, m.table("position", longest+1, hidden), m.table("type", 2, hidden), norm[0], norm[1])[0]
	e := m.wide(m.step(Embed, "embeddings", Params{}, tokens(hidden), ids, none, none, word)[0])
	hid := m.wide(m.step(LayerNorm, "embeddings", Params{Eps: 1e-5}, tokens(hidden), e, norm[0], norm[1])[0])
	qkv := m.step(Linear, "layer 0", Params{Scaled: heads * d, Scale: 0.5}, tokens(heads*(2*d+dv)), h,
		m.matrix("qkv", Padded, heads*(2*d+dv), hidden), m.f32("qkv.b", heads*(2*d+dv)))[0]
	a := m.step(OTFAttention, "layer 0", attention, tokens(heads*dv), qkv, offsets, none, m.f32("distances", heads, 2*longest-1))[0]
	o := m.step(BlockSparseLinear, "layer 0", Params{}, tokens(6), a, m.matrix("o", GPUTiles, 6, heads*dv))[0]
	sum := m.step(SkipLayerNorm, "layer 0", Params{Eps: 1e-12}, []shape{{PerToken, hidden}, {PerToken, hidden}}, o, h, norm[0], norm[1],
		m.f32("o.b", hidden), m.columns(0, 1, 2, 4, 6, 7))
	m.wide(sum[0])
	f := m.step(CSRLinear, "layer 0", Params{Act: GELU}, tokens(8), sum[1], m.matrix("up", GPUCSR, 8, hidden), m.f32("up.b", 8))[0]
	g := m.step(Sparse24Linear, "layer 0", Params{}, tokens(hidden), f, m.matrix("down", GPU24, hidden, 7), none, sum[0], m.columns(0, 1, 2, 3, 4, 5, 7))[0]
	qk := m.step(Linear, "layer 1", Params{}, tokens(2*heads*d), g, m.matrix("qk", Padded, 2*heads*d, hidden))[0]
	vo := m.wide(m.step(VOAttention, "layer 1", Params{Heads: heads, D: d, Dv: 7, Scale: 1}, tokens(7), qk, g, m.matrix("m", Padded, heads*7, hidden), offsets, m.f32("vo.b", 7))[0])
	unit := m.step(Normalize, "layer 1", Params{}, tokens(7), vo)[0]
	row := m.step(SelectRows, "head", Params{Rows: LastRows}, rows(hidden), g, offsets)[0]
	q := m.step(Linear, "head", Params{}, rows(heads*d), row, m.matrix("q", Padded, heads*d, hidden))[0]
	kv := m.step(Linear, "head", Params{}, tokens(heads*(d+dv)), g, m.matrix("kv", Padded, heads*(d+dv), hidden))[0]
	trimmed := m.step(PartialOTFAttention, "head", last, rows(heads*dv), kv, offsets, q)[0]
	flash := m.step(FlashAttention, "head", attention, tokens(heads*dv), qkv, offsets)[0]
	pooled := m.step(Pool, "head", Params{}, rows(heads*dv), flash, offsets)[0]
	logits := m.wide(m.step(Linear, "head", Params{Act: Tanh}, rows(labels), pooled, m.matrix("classes", Padded, labels, heads*dv), m.f32("classes.b", labels))[0])
	nll := m.wide(m.step(LinearNLL, "loss", Params{}, []shape{{PerToken, 1}, {}}, g, m.matrix("vocabulary", Padded, vocab, hidden), none, ids, offsets)[0])

	m.output("logits", logits, Always)
	m.output("embedding", trimmed, Always)
	m.output("hidden", hid, OnDemand)
	m.output("nll", nll, OnDemand)
	m.output("layer.0", h, Tap)
	m.output("unit", unit, Tap)
	m.finish()
	for _, n := range []int{4, longest} {
		m.Buckets = append(m.Buckets, Bucket{MaxTokens: n})
	}
	for i := range m.Steps {
		s := &m.Steps[i]
		if !s.Op.IsFusedAttention() {
			kernels := m.launch(s, s.Op, longest)
			s.Launches = []Launch{{64, kernels}, {256, kernels}, {0, kernels}}
			continue
		}
		for j, op := range []Op{s.Op, PartialOTFAttention} {
			b := &m.Buckets[j]
			b.Choices = append(b.Choices, Choice{Step: i, Op: op, Workspace: 64, Launches: []Launch{{0, m.launch(s, op, b.MaxTokens)}}})
		}
	}
	return p
}

func gpu(p *Plan) *Program { return p.Program("sm_80") }

// TestKernelsOfTheTestPlan pins what constants follow from operands.
func TestKernelsOfTheTestPlan(t *testing.T) {
	p := mixed()
	if err := Check(p); err != nil {
		t.Fatal(err)
	}
	if err := walkAll(p); err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	var names []string
	for i := range p.Kernels {
		there[p.Kernels[i].Family] = true
		names = append(names, p.Kernels[i].Entry())
	}
	for _, f := range launch.Families() {
		if !there[f] {
			t.Errorf("%s is not in the test plan", f)
		}
	}
	for _, want := range []string{
		"embed_out321", "embed_layernorm", "layernorm_out321_x321", "skip_layernorm_s321",
		"linear_bk64_bm64_bn64_stages4_wm32_wn32", "linear_act4_bk64_bm64_bn64_out321_stages4_wm32_wn32",
		"block_sparse_linear_bm64_rows8_stages2_wm16", "csr_linear_act1", "sparse24_linear_bm64_bn128_gather1_r321_stages3",
		"otf_attention_bias1_d8_dv16_maxs16_qb16", "partial_otf_scores_causal1_d8_qb16_rows2_split1",
		"partial_otf_attention_causal1_d8_dv16_qb16_rows2", "partial_otf_attention_bias1_d8_dv16_qb16",
		"flash_attention_d8_dv16_kb32_qb16", "vo_attention_bn64_d8_maxs16_out321_qb64", "select_rows_last1", "pool", "normalize_x321",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no kernel %s among\n%s", want, strings.Join(names, "\n"))
		}
	}
}

// TestEveryConstantIsUnderstood: a constant of a family either follows from
// the step, or only says how work is cut.
func TestEveryConstantIsUnderstood(t *testing.T) {
	own := []string{"BK", "BM", "BN", "KB", "MAXS", "QB", "ROWS", "SPLIT", "STAGES", "TILES", "WM", "WN"}
	served := map[string]bool{}
	for _, list := range families {
		for _, f := range list {
			served[f] = true
		}
	}
	for _, f := range launch.Families() {
		if !served[f] {
			t.Errorf("%s serves no operator", f)
		}
		for _, d := range launch.Make(f, nil).Defines {
			if constants[d.Name] == nil && !slices.Contains(own, d.Name) {
				t.Errorf("%s of %s is checked by nobody", d.Name, f)
			}
		}
	}
	for _, o := range Ops() {
		if len(families[o]) == 0 {
			t.Errorf("%v has no kernels", o)
		}
	}
}

func TestMixedPlanIsReadAsWritten(t *testing.T) {
	p := mixed()
	file := Encode(p)
	got, err := Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(Encode(got), file) || fmt.Sprint(got.Kernels) != fmt.Sprint(p.Kernels) || fmt.Sprint(got.Programs[1].Steps) != fmt.Sprint(p.Programs[1].Steps) {
		t.Error("what was read is written otherwise")
	}
}
