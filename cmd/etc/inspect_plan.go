package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"etc/formats/plan"
)

// A planDetail is what inspect says of a plan.
type planDetail struct {
	Schema       int          `json:"schema"`
	ID           string       `json:"plan"`
	Device       string       `json:"device"`
	SignedBy     string       `json:"signed_by,omitempty"`
	Architecture string       `json:"architecture"`
	Task         string       `json:"task"`
	Labels       []string     `json:"labels,omitempty"`
	Padding      []int        `json:"padding,omitempty"`
	MaxTokens    int          `json:"max_tokens"`
	Bytes        int64        `json:"bytes"`
	WeightBytes  int          `json:"weight_bytes"`
	Provenance   []flagDetail `json:"flags"`
	Version      string       `json:"etc"`
	Source       string       `json:"source"`
	programDetail
	Others []programDetail `json:"other_programs,omitempty"`
	Code   *codeDetail     `json:"code,omitempty"`
	facts  []fact          // besides the steps, for diff
}

// A programDetail is what inspect says of the program for one target.
type programDetail struct {
	Target     string         `json:"target"`
	Buckets    []int          `json:"buckets"`
	ArenaToken int            `json:"arena_bytes_per_token"`
	ArenaRow   int            `json:"arena_bytes_per_row"`
	Steps      []stepDetail   `json:"steps"`
	Memory     []bufferDetail `json:"memory,omitempty"`
	Outputs    []string       `json:"outputs"`
	attention  []string
}

type flagDetail struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type stepDetail struct {
	Label    string   `json:"label"`
	Op       string   `json:"op"`
	Integers string   `json:"integers,omitempty"` // int16 or int8: what the product is taken in
	Shape    string   `json:"shape"`
	Weight   string   `json:"weight,omitempty"`
	Bytes    int64    `json:"weight_bytes,omitempty"`
	Sparsity float64  `json:"sparsity,omitempty"` // share of the matrix that is not kept
	OnDemand bool     `json:"on_demand,omitempty"`
	details  []string // what diff tells steps apart by besides
}

type bufferDetail struct {
	Buffer int    `json:"buffer"`
	Rows   string `json:"rows"`
	DType  string `json:"dtype"`
	Width  int    `json:"width"`
	Offset int    `json:"offset"`
	Stride int    `json:"stride"`
}

func newPlanDetail(f *plan.File, memory bool) *planDetail {
	p := f.Plan
	d := &planDetail{
		Schema: 1, ID: f.ID(), Device: noDevice, Architecture: p.Model.Architecture, Task: taskName(p.Model.Task),
		Labels: p.Model.Labels, Padding: p.Model.Padding, MaxTokens: p.Model.MaxTokens, Bytes: int64(len(f.Bytes())), WeightBytes: len(p.Data),
		Version: p.Provenance.Version, Source: fmt.Sprintf("%x", p.Provenance.Source),
	}
	if key := f.Signer(); key != nil {
		d.SignedBy = plan.Fingerprint(key)
	}
	for _, f := range p.Provenance.Flags {
		d.Provenance = append(d.Provenance, flagDetail(f))
	}
	for i, q := range p.Programs {
		if detail := newProgramDetail(q, memory); i == 0 {
			d.programDetail = detail
		} else {
			d.Others = append(d.Others, detail)
		}
	}
	return d
}

// programs are all of them, in the order of the plan.
func (d *planDetail) programs() []programDetail {
	return append([]programDetail{d.programDetail}, d.Others...)
}

func newProgramDetail(p *plan.Program, memory bool) programDetail {
	always := alwaysMask(p)
	d := programDetail{Target: p.Target, Buckets: bucketLengths(p)}
	d.ArenaToken, d.ArenaRow = p.ArenaBytes(always)
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
			d.Memory = append(d.Memory, bufferDetail{i, rowsName(b.Rows), b.DType.String(), b.Width, b.Offset, b.Stride})
		}
	}
	return d
}

func alwaysMask(p *plan.Program) uint64 {
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

func newStepDetail(p *plan.Program, s *plan.Step, always uint64) stepDetail {
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
			if w.Layout == plan.IntPanels || w.Layout == plan.IntTiles {
				_, d.Integers, _ = strings.Cut(p.Target, ":")
			}
			if w.Layout.IsSparse() {
				d.Sparsity = 1 - float64(w.Size)/float64(w.DType.Size()*w.Shape[0]*w.Shape[1])
			}
		}
	}
	return d
}

// operator is the operator for people, such as "linear int8".
func (d *stepDetail) operator() string { return strings.TrimSpace(d.Op + " " + d.Integers) }

func (d *planDetail) print(w io.Writer) {
	fmt.Fprintf(w, "plan\t%s\n", d.ID)
	if d.SignedBy == "" {
		fmt.Fprintln(w, "\tunsigned")
	} else {
		fmt.Fprintf(w, "\tsigned by %s\n", d.SignedBy)
	}
	fmt.Fprintf(w, "model\t%s, %s, at most %d tokens\n", d.Architecture, d.Task, d.MaxTokens)
	if len(d.Labels) > 0 {
		fmt.Fprintf(w, "labels\t%s\n", strings.Join(d.Labels, ", "))
	}
	for _, id := range d.Padding {
		fmt.Fprintf(w, "padding\ttoken %d at the end of a row is not read\n", id)
	}
	fmt.Fprintf(w, "bytes\t%d, weights %d\n", d.Bytes, d.WeightBytes)
	fmt.Fprintf(w, "made by\tetc %s from %.16s…\n", d.Version, d.Source)
	for _, f := range d.Provenance {
		fmt.Fprintf(w, "\t--%s %s\n", f.Name, f.inShort())
	}
	for _, q := range d.programs() {
		fmt.Fprintln(w)
		q.print(w)
	}
	if d.Code != nil {
		d.Code.print(w, d.SignedBy)
	}
}

func (d *programDetail) print(w io.Writer) {
	fmt.Fprintf(w, "target\t%s\n", d.Target)
	fmt.Fprintf(w, "memory\t%d bytes a token, %d a row\n", d.ArenaToken, d.ArenaRow)
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
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", s.Label, s.operator(), s.Shape, s.Weight, s.Bytes, sparsity, demand)
	}
	if len(d.Memory) > 0 {
		fmt.Fprintln(w, "\nbuffer\trows\tdtype\twidth\tbytes a row\toffset")
		for _, b := range d.Memory {
			fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%d\n", b.Buffer, b.Rows, b.DType, b.Width, b.Stride, b.Offset)
		}
	}
}
