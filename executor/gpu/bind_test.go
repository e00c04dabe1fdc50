package gpu

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"etc/compiler"
	"etc/compiler/frontend/frontendtest"
	"etc/formats/plan"
	"etc/formats/plan/launch"
	"etc/ir"
)

// optional are the pointers that a kernel may be given none of: operands that
// may be absent, and results that no step reads.
var optional = []string{"bias", "b", "residual", "columns", "positions", "position", "types", "type", "q", "sum", "norm", "nll", "hit"}

// A call is a launch with its arguments by name.
type call struct {
	Operation
	launch.Kernel
	values map[string]uint64
}

// calls are the launches of operations, and what is wrong with their arguments.
func calls(t *testing.T, p *plan.Program, ops []Operation) []call {
	t.Helper()
	var all []call
	for _, o := range ops {
		if o.Function == nil {
			continue
		}
		at := slices.IndexFunc(p.Kernels, func(k plan.Kernel) bool { return k.Entry() == o.Function.(string) })
		k := p.Kernels[at].Kernel
		c := call{o, k, map[string]uint64{}}
		params := k.Params()
		if len(params) != len(o.Args) || o.Threads != k.Threads() || o.Shared != k.Shared() {
			t.Fatalf("%s: %d arguments, %d threads, %d bytes, want %d, %d, %d", k.Entry(), len(o.Args), o.Threads, o.Shared, len(params), k.Threads(), k.Shared())
		}
		for i, q := range params {
			if o.Args[i].Size != q.Kind.Bytes() || o.Args[i].Size == 4 && o.Args[i].Bits>>32 != 0 {
				t.Errorf("%s: %s has %d bytes and bits %#x", k.Entry(), q.Name, o.Args[i].Size, o.Args[i].Bits)
			}
			if q.Kind == launch.Pointer && o.Args[i].Bits == 0 && !slices.Contains(optional, q.Name) {
				t.Errorf("%s: %s is null", k.Entry(), q.Name)
			}
			c.values[q.Name] = o.Args[i].Bits
		}
		all = append(all, c)
	}
	return all
}

// TestLaunches: for all classes of models, forms of products and attention
// operators every kernel has its arguments, what rows it reads and writes lie
// in memory that is there for the whole shape, and so do workspaces.
func TestLaunches(t *testing.T) {
	seen := map[string]bool{}
	try := func(name string, p *plan.Program) {
		t.Run(name, func(t *testing.T) {
			for bucket, s := range p.Buckets {
				for _, lengths := range [][]int{{1}, {s.MaxTokens}, slices.Repeat([]int{1}, 70), {s.MaxTokens, 1, s.MaxTokens, 7, 1}} {
					c := newCard(t, 80)
					d := New(c)
					if err := d.Load(p, 1, everything(p)); err != nil {
						t.Fatal(err)
					}
					b := batchOf(p, bucket, lengths...)
					if err := d.Run(b); err != nil {
						t.Fatal(err)
					}
					for _, k := range calls(t, p, c.ran[0].ops) {
						seen[k.Family] = true
						inMemory(t, c, shapeOf(b), k)
					}
					if err := d.Close(); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
	for _, class := range frontendtest.Classes {
		for _, target := range []string{"sm_80:f16", "sm_90:bf16"} {
			p := compiled(t, class, compiler.Options{Targets: []string{target}, Buckets: []int{7, 40, frontendtest.MaxLength}})
			try(class+" "+target, p.Programs[0])
		}
	}
	for i, class := range []string{"TransformerModel", "GPT2LMHeadModel", "BertForSequenceClassification"} {
		for j, form := range []ir.Kind{ir.BlockSparseLinear, ir.CSRLinear, ir.Sparse24Linear} {
			attention := []ir.Kind{ir.OTFAttention, ir.PartialOTFAttention, ir.FlashAttention}[(i+j)%3]
			for _, precompute := range []bool{false, true} {
				g, m := imported(t, class)
				try(fmt.Sprint(class, form, attention, precompute), forced(t, g, m, form, attention, precompute))
			}
		}
	}
	for seed := range uint64(8) {
		g, m := drawn(seed)
		try(fmt.Sprint("graph ", seed), forced(t, g, m, ir.Linear, ir.OTFAttention, false))
	}
	if all := launch.Families(); len(seen) != len(all) {
		t.Errorf("no program launches all of %s: only %s", strings.Join(all, " "), strings.Join(slices.Sorted(maps.Keys(seen)), " "))
	}
}

// inMemory holds what a launch reaches of activations and workspace against
// the memory in use.
func inMemory(t *testing.T, c *card, s shape, k call) {
	t.Helper()
	v := func(name string) int64 { return int64(int32(k.values[name])) }
	reach := func(name string, bytes int64) {
		if a := Address(k.values[name]); a != 0 {
			c.has(k.Entry()+": "+name, a, bytes)
		}
	}
	T := int64(s.tokens)
	rows := T
	switch count := c.find(Address(k.values["count"]), 4); {
	case count != nil && Address(k.values["count"]) == count.At+rowsAt, k.Value("ROWS") != 0:
		rows = int64(s.rows)
	}
	size := func(wide string) int64 { return 2 + 2*int64(k.Value(wide)) }
	reach("y", ((rows-1)*v("ldy")+1)*size("OUT32"))
	reach("x", ((rows-1)*v("ldx")+1)*size("X32"))
	reach("residual", ((rows-1)*v("ldr")+1)*size("R32"))
	reach("sum", (rows-1)*v("lds")*size("S32")+1)
	reach("norm", (rows-1)*v("ldn")*size("N32")+1)
	reach("qkv", (T-1)*v("ldqkv")*2+1)
	reach("qk", (T-1)*v("ldqk")*2+1)
	reach("q", (rows-1)*v("ldq")*2+1)
	reach("scores", rows*v("heads")*v("lds")*4)
	reach("vo", T*v("ldvo")*2)
	reach("partial", T*v("chunks")*nllPartial)
	reach("nll", (T-1)*v("ldn")*4+4)
	reach("hit", (T-1)*v("ldh")*4+4)
	reach("w", ((max(v("N"), v("V"))-1)*v("ldw")+v("K"))*2)
	reach("ids", 4*T)
	reach("rowof", 4*T)
	if k.Family != "csr_linear" {
		reach("offsets", 4*int64(s.rows+1))
	}
	if q := k.Value("QB"); q > 0 {
		reach("tiles", 8*int64(s.tiles(q)))
		most := s.tiles(q)
		if k.Value("ROWS") != 0 {
			most = s.rows
		}
		if k.Operation.Grid[0] != most {
			t.Errorf("%s: %d blocks for %d tiles", k.Entry(), k.Operation.Grid[0], most)
		}
	}
}
