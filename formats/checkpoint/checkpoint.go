// Package checkpoint reads and writes Hugging Face model folders.
//
// A folder comes in: config.json, model.safetensors or the shards that
// model.safetensors.index.json names, the tokenizer's files, and the pooling
// files of sentence-transformers. Out go a Config, which is read key by key
// with the type wanted, the weights by name, and the tokenizer's files as they
// are. A Resolver finds an architecture's weights under the names in use.
//
// Tensors are views of mapped files: Data is read under mapped.Guard, and not
// after Close. Nothing here is ever written to; With lays replaced tensors
// over a checkpoint, and Write makes a new folder that differs from the old
// one in those tensors only.
package checkpoint

import (
	"fmt"
	"maps"
	"slices"

	"etc/formats/safetensors"
	"etc/formats/tokenizer"
	"etc/ir/tensor"
)

// A Checkpoint is one model folder.
type Checkpoint struct {
	Dir       string // the folder, as the user wrote it
	Config    *Config
	Tokenizer tokenizer.Files
	Pooling   *Pooling // nil without modules.json

	index    []byte // of the shards, verbatim; nil for a single file
	shards   []shard
	names    []string
	home     map[string]*safetensors.File
	replaced map[string]tensor.Tensor
}

// A shard is one weight file, under the name that Write gives it.
type shard struct {
	name string
	*safetensors.File
}

// Names lists the tensors: the shards by name, in each the order of its header.
func (c *Checkpoint) Names() []string { return slices.Clone(c.names) }

// Has reports whether there is a tensor of that name.
func (c *Checkpoint) Has(name string) bool {
	_, ok := c.home[name]
	return ok
}

// Tensor is the tensor of that name; ok is false where there is none.
func (c *Checkpoint) Tensor(name string) (t tensor.Tensor, ok bool) {
	if t, ok := c.replaced[name]; ok {
		return t, true
	}
	if f, ok := c.home[name]; ok {
		return f.Tensor(name)
	}
	return tensor.Tensor{}, false
}

// With is the checkpoint with some tensors replaced by others of the same
// shape. They are converted here, each element rounded once, to the dtype of
// the file, so that what With gives is what Write writes. The two checkpoints
// share their files: Close either, and both are closed.
func (c *Checkpoint) With(replace map[string]tensor.Tensor) *Checkpoint {
	over := *c
	over.replaced = maps.Clone(c.replaced)
	if over.replaced == nil {
		over.replaced = map[string]tensor.Tensor{}
	}
	for name, t := range replace {
		old, ok := c.Tensor(name)
		sameType := t.DType == old.DType || t.DType.IsFloat() && old.DType.IsFloat()
		if !ok || !sameType || !slices.Equal(t.Shape, old.Shape) {
			panic(fmt.Sprintf("bug: checkpoint: %v replaces %q, which is %v", t, name, old))
		}
		over.replaced[name] = t.Convert(old.DType)
	}
	return &over
}

// Close gives the mapped files back.
func (c *Checkpoint) Close() error {
	var first error
	for _, s := range c.shards {
		if err := s.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
