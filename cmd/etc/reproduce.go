package main

import (
	"bytes"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"etc/compiler"
	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
)

func reproduceCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "reproduce PLAN.etp MODEL",
		Short: "Build a plan again from its recorded flags and compare bytes",
		Args:  cobra.ExactArgs(2),
		RunE:  func(c *cobra.Command, args []string) error { return p.reproduce(c.Context(), args[0], args[1]) },
	}
}

func (p *program) reproduce(ctx context.Context, path, model string) error {
	f, err := plan.Open(path, plan.OpenOptions{})
	if err != nil {
		return err
	}
	defer f.Close()
	was := f.Plan.Provenance
	if was.Version != version {
		return fault.Newf(fault.Unfit, "%s was made by etc %s, this is %s: its bytes may differ", path, was.Version, version).
			WithHint("reproduce it with etc %s", was.Version)
	}
	c, err := checkpoint.Open(model)
	if err != nil {
		return err
	}
	defer c.Close()
	digest, err := c.Digest()
	if err != nil {
		return err
	}
	if digest != was.Source {
		return fault.Newf(fault.Tolerance, "%s is not the checkpoint of this plan: digest %x, the plan records %x", model, digest[:8], was.Source[:8])
	}
	o, nvrtcVersion, err := compiler.OptionsOf(was)
	if err == nil {
		err = p.reproduceNVRTC(ctx, &o, nvrtcVersion)
	}
	if err != nil {
		return err
	}
	r, err := compiler.Compile(c, o)
	if err != nil {
		return err
	}
	now := plan.Encode(r.Plan)
	before := f.Bytes()
	if f.Signer() != nil { // all but the header is the same, signed or not
		before = slices.Concat(f.UnsignedHeader(), before[len(f.UnsignedHeader()):])
	}
	if !bytes.Equal(now, before) {
		at := 0
		for at < min(len(now), len(before)) && now[at] == before[at] {
			at++
		}
		return fault.Newf(fault.Tolerance, "FAILED: the plan built again differs from byte %d on (%d bytes, %d before)", at, len(now), len(before))
	}
	p.note("PASSED: the same %d bytes", len(now))
	return nil
}
