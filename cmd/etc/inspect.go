package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"etc/compiler/frontend"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/safetensors"
	"etc/ir"
	"etc/ir/tensor"
)

func inspectCommand(p *program) *cobra.Command {
	var asJSON, memory bool
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what is in a checkpoint, a safetensors file, a plan or graph text",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			record, print, err := inspect(args[0], memory)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(p.out).Encode(record)
			}
			w := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
			print(w)
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the record as JSON")
	c.Flags().BoolVar(&memory, "memory", false, "plan: every buffer and its place in the arena")
	return c
}

// inspect finds out what path is and returns its record and how to print it.
func inspect(path string, memory bool) (any, func(io.Writer), error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fault.Newf(fault.Usage, "%v", err)
	}
	switch {
	case isPlan(path):
		f, err := plan.Open(path)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close()
		r := newPlanDetail(f, info.Size(), memory)
		return r, r.print, nil
	case info.IsDir():
		r, err := inspectCheckpoint(path)
		return r, r.print, err
	case strings.HasSuffix(path, ".safetensors"):
		r, err := inspectSafetensors(path)
		return r, r.print, err
	}
	r, err := inspectGraph(path)
	return r, r.print, err
}

type planDetail struct {
	Schema       int            `json:"schema"`
	ID           string         `json:"plan"`
	Architecture string         `json:"architecture"`
	Task         string         `json:"task"`
	Target       string         `json:"target"`
	Labels       []string       `json:"labels,omitempty"`
	MaxTokens    int            `json:"max_tokens"`
	Buckets      []int          `json:"buckets"`
	Bytes        int64          `json:"bytes"`
	WeightBytes  int            `json:"weight_bytes"`
	ArenaToken   int            `json:"arena_bytes_per_token"`
	ArenaRow     int            `json:"arena_bytes_per_row"`
	Provenance   []plan.Flag    `json:"flags"`
	Version      string         `json:"etc"`
	Source       string         `json:"source"`
	Steps        []stepDetail   `json:"steps"`
	Memory       []bufferDetail `json:"memory,omitempty"`
	Outputs      []string       `json:"outputs"`
	attention    []string
}

type stepDetail struct {
	Label    string  `json:"label"`
	Op       string  `json:"op"`
	Shape    string  `json:"shape"`
	Weight   string  `json:"weight,omitempty"`
	Bytes    int64   `json:"weight_bytes,omitempty"`
	Sparsity float64 `json:"sparsity,omitempty"` // share of the matrix that is not kept
	OnDemand bool    `json:"on_demand,omitempty"`
}

type bufferDetail struct {
	Buffer int    `json:"buffer"`
	Rows   string `json:"rows"`
	Width  int    `json:"width"`
	Offset int    `json:"offset"`
	Stride int    `json:"stride"`
}

func newPlanDetail(f *plan.File, size int64, memory bool) *planDetail {
	p := f.Plan
	always := alwaysMask(p)
	token, row := p.ArenaBytes(always)
	d := &planDetail{
		Schema: 1, ID: f.ID(), Architecture: p.Model.Architecture, Task: taskName(p.Model.Task), Target: p.Target,
		Labels: p.Model.Labels, MaxTokens: p.Model.MaxTokens, Buckets: bucketLengths(p), Bytes: size,
		WeightBytes: len(p.Data), ArenaToken: token, ArenaRow: row, Provenance: p.Provenance.Flags,
		Version: p.Provenance.Version, Source: fmt.Sprintf("%x", p.Provenance.Source),
	}
	for i := range p.Steps {
		d.Steps = append(d.Steps, newStepDetail(p, &p.Steps[i], always))
	}
	for _, o := range p.Outputs {
		d.Outputs = append(d.Outputs, o.Name)
	}
	for _, b := range p.Buckets {
		var ops []string
		for _, c := range b.Choices {
			ops = append(ops, c.Op.String())
		}
		d.attention = append(d.attention, fmt.Sprintf("up to %d tokens: %s", b.MaxTokens, strings.Join(slices.Compact(ops), ", ")))
	}
	if memory {
		for i, b := range p.Buffers {
			d.Memory = append(d.Memory, bufferDetail{i, rowsName(b.Rows), b.Width, b.Offset, b.Stride})
		}
	}
	return d
}

func alwaysMask(p *plan.Plan) uint64 {
	var mask uint64
	for i, o := range p.Outputs {
		if o.When == plan.Always {
			mask |= 1 << i
		}
	}
	return mask
}

func rowsName(r plan.Rows) string {
	if r == plan.PerRow {
		return "B"
	}
	return "T"
}

func newStepDetail(p *plan.Plan, s *plan.Step, always uint64) stepDetail {
	d := stepDetail{Label: s.Label, Op: s.Op.String(), OnDemand: s.Needed&always == 0}
	for _, r := range s.Results {
		if r != plan.Unused {
			d.Shape = fmt.Sprintf("[%s,%d]", rowsName(p.Buffers[r].Rows), p.Buffers[r].Width)
		}
	}
	if q := s.Params; q.Heads > 0 {
		d.Shape += fmt.Sprintf(" %d heads, d %d, dv %d", q.Heads, q.D, q.Dv)
	}
	for _, a := range s.Args {
		if a.Kind != plan.FromWeight {
			continue
		}
		w := p.Weights[a.Index]
		d.Bytes += w.Size
		if len(w.Shape) == 2 && d.Weight == "" {
			d.Weight = fmt.Sprintf("%s %v", w.Name, w.Shape)
			if w.Layout == plan.Tiles || w.Layout == plan.CSR || w.Layout == plan.NM24 {
				d.Sparsity = 1 - float64(w.Size)/float64(4*w.Shape[0]*w.Shape[1])
			}
		}
	}
	return d
}

func (d *planDetail) print(w io.Writer) {
	fmt.Fprintf(w, "plan\t%s\n", d.ID)
	fmt.Fprintf(w, "model\t%s, %s, at most %d tokens\n", d.Architecture, d.Task, d.MaxTokens)
	if len(d.Labels) > 0 {
		fmt.Fprintf(w, "labels\t%s\n", strings.Join(d.Labels, ", "))
	}
	fmt.Fprintf(w, "target\t%s\n", d.Target)
	fmt.Fprintf(w, "bytes\t%d, weights %d\n", d.Bytes, d.WeightBytes)
	fmt.Fprintf(w, "memory\t%d bytes a token, %d a row\n", d.ArenaToken, d.ArenaRow)
	fmt.Fprintf(w, "made by\tetc %s from %.16s…\n", d.Version, d.Source)
	for _, f := range d.Provenance {
		fmt.Fprintf(w, "\t--%s %s\n", f.Name, f.Value)
	}
	for _, a := range d.attention {
		fmt.Fprintf(w, "bucket\t%s\n", a)
	}
	fmt.Fprintf(w, "outputs\t%s\n\n", strings.Join(d.Outputs, ", "))
	fmt.Fprintln(w, "block\toperator\tresult\tweight\tbytes\tnot kept\t")
	for _, s := range d.Steps {
		demand := ""
		if s.OnDemand {
			demand = "on demand"
		}
		sparsity := ""
		if s.Sparsity != 0 {
			sparsity = fmt.Sprintf("%.0f %%", 100*s.Sparsity)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", s.Label, s.Op, s.Shape, s.Weight, s.Bytes, sparsity, demand)
	}
	if len(d.Memory) > 0 {
		fmt.Fprintln(w, "\nbuffer\trows\twidth\tbytes a row\toffset")
		for _, b := range d.Memory {
			fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%d\n", b.Buffer, b.Rows, b.Width, b.Stride, b.Offset)
		}
	}
}

type tensorDetail struct {
	Name  string  `json:"name"`
	DType string  `json:"dtype"`
	Shape []int   `json:"shape"`
	Zeros float64 `json:"zeros"` // share
}

type checkpointDetail struct {
	Schema       int            `json:"schema"`
	Architecture string         `json:"architecture,omitempty"`
	Task         string         `json:"task,omitempty"`
	Digest       string         `json:"digest,omitempty"`
	Tensors      []tensorDetail `json:"tensors"`
	Unclaimed    []string       `json:"unclaimed,omitempty"`
}

func inspectCheckpoint(path string) (*checkpointDetail, error) {
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

func inspectSafetensors(path string) (*checkpointDetail, error) {
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

type graphDetail struct {
	Schema  int            `json:"schema"`
	Name    string         `json:"graph"`
	Ops     map[string]int `json:"operators"`
	Outputs []string       `json:"outputs"`
}

// maxGraphText bounds the text that is read as a graph.
const maxGraphText = 64 << 20

func inspectGraph(path string) (*graphDetail, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Newf(fault.Usage, "%v", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxGraphText))
	if err != nil {
		return nil, err
	}
	g, err := ir.Parse(string(text))
	if err == nil {
		err = ir.Verify(g, ir.Model|ir.Kernel)
	}
	if err != nil {
		return nil, fault.Newf(fault.Corrupt, "%s: neither a checkpoint, a safetensors file nor a plan, and as graph text: %v", path, err)
	}
	d := &graphDetail{Schema: 1, Name: g.Name, Ops: map[string]int{}}
	for _, op := range g.Ops {
		d.Ops[op.Kind.String()]++
	}
	for _, o := range g.Outputs {
		d.Outputs = append(d.Outputs, fmt.Sprintf("%v %s %v", o.When, o.Name, o.Value.Type))
	}
	return d, nil
}

func (d *graphDetail) print(w io.Writer) {
	fmt.Fprintf(w, "graph\t%s\n", d.Name)
	for _, name := range sortedKeys(d.Ops) {
		fmt.Fprintf(w, "%s\t%d\n", name, d.Ops[name])
	}
	for _, o := range d.Outputs {
		fmt.Fprintf(w, "%s\n", o)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
