package plan

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etc/fault"
	"etc/ir/tensor"
)

// TestCheckIsQuick gives Check the largest plans that it takes, of shapes that
// would cost the square of their size where something is looked up in a row.
func TestCheckIsQuick(t *testing.T) {
	const limit = 5 * time.Second // it takes about a tenth
	for _, large := range []struct {
		name string
		make func(m *maker, x Arg) Arg
	}{
		{"each buffer dies at once", func(m *maker, x Arg) Arg {
			for range maxOps - 3 {
				x = m.step(Normalize, "", Params{}, tokens(1), x)[0]
			}
			return x
		}},
		{"half of the buffers live until the end", func(m *maker, x Arg) Arg {
			var all []Arg
			for range maxOps/2 - 2 {
				all = append(all, m.step(Normalize, "", Params{}, tokens(1), x)[0])
			}
			for _, a := range all {
				x = m.step(Normalize, "", Params{}, tokens(1), a)[0]
			}
			return x
		}},
		{"one long list of columns", func(m *maker, _ Arg) Arg {
			var list []int
			for i := range 1 << 18 {
				list = append(list, i)
			}
			columns, w := m.columns(list...), m.matrix("w", Panels, 1, 1<<18)
			word := m.f32("wide", 1, 1<<18)
			x := m.step(Embed, "", Params{}, tokens(1<<18), Arg{Kind: FromIDs}, Arg{}, Arg{}, word)[0]
			var y Arg
			for range maxOps - 4 {
				y = m.step(Linear, "", Params{}, tokens(1), x, w, Arg{}, Arg{}, columns)[0]
			}
			return y
		}},
	} {
		m := newMaker(Plan{Model: Model{Task: Embedding, MaxTokens: 8, VocabSize: 1}, MaxBatchTokens: 8}, "cpu:f32")
		m.Buckets = []Bucket{{MaxTokens: 8}}
		x := m.step(Embed, "", Params{}, tokens(1), Arg{Kind: FromIDs}, Arg{}, Arg{}, m.f32("word", 1, 1))[0]
		x = large.make(m, x)
		m.output("embedding", m.step(Pool, "", Params{}, rows(1), x, Arg{Kind: FromOffsets})[0], Always)
		// Places one after another, for finish takes the square of the size.
		for i := range m.Buffers {
			m.Buffers[i].Offset = 64 * i
			if m.Buffers[i].Width > 1 {
				m.Buffers[i].Offset = 1 << 30
			}
		}
		for i := range m.Steps {
			m.Steps[i].Needed = 1
		}
		m.Outputs[0].After = len(m.Steps) - 1
		start := time.Now()
		p, err := Decode(Encode(m.Plan))
		if err != nil {
			t.Errorf("%s: %v", large.name, err)
			continue
		}
		if took := time.Since(start); took > limit {
			t.Errorf("%s: took %v", large.name, took)
		} else {
			t.Logf("%s: %v", large.name, took)
		}
		q := p.Programs[0]
		q.Buffers[len(q.Buffers)-2].Offset = q.Buffers[0].Offset + 1
		refused(t, large.name+", forged", fault.Corrupt, Check(p))
	}
}

// TestExtentsAreDisjoint holds the segment tree against a table of bytes.
func TestExtentsAreDisjoint(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var all []Buffer
		for range 1 + r.IntN(20) {
			all = append(all, Buffer{Rows: PerToken, Offset: r.IntN(40), Stride: r.IntN(12)})
		}
		x := newExtents(all, PerToken)
		var taken [64]bool
		in := map[int]bool{}
		for range 200 {
			i := r.IntN(len(all))
			b := all[i]
			bytes := taken[b.Offset : b.Offset+b.Stride]
			if in[i] {
				x.remove(b)
				delete(in, i)
				for j := range bytes {
					bytes[j] = false
				}
				continue
			}
			free := !slices.Contains(bytes, true)
			if got := x.add(b); got != free {
				t.Fatalf("%+v of %+v: free %v, want %v", b, all, got, free)
			}
			if free {
				in[i] = true
				for j := range bytes {
					bytes[j] = true
				}
			}
		}
	}
}

func TestArenaIsThatOfTheStepsThatRun(t *testing.T) {
	p := mini().Programs[0]
	if got := len(p.StepsFor(1<<len(p.Outputs) - 1)); got != len(p.Steps) {
		t.Errorf("%d steps run for all outputs, want %d", got, len(p.Steps))
	}
	if got := p.StepsFor(0); got != nil {
		t.Errorf("steps %v run for no output", got)
	}
	hidden := p.StepsFor(1 << 2)
	if len(hidden) != 2 || p.Steps[hidden[0]].Op != Embed || p.Steps[hidden[1]].Op != LayerNorm {
		t.Errorf("steps %v run for hidden, want embed and layernorm", hidden)
	}
	e, l := p.Buffers[1], p.Buffers[2]
	token, row := p.ArenaBytes(1 << 2)
	if want := max(e.Offset+e.Stride, l.Offset+l.Stride); token != want || row != 0 {
		t.Errorf("hidden takes %d bytes a token and %d a row, want %d and 0", token, row, want)
	}
	if token, row = p.ArenaBytes(1); token == 0 || row == 0 {
		t.Errorf("logits take %d bytes a token and %d a row", token, row)
	}
}

// TestDocumentListsEveryOperator compares docs/plan-format.md with the table.
func TestDocumentListsEveryOperator(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "plan-format.md"))
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	for _, o := range Ops() {
		table.WriteString(documented(o))
	}
	if !strings.Contains(string(text), table.String()) {
		t.Errorf("docs/plan-format.md does not have this table:\n%s", &table)
	}
}

// documented is the row of o in docs/plan-format.md.
func documented(o Op) string {
	var operands, params []string
	for i, name := range o.Operands() {
		kind := operandNames[o.info().operands[i].kind]
		if kind == "" {
			kind = o.info().form.cpu.String() + "/" + o.info().form.gpu.String()
		}
		operands = append(operands, "`"+name+"` "+kind)
	}
	for i, name := range []string{"Act", "Rows", "Heads, D, Dv, Causal, Exp2", "Scaled", "Scale", "Eps"} {
		if o.info().params>>i&1 == 1 {
			params = append(params, name)
		}
	}
	return fmt.Sprintf("| %d | `%v` | %s | %s |\n", o, o, strings.Join(operands, ", "), strings.Join(params, ", "))
}

var operandNames = []string{activation: "buffer", table: "table", distances: "distances", vector: "vector", columns: "columns",
	idList: "ids", typeList: "types", positionList: "positions", offsetList: "offsets"}

// TestNumbersAreThoseOfTheFormat pins what docs/plan-format.md gives numbers
// to. A number that changes here makes older plans mean something else.
func TestNumbersAreThoseOfTheFormat(t *testing.T) {
	for _, n := range []struct {
		what      string
		got, want []int
	}{
		{"sections", []int{modelSection, graphSection, tokenizerSection, weightsSection, provenanceSection, codeSection}, []int{1, 2, 3, 4, 5, 6}},
		{"tasks", []int{int(Classification), int(MultiLabel), int(Regression), int(Embedding), int(CausalLM)}, []int{1, 2, 3, 4, 5}},
		{"layouts", []int{int(RowMajor), int(Panels), int(Tiles), int(CSR), int(NM24),
			int(Padded), int(GPUTiles), int(GPUCSR), int(GPU24), int(IntPanels), int(IntTiles)}, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"dtypes", []int{int(tensor.F32), int(tensor.F16), int(tensor.BF16), int(tensor.I32), int(tensor.I16), int(tensor.I8)}, []int{2, 3, 4, 6, 7, 8}},
		{"rows", []int{int(PerToken), int(PerRow)}, []int{1, 2}},
		{"operands", []int{int(None), int(FromBuffer), int(FromWeight), int(FromIDs), int(FromTypes), int(FromPositions), int(FromOffsets)}, []int{0, 1, 2, 3, 4, 5, 6}},
		{"activations", []int{int(NoAct), int(GELU), int(GELUTanh), int(ReLU), int(Tanh)}, []int{0, 1, 2, 3, 4}},
		{"row choices", []int{int(AllRows), int(FirstRows), int(LastRows)}, []int{0, 1, 2}},
		{"when", []int{int(Always), int(OnDemand), int(Tap)}, []int{0, 1, 2}},
		{"page, chunk", []int{pageSize, chunkSize}, []int{4096, 1048576}},
	} {
		if !slices.Equal(n.got, n.want) {
			t.Errorf("%s are %v, want %v", n.what, n.got, n.want)
		}
	}
}

// TestOutputsHaveColumns: widths of 0 are allowed, for pruning may leave
// nothing of a layer, but an answer has at least one number.
func TestOutputsHaveColumns(t *testing.T) {
	for width := range 2 {
		m := newMaker(Plan{Model: Model{Task: Embedding, MaxTokens: 8, VocabSize: 3}, MaxBatchTokens: 8}, "cpu:f32")
		m.Buckets = []Bucket{{MaxTokens: 8}}
		x := m.step(Embed, "", Params{}, tokens(width), Arg{Kind: FromIDs}, Arg{}, Arg{}, m.f32("word", 3, width))[0]
		m.output("embedding", m.step(Pool, "", Params{}, rows(width), x, Arg{Kind: FromOffsets})[0], Always)
		err := Check(m.finish())
		if width == 0 {
			refused(t, "no columns", fault.Corrupt, err)
		} else if err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkDecode is the time to open a plan of 90 MB, but for mapping it.
func BenchmarkDecode(b *testing.B) {
	p := mini()
	p.Tokenizer = make([]byte, 90<<20)
	file := Encode(p)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := Decode(file); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDocumentListsFamilies compares docs/plan-format.md with the kernels of
// each operator.
func TestDocumentListsFamilies(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "plan-format.md"))
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, o := range Ops() {
		fmt.Fprintf(&table, "| `%v` | `%s` |\n", o, strings.Join(families[o], "`, `"))
	}
	if !strings.Contains(string(text), table.String()) {
		t.Errorf("docs/plan-format.md does not have this table:\n%s", &table)
	}
}
