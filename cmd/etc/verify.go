package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"etc/compiler"
	"etc/compiler/frontend"
	"etc/executor"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/ir"
	"etc/ir/interp"
)

type verifyFlags struct {
	deviceFlags
	reference, input string
	layers, json     bool
	rtol, atol       float64
	ownRTol, ownATol bool // given, not the storage type's
}

// A tolerance is a share of the largest value of an output, and a value.
type tolerance struct{ rtol, atol float64 }

// tolerances of a program against float64 by its storage type
// (docs/operators.md): the error of a value is held against the largest value
// of its output.
var tolerances = map[string]tolerance{
	"f32":   {1e-5, 1e-4},
	"int16": {5e-3, 0},
	"int8":  {2.5e-1, 0},
	"f16":   {2e-2, 0},
	"bf16":  {4e-2, 0},
}

func verifyCommand(p *program) *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify PLAN.etp",
		Short: "Compare a plan with the float64 meaning of its checkpoint",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f.ownRTol, f.ownATol = c.Flags().Changed("rtol"), c.Flags().Changed("atol")
			return p.verify(args[0], &f)
		},
	}
	f.deviceFlags.add(c)
	c.Flags().StringVar(&f.reference, "reference", "", "the checkpoint that the plan was made from; without it only digests and extents are checked")
	c.Flags().StringVar(&f.input, "input", "", "rows to compare on (default: fixed rows of several lengths)")
	c.Flags().BoolVar(&f.layers, "layers", false, "compare after every layer, and name the first that is off")
	c.Flags().Float64Var(&f.rtol, "rtol", 0, "error allowed for each unit of the largest value (default 1e-05 for f32, 0.005 for int16, 0.25 for int8, 0.02 for f16, 0.04 for bf16)")
	c.Flags().Float64Var(&f.atol, "atol", 0, "error allowed besides (default 0.0001 for f32, else 0)")
	c.Flags().BoolVar(&f.json, "json", false, "print the record as JSON")
	return c
}

// A comparison is one output of plan and reference.
type comparison struct {
	Output  string `json:"output"`
	Target  string `json:"target"` // of the program
	Values  int    `json:"values"`
	Largest number `json:"largest"` // |value| of the reference
	Error   number `json:"max_error"`
	Allowed number `json:"allowed"`
	OK      bool   `json:"ok"`
	label   string // the output's name, with the target where the plan has several
}

// A number is null in JSON where it is not finite.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// A verifyRecord is what verify --json prints. Without a reference there are
// no outputs: digests and extents are right.
type verifyRecord struct {
	Schema  int          `json:"schema"`
	Plan    string       `json:"plan"`
	Device  string       `json:"device"`
	Outputs []comparison `json:"outputs"`
}

// check refuses flags that no plan makes right.
func (f *verifyFlags) check(p *program) error {
	for name, x := range map[string]float64{"--rtol": f.rtol, "--atol": f.atol} {
		if !(x >= 0) || math.IsInf(x, 0) {
			return fault.Newf(fault.Usage, "%s %v: want a number from 0 on", name, x)
		}
	}
	if f.reference == "" {
		return p.unused("a checkpoint is wanted to compare with, --reference MODEL", "layers", "input", "rtol", "atol")
	}
	return nil
}

func (p *program) verify(path string, f *verifyFlags) error {
	if err := f.check(p); err != nil {
		return err
	}
	f.every = true
	s, err := p.openSession(path, &f.deviceFlags, executor.Want{})
	if err != nil {
		return err
	}
	defer s.close()
	record := &verifyRecord{Schema: 1, Plan: s.file.ID(), Device: s.Device().Name(), Outputs: []comparison{}}
	if f.reference == "" {
		if f.json {
			err = p.printJSON(record)
		}
		p.note("PASSED: digests and extents of %s are right; --reference MODEL compares its answers too", path)
		return err
	}
	ckpt, err := checkpoint.Open(f.reference)
	if err != nil {
		return err
	}
	defer ckpt.Close()
	graph, err := importReference(ckpt, s.Program().Plan)
	if err != nil {
		return err
	}
	if record.Outputs, err = f.comparePrograms(s, graph); err != nil {
		return err
	}
	return p.printVerify(f, record)
}

// toleranceOf is that of a target's storage type.
func toleranceOf(target string) tolerance {
	_, storage, _ := strings.Cut(target, ":")
	return tolerances[storage]
}

// setTolerances puts those of the target's storage type where none were given.
func (f *verifyFlags) setTolerances(target string) {
	t := toleranceOf(target)
	if !f.ownRTol {
		f.rtol = t.rtol
	}
	if !f.ownATol {
		f.atol = t.atol
	}
}

// importReference imports a checkpoint, which must be of the model of p. The
// graph has views of it.
func importReference(ckpt *checkpoint.Checkpoint, p *plan.Plan) (*ir.Graph, error) {
	imported, err := frontend.Import(ckpt)
	if err != nil {
		return nil, err
	}
	model := imported.Model
	tokenizer, err := compiler.ReadTokenizer(ckpt, &model)
	if err != nil {
		return nil, err
	}
	if d := diffFacts(modelFacts(&model, tokenizer), modelFacts(&p.Model, p.Tokenizer)); len(d) > 0 {
		return nil, fault.Newf(fault.Tolerance, "FAILED: %s is not the checkpoint of this plan: %s: %s, of the plan %s", ckpt.Dir, d[0].What, orNone(d[0].A), orNone(d[0].B))
	}
	return imported.Graph, nil
}

// comparePrograms runs the rows through the reference and through each program
// of the plan that the device takes.
func (f *verifyFlags) comparePrograms(s *session, g *ir.Graph) ([]comparison, error) {
	ids, types, err := f.rows(s)
	if err != nil {
		return nil, err
	}
	want, err := interp.Run(g, batchInputs(&s.Program().Model, ids, types))
	if err != nil {
		return nil, err
	}
	var all []comparison
	x := s.Executor
	for _, q := range fitting(s.Device(), s.file.Plan) {
		if q != x.Program() {
			if x, err = f.load(q, s.Device(), executor.Want{}); err != nil {
				return nil, err
			}
		}
		f.setTolerances(q.Target)
		outputs, err := f.compareOutputs(x, ids, types, want)
		if err != nil {
			return nil, err
		}
		all = append(all, outputs...)
	}
	return all, nil
}

// compareOutputs runs the rows through one program.
func (f *verifyFlags) compareOutputs(x *executor.Executor, ids, types [][]int32, want map[string]*interp.Array) ([]comparison, error) {
	q := x.Program()
	names := x.Default()
	if f.layers {
		names = append(layerOutputs(q), names...)
	}
	got, err := x.Forward(ids, types, names...)
	if err != nil {
		return nil, err
	}
	var all []comparison
	for i, name := range names {
		ref, ok := want[name]
		if !ok {
			return nil, fault.Newf(fault.Tolerance, "%s has no output %q: it is not the checkpoint of this plan", f.reference, name)
		}
		c, err := f.compare(name, got[i], pickRows(q, name, ref, ids))
		if err != nil {
			return nil, err
		}
		c.Target, c.label = q.Target, labelOf(q, name)
		all = append(all, c)
	}
	return all, nil
}

func (p *program) printVerify(f *verifyFlags, r *verifyRecord) error {
	if f.json {
		if err := p.printJSON(r); err != nil {
			return err
		}
	} else {
		width := 14
		for _, c := range r.Outputs {
			width = max(width, len(c.label))
		}
		fmt.Fprintf(p.out, "%-*s %9s %12s %12s %12s\n", width, "output", "values", "largest", "max error", "allowed")
		for _, c := range r.Outputs {
			fmt.Fprintf(p.out, "%-*s %9d %12.4g %12.3g %12.3g\n", width, c.label, c.Values, c.Largest, c.Error, c.Allowed)
		}
	}
	for _, c := range r.Outputs {
		if !c.OK {
			return fault.Newf(fault.Tolerance, "FAILED: %s is off by %.3g, allowed %.3g; it is the first that leaves the reference", c.label, c.Error, c.Allowed)
		}
	}
	p.note("PASSED: %d outputs within tolerance", len(r.Outputs))
	return nil
}
