package main

import (
	"math"
	"math/rand/v2"

	"etc/fault"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/ir/interp"
)

// layerOutputs names the taps, in the order of the layers.
func layerOutputs(p *plan.Program) []string {
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
		for range min(n, longestBucket(s.Program())) {
			row = append(row, int32(rng.IntN(s.Program().Model.VocabSize)))
			kinds = append(kinds, int32(rng.IntN(max(1, s.Program().Model.TypeVocabSize))))
		}
		ids, types = append(ids, row), append(types, kinds)
	}
	return ids, types, nil
}

// maxVerifyRows bounds the rows of --input: the reference is float64 in plain loops.
const maxVerifyRows = 16

func (f *verifyFlags) fileRows(s *session) (ids, types [][]int32, err error) {
	list, err := loadRows("--input", f.input, rows.DataOptions{Limit: maxVerifyRows})
	if err != nil {
		return nil, nil, err
	}
	for _, r := range list {
		enc, err := tokensOf(s.Tokenizer(), r, longestBucket(s.Program()))
		if err == nil {
			err = s.CheckIDs(&enc)
		}
		if err != nil {
			return nil, nil, fault.Newf(fault.Corrupt, "%s: line %d: %w", f.input, r.Line, err)
		}
		enc.Cut(s.Program().Model.Unpadded(enc.IDs))
		if len(enc.TypeIDs) == 0 {
			enc.TypeIDs = make([]int32, len(enc.IDs))
		}
		ids, types = append(ids, enc.IDs), append(types, enc.TypeIDs)
	}
	return ids, types, nil
}

// batchInputs is a batch as interp takes it.
func batchInputs(model *plan.Model, ids, types [][]int32) interp.Inputs {
	in := interp.Inputs{Offsets: []int{0}}
	for i, row := range ids {
		for j := range row {
			in.IDs = append(in.IDs, int(row[j]))
			kind := 0 // where there are none
			if j < len(types[i]) {
				kind = int(types[i][j])
			}
			in.Types = append(in.Types, kind)
			in.Positions = append(in.Positions, model.PositionOffset+j)
		}
		in.Offsets = append(in.Offsets, len(in.IDs))
	}
	return in
}

// pickRows keeps of a reference [T,width] the rows that a trimmed last layer
// computes, where the plan's output has one for each row.
func pickRows(p *plan.Program, name string, ref *interp.Array, ids [][]int32) []float64 {
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
func lastRows(p *plan.Program) bool {
	for _, s := range p.Steps {
		if s.Op == plan.SelectRows && s.Params.Rows == plan.LastRows {
			return true
		}
	}
	return false
}

func (f *verifyFlags) compare(name string, got []float32, want []float64) (comparison, error) {
	if len(got) != len(want) {
		return comparison{}, fault.Newf(fault.Tolerance, "output %q has %d values, the reference %d: it is not the checkpoint of this plan", name, len(got), len(want))
	}
	largest, worst := 0.0, 0.0
	for i, w := range want {
		largest = max(largest, math.Abs(w))
		worst = max(worst, math.Abs(float64(got[i])-w)) // NaN once it is NaN
	}
	allowed := f.atol + f.rtol*largest
	return comparison{Output: name, Values: len(want), Largest: number(largest), Error: number(worst), Allowed: number(allowed), OK: worst <= allowed}, nil
}
