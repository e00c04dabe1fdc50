package compiler

import (
	"strconv"

	"etc/compiler/cost"
	"etc/compiler/transform"
	"etc/fault"
	"etc/formats/plan"
	"etc/ir"
)

// passOptions lets the cost model decide what is not always a gain.
func passOptions(o Options, buckets []int) transform.Options {
	return transform.Options{
		Dense: o.Dense,
		PrecomputePays: func(a *ir.AttentionAttrs, k, n int) bool {
			for _, s := range buckets { // weights are shared, so it must pay in every bucket
				if !cost.PrecomputePays(a, k, n, s) {
					return false
				}
			}
			return true
		},
		LinearForm: cost.CPU.Linear,
	}
}

// OptionsOf are the options that a plan records.
func OptionsOf(p plan.Provenance) (Options, error) {
	o := Options{Version: p.Version}
	for _, f := range p.Flags {
		var err error
		switch f.Name {
		case "max-batch-tokens":
			o.MaxBatchTokens, err = strconv.Atoi(f.Value)
		case "seqlen-buckets":
			o.Buckets, err = ParseBuckets(f.Value)
		case "target":
			o.Target = f.Value
		default:
			err = fault.Newf(fault.Unfit, "flag is not known")
		}
		if err != nil {
			return o, fault.Newf(fault.Unfit, "recorded flag --%s %s: %w", f.Name, f.Value, err)
		}
	}
	return o, nil
}
