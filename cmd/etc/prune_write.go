package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"

	"etc/compiler/frontend"
	"etc/formats/checkpoint"
	"etc/formats/safetensors"
	"etc/ir"
	"etc/ir/tensor"
	"etc/prune"
)

// write puts the folder, the recipe and the masks in place.
func (r *pruning) write(found *prune.Found) error {
	changed, err := frontend.WriteBack(found.Graph, r.ckpt)
	if err != nil {
		return err
	}
	if found.Recipe.Scores, err = scoresOfRecipe(found.Recipe, r.stats); err != nil {
		return err
	}
	source, err := r.ckpt.Digest()
	if err != nil {
		return err
	}
	recipe, err := json.MarshalIndent(struct {
		*prune.Recipe
		Version string   `json:"etc"`
		Source  string   `json:"source"`
		Table   string   `json:"latency_table,omitempty"` // the digest of the table that speeds were read from
		Gates   []string `json:"gates,omitempty"`
		Cut     string   `json:"cut,omitempty"` // why the search did not end by itself
	}{found.Recipe, version, fmt.Sprintf("%x", source), r.tableDigest(), r.lines, r.cut}, "", "\t")
	if err != nil {
		return err
	}
	pruned := r.ckpt.With(changed)
	masks, err := masks(found, pruned)
	if err != nil {
		return err
	}
	extra := map[string][]byte{"etc-recipe.json": append(recipe, '\n'), "etc-masks.safetensors": masks}
	if err := r.place(pruned, extra); err != nil {
		return err
	}
	if c := found.Candidate; c != nil && len(c.Speedups) > 0 {
		r.note("speed-up %.2f by the table at every shape (%s), %s", c.Speedup(), ratiosAt(r.table.Shapes, c.Speedups), c.Name)
	}
	r.note("%s: %.1f %% of the encoder's weights are zero (method %s)", r.flags.output, 100*found.Recipe.Sparsity, found.Recipe.Method)
	return nil
}

// scoresOfRecipe says in what order things went: by the criterion of the recipe's method, which
// of a search may be that of a scheme.
func scoresOfRecipe(recipe *prune.Recipe, stats *prune.Statistics) (string, error) {
	if stats.Empty() {
		return "magnitude of the weights", nil
	}
	m, err := prune.MethodNamed(recipe.Method)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, over %d calibration tokens", m.Criterion().Name, stats.Tokens()), nil
}

// tableDigest names the latency table, if there was one.
func (r *pruning) tableDigest() string {
	if r.table == nil {
		return ""
	}
	return r.table.Digest()
}

// place writes the folder beside its place and renames it when it is whole.
func (r *pruning) place(c *checkpoint.Checkpoint, extra map[string][]byte) error {
	dir, mode := r.flags.place, fs.FileMode(0o777)
	if info, err := os.Stat(dir); err == nil { // what others may not see stays so, from the start
		mode = info.Mode().Perm() | 0o700
	}
	temp, err := r.unfinished.begin(dir, func(name string) error { return os.Mkdir(name, mode) })
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) // finds nothing where all went well
	if err := c.WriteInto(temp, extra); err != nil {
		return err
	}
	return r.unfinished.settle(func() error {
		if err := c.CheckPlace(dir, r.force); err != nil { // again: pruning takes its time
			return err
		}
		return checkpoint.Replace(dir, temp)
	})
}

// masks are 1 where a matrix of the recipe keeps an entry, for fine-tuning
// under the mask in PyTorch, by the names of the checkpoint. Matrices without
// a zero have none; one whose zeros were there before has.
func masks(found *prune.Found, pruned *checkpoint.Checkpoint) ([]byte, error) {
	zeros := map[string]bool{}
	for _, m := range found.Recipe.Matrices {
		zeros[m.Weight] = m.Zeros > 0
	}
	masked := map[string]bool{}
	for _, op := range found.Graph.Ops {
		if a, ok := op.Attrs.(*ir.WeightAttrs); ok && a.Tensor != "" && zeros[a.Name] {
			masked[a.Tensor] = true
		}
	}
	var named []safetensors.Named
	for _, name := range sortedKeys(masked) {
		t, ok := pruned.Tensor(name)
		if !ok {
			panic("bug: no tensor " + name + " to mask")
		}
		keep := make([]byte, t.Len())
		for i, x := range t.Float32s() {
			if x != 0 {
				keep[i] = 1
			}
		}
		named = append(named, safetensors.Named{Name: name, Tensor: tensor.Tensor{DType: tensor.U8, Shape: t.Shape, Data: keep}})
	}
	var b bytes.Buffer
	err := safetensors.Write(&b, named, map[string]string{"format": "pt"})
	return b.Bytes(), err
}
