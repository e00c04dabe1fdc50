package kernels

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"etc/executor/gpu"
	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
)

// A replay does on a driver what was done in the simulator, and compares.
type replay struct {
	driver  gpu.Driver
	modules map[string]gpu.Module // by entry
	kernels map[string]launch.Kernel

	values, differ int     // results compared, and those with other bits
	largest        float64 // the largest difference, in what is allowed
	where          string  // of the largest
}

func newReplay(d gpu.Driver) *replay {
	return &replay{driver: d, modules: map[string]gpu.Module{}, kernels: goldens()}
}

func (r *replay) close() error {
	var errs []error
	for _, m := range r.modules {
		errs = append(errs, m.Close())
	}
	return errors.Join(append(errs, r.driver.Close())...)
}

func (r *replay) function(entry string, shared int) (gpu.Function, error) {
	m := r.modules[entry]
	if m == nil {
		k, ok := r.kernels[entry]
		if !ok {
			return nil, fmt.Errorf("%s is not among the goldens", entry)
		}
		var err error
		if m, err = loadGolden(r.driver, k); err != nil {
			return nil, err
		}
		r.modules[entry] = m
	}
	return m.Function(entry, shared)
}

func loadGolden(d gpu.Driver, k launch.Kernel) (gpu.Module, error) {
	ptx, err := goldenPTX(k.Entry())
	if err != nil {
		return nil, err
	}
	return d.Load(ptx, true)
}

// run does all of one device's actions and compares every byte of all its memory.
func (r *replay) run(t *ptxsim.Traced) error {
	at := make([]gpu.Address, len(t.Memory))
	defer func() {
		for _, a := range at {
			if a != 0 {
				r.driver.Free(a)
			}
		}
	}()
	for i, m := range t.Memory {
		if len(m.Bytes()) == 0 {
			continue
		}
		var err error
		if at[i], err = r.driver.Alloc(m.Name, int64(len(m.Bytes()))); err != nil {
			return err
		}
		if err := r.driver.Upload(at[i], bytes.Repeat([]byte{0xff}, len(m.Bytes()))); err != nil {
			return err
		}
	}
	results := map[int]string{} // index of memory to the type of a result in it
	for _, a := range t.Actions {
		if a.Launch == nil {
			i, err := memoryOf(t, a.Address)
			if err != nil {
				return err
			}
			if err := r.driver.Upload(at[i]+gpu.Address(a.Address-t.Memory[i].Address), a.Bytes); err != nil {
				return err
			}
			continue
		}
		if err := r.launch(t, at, *a.Launch, results); err != nil {
			return err
		}
	}
	var errs []error
	for i, m := range t.Memory {
		if at[i] == 0 {
			continue
		}
		got, err := r.download(at[i], len(m.Bytes()))
		if err != nil {
			return err
		}
		errs = append(errs, r.compare(m.Name, results[i], got, m.Bytes()))
	}
	return errors.Join(errs...)
}

func memoryOf(t *ptxsim.Traced, address uint64) (int, error) {
	for i, m := range t.Memory {
		if address >= m.Address && address < m.Address+uint64(max(len(m.Bytes()), 1)) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%#x is in no memory of the trace", address)
}

// launch runs l with the addresses of the driver.
func (r *replay) launch(t *ptxsim.Traced, at []gpu.Address, l ptxsim.Launch, results map[int]string) error {
	entry := l.Kernel.Name()
	f, err := r.function(entry, l.Shared)
	if err != nil {
		return err
	}
	if l.Block[1] != 1 || l.Block[2] != 1 {
		return fmt.Errorf("%s: blocks of %v threads, want one dimension", entry, l.Block)
	}
	k, op := r.kernels[entry], gpu.Operation{Label: entry, Function: f, Grid: l.Grid, Threads: l.Block[0], Shared: l.Shared}
	for i, p := range k.Params() {
		a := gpu.Arg{Bits: l.Args[i].Bits, Size: l.Args[i].Size}
		if p.Kind == launch.Pointer && a.Bits != 0 {
			m, err := memoryOf(t, a.Bits)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", entry, p.Name, err)
			}
			a.Bits = uint64(at[m]) + a.Bits - t.Memory[m].Address
			if kind := resultType(k, p.Name); kind != "" {
				results[m] = kind
			}
		}
		op.Args = append(op.Args, a)
	}
	q, err := r.driver.Prepare([]gpu.Operation{op})
	if err != nil {
		return err
	}
	err = r.driver.Start(0, gpu.Work{Sequence: q})
	return errors.Join(err, r.driver.Wait(0), q.Close())
}

// resultType is f32, f16 or bf16 for a pointer to a result, "" for an operand.
func resultType(k launch.Kernel, param string) string {
	wide := map[string]string{"y": "OUT32", "sum": "S32", "norm": "N32"}
	switch param {
	case "scores", "partial", "nll", "hit":
		return "f32"
	case "y", "sum", "norm":
		if k.Value(wide[param]) == 1 {
			return "f32"
		}
		if k.Value("DTYPE") == launch.BF16 {
			return "bf16"
		}
		return "f16"
	}
	return ""
}

func (r *replay) download(a gpu.Address, n int) ([]byte, error) {
	host, err := r.driver.Staging(n)
	if err != nil {
		return nil, err
	}
	q, err := r.driver.Prepare(nil)
	if err == nil {
		err = r.driver.Start(0, gpu.Work{Sequence: q, Download: []gpu.Transfer{{Host: host, Device: a}}})
		err = errors.Join(err, r.driver.Wait(0), q.Close())
	}
	got := bytes.Clone(host)
	return got, errors.Join(err, r.driver.FreeStaging(host))
}

// compare holds got against the simulator's bytes. What is no result must be
// equal. A result may differ because a card's ex2.approx, rsqrt and sums of
// tensor cores may round otherwise: f16 and bf16 by 2 units in the last place
// of the larger, f32 by 2^-20 of it; and either by 2^-22 of the largest number
// beside it, where a sum cancels. This rule was never tried on a card.
func (r *replay) compare(name, kind string, got, want []byte) error {
	if kind == "" {
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s, which no kernel may write, differs", name)
		}
		return nil
	}
	g, w := numbersOf(kind, got), numbersOf(kind, want)
	unit := map[string]float64{"f16": 0x1p-9, "bf16": 0x1p-6, "f32": 0x1p-20}[kind]
	floor := map[string]float64{"f16": 0x1p-23, "bf16": 0, "f32": 0}[kind] // 2 units of f16's subnormals
	largest := 0.0
	for _, v := range w {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			largest = max(largest, math.Abs(v))
		}
	}
	size, bad, first := len(got)/len(g), 0, ""
	for i := range g {
		r.values++
		if bytes.Equal(got[i*size:(i+1)*size], want[i*size:(i+1)*size]) {
			continue
		}
		r.differ++
		_, e := math.Frexp(max(math.Abs(g[i]), math.Abs(w[i])))
		off := math.Abs(g[i]-w[i]) / max(math.Ldexp(unit, e-1), floor, largest*0x1p-22)
		if off > r.largest {
			r.largest, r.where = off, fmt.Sprintf("%s[%d]: %g, simulator %g", name, i, g[i], w[i])
		}
		if !(off <= 1) {
			if bad++; bad == 1 {
				first = fmt.Sprintf("%s[%d] is %g, the simulator's %g", name, i, g[i], w[i])
			}
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d: %s", bad, len(g), first)
	}
	return nil
}

func numbersOf(kind string, b []byte) []float64 {
	var out []float64
	if kind == "f32" {
		for i := 0; i+4 <= len(b); i += 4 {
			out = append(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))))
		}
		return out
	}
	for i := 0; i+2 <= len(b); i += 2 {
		h := binary.LittleEndian.Uint16(b[i:])
		if kind == "bf16" {
			out = append(out, float64(math.Float32frombits(uint32(h)<<16)))
		} else {
			out = append(out, half(h))
		}
	}
	return out
}

// half is the value of an f16.
func half(h uint16) float64 {
	e, m := int(h>>10&31), float64(h&1023)
	v := math.Ldexp(m+1024, e-25)
	switch {
	case e == 0:
		v = math.Ldexp(m, -24)
	case e == 31 && m != 0:
		return math.NaN()
	case e == 31:
		v = math.Inf(1)
	}
	if h>>15 == 1 {
		return -v
	}
	return v
}

// replayCase runs a case in the simulator, then again on r's driver.
func replayCase(t *testing.T, r *replay, c testCase) error {
	trace := &ptxsim.Trace{}
	if err := c.Run(goldenModule(t, c.Kernel), ptxsim.Options{Trace: trace}); err != nil {
		return err
	}
	launches := 0
	for _, d := range trace.Devices {
		for _, a := range d.Actions {
			if a.Launch != nil {
				launches++
			}
		}
		if err := r.run(d); err != nil {
			return err
		}
	}
	if launches == 0 {
		return errors.New("the case launches nothing")
	}
	return nil
}

// crooked is a driver whose launches are changed.
type crooked struct {
	gpu.Driver
	change func(*gpu.Operation)
}

func (c crooked) Prepare(ops []gpu.Operation) (gpu.Sequence, error) {
	for i := range ops {
		c.change(&ops[i])
	}
	return c.Driver.Prepare(ops)
}

// TestReplay: the simulator is equal to itself, and a driver that runs
// nothing is found.
func TestReplay(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			c := s.cases()[0]
			same := newReplay(ptxsim.NewDriver(ptxsim.Options{Unchecked: true, Reverse: true}))
			if err := replayCase(t, same, c); err != nil || same.differ != 0 || same.values == 0 {
				t.Errorf("%s: %v; %d of %d results differ: %s", c.Name, err, same.differ, same.values, same.where)
			}
			wrong := newReplay(crooked{ptxsim.NewDriver(ptxsim.Options{Unchecked: true}), func(op *gpu.Operation) { op.Function = nil }})
			if err := replayCase(t, wrong, c); err == nil {
				t.Errorf("%s: a driver that runs nothing passes", c.Name)
			}
			for _, r := range []*replay{same, wrong} {
				if err := r.close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestReplayTolerance: the least difference that is too much, for each type.
func TestReplayTolerance(t *testing.T) {
	for _, c := range []struct {
		kind      string
		want, got []byte
		ok        bool
	}{
		{"f16", []byte{0, 0x3c}, []byte{2, 0x3c}, true},
		{"f16", []byte{0, 0x3c}, []byte{3, 0x3c}, false},
		{"bf16", []byte{0x80, 0x3f}, []byte{0x82, 0x3f}, true},
		{"bf16", []byte{0x80, 0x3f}, []byte{0x83, 0x3f}, false},
		{"f32", []byte{0, 0, 0x80, 0x3f}, []byte{8, 0, 0x80, 0x3f}, true},
		{"f32", []byte{0, 0, 0x80, 0x3f}, []byte{9, 0, 0x80, 0x3f}, false},
		{"f32", []byte{0, 0, 0x80, 0x3f}, []byte{0, 0, 0xc0, 0x7f}, false},
		{"", []byte{1}, []byte{2}, false},
	} {
		if err := new(replay).compare(strings.ToUpper(c.kind), c.kind, c.got, c.want); (err == nil) != c.ok {
			t.Errorf("%s: %v against %v: %v", c.kind, c.got, c.want, err)
		}
	}
}
