package main

import (
	"fmt"
	"io"
	"strings"

	"etc/compiler/frontend"
	"etc/formats/checkpoint"
	"etc/formats/safetensors"
	"etc/ir/tensor"
)

type tensorDetail struct {
	Name  string  `json:"name"`
	DType string  `json:"dtype"`
	Shape []int   `json:"shape"`
	Zeros float64 `json:"zeros"` // share
}

// A checkpointDetail is what inspect says of a model folder, or of one
// safetensors file.
type checkpointDetail struct {
	Schema       int            `json:"schema"`
	Architecture string         `json:"architecture,omitempty"`
	Task         string         `json:"task,omitempty"`
	Digest       string         `json:"digest,omitempty"`
	Tensors      []tensorDetail `json:"tensors"`
	Unclaimed    []string       `json:"unclaimed,omitempty"`
}

func inspectCheckpoint(path string) (detail, error) {
	c, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	imported, err := frontend.Import(c)
	if err != nil {
		return nil, err
	}
	digest, err := c.Digest()
	if err != nil {
		return nil, err
	}
	d := &checkpointDetail{
		Schema: 1, Architecture: imported.Model.Architecture, Task: taskName(imported.Model.Task),
		Digest: fmt.Sprintf("%x", digest), Unclaimed: imported.Unclaimed,
	}
	for _, name := range c.Names() {
		t, _ := c.Tensor(name)
		d.Tensors = append(d.Tensors, newTensorDetail(name, t))
	}
	return d, nil
}

func inspectSafetensors(path string) (detail, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := &checkpointDetail{Schema: 1}
	for _, name := range f.Names() {
		t, _ := f.Tensor(name)
		d.Tensors = append(d.Tensors, newTensorDetail(name, t))
	}
	return d, nil
}

// newTensorDetail reads all of t.
func newTensorDetail(name string, t tensor.Tensor) tensorDetail {
	d := tensorDetail{Name: name, DType: t.DType.Code(), Shape: t.Shape}
	if !t.DType.IsFloat() || t.Len() == 0 {
		return d
	}
	zeros := 0
	for _, x := range t.Float32s() {
		if x == 0 {
			zeros++
		}
	}
	d.Zeros = float64(zeros) / float64(t.Len())
	return d
}

func (d *checkpointDetail) print(w io.Writer) {
	if d.Architecture != "" {
		fmt.Fprintf(w, "model\t%s, %s\n", d.Architecture, d.Task)
		fmt.Fprintf(w, "digest\t%s\n", d.Digest)
	}
	fmt.Fprintln(w, "tensor\tdtype\tshape\tzeros")
	for _, t := range d.Tensors {
		fmt.Fprintf(w, "%s\t%s\t%v\t%.1f %%\n", t.Name, t.DType, t.Shape, 100*t.Zeros)
	}
	if len(d.Unclaimed) > 0 {
		fmt.Fprintf(w, "not used\t%s\n", strings.Join(d.Unclaimed, ", "))
	}
}
