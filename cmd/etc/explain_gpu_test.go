package main

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etc/codegen/cuda"
	"etc/compiler"
	"etc/compiler/cost"
	"etc/formats/plan"
	"etc/formats/plan/launch"
)

// explained is what explain --json says.
func explained(t *testing.T, args ...string) *explanation {
	t.Helper()
	e := new(explanation)
	if err := json.Unmarshal([]byte(mustRun(t, append([]string{"explain", "--json"}, args...)...)), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestExplainGPU: each attention step has all operators with a time and a
// reason, one of them chosen; each product its tiles for all numbers of rows,
// none of which is slower than the next; each step with a matrix is told of.
func TestExplainGPU(t *testing.T) {
	e := explained(t, tinyModel, "--target", "sm_80,sm_90:bf16", "--seqlen-buckets", "32,128")
	if len(e.Attention) != 2*2*2 {
		t.Errorf("%d stories of attention, want those of 2 layers, 2 buckets and 2 targets", len(e.Attention))
	}
	for _, a := range e.Attention {
		chosen := 0
		for i, p := range a.Predicted {
			switch {
			case p.Why == "chosen":
				if chosen++; !strings.HasPrefix(p.Op, a.Chosen+" ") || i != 0 {
					t.Errorf("%s: %s is chosen, prediction %d is %s", a.Block, a.Chosen, i, p.Op)
				}
			case p.Why != "slower" || p.Micros < a.Predicted[0].Micros:
				t.Errorf("%s: %+v, the chosen one takes %g", a.Block, p, a.Predicted[0].Micros)
			}
		}
		if want := 6; chosen != 1 || strings.Contains(a.Block, "layer 0") && len(a.Predicted) != want {
			t.Errorf("%s: %d of %d operators chosen, want 1 of %d", a.Block, chosen, len(a.Predicted), want)
		}
	}
	steps := map[string]int{}
	for _, p := range e.Products {
		steps[p.Target] += len(p.Blocks)
		if last := p.Tiles[len(p.Tiles)-1]; last.Rows != 0 || len(p.Forms) != 2 || p.Op != "linear" {
			t.Errorf("%+v", p)
		}
		for i, c := range p.Tiles {
			if c.Micros <= 0 || c.Next.Micros < c.Micros || c.Next.Tile == c.Tile || c.Measured || i > 0 && p.Tiles[i-1].Tile == c.Tile {
				t.Errorf("%s %d×%d: %+v", p.Target, p.Outputs, p.Inputs, c)
			}
			g, _ := gpuModel(p.Target, nil)
			for _, other := range cuda.Tiles { // those that a block has the memory for
				if us := g.Product(other, cmp.Or(c.Rows, 16384), p.Outputs, p.Inputs) * 1e6; other.Shared <= g.MostShared && other.Name != c.Tile && us < c.Next.Micros {
					t.Errorf("%s %d×%d: %s takes %g, next is %+v", p.Target, p.Outputs, p.Inputs, other.Name, us, c.Next)
				}
			}
		}
	}
	if steps["sm_80:f16"] != 11 || steps["sm_90:bf16"] != 11 {
		t.Errorf("products of %v steps, want 11: 4 of a layer, 5 of the last, whose queries are by themselves, pooler and classifier", steps)
	}
}

// TestExplainGPUPlan: a plan's own story has the choices, and no predictions.
func TestExplainGPUPlan(t *testing.T) {
	_, path := madeUpPlan(t, compiler.Options{Targets: []string{"sm_80:f16"}})
	model, own := explained(t, tinyModel, "--target", "sm_80", "--seqlen-buckets", "32,128"), explained(t, path)
	if len(own.Attention) != len(model.Attention) || len(own.Products) != len(model.Products) {
		t.Fatalf("%d and %d stories, of the model %d and %d", len(own.Attention), len(own.Products), len(model.Attention), len(model.Products))
	}
	for i, a := range own.Attention {
		if m := model.Attention[i]; a.Chosen != m.Chosen || a.Queries != m.Queries || a.Queries == 0 || a.Predicted != nil {
			t.Errorf("%+v, of the model %+v", a, m)
		}
	}
	for i, p := range own.Products {
		if m := model.Products[i]; !slices.Equal(describeTiles(p.Tiles), describeTiles(m.Tiles)) || p.Forms != nil || p.Tiles[0].Next != nil || p.Tiles[0].Micros != 0 {
			t.Errorf("%+v, of the model %+v", p, m)
		}
	}
}

// TestExplainTuning: what was measured decides, and is said to.
func TestExplainTuning(t *testing.T) {
	before := explained(t, tinyModel, "--target", "sm_80", "--seqlen-buckets", "128")
	a, p := before.Attention[0], before.Products[0]
	other := a.Predicted[1].Op
	tile := "16x64x64x8"
	table := cost.NewTuning()
	attrs := attentionOf(plan.Params{Heads: 4, D: 32, Dv: 32})
	table.Entries[cost.AttentionKey(80, "f16", attrs, 128)] = cost.Measured{Use: other, Micros: 1}
	table.Entries[cost.LinearKey(80, "f16", 256, p.Outputs, p.Inputs)] = cost.Measured{Use: tile, Micros: 1}
	path := filepath.Join(t.TempDir(), "table.json")
	if err := os.WriteFile(path, table.Encode(), 0o666); err != nil {
		t.Fatal(err)
	}
	after := explained(t, tinyModel, "--target", "sm_80", "--seqlen-buckets", "128", "--tuning", path)
	got := after.Attention[0]
	if got.Predicted[0].Op != other || got.Predicted[0].Why != "chosen, measured" || got.Predicted[1].Why != "slower" {
		t.Errorf("%+v, want %s as measured", got, other)
	}
	at := slices.IndexFunc(after.Products[0].Tiles, func(c tileChoice) bool { return c.Rows == 256 })
	if at < 0 || after.Products[0].Tiles[at].Tile != tile || !after.Products[0].Tiles[at].Measured {
		t.Errorf("%+v, want %s for up to 256 rows, as measured", after.Products[0].Tiles, tile)
	}
	if text := mustRun(t, "explain", tinyModel, "--target", "sm_80", "--seqlen-buckets", "128", "--tuning", path); !regexp.MustCompile(tile+` +[0-9.]+, measured as best; next is`).MatchString(text) || !strings.Contains(text, "(chosen, measured)") {
		t.Errorf("the table does not say what was measured:\n%s", text)
	}
}

// TestExplainWhatDoesNotFit: an operator that needs more shared memory than a
// block has says so.
func TestExplainWhatDoesNotFit(t *testing.T) {
	kernel := launch.Make("flash_attention", map[string]int{"D": 64, "DV": 64, "QB": 64, "KB": 64})
	q := &plan.Program{
		Plan: &plan.Plan{Kernels: []plan.Kernel{{Kernel: kernel}}}, Target: "sm_80:f16",
		Steps: []plan.Step{{Label: "layer 0 attention", Params: plan.Params{Heads: 12, D: 64, Dv: 64}}},
	}
	g, _ := gpuModel(q.Target, nil)
	c := plan.Choice{Op: plan.FlashAttention, Launches: []plan.Launch{{Kernels: []int{0}}}}
	a := attentionChoice(q, g, 512, &c, true)
	why := map[string]string{}
	for _, p := range a.Predicted {
		why[p.Op] = p.Why
	}
	// 64 queries of 512 float32 scores, and 32 KiB of queries, keys and values.
	if why["otf_attention 64"] != "needs 160 KB of shared memory, a block has 99" || why["flash_attention 64"] != "chosen" || why["partial_otf_attention 64"] != "slower" {
		t.Errorf("%v", why)
	}
}

// TestExplainSparseForms: a product whose tiles are mostly zero is told with
// what its forms would take, the one it has first among them.
func TestExplainSparseForms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pruned")
	mustRun(t, "prune", tinyModel, "-o", dir, "--method", "tiles", "--sparsity", "0.9")
	e := explained(t, dir, "--target", "sm_90", "--seqlen-buckets", "128")
	for _, p := range e.Products {
		if p.Op == "linear" || p.Op == "vo_attention" {
			continue
		}
		times := map[string]float64{}
		for _, f := range p.Forms {
			times[f.Op] = f.Micros
		}
		if p.Op != "block_sparse_linear" || times[p.Op] >= times["linear"] || p.Tiles != nil {
			t.Errorf("%+v", p)
		}
	}
	text := mustRun(t, "explain", dir, "--target", "sm_90", "--seqlen-buckets", "128")
	if !regexp.MustCompile(`(?m)^sm_90:f16 .*block_sparse_linear +4096 +linear [0-9.]+, block_sparse_linear [0-9.]+$`).MatchString(text) {
		t.Errorf("no form is told of in\n%s", text)
	}
}
