// Package transform rewrites the graph of a checkpoint into the graph of a plan.
//
// A graph of model operators enters; the same function in kernel operators,
// with everything gone that zeros in the weights make superfluous, leaves.
// Every rewrite is exact in real arithmetic: sums over weights are made on
// float64 copies and kept as float64, weights that no pass computes keep
// their dtype and memory, and nothing is dropped that is not exactly zero.
// Passes leave no dead operators behind.
package transform

import (
	"etc/ir"
	"etc/ir/pass"
	"etc/ir/sparse"
)

// Options is what the passes have to be told. The zero value takes no choice
// that only a cost model can justify.
type Options struct {
	// Dense leaves out what finds structure in zeros, for comparison.
	Dense bool
	// PrecomputePays reports whether attention over k inputs and n outputs
	// is to multiply W_V and W_O beforehand; nil: never.
	PrecomputePays func(a *ir.AttentionAttrs, k, n int) bool
	// LinearForm chooses the operator for a product; nil: dense.
	LinearForm func(w sparse.Matrix) ir.Kind
	// HeadMultiple is what widths of heads must be multiples of; 0: any will do.
	HeadMultiple int
}

// Lowered is the pass after which only kernel operators are left.
const Lowered = "fuse-residual"

// Passes returns the passes in their order.
func Passes(o Options) []pass.Pass {
	passes := []pass.Pass{
		RemoveDead,
		DropKeyBias,   // before prune-query-key: a zero row of W_K is dead only without a bias
		FoldValueBias, // before remove-dead-heads and prune-value-rows: so is one of W_V
	}
	if !o.Dense {
		passes = append(passes,
			RemoveDeadHeads, // before the next two, which measure the widest of the heads that are left
			PruneValueRows,
			PruneQueryKey,
			PruneFFN,
		)
	}
	if o.HeadMultiple > 1 {
		passes = append(passes, PadHeadWidths(o.HeadMultiple)) // after pruning, which takes zero rows out; before fold-softmax-scale, which counts the features of q
	}
	passes = append(passes,
		MergeWeights,     // after pruning, which may take the same rows of one tensor several times
		DropZeroBiases,   // after pruning, which takes elements out of biases
		TrimLastLayer,    // after pruning, which wants a weight in one operator only; before all that makes kernel operators
		FoldSoftmaxScale, // after trim-last-layer, which gives picked queries a linear of their own
		FuseEmbedLayerNorm,
		FuseSkipLayerNorm,
	)
	if !o.Dense {
		passes = append(passes, CondenseOutputRows) // after fuse-skip-layernorm, which can scatter
	}
	if o.PrecomputePays != nil {
		passes = append(passes, PrecomputeValueOutput(o.PrecomputePays)) // of the outputs that are left; before fuse-qkv takes W_V
	}
	passes = append(passes,
		FuseQKV,
		FuseActivation,
		FuseResidual, // after fuse-skip-layernorm, which takes additions better, and fuse-activation, which comes before an addition
	)
	if !o.Dense {
		passes = append(passes, GatherColumns) // after fuse-qkv: q, k and v share one gather
	}
	if !o.Dense && o.LinearForm != nil {
		passes = append(passes, ChooseLinearForm(o.LinearForm)) // last: of the weights as they will be
	}
	return passes
}
