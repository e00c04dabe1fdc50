package plan

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"etc/fault"
	"etc/ir/tensor"
)

// first is the first step of p with that operator.
func first(p *Program, o Op) *Step {
	for i := range p.Steps {
		if p.Steps[i].Op == o {
			return &p.Steps[i]
		}
	}
	panic("no such step")
}

// operandOf is the operand of that name of the first such step.
func operandOf(p *Program, o Op, name string) *Arg {
	for i, n := range o.Operands() {
		if strings.TrimSuffix(n, "?") == name {
			return &first(p, o).Args[i]
		}
	}
	panic("no such operand")
}

func weightOf(p *Program, o Op, name string) *Weight { return &p.Weights[operandOf(p, o, name).Index] }

func bufferOf(p *Program, o Op, name string) *Buffer { return &p.Buffers[operandOf(p, o, name).Index] }

func resultOf(p *Program, o Op) *Buffer { return &p.Buffers[first(p, o).Results[0]] }

// put writes a 32-bit number into the bytes of a weight.
func put(p *Program, w *Weight, at int64, v int32) {
	if at < 0 {
		at += w.Size
	}
	binary.LittleEndian.PutUint32(p.Data[w.Offset+at:], uint32(v))
}

// forgeries are plans with right digests. Each says what Check must name.
var forgeries = []struct {
	name  string
	says  string
	forge func(p *Program)
}{
	{"no steps", "steps", func(p *Program) { p.Steps = nil }},
	{"no buffers", "buffers", func(p *Program) { p.Buffers = nil }},
	{"no buckets", "buckets", func(p *Program) { p.Buckets = nil }},
	{"no outputs", "outputs", func(p *Program) { p.Outputs = nil }},
	{"too many outputs", "65 outputs", func(p *Program) {
		for len(p.Outputs) <= MostOutputs {
			p.Outputs = append(p.Outputs, p.Outputs[0])
		}
	}},

	{"task 0", "task 0", func(p *Program) { p.Model.Task = 0 }},
	{"task of a later version", "task", func(p *Program) { p.Model.Task = TokenClassification }},
	{"rows of no tokens", "longest row", func(p *Program) { p.Model.MaxTokens = 0 }},
	{"rows of very many tokens", "longest row", func(p *Program) { p.Model.MaxTokens = 1 << 40 }},
	{"negative vocabulary", "vocabulary", func(p *Program) { p.Model.VocabSize = -1 }},
	{"vocabulary above the table", "embeddings\"): word has 10 rows", func(p *Program) { p.Model.VocabSize = 11 }},
	{"types above the table", "type has 2 rows", func(p *Program) { p.Model.TypeVocabSize = 3 }},
	{"negative types", "number of types", func(p *Program) { p.Model.TypeVocabSize = -1 }},
	{"positions above the table", "position has 13 rows", func(p *Program) { p.Model.PositionOffset = 2 }},
	{"positions that wrap around", "position offset", func(p *Program) { p.Model.PositionOffset = math.MaxInt }},
	{"negative position", "position offset", func(p *Program) { p.Model.PositionOffset = -1 }},
	{"longer rows than positions", "position has 13 rows", func(p *Program) { p.Model.MaxTokens = 13 }},
	{"a label less", "is [B,3], want [B,2]", func(p *Program) { p.Model.Labels = p.Model.Labels[1:] }},
	{"no labels", "logits", func(p *Program) { p.Model.Labels = nil }},
	{"labels of an embedding", "labels", func(p *Program) { p.Model.Task = Embedding }},
	{"padding of an embedding", "padding for embedding", func(p *Program) {
		p.Model.Task, p.Model.Labels, p.Model.Padding = Embedding, nil, []int{0}
	}},
	{"two tokens of padding", "2 tokens of padding", func(p *Program) { p.Model.Padding = []int{0, 1} }},
	{"padding above the vocabulary", "padding is 10, want 0 to 9", func(p *Program) { p.Model.Padding = []int{10} }},
	{"negative padding", "padding is -1", func(p *Program) { p.Model.Padding = []int{-1} }},
	{"no tokens in a batch", "tokens in a batch", func(p *Program) { p.MaxBatchTokens = 0 }},
	{"very many tokens in a batch", "tokens in a batch", func(p *Program) { p.MaxBatchTokens = 1 << 32 }},

	{"weight offset off by one", "weight 3", func(p *Program) { p.Weights[3].Offset++ }},
	{"weight offset negative", "weight 3", func(p *Program) { p.Weights[3].Offset = -64 }},
	{"weight over another", "weight 3", func(p *Program) { p.Weights[3].Offset = p.Weights[2].Offset }},
	{"weight past the data", "weight", func(p *Program) { p.Weights[len(p.Weights)-1].Size += 64 }},
	{"weight size that wraps around", "weight", func(p *Program) { p.Weights[3].Size = math.MaxInt64 }},
	{"weight size negative", "weight 0", func(p *Program) { p.Weights[0].Size = -4 }},
	{"weight size above its shape", "weight 0", func(p *Program) { p.Weights[0].Size += 4 }},
	{"bytes after the last weight", "weights:", func(p *Program) { p.Data = append(p.Data, make([]byte, 64)...) }},
	{"a byte missing after the last weight", "512 bytes from offset 5824, of 6335", func(p *Program) { p.Data = p.Data[:len(p.Data)-1] }},
	{"the gap missing after the last weight", "weights:", func(p *Program) {
		p.Weights[len(p.Weights)-1].Shape = []int{0, 8}
		p.Weights[len(p.Weights)-1].Size = 0
		p.Data = p.Data[:len(p.Data)-512+1]
	}},
	{"a hidden byte between weights", "gap", func(p *Program) { p.Data[p.Weights[0].Offset+p.Weights[0].Size] = 1 }},
	{"no shape", "shape", func(p *Program) { p.Weights[0].Shape = nil }},
	{"three dimensions", "shape", func(p *Program) { p.Weights[0].Shape = []int{2, 2, 2} }},
	{"negative dimension", "shape", func(p *Program) { p.Weights[0].Shape = []int{-8} }},
	{"dimensions that wrap around", "shape", func(p *Program) { weightOf(p, Embed, "word").Shape = []int{1 << 32, 1 << 32} }},
	{"dtype f16", "dtype", func(p *Program) { p.Weights[0].DType = tensor.F16 }},
	{"dtype beyond the list", "dtype", func(p *Program) { p.Weights[0].DType = 200 }},
	{"integers in panels", "dtype", func(p *Program) { weightOf(p, Linear, "w").DType = tensor.I32 }},
	{"layout 0", "layout", func(p *Program) { p.Weights[0].Layout = 0 }},
	{"layout 9", "layout", func(p *Program) { weightOf(p, Embed, "word").Layout = 9 }},
	{"panels as row-major", "weight", func(p *Program) { weightOf(p, LinearNLL, "w").Layout = RowMajor }},
	{"panel padding", "padding", func(p *Program) { put(p, weightOf(p, LinearNLL, "w"), -4, 1) }},
	{"tile column", "tile", func(p *Program) { put(p, weightOf(p, BlockSparseLinear, "w"), 8, 7) }},
	{"csr column", "column", func(p *Program) { put(p, weightOf(p, CSRLinear, "w"), 4*6, 1000) }},
	{"csr mask", "bytes, want", func(p *Program) { put(p, weightOf(p, CSRLinear, "w"), 0, 1) }},
	{"2:4 positions", "position", func(p *Program) { put(p, weightOf(p, Sparse24Linear, "w"), -4, 0) }},
	{"columns descend", "column", func(p *Program) { put(p, weightOf(p, SkipLayerNorm, "columns"), 0, 3) }},
	{"columns negative", "column", func(p *Program) { put(p, weightOf(p, SkipLayerNorm, "columns"), 0, -1) }},
	{"columns past the residual", "columns goes up to 8", func(p *Program) { put(p, weightOf(p, SkipLayerNorm, "columns"), -4, 8) }},
	{"columns past x", "columns goes up to 8", func(p *Program) { put(p, weightOf(p, CSRLinear, "columns"), -4, 8) }},
	{"columns that are others", "columns has 6 numbers", func(p *Program) {
		*operandOf(p, CSRLinear, "columns") = *operandOf(p, SkipLayerNorm, "columns")
	}},

	{"buffer with rows 0", "buffer 0", func(p *Program) { p.Buffers[0].Rows = 0 }},
	{"buffer with rows 3", "buffer 0", func(p *Program) { p.Buffers[0].Rows = 3 }},
	{"buffer rows B for T", "step 0", func(p *Program) { p.Buffers[0].Rows = PerRow }},
	{"buffer too narrow", "is [T,7], want", func(p *Program) { resultOf(p, Embed).Width = 7 }},
	{"buffer too wide", "is [T,9], want", func(p *Program) { resultOf(p, Embed).Width = 9 }},
	{"negative width", "wide", func(p *Program) { p.Buffers[0].Width = -8 }},
	{"stride below the width", "stride", func(p *Program) { p.Buffers[0].Stride = 0 }},
	{"stride not of lines", "stride", func(p *Program) { p.Buffers[0].Stride = 65 }},
	{"stride that wraps around", "stride", func(p *Program) { p.Buffers[0].Stride = math.MaxInt &^ 63 }},
	{"offset not of lines", "offset", func(p *Program) { p.Buffers[0].Offset = 4 }},
	{"offset negative", "offset", func(p *Program) { p.Buffers[0].Offset = -64 }},
	{"offset at the arena's bound", "offset", func(p *Program) { p.Buffers[0].Offset = maxArena }},
	{"offset that wraps around", "offset", func(p *Program) { p.Buffers[0].Offset = math.MaxInt &^ 63 }},
	{"offset of a live buffer", "still live", func(p *Program) { resultOf(p, Embed).Offset = p.Buffers[0].Offset }},
	{"result over an operand", "still live", func(p *Program) { resultOf(p, Normalize).Offset = bufferOf(p, Normalize, "x").Offset }},
	{"result over the other result", "still live", func(p *Program) {
		r := first(p, SkipLayerNorm).Results
		p.Buffers[r[1]].Offset = p.Buffers[r[0]].Offset
	}},
	{"result over an output", "still live", func(p *Program) { resultOf(p, LinearNLL).Offset = p.Buffers[p.Outputs[2].Buffer].Offset }},
	{"wide stride over a live buffer", "still live", func(p *Program) { p.Buffers[0].Stride = 1 << 20 }},
	{"buffer that no step writes", "result of no step", func(p *Program) { p.Buffers = append(p.Buffers, p.Buffers[0]) }},

	{"operator 0", "step 0", func(p *Program) { p.Steps[0].Op = 0 }},
	{"operator beyond the table", "step 0", func(p *Program) { p.Steps[0].Op = LinearNLL + 1 }},
	{"another operator", "step 7", func(p *Program) { first(p, CSRLinear).Op = Linear }},
	{"an operand less", "4 operands, want 5", func(p *Program) { s := first(p, Linear); s.Args = s.Args[:4] }},
	{"an operand more", "6 operands, want 5", func(p *Program) { s := first(p, Linear); s.Args = append(s.Args, Arg{}) }},
	{"required operand absent", "operand x: is absent", func(p *Program) { *operandOf(p, Linear, "x") = Arg{} }},
	{"absent operand with an index", "operand residual", func(p *Program) { operandOf(p, Linear, "residual").Index = 1 }},
	{"input with an index", "operand ids", func(p *Program) { operandOf(p, Embed, "ids").Index = 1 }},
	{"operand kind beyond the list", "operand kind 9", func(p *Program) { operandOf(p, Linear, "x").Kind = 9 }},
	{"positions for ids", "operand ids", func(p *Program) { operandOf(p, Embed, "ids").Kind = FromPositions }},
	{"ids for offsets", "operand offsets", func(p *Program) { operandOf(p, Pool, "offsets").Kind = FromIDs }},
	{"weight for an activation", "operand x", func(p *Program) { *operandOf(p, Linear, "x") = Arg{FromWeight, 0} }},
	{"buffer for a weight", "operand w", func(p *Program) { *operandOf(p, Linear, "w") = Arg{FromBuffer, 0} }},
	{"weight index past the end", "weight 23 of 23", func(p *Program) { operandOf(p, Linear, "w").Index = len(p.Weights) }},
	{"weight index negative", "weight -1", func(p *Program) { operandOf(p, Linear, "w").Index = -1 }},
	{"buffer index past the end", "buffer 21 of 21", func(p *Program) { operandOf(p, Linear, "x").Index = len(p.Buffers) }},
	{"buffer index negative", "buffer -1", func(p *Program) { operandOf(p, Linear, "x").Index = -1 }},
	{"vector for a matrix", "operand w", func(p *Program) { *operandOf(p, Linear, "w") = *operandOf(p, LayerNorm, "beta") }},
	{"table for a matrix", "operand w", func(p *Program) { *operandOf(p, Linear, "w") = *operandOf(p, Embed, "word") }},
	{"matrix in another layout", "operand w", func(p *Program) { *operandOf(p, BlockSparseLinear, "w") = *operandOf(p, CSRLinear, "w") }},
	{"floats for columns", "operand columns", func(p *Program) { *operandOf(p, CSRLinear, "columns") = *operandOf(p, LayerNorm, "beta") }},
	{"columns for a bias", "operand b", func(p *Program) { *operandOf(p, CSRLinear, "b") = *operandOf(p, CSRLinear, "columns") }},
	{"matrix of another width", "layer 0 attention\"): x is [T,8]", func(p *Program) {
		*operandOf(p, Linear, "w") = Arg{FromWeight, lastWeight(p, "classes")}
	}},
	{"bias vector of another length", "b is [8], want [16]", func(p *Program) { *operandOf(p, Linear, "b") = *operandOf(p, LayerNorm, "beta") }},
	{"gamma of another length", "gamma is [16], want [8]", func(p *Program) { *operandOf(p, LayerNorm, "gamma") = *operandOf(p, Linear, "b") }},
	{"residual of another width", "residual is", func(p *Program) { *operandOf(p, Linear, "residual") = *operandOf(p, Linear, "x") }},
	{"positions without a table", "together", func(p *Program) { *operandOf(p, EmbedLayerNorm, "position") = Arg{} }},
	{"a table without types", "together", func(p *Program) { *operandOf(p, EmbedLayerNorm, "types") = Arg{} }},
	{"scatter without columns", "x is [T,6], want [T,8]", func(p *Program) { *operandOf(p, SkipLayerNorm, "columns") = Arg{} }},
	{"gather without columns", "x is [T,8], w [5,4]", func(p *Program) { *operandOf(p, CSRLinear, "columns") = Arg{} }},
	{"distances too few for the rows", "bias serves", func(p *Program) {
		w := weightOf(p, OTFAttention, "bias")
		w.Shape, w.Size = []int{2, 21}, 2*21*elemSize
		clear(p.Data[w.Offset+w.Size : align(w.Offset+w.Size)])
	}},
	{"distances of an even number", "2S-1", func(p *Program) {
		w := weightOf(p, OTFAttention, "bias")
		w.Shape, w.Size = []int{2, 24}, 2*24*elemSize
	}},
	{"attention of rows with the query of all", "rows is all", func(p *Program) { first(p, PartialOTFAttention).Params.Rows = AllRows }},
	{"attention of all without a query", "rows is first", func(p *Program) { first(p, OTFAttention).Params.Rows = FirstRows }},
	{"attention over other heads", "qkv is", func(p *Program) { first(p, OTFAttention).Params.Heads = 3 }},
	{"heads 0", "heads 0", func(p *Program) { first(p, OTFAttention).Params.Heads = 0 }},
	{"heads × d that wraps around", "heads", func(p *Program) {
		q := &first(p, OTFAttention).Params
		q.Heads, q.D, q.Dv = 1<<32, 1<<32, 1<<32
	}},
	{"negative d", "d -3", func(p *Program) { first(p, FlashAttention).Params.D = -3 }},
	{"dv of vo", "m is", func(p *Program) { first(p, VOAttention).Params.Dv = 6 }},
	{"vo of selected rows", "want all", func(p *Program) { first(p, VOAttention).Params.Rows = FirstRows }},
	{"loss of rows", "x is [B,8], want T rows", func(p *Program) { operandOf(p, LinearNLL, "x").Index = first(p, SelectRows).Results[0] }},
	{"select of all", "rows is all", func(p *Program) { first(p, SelectRows).Params.Rows = AllRows }},
	{"pool of rows", "want T rows", func(p *Program) {
		p.Steps[len(p.Steps)-1] = Step{Op: Pool, Args: []Arg{{FromBuffer, p.Outputs[1].Buffer}, {Kind: FromOffsets}},
			Results: first(p, LinearNLL).Results[:1]}
	}},
	{"more scaled features than there are", "17 of 16", func(p *Program) { first(p, Linear).Params.Scaled = 17 }},
	{"negative scaled features", "-1 features", func(p *Program) { first(p, Linear).Params.Scaled = -1 }},
	{"scale NaN", "scale", func(p *Program) { first(p, Linear).Params.Scale = math.NaN() }},
	{"scale infinite", "scale", func(p *Program) { first(p, OTFAttention).Params.Scale = math.Inf(-1) }},
	{"eps negative", "eps", func(p *Program) { first(p, LayerNorm).Params.Eps = -1 }},
	{"eps NaN", "eps", func(p *Program) { first(p, LayerNorm).Params.Eps = math.NaN() }},
	{"activation beyond the list", "activation 5", func(p *Program) { first(p, Linear).Params.Act = Tanh + 1 }},
	{"row choice beyond the list", "row choice 3", func(p *Program) { first(p, SelectRows).Params.Rows = LastRows + 1 }},
	{"heads of a linear", "parameters", func(p *Program) { first(p, Linear).Params.Heads = 1 }},
	{"activation of a norm", "parameters", func(p *Program) { first(p, LayerNorm).Params.Act = GELU }},
	{"causal pool", "parameters", func(p *Program) { first(p, Pool).Params.Causal = true }},
	{"no reduction signature", "reduction", func(p *Program) { first(p, Linear).Reduction = Reduction{} }},
	{"reduction of another target", "reduction", func(p *Program) { first(p, Linear).Reduction.Instruction = "hmma.16816.f32" }},
	{"reduction in segments", "reduction", func(p *Program) { first(p, LinearNLL).Reduction.Segment = 16 }},
	{"reduction of a norm", "reduction", func(p *Program) { first(p, LayerNorm).Reduction.Instruction = "fma-f32" }},

	{"read before it is written", "before a step writes", func(p *Program) { p.Steps[0], p.Steps[4] = p.Steps[4], p.Steps[0] }},
	{"reads its own result", "before a step writes", func(p *Program) { s := first(p, Normalize); s.Args[0].Index = s.Results[0] }},
	{"a result less", "1 results, want 2", func(p *Program) { s := first(p, SkipLayerNorm); s.Results = s.Results[:1] }},
	{"a result more", "2 results, want 1", func(p *Program) { s := first(p, LayerNorm); s.Results = append(s.Results, Unused) }},
	{"result index past the end", "of 21", func(p *Program) { first(p, LayerNorm).Results[0] = len(p.Buffers) }},
	{"result index negative", "buffer -2", func(p *Program) { first(p, LayerNorm).Results[0] = -2 }},
	{"no result used", "no result", func(p *Program) { first(p, LinearNLL).Results[0] = Unused }},
	{"buffer written twice", "that of step", func(p *Program) { first(p, LayerNorm).Results[0] = first(p, Embed).Results[0] }},

	{"needed by an output that is not there", "needed by", func(p *Program) { p.Steps[0].Needed |= 1 << 63 }},
	{"a producer that does not run", "writes it for", func(p *Program) { first(p, Linear).Needed &^= 1 }},
	{"an output whose step does not run", "does not run", func(p *Program) { first(p, LinearNLL).Needed = 0 }},
	{"output of a buffer past the end", "output \"logits\"", func(p *Program) { p.Outputs[0].Buffer = len(p.Buffers) }},
	{"output of a negative buffer", "output \"logits\"", func(p *Program) { p.Outputs[0].Buffer = -1 }},
	{"output after another step", "leaves after", func(p *Program) { p.Outputs[4].After++ }},
	{"output after no step", "leaves after", func(p *Program) { p.Outputs[4].After = -1 }},
	{"output when beyond the list", "when is 3", func(p *Program) { p.Outputs[4].When = Tap + 1 }},
	{"output given twice", "twice", func(p *Program) { p.Outputs[5].Name = p.Outputs[4].Name }},
	{"answer only on demand", "always computed", func(p *Program) { p.Outputs[0].When = OnDemand }},
	{"answer under another name", "always computed", func(p *Program) { p.Outputs[0].Name = "logit" }},
	{"tokens for rows", "is [B,4], want [T,4]", func(p *Program) { p.Outputs[1].Name, p.Outputs[2].Name = "hidden", "embedding" }},
	{"a vector for a loss", "want [T,1]", func(p *Program) { p.Outputs[5].Name = "hit" }},
	{"last logits of another width", "want [B,10]", func(p *Program) { p.Outputs[1].Name = "last_logits" }},
	{"tap as an output", "still live", func(p *Program) { p.Outputs[4].When = OnDemand }},

	{"buckets descend", "bucket 1", func(p *Program) { p.Buckets[0], p.Buckets[1] = p.Buckets[1], p.Buckets[0] }},
	{"bucket twice", "bucket 1", func(p *Program) { p.Buckets[1] = p.Buckets[0] }},
	{"bucket of no tokens", "bucket 0", func(p *Program) { p.Buckets[0].MaxTokens = 0 }},
	{"bucket above the longest row", "bucket 1", func(p *Program) { p.Buckets[1].MaxTokens = 13 }},
	{"a choice less", "chooses for 2 steps", func(p *Program) { p.Buckets[1].Choices = p.Buckets[1].Choices[:2] }},
	{"choice for another step", "is for step 3", func(p *Program) { p.Buckets[0].Choices[0].Step = 3 }},
	{"choice past the steps", "is for step", func(p *Program) { p.Buckets[0].Choices[0].Step = len(p.Steps) }},
	{"choice of a linear", "is linear", func(p *Program) { p.Buckets[0].Choices[0].Op = Linear }},
	{"choice of vo_attention", "is vo_attention", func(p *Program) { p.Buckets[0].Choices[0].Op = VOAttention }},
	{"negative workspace", "workspace", func(p *Program) { p.Buckets[0].Choices[0].Workspace = -1 }},
	{"enormous workspace", "workspace", func(p *Program) { p.Buckets[0].Choices[0].Workspace = math.MaxInt64 }},

	{"flags out of order", "flag", func(p *Program) { f := p.Provenance.Flags; f[0], f[1] = f[1], f[0] }},
	{"flag twice", "flag", func(p *Program) { f := p.Provenance.Flags; f[0] = f[1] }},
	{"graph that is not UTF-8", "graph", func(p *Program) { p.Graph = "\xff" }},
	{"vectors of tokens", "is [T,8], want [B,8]", func(p *Program) { p.Outputs[1].Name, p.Outputs[2].Name = "unknown", "embedding" }},
	{"label that is not UTF-8", "UTF-8", func(p *Program) { p.Model.Labels[0] = "\xff" }},
}

func lastWeight(p *Program, name string) int {
	for i := range p.Weights {
		if p.Weights[i].Name == name {
			return i
		}
	}
	panic("no such weight")
}

func TestForgedPlansAreRefused(t *testing.T) {
	if _, err := Decode(Encode(mini())); err != nil {
		t.Fatal(err)
	}
	for _, f := range forgeries {
		p := mini()
		f.forge(p.Programs[0])
		_, err := Decode(Encode(p))
		refused(t, f.name, fault.Corrupt, err)
		if err != nil && !strings.Contains(err.Error(), f.says) {
			t.Errorf("%s: %q does not say %q", f.name, err, f.says)
		}
	}
}

// TestTheWalkerSeesForgeries holds the simulated executor of the fuzz test
// against plans that break what it watches, past Check.
func TestTheWalkerSeesForgeries(t *testing.T) {
	if err := walkAll(mini()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"buffer rows B for T", "buffer too narrow", "offset of a live buffer", "result over an operand", "result over an output",
		"tap as an output", "positions above the table", "types above the table", "vocabulary above the table", "columns past x",
		"columns past the residual", "longer rows than positions", "csr column", "heads of more columns", "a producer that does not run",
	} {
		p := mini()
		q := p.Programs[0]
		for _, f := range forgeries {
			if f.name == name {
				f.forge(q)
			}
		}
		if name == "longer rows than positions" {
			q.Buckets[1].MaxTokens = 13
		}
		if name == "buffer too narrow" || name == "heads of more columns" {
			first(q, OTFAttention).Params.Heads = 1 << 10
		}
		if err := walkAll(p); err == nil {
			t.Errorf("%s: no complaint", name)
		}
	}
}
