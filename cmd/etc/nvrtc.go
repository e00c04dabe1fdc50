package main

import (
	"context"
	"os"
	"path/filepath"

	"etc/codegen/cuda/nvrtc"
	"etc/compiler"
	"etc/compiler/cost"
	"etc/fault"
)

// readTuning reads the table that --tuning names.
func readTuning(path string) (*cost.Tuning, error) {
	if err := checkInput("--tuning", path); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return cost.ParseTuning(b)
}

// findNVRTC gives o the compiler of kernels, where a target needs one.
func (p *program) findNVRTC(ctx context.Context, o *compiler.Options, sourceOnly bool) error {
	if !o.GPU() || sourceOnly {
		return nil
	}
	c, err := nvrtc.Find(nvrtc.Options{Cache: cacheFolder(), Context: ctx})
	if err != nil {
		return err
	}
	if p.verbose {
		p.note("NVRTC %s: %s", c.Version(), c.Where())
	}
	o.NVRTC = c
	return nil
}

// cacheFolder is ETC_CACHE_DIR, else etc in the user's cache folder; "" where
// there is none. Deleting it changes nothing but time.
func cacheFolder() string {
	if dir := os.Getenv("ETC_CACHE_DIR"); dir != "" {
		return dir
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "etc")
	}
	return ""
}

// reproduceNVRTC gives o the compiler of kernels that a plan was made with.
// Another version makes other code.
func (p *program) reproduceNVRTC(ctx context.Context, o *compiler.Options, version string) error {
	if version == "" || !o.GPU() {
		return nil
	}
	if err := p.findNVRTC(ctx, o, false); err != nil {
		return err
	}
	if have := o.NVRTC.Version(); have != version {
		return fault.Newf(fault.Unfit, "the plan's kernels were compiled by NVRTC %s, this machine has %s: their bytes may differ", version, have)
	}
	return nil
}
