package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"

	"etc/formats/plan"
)

// A codeDetail is what inspect --kernels says of the code in a plan.
type codeDetail struct {
	Bytes   int            `json:"bytes"`
	Digest  string         `json:"sha256"`
	Loads   []loadDetail   `json:"loads"`
	Kernels []kernelDetail `json:"kernels"`
}

// A loadDetail is what a program loads onto a device of just its target.
type loadDetail struct {
	Target  string `json:"target"`
	Kernels int    `json:"kernels"`
	Bytes   int    `json:"bytes"`
	PTX     int    `json:"ptx"`    // of the kernels, those that the driver has to compile
	Source  int    `json:"source"` // of the kernels, those that are source only: nothing runs them
}

type kernelDetail struct {
	Entry     string           `json:"entry"`
	Family    string           `json:"family"`
	Constants []constantDetail `json:"constants"`
	Threads   int              `json:"threads"`
	Shared    int              `json:"shared_bytes"`
	Source    int              `json:"source_bytes"`
	Images    []imageDetail    `json:"images"`
	Uses      []useDetail      `json:"uses"`
}

type constantDetail struct {
	Name  string `json:"name"`
	Value int    `json:"value"`
}

type imageDetail struct {
	SM           int    `json:"sm"`
	Form         string `json:"form"`
	Bytes        int    `json:"bytes"`
	Registers    int    `json:"registers"`
	Spills       int    `json:"spill_bytes"`
	StaticShared int    `json:"static_shared_bytes"`
	Blocks       int    `json:"blocks"`
}

// A useDetail is a step that launches a kernel: for batches of up to so many
// rows, or for a bucket.
type useDetail struct {
	Target string `json:"target"`
	Step   int    `json:"step"`
	Block  string `json:"block"`
	Rows   int    `json:"rows,omitempty"`
	Bucket int    `json:"bucket,omitempty"`
}

func newCodeDetail(p *plan.Plan) *codeDetail {
	d := &codeDetail{Bytes: len(p.Code), Digest: fmt.Sprintf("%x", sha256.Sum256(p.Code)), Loads: []loadDetail{}, Kernels: []kernelDetail{}}
	uses := kernelUses(p)
	for i := range p.Kernels {
		d.Kernels = append(d.Kernels, newKernelDetail(&p.Kernels[i], uses[i]))
	}
	for _, q := range p.Programs {
		if sm := plan.SM(q.Target); sm > 0 {
			d.Loads = append(d.Loads, newLoadDetail(q.Target, sm, d.Kernels))
		}
	}
	return d
}

func newKernelDetail(k *plan.Kernel, uses []useDetail) kernelDetail {
	d := kernelDetail{
		Entry: k.Entry(), Family: k.Family, Constants: []constantDetail{}, Threads: k.Threads, Shared: k.Shared,
		Source: k.Source.Size, Images: []imageDetail{}, Uses: uses,
	}
	for _, c := range k.Defines {
		d.Constants = append(d.Constants, constantDetail(c))
	}
	for _, m := range k.Images {
		form := "cubin"
		if m.PTX {
			form = "ptx"
		}
		d.Images = append(d.Images, imageDetail{m.SM, form, m.Code.Size, m.Registers, m.Spills, m.StaticShared, m.Blocks})
	}
	return d
}

// kernelUses lists for each kernel the steps that launch it.
func kernelUses(p *plan.Plan) [][]useDetail {
	uses := make([][]useDetail, len(p.Kernels))
	note := func(list []plan.Launch, u useDetail) {
		for _, l := range list {
			for _, k := range l.Kernels {
				u.Rows = l.Tokens
				uses[k] = append(uses[k], u)
			}
		}
	}
	for _, q := range p.Programs {
		for i, s := range q.Steps {
			note(s.Launches, useDetail{Target: q.Target, Step: i, Block: s.Label})
		}
		for _, b := range q.Buckets {
			for _, c := range b.Choices {
				note(c.Launches, useDetail{Target: q.Target, Step: c.Step, Block: q.Steps[c.Step].Label, Bucket: b.MaxTokens})
			}
		}
	}
	return uses
}

// newLoadDetail adds up the images that a device of that architecture takes of
// the kernels of one target: machine code for it, else PTX.
func newLoadDetail(target string, sm int, kernels []kernelDetail) loadDetail {
	d := loadDetail{Target: target}
	for _, k := range kernels {
		if !slices.ContainsFunc(k.Uses, func(u useDetail) bool { return u.Target == target }) {
			continue
		}
		d.Kernels++
		at := slices.IndexFunc(k.Images, func(m imageDetail) bool { return m.Form == "cubin" && m.SM == sm })
		if at < 0 {
			at = slices.IndexFunc(k.Images, func(m imageDetail) bool { return m.Form == "ptx" && m.SM <= sm })
			if at < 0 {
				d.Source++
				continue
			}
			d.PTX++
		}
		d.Bytes += k.Images[at].Bytes
	}
	return d
}

func (d *codeDetail) print(w io.Writer, signedBy string) {
	signed := "not signed"
	if signedBy != "" {
		signed = "signed by " + signedBy
	}
	fmt.Fprintf(w, "\ncode\t%d bytes, sha256 %.16s…, %s\n", d.Bytes, d.Digest, signed)
	for _, l := range d.Loads {
		text := fmt.Sprintf("%d kernels, %d bytes", l.Kernels, l.Bytes)
		if l.PTX > 0 {
			text += fmt.Sprintf(", %d of them PTX", l.PTX)
		}
		if l.Source > 0 {
			text += fmt.Sprintf(", %d of them source only, which nothing runs", l.Source)
		}
		fmt.Fprintf(w, "%s loads\t%s\n", l.Target, text)
	}
	if len(d.Kernels) == 0 {
		return
	}
	fmt.Fprintln(w, "\nkernel\tthreads\tshared\timage\tbytes\tregisters\tspills\tstatic\tblocks\tused by")
	for _, k := range d.Kernels {
		use := describeUses(k.Uses)
		first := fmt.Sprintf("%s\t%d\t%d", k.Entry, k.Threads, k.Shared)
		if len(k.Images) == 0 {
			fmt.Fprintf(w, "%s\tsource\t%d\t\t\t\t\t%s\n", first, k.Source, use)
		}
		for _, m := range k.Images {
			numbers := "\t\t\t"
			if m.Form == "cubin" {
				numbers = fmt.Sprintf("%d\t%d\t%d\t%d", m.Registers, m.Spills, m.StaticShared, m.Blocks)
			}
			fmt.Fprintf(w, "%s\tsm_%d %s\t%d\t%s\t%s\n", first, m.SM, m.Form, m.Bytes, numbers, use)
			first, use = "\t\t", ""
		}
	}
}

// describeUses says in short what uses there are, by target.
func describeUses(uses []useDetail) string {
	var targets []string
	blocks := map[string][]string{}
	for _, u := range uses {
		if blocks[u.Target] == nil {
			targets = append(targets, u.Target)
		}
		if !slices.Contains(blocks[u.Target], u.Block) {
			blocks[u.Target] = append(blocks[u.Target], u.Block)
		}
	}
	var all []string
	for _, t := range targets {
		b := blocks[t]
		text := t + " " + b[0]
		if len(b) > 1 {
			text += fmt.Sprintf(" and %d more", len(b)-1)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}
