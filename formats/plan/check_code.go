package plan

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"etc/formats/plan/launch"
)

// kernels are those of the table, each once, with what the table says of them
// and with code that is one piece after another, each at the next multiple of
// 64. What is between them is zero, so that no code is hidden.
func (c *checker) kernels() error {
	seen := map[string]bool{}
	end := 0
	for i := range c.plan.Kernels {
		k := &c.plan.Kernels[i]
		err := checkKernel(k)
		if err == nil {
			if entry := k.Entry(); seen[entry] {
				err = fmt.Errorf("%s is there twice", entry)
			} else {
				seen[entry] = true
			}
		}
		if err == nil {
			end, err = c.code(k, end)
		}
		if err != nil {
			return refuse("kernel %d: %w", i, err)
		}
	}
	if size := len(c.plan.Code); size != int(align(int64(end))) {
		return refuse("code: %d bytes, want %d", size, align(int64(end)))
	}
	return c.codeGap(end)
}

func checkKernel(k *Kernel) error {
	if err := k.Check(); err != nil {
		return err
	}
	if t, s := k.Kernel.Threads(), k.Kernel.Shared(); k.Threads != t || k.Shared != s {
		return fmt.Errorf("%s has %d threads and %d bytes of shared memory, want %d and %d", k.Entry(), k.Threads, k.Shared, t, s)
	}
	for i := range k.Images {
		if err := checkImage(&k.Images[i]); err != nil {
			return fmt.Errorf("%s: image %d: %w", k.Entry(), i, err)
		}
		if i > 0 && !k.Images[i-1].before(&k.Images[i]) {
			return fmt.Errorf("%s: %v after %v, want images ascending, cubin before PTX", k.Entry(), &k.Images[i], &k.Images[i-1])
		}
	}
	return nil
}

// before says in what order images stand.
func (m *Image) before(next *Image) bool {
	return m.SM < next.SM || m.SM == next.SM && !m.PTX && next.PTX
}

func checkImage(m *Image) error {
	known := false
	for _, t := range targets {
		known = known || t.sm != 0 && t.sm == m.SM
	}
	if !known {
		return fmt.Errorf("architecture %d is not known", m.SM)
	}
	most := maxDim
	if m.PTX {
		most = 0
	}
	for _, n := range []int{m.Registers, m.Spills, m.StaticShared, m.Blocks} {
		if !within(n, 0, most) {
			return fmt.Errorf("%v uses %d of something, want 0 to %d", m, n, most)
		}
	}
	return nil
}

// elf begins every cubin.
const elf = "\x7fELF"

// code checks where source and images of k lie, after what ends at end, and
// what they begin with; it returns where they end.
func (c *checker) code(k *Kernel, end int) (int, error) {
	b, end, err := c.span(k.Source, end)
	if err != nil {
		return 0, fmt.Errorf("source of %s: %w", k.Entry(), err)
	}
	if !utf8.Valid(b) {
		return 0, fmt.Errorf("source of %s is not UTF-8", k.Entry())
	}
	for i := range k.Images {
		m := &k.Images[i]
		if b, end, err = c.span(m.Code, end); err != nil {
			return 0, fmt.Errorf("%v of %s: %w", m, k.Entry(), err)
		}
		if isELF := bytes.HasPrefix(b, []byte(elf)); isELF == m.PTX || m.PTX && !utf8.Valid(b) {
			return 0, fmt.Errorf("%v of %s begins with %q", m, k.Entry(), b[:min(len(b), len(elf))])
		}
	}
	return end, nil
}

// span is the bytes of s, which come after what ends at before.
func (c *checker) span(s Span, before int) ([]byte, int, error) {
	size := len(c.plan.Code)
	if want := int(align(int64(before))); s.Offset != want {
		return nil, 0, fmt.Errorf("offset %d, want %d", s.Offset, want)
	}
	if s.Offset > size || s.Size < 1 || s.Size > size-s.Offset {
		return nil, 0, fmt.Errorf("%d bytes from offset %d, of %d", s.Size, s.Offset, size)
	}
	end := s.Offset + s.Size
	return c.plan.Code[s.Offset:end], end, c.codeGap(before)
}

func (c *checker) codeGap(end int) error {
	for _, b := range c.plan.Code[end:align(int64(end))] {
		if b != 0 {
			return refuse("code: the gap from byte %d is not zero", end)
		}
	}
	return nil
}

// used checks that every kernel serves a program, and that each program has
// code for its architecture unless the plan has sources only.
func (c *checker) used() error {
	used := make([]bool, len(c.plan.Kernels))
	sourcesOnly := true
	for i := range c.plan.Kernels {
		sourcesOnly = sourcesOnly && len(c.plan.Kernels[i].Images) == 0
	}
	for _, q := range c.plan.Programs {
		sm := targets[q.Target].sm
		for _, i := range q.UsedKernels() {
			used[i] = true
			k := &c.plan.Kernels[i]
			if !sourcesOnly && !k.runsOn(sm) {
				return refuse("kernel %d: %s has no code for sm_%d, which program %s needs", i, k.Entry(), sm, q.Target)
			}
			if limit := sharedLimit(sm); k.Shared > limit {
				return refuse("kernel %d: %s needs %d bytes of shared memory, sm_%d has %d", i, k.Entry(), k.Shared, sm, limit)
			}
		}
	}
	for i, ok := range used {
		if !ok {
			return refuse("kernel %d: no step runs %s", i, c.plan.Kernels[i].Entry())
		}
	}
	return nil
}

// runsOn reports whether k has an image that devices of an architecture take.
func (k *Kernel) runsOn(sm int) bool {
	for _, m := range k.Images {
		if m.SM <= sm && (m.PTX || m.SM/10 == sm/10) {
			return true
		}
	}
	return false
}

func sharedLimit(sm int) int {
	if sm < 90 {
		return launch.SharedLimit80
	}
	return launch.SharedLimit90
}
