package frontend

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etc/compiler/frontend/frontendtest"
	"etc/ir/interp"
	"etc/ir/tensor"
)

// A prunedModel is what testdata/pruned_heads.py wrote of one model.
type prunedModel struct {
	Config map[string]any
	Shapes map[string][]int
	Logits [][]float64 // by row
}

// TestPrunedHeadsAsTransformers: models that transformers pruned and saved
// small answer as they do there. The bound is design.md's against float32.
func TestPrunedHeadsAsTransformers(t *testing.T) {
	withRoBERTa(t)
	text, err := os.ReadFile("testdata/pruned_heads.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Rows   [][]int
		Models []prunedModel
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, m := range file.Models {
		class := m.Config["architectures"].([]any)[0].(string)
		im := importDir(t, m.write(t))
		if len(im.Unclaimed) != 0 {
			t.Errorf("%s: unclaimed %q", class, im.Unclaimed)
		}
		for r, ids := range file.Rows {
			in := interp.Inputs{IDs: ids, Types: make([]int, len(ids)), Offsets: []int{0, len(ids)}}
			for i := range ids {
				in.Positions = append(in.Positions, i+im.Model.PositionOffset)
			}
			out, err := interp.Run(im.Graph, in)
			if err != nil {
				t.Fatal(err)
			}
			got := out["logits"]
			if last, ok := out["last_logits"]; ok {
				got = last
			}
			for i, want := range m.Logits[r] {
				if e := math.Abs(got.F[i] - want); len(got.F) != len(m.Logits[r]) || !(e <= 1e-4) {
					t.Errorf("%s, row %d: logits %v, want %v", class, r, got.F, m.Logits[r])
					break
				}
			}
		}
	}
	if len(file.Models) != 4 {
		t.Errorf("%d models, want 4", len(file.Models))
	}
}

// write makes the folder of a model, with the weights that the script gave it.
func (m *prunedModel) write(t *testing.T) string {
	t.Helper()
	tensors := map[string]tensor.Tensor{}
	for i, name := range slices.Sorted(maps.Keys(m.Shapes)) {
		lower := strings.ToLower(name)
		add := 0.0
		if strings.HasSuffix(name, ".weight") && (strings.Contains(lower, "norm") || strings.Contains(lower, ".ln_")) {
			add = 1
		}
		n, _ := tensor.Elements(m.Shapes[name])
		v := make([]float32, n)
		for k := range v {
			v[k] = float32(float64((37*k+11*i+k/7)%97-48)/128 + add)
		}
		tensors[name] = tensor.FromFloat32s(m.Shapes[name], v)
	}
	dir := t.TempDir()
	text, err := json.Marshal(m.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o666); err != nil {
		t.Fatal(err)
	}
	frontendtest.WriteTensors(t, dir, tensors)
	return dir
}
