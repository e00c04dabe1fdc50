package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"etc/fault"
	"etc/formats/plan"
	"etc/ir"
)

func inspectCommand(p *program) *cobra.Command {
	var asJSON, memory, kernels bool
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what is in a checkpoint, a safetensors file, a plan or graph text",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := p.inspect(args[0], memory, kernels)
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(d)
			}
			return p.printTable(d)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the record as JSON")
	c.Flags().BoolVar(&memory, "memory", false, "plan: every buffer and its place in the arena")
	c.Flags().BoolVar(&kernels, "kernels", false, "plan: every GPU kernel, its code and what uses it")
	return c
}

// A detail is a record that can also be shown as a table.
type detail interface{ print(w io.Writer) }

// printTable prints d with its columns aligned.
func (p *program) printTable(d detail) error {
	w := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	d.print(w)
	return w.Flush()
}

// inspect finds out what path is and returns its record.
func (p *program) inspect(path string, memory, kernels bool) (detail, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Newf(fault.Usage, "%s: no such file or folder", path)
	} else if err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	switch {
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, fault.Newf(fault.Usage, "%s: not a regular file", path)
	case isPlan(path):
		f, err := plan.Open(path, plan.OpenOptions{})
		if err != nil {
			return nil, err
		}
		defer f.Close()
		d := newPlanDetail(f, memory)
		if kernels {
			d.Code = newCodeDetail(f.Plan)
		}
		return d, nil
	}
	if err := p.unused(path+" is not a plan", "memory", "kernels"); err != nil {
		return nil, err
	}
	switch {
	case info.IsDir(), strings.HasSuffix(name, ".safetensors.index.json"):
		return inspectCheckpoint(path)
	case strings.HasSuffix(name, ".safetensors"):
		return inspectSafetensors(path)
	}
	return inspectGraph(path)
}

// A graphDetail is what inspect says of graph text.
type graphDetail struct {
	Schema  int            `json:"schema"`
	Name    string         `json:"graph"`
	Ops     map[string]int `json:"operators"`
	Outputs []string       `json:"outputs"`
}

// maxGraphText bounds the text that is read as a graph.
const maxGraphText = 64 << 20

func inspectGraph(path string) (detail, error) {
	text, err := readAtMost(path, maxGraphText)
	if err != nil {
		return nil, err
	}
	if len(text) > maxGraphText {
		return nil, fault.Newf(fault.Corrupt, "%s: neither a checkpoint, a safetensors file nor a plan, and over %d MB, too long for graph text", path, maxGraphText>>20)
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
