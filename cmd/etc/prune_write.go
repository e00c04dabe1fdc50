package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"etc/compiler/frontend"
	"etc/formats/checkpoint"
	"etc/formats/safetensors"
	"etc/ir/tensor"
	"etc/prune"
)

// write puts the folder, the recipe and the masks in place.
func (r *pruning) write(found *prune.Found) error {
	changed, err := frontend.WriteBack(found.Graph, r.ckpt)
	if err != nil {
		return err
	}
	found.Recipe.Scores = "magnitude of the weights"
	if !r.stats.Empty() {
		found.Recipe.Scores = fmt.Sprintf("activation and weight, over %d calibration tokens", r.stats.Tokens)
	}
	source, err := r.ckpt.Digest()
	if err != nil {
		return err
	}
	recipe, err := json.MarshalIndent(struct {
		*prune.Recipe
		Version string   `json:"etc"`
		Source  string   `json:"source"`
		Gates   []string `json:"gates,omitempty"`
	}{found.Recipe, version, fmt.Sprintf("%x", source), r.lines}, "", "\t")
	if err != nil {
		return err
	}
	masks, err := masks(changed)
	if err != nil {
		return err
	}
	extra := map[string][]byte{"etc-recipe.json": append(recipe, '\n'), "etc-masks.safetensors": masks}
	if err := r.place(r.ckpt.With(changed), extra); err != nil {
		return err
	}
	r.note("%s: %.1f %% of the encoder's weights are zero (method %s)", r.flags.output, 100*found.Recipe.Sparsity, found.Recipe.Method)
	return nil
}

// place writes the folder beside its place and renames it when it is whole.
func (r *pruning) place(c *checkpoint.Checkpoint, extra map[string][]byte) error {
	dir := filepath.Clean(r.flags.output)
	temp, err := r.unfinished.begin(dir, func(name string) error { return os.Mkdir(name, 0o777) })
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

// masks are 1 where a changed matrix keeps an entry, for fine-tuning under
// the mask in PyTorch.
func masks(changed map[string]tensor.Tensor) ([]byte, error) {
	var named []safetensors.Named
	for _, name := range sortedKeys(changed) {
		t := changed[name]
		if len(t.Shape) != 2 {
			continue
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
