package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/spf13/cobra"

	"etc/compiler/frontend"
	"etc/executor"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/formats/tokenizer"
	"etc/ir/interp"
)

type verifyFlags struct {
	deviceFlags
	reference, input string
	layers, json     bool
	rtol, atol       float64
}

// Tolerances of a float32 plan against float64 (design, Numerics): the error
// of a value is held against the largest value of its output.
const (
	defaultATol = 1e-4
	defaultRTol = 1e-5
)

func verifyCommand(p *program) *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify PLAN.etp",
		Short: "Compare a plan with the float64 meaning of its checkpoint",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return p.verify(args[0], &f) },
	}
	f.deviceFlags.add(c)
	c.Flags().StringVar(&f.reference, "reference", "", "the checkpoint that the plan was made from; without it only digests and extents are checked")
	c.Flags().StringVar(&f.input, "input", "", "rows to compare on (default: fixed rows of several lengths)")
	c.Flags().BoolVar(&f.layers, "layers", false, "compare after every layer, and name the first that is off")
	c.Flags().Float64Var(&f.rtol, "rtol", defaultRTol, "error allowed for each unit of the largest value")
	c.Flags().Float64Var(&f.atol, "atol", defaultATol, "error allowed besides")
	c.Flags().BoolVar(&f.json, "json", false, "print the record as JSON")
	return c
}

// A comparison is one output of plan and reference.
type comparison struct {
	Output  string  `json:"output"`
	Values  int     `json:"values"`
	Largest float64 `json:"largest"` // |value| of the reference
	Error   float64 `json:"max_error"`
	Allowed float64 `json:"allowed"`
	OK      bool    `json:"ok"`
}

func (p *program) verify(path string, f *verifyFlags) error {
	s, err := p.openSession(path, &f.deviceFlags, executor.Want{})
	if err != nil {
		return err
	}
	defer s.close()
	if f.reference == "" {
		p.note("digests and extents of %s are right; --reference MODEL compares its answers too", path)
		return nil
	}
	ckpt, err := checkpoint.Open(f.reference)
	if err != nil {
		return err
	}
	defer ckpt.Close()
	imported, err := frontend.Import(ckpt)
	if err != nil {
		return err
	}
	ids, types, err := f.rows(s)
	if err != nil {
		return err
	}
	names := s.Default()
	if f.layers {
		names = append(layerOutputs(s.Plan()), names...)
	}
	got, err := s.Forward(ids, types, names...)
	if err != nil {
		return err
	}
	want, err := interp.Run(imported.Graph, referenceInputs(s.Plan(), ids, types))
	if err != nil {
		return err
	}
	var all []comparison
	for i, name := range names {
		ref, ok := want[name]
		if !ok {
			return fault.Newf(fault.Usage, "%s has no output %q: it is not the checkpoint of this plan", f.reference, name)
		}
		c, err := f.compare(name, got[i], pickRows(s.Plan(), name, ref, ids))
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	return p.printVerify(f, s, all)
}

func (p *program) printVerify(f *verifyFlags, s *session, all []comparison) error {
	if f.json {
		err := json.NewEncoder(p.out).Encode(struct {
			Schema  int          `json:"schema"`
			Plan    string       `json:"plan"`
			Device  string       `json:"device"`
			Outputs []comparison `json:"outputs"`
		}{1, s.file.ID(), s.Device().Name(), all})
		if err != nil {
			return err
		}
	} else {
		fmt.Fprintf(p.out, "%-14s %9s %12s %12s %12s\n", "output", "values", "largest", "max error", "allowed")
		for _, c := range all {
			fmt.Fprintf(p.out, "%-14s %9d %12.4g %12.3g %12.3g\n", c.Output, c.Values, c.Largest, c.Error, c.Allowed)
		}
	}
	for _, c := range all {
		if !c.OK {
			return fault.Newf(fault.Tolerance, "FAILED: %s is off by %.3g, allowed %.3g; it is the first that leaves the reference", c.Output, c.Error, c.Allowed)
		}
	}
	p.note("PASSED: %d outputs within tolerance", len(all))
	return nil
}

// layerOutputs names the taps, in the order of the layers.
func layerOutputs(p *plan.Plan) []string {
	var names []string
	for _, o := range p.Outputs {
		if o.When == plan.Tap {
			names = append(names, o.Name)
		}
	}
	return names
}

// verifyLengths are the lengths of the fixed rows: short, odd, and one that
// leaves every tile a remainder.
var verifyLengths = []int{1, 2, 7, 16, 33}

// rows are those of --input, or fixed ones.
func (f *verifyFlags) rows(s *session) (ids, types [][]int32, err error) {
	if f.input != "" {
		return f.fileRows(s)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range verifyLengths {
		var row, kinds []int32
		for range min(n, longestBucket(s)) {
			row = append(row, int32(rng.IntN(s.Plan().Model.VocabSize)))
			kinds = append(kinds, int32(rng.IntN(max(1, s.Plan().Model.TypeVocabSize))))
		}
		ids, types = append(ids, row), append(types, kinds)
	}
	return ids, types, nil
}

// maxVerifyRows bounds the rows of --input: the reference is float64 in plain loops.
const maxVerifyRows = 16

func (f *verifyFlags) fileRows(s *session) (ids, types [][]int32, err error) {
	data, err := rows.LoadFile(f.input, rows.DataOptions{Limit: maxVerifyRows})
	if err != nil {
		return nil, nil, err
	}
	for i := range data.Examples {
		r := &data.Examples[i].Row
		enc := tokenizer.Encoding{IDs: r.IDs, TypeIDs: r.TypeIDs}
		if len(r.IDs) == 0 {
			if s.Tokenizer() == nil {
				return nil, nil, fault.Newf(fault.Corrupt, "%s: text, but the plan has no tokenizer", f.input)
			}
			if err := s.Tokenizer().NewEncoder().Encode(&enc, r.Text, r.Pair, longestBucket(s)); err != nil {
				return nil, nil, err
			}
		}
		if len(enc.TypeIDs) == 0 {
			enc.TypeIDs = make([]int32, len(enc.IDs))
		}
		ids, types = append(ids, enc.IDs), append(types, enc.TypeIDs)
	}
	if len(ids) == 0 {
		return nil, nil, fault.Newf(fault.Corrupt, "%s: no rows", f.input)
	}
	return ids, types, nil
}

func referenceInputs(p *plan.Plan, ids, types [][]int32) interp.Inputs {
	in := interp.Inputs{Offsets: []int{0}}
	for i, row := range ids {
		for j := range row {
			in.IDs = append(in.IDs, int(row[j]))
			in.Types = append(in.Types, int(types[i][j]))
			in.Positions = append(in.Positions, p.Model.PositionOffset+j)
		}
		in.Offsets = append(in.Offsets, len(in.IDs))
	}
	return in
}

// pickRows keeps of a reference [T,width] the rows that a trimmed last layer
// computes, where the plan's output has one for each row.
func pickRows(p *plan.Plan, name string, ref *interp.Array, ids [][]int32) []float64 {
	for _, o := range p.Outputs {
		if o.Name != name || p.Buffers[o.Buffer].Rows != plan.PerRow || ref.Shape[0] == len(ids) {
			continue
		}
		width := ref.Shape[len(ref.Shape)-1]
		var picked []float64
		start := 0
		for _, row := range ids {
			at := start
			if lastRows(p) {
				at += len(row) - 1
			}
			picked = append(picked, ref.F[at*width:(at+1)*width]...)
			start += len(row)
		}
		return picked
	}
	return ref.F
}

// lastRows reports whether the plan's head reads the last token of each row.
func lastRows(p *plan.Plan) bool {
	for _, s := range p.Steps {
		if s.Op == plan.SelectRows && s.Params.Rows == plan.LastRows {
			return true
		}
	}
	return false
}

func (f *verifyFlags) compare(name string, got []float32, want []float64) (comparison, error) {
	c := comparison{Output: name, Values: len(want)}
	if len(got) != len(want) {
		return c, fault.Newf(fault.Usage, "output %q has %d values, the reference %d: it is not the checkpoint of this plan", name, len(got), len(want))
	}
	for i, w := range want {
		c.Largest = max(c.Largest, math.Abs(w))
		if e := math.Abs(float64(got[i]) - w); e > c.Error || math.IsNaN(e) {
			c.Error = e
		}
	}
	c.Allowed = f.atol + f.rtol*c.Largest
	c.OK = c.Error <= c.Allowed
	return c, nil
}
