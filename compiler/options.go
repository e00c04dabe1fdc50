package compiler

import (
	"slices"
	"strconv"
	"strings"

	"etc/compiler/cost"
	"etc/fault"
	"etc/formats/plan"
)

// resolve checks o against the model and puts defaults in place.
func (o *Options) resolve(m *plan.Model) error {
	if len(o.Targets) == 0 {
		return fault.Newf(fault.Usage, "no target: want some of %s", strings.Join(Targets, ", "))
	}
	for i, target := range o.Targets {
		switch {
		case !slices.Contains(Targets, target):
			return fault.Newf(fault.Unsupported, "target %q: supported are %s", target, strings.Join(Targets, ", "))
		case slices.Contains(o.Targets[:i], target):
			return fault.Newf(fault.Usage, "target %q is given twice", target)
		}
	}
	if o.MaxBatchTokens == 0 {
		o.MaxBatchTokens = DefaultMaxBatchTokens
	}
	if o.MaxBatchTokens < 1 || o.MaxBatchTokens > plan.MostBatchTokens {
		return fault.Newf(fault.Usage, "%d tokens in a batch, want 1 to %d", o.MaxBatchTokens, plan.MostBatchTokens)
	}
	if len(o.Buckets) == 0 {
		o.Buckets = DefaultBuckets(m.MaxTokens)
	}
	if len(o.Buckets) > maxBuckets {
		return fault.Newf(fault.Usage, "%d sequence length buckets, want at most %d", len(o.Buckets), maxBuckets)
	}
	last := 0
	for _, b := range o.Buckets {
		switch {
		case b <= last:
			return fault.Newf(fault.Usage, "bucket %d after %d: want them ascending from 1", b, last)
		case b > m.MaxTokens:
			return fault.Newf(fault.Usage, "bucket %d: this model takes at most %d tokens", b, m.MaxTokens)
		}
		last = b
	}
	return nil
}

// flags are recorded as resolved, so that a rebuild needs no defaults.
func (o *Options) flags() []plan.Flag {
	var lengths []string
	for _, b := range o.Buckets {
		lengths = append(lengths, strconv.Itoa(b))
	}
	flags := []plan.Flag{
		{Name: "max-batch-tokens", Value: strconv.Itoa(o.MaxBatchTokens)},
		{Name: "seqlen-buckets", Value: strings.Join(lengths, ",")},
		{Name: "target", Value: strings.Join(o.Targets, ",")},
	}
	if o.GPU() {
		compiler := sourceOnly
		if o.NVRTC != nil {
			compiler = o.NVRTC.Version()
		}
		flags = append(flags, plan.Flag{Name: "nvrtc", Value: compiler})
		if o.Tuning != nil {
			flags = append(flags, plan.Flag{Name: "tuning", Value: string(o.Tuning.Encode())})
		}
	}
	slices.SortFunc(flags, func(a, b plan.Flag) int { return strings.Compare(a.Name, b.Name) })
	return flags
}

// sourceOnly is recorded in place of NVRTC's version where it did not compile.
const sourceOnly = "none"

// GPU reports whether any of the targets is one.
func (o *Options) GPU() bool {
	return slices.ContainsFunc(o.Targets, func(name string) bool { return strings.HasPrefix(name, "sm_") })
}

// OptionsOf are the options that a plan records, and the version of NVRTC that
// compiled its kernels, "" where none did.
func OptionsOf(p plan.Provenance) (o Options, nvrtc string, err error) {
	o.Version = p.Version
	for _, f := range p.Flags {
		switch f.Name {
		case "max-batch-tokens":
			o.MaxBatchTokens, err = strconv.Atoi(f.Value)
		case "seqlen-buckets":
			o.Buckets, err = ParseBuckets(f.Value)
		case "target":
			o.Targets = strings.Split(f.Value, ",")
		case "nvrtc":
			if f.Value != sourceOnly {
				nvrtc = f.Value
			}
		case "tuning":
			o.Tuning, err = cost.ParseTuning([]byte(f.Value))
		default:
			err = fault.Newf(fault.Unfit, "flag is not known")
		}
		if err != nil {
			return o, "", fault.Newf(fault.Unfit, "recorded flag --%s %s: %w", f.Name, f.Value, err)
		}
	}
	return o, nvrtc, nil
}
