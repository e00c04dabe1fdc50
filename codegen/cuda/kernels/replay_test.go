package kernels

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"etc/executor/gpu"
	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
)

// A replay repeats each launch of a case on a driver, with the memory that it
// began with in the simulator, and puts what it leaves there in the place of
// what the simulator left. So the case compares the driver's results with what
// they mean, by the tolerance of the operator, and finds the driver's poison.
//
// Beside that the driver is compared with the simulator: operands must stay as
// they are, and so must what lies between them; what a kernel that leaves no
// rounding open writes must be equal. Of the others it is counted what differs:
// both are held to the same tolerance, so they differ by at most twice that.
type replay struct {
	driver  gpu.Driver
	modules map[string]gpu.Module // by entry
	kernels map[string]launch.Kernel
	exact   map[string]bool // kernels that leave no rounding open

	launches, values int
	families         map[string]bool // those with a result that differs, or none
	units            [3]int          // results that differ by one unit in the last place, by two or three, by more
	most             int64           // units
	where            string          // of the most
}

func newReplay(d gpu.Driver) *replay {
	return &replay{driver: d, modules: map[string]gpu.Module{}, kernels: goldens(), exact: map[string]bool{}, families: map[string]bool{}}
}

func (r *replay) close() error {
	var errs []error
	for _, m := range r.modules {
		errs = append(errs, m.Close())
	}
	return errors.Join(append(errs, r.driver.Close())...)
}

func (r *replay) differ() int { return r.units[0] + r.units[1] + r.units[2] }

func (r *replay) String() string {
	var equal []string
	for _, f := range slices.Sorted(maps.Keys(r.families)) {
		if !r.families[f] {
			equal = append(equal, f)
		}
	}
	return fmt.Sprintf("%d of %d results have other bits than the simulator's: %d by one unit in the last place, %d by two or three, %d by more %s; all are equal of %q",
		r.differ(), r.values, r.units[0], r.units[1], r.units[2], r.where, equal)
}

// forget begins to count anew.
func (r *replay) forget() {
	r.launches, r.values, r.units, r.most, r.where, r.families = 0, 0, [3]int{}, 0, "", map[string]bool{}
}

func (r *replay) function(entry string, shared int) (gpu.Function, error) {
	m := r.modules[entry]
	if m == nil {
		if _, ok := r.kernels[entry]; !ok {
			return nil, fmt.Errorf("%s is not among the goldens", entry)
		}
		ptx, err := goldenPTX(entry)
		if err != nil {
			return nil, err
		}
		if m, err = r.driver.Load(ptx, true); err != nil {
			return nil, err
		}
		r.modules[entry], r.exact[entry] = m, correctlyRounded(ptx)
	}
	return m.Function(entry, shared)
}

// correctlyRounded says whether PTX has nothing that a device may round as it
// likes: products of matrices, approximations, and products and sums without a
// rounding, which may become one operation.
func correctlyRounded(ptx []byte) bool {
	products, sums := false, false
	for line := range strings.Lines(string(ptx)) {
		line, _, _ = strings.Cut(line, "//")
		if strings.Contains(line, "mma.") || strings.Contains(line, ".approx.") || strings.Contains(line, ".full.") {
			return false
		}
		products = products || strings.Contains(line, "mul.f32") || strings.Contains(line, "mul.ftz.f32")
		sums = sums || strings.Contains(line, "add.f32") || strings.Contains(line, "sub.f32") || strings.Contains(line, "add.ftz.f32") || strings.Contains(line, "sub.ftz.f32")
	}
	return !(products && sums)
}

// guard lies before, between and behind what the driver gets.
const (
	guard      = 0xa6
	guardBytes = 4096
)

// An image is memory of the simulator as it lies on the driver: one stretch,
// so that addresses move by the same distance.
type image struct {
	first uint64 // the simulator's address of the first byte
	bytes []byte
}

func newImage(all []ptxsim.Memory) image {
	first, end := uint64(math.MaxUint64), uint64(0)
	for _, m := range all {
		first, end = min(first, m.Address-guardBytes), max(end, m.Address+uint64(len(m.Before))+guardBytes)
	}
	i := image{first, bytes.Repeat([]byte{guard}, int(end-first))}
	for _, m := range all {
		copy(i.of(m), m.Before)
	}
	return i
}

func (i image) of(m ptxsim.Memory) []byte { return i.bytes[m.Address-i.first:][:len(m.Before)] }

// launch runs l on the driver and puts its memory in the place of the simulator's.
func (r *replay) launch(l ptxsim.Launch, all []ptxsim.Memory) error {
	r.launches++
	entry := l.Kernel.Name()
	f, err := r.function(entry, l.Shared)
	if err != nil {
		return err
	}
	if l.Block[1] != 1 || l.Block[2] != 1 {
		return fmt.Errorf("%s: blocks of %v threads, want one dimension", entry, l.Block)
	}
	i := newImage(all)
	at, err := r.driver.Alloc(entry, int64(len(i.bytes)))
	if err != nil {
		return err
	}
	defer r.driver.Free(at)
	if err := r.driver.Upload(at, i.bytes); err != nil {
		return err
	}
	k, op := r.kernels[entry], gpu.Operation{Label: entry, Function: f, Grid: l.Grid, Threads: l.Block[0], Shared: l.Shared}
	results := map[uint64]string{} // the simulator's addresses to types
	for n, p := range k.Params() {
		a := gpu.Arg{Bits: l.Args[n].Bits, Size: l.Args[n].Size}
		if p.Kind == launch.Pointer && a.Bits != 0 {
			if t := resultType(k, p.Name); t != "" {
				results[a.Bits] = t
			}
			a.Bits += uint64(at) - i.first
		}
		op.Args = append(op.Args, a)
	}
	if i.bytes, err = r.run(op, at, len(i.bytes)); err != nil {
		return err
	}
	var errs []error
	before := r.differ()
	for _, m := range all {
		got := i.of(m)
		errs = append(errs, r.compare(m.Name, results[m.Address], r.exact[entry], got, m.After))
		copy(m.After, got)
		copy(got, bytes.Repeat([]byte{guard}, len(got)))
	}
	r.families[k.Family] = r.families[k.Family] || r.differ() > before
	for n, b := range i.bytes {
		if b != guard {
			errs = append(errs, fmt.Errorf("%s writes beside all memory, %d bytes from its begin", entry, n-guardBytes))
			break
		}
	}
	return errors.Join(errs...)
}

// run gives the n bytes at at, after op.
func (r *replay) run(op gpu.Operation, at gpu.Address, n int) ([]byte, error) {
	host, err := r.driver.Staging(n)
	if err != nil {
		return nil, err
	}
	q, err := r.driver.Prepare([]gpu.Operation{op})
	if err == nil {
		err = r.driver.Start(0, gpu.Work{Sequence: q, Download: []gpu.Transfer{{Host: host, Device: at}}})
		err = errors.Join(err, r.driver.Wait(0), q.Close())
	}
	got := bytes.Clone(host)
	return got, errors.Join(err, r.driver.FreeStaging(host))
}

// resultType is f32, f16 or bf16 for a pointer to a result, "chunks" for what
// linear_nll says of chunks (float, float, int, float), "" for an operand.
func resultType(k launch.Kernel, param string) string {
	switch {
	case param == "partial" && k.Family == "linear_nll":
		return "chunks"
	case param == "scores" && k.Family == "partial_otf_scores", param == "nll", param == "hit":
		return "f32"
	}
	wide, ok := map[string]string{"y": "OUT32", "sum": "S32", "norm": "N32"}[param]
	switch {
	case !ok:
		return ""
	case k.Value(wide) == 1:
		return "f32"
	case k.Value("DTYPE") == launch.BF16:
		return "bf16"
	}
	return "f16"
}

// compare counts which results differ from the simulator's, and says where one
// does that must not.
func (r *replay) compare(name, kind string, exact bool, got, want []byte) error {
	if kind == "" {
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s, which the kernel may not write, differs", name)
		}
		return nil
	}
	size := 2
	if kind == "f32" || kind == "chunks" {
		size = 4
	}
	bad, first := 0, ""
	for i := 0; i+size <= len(got); i += size {
		r.values++
		g, w := got[i:i+size], want[i:i+size]
		if bytes.Equal(g, w) {
			continue
		}
		if bad++; bad == 1 {
			first = fmt.Sprintf("%s[%d] is %x, the simulator's %x", name, i/size, g, w)
		}
		off := steps(g) - steps(w)
		if kind == "chunks" && i/size%4 == 2 {
			off = int64(binary.LittleEndian.Uint32(g)) - int64(binary.LittleEndian.Uint32(w))
		}
		off = max(off, -off)
		r.units[min(off/2, 2)]++
		if off > r.most {
			r.most, r.where = off, fmt.Sprintf("(%d: %s[%d], %x for %x)", off, name, i/size, g, w)
		}
	}
	if exact && bad > 0 {
		return fmt.Errorf("%d of %d differ, and nothing in the kernel may be rounded otherwise: %s", bad, len(got)/size, first)
	}
	return nil
}

// steps numbers the values of a type in their order: neighbours are 1 apart.
func steps(b []byte) int64 {
	v, sign := int64(0), int64(1)<<(8*len(b)-1)
	for i, x := range b {
		v |= int64(x) << (8 * i)
	}
	if v&sign != 0 {
		return sign - v
	}
	return v
}

// runCase runs a case whose results are the driver's.
func (r *replay) runCase(t *testing.T, c testCase) error {
	before := r.launches
	if err := c.Run(goldenModule(t, c.Kernel), ptxsim.Options{Elsewhere: r.launch}); err != nil {
		return err
	}
	if r.launches == before {
		return errors.New("the case launches nothing")
	}
	return nil
}

// crooked is a driver that is wrong: it changes what is launched, or memory
// after a launch. bend is given the memory before and after and the results
// among it.
type crooked struct {
	gpu.Driver
	kernels map[string]launch.Kernel
	change  func(k launch.Kernel, op *gpu.Operation)
	bend    func(before, after []byte, results []result)

	at      gpu.Address
	before  []byte
	results []result
}

// A result is where one begins in memory, and its type.
type result struct {
	from int
	kind string
}

func (c *crooked) Upload(to gpu.Address, b []byte) error {
	c.at, c.before = to, bytes.Clone(b)
	return c.Driver.Upload(to, b)
}

func (c *crooked) Prepare(ops []gpu.Operation) (gpu.Sequence, error) {
	k := c.kernels[ops[0].Label]
	c.results = nil
	for i, p := range k.Params() {
		if kind := resultType(k, p.Name); kind != "" && ops[0].Args[i].Bits != 0 {
			c.results = append(c.results, result{int(ops[0].Args[i].Bits - uint64(c.at)), kind})
		}
	}
	if c.change != nil {
		c.change(k, &ops[0])
	}
	return c.Driver.Prepare(ops)
}

func (c *crooked) Start(slot int, w gpu.Work) error {
	err := c.Driver.Start(slot, w)
	if err == nil && c.bend != nil {
		c.bend(c.before, w.Download[0].Host, c.results)
	}
	return err
}

// largest finds the largest number that was written to the last result.
func largest(before, after []byte, results []result) (at int, kind string) {
	last := results[len(results)-1]
	size, most := 2, -1.0
	if last.kind == "f32" || last.kind == "chunks" {
		size = 4
	}
	for i := last.from; i+size <= len(after); i += size {
		b := after[i : i+size]
		if bytes.Count(b, []byte{guard}) == size { // the end of the result
			break
		}
		v := math.Abs(valueOf(last.kind, b))
		if bytes.Equal(b, before[i:i+size]) || last.kind == "chunks" && (i-last.from)/4%4 != 0 || !(v > most) || math.IsInf(v, 0) {
			continue
		}
		at, most = i, v
	}
	return at, last.kind
}

func valueOf(kind string, b []byte) float64 {
	l := linearLaunch{bf16: kind == "bf16"}
	return l.number(b)
}

// A wrong is what a crooked driver does.
type wrong struct {
	name   string
	change func(k launch.Kernel, op *gpu.Operation)
	bend   func(before, after []byte, results []result)
}

var wrongs = []wrong{
	{name: "nothing is run", change: func(_ launch.Kernel, op *gpu.Operation) { op.Function = nil }},
	{name: "a result is 3 % off", bend: func(before, after []byte, results []result) {
		at, kind := largest(before, after, results)
		l := linearLaunch{bf16: kind == "bf16"}
		wide := kind == "f32" || kind == "chunks"
		size := l.size(wide)
		copy(after[at:], l.numbers([]float64{1.03 * valueOf(kind, after[at:at+size])}, wide))
	}},
	{name: "a result is not written", bend: func(before, after []byte, results []result) {
		at, _ := largest(before, after, results)
		copy(after[at:at+2], before[at:at+2])
	}},
	{name: "an operand is written", bend: func(_, after []byte, _ []result) { after[guardBytes] ^= 1 }},
	{name: "a byte beside all memory is written", bend: func(_, after []byte, _ []result) { after[guardBytes-1] ^= 1 }},
	{name: "a byte behind all memory is written", bend: func(_, after []byte, _ []result) { after[len(after)-guardBytes] ^= 1 }},
}

// TestReplay: the simulator is equal to itself, and wrong drivers are found, in
// the first case of each family that has several blocks of results.
func TestReplay(t *testing.T) {
	const several = 3000 // results, or more
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			tried := map[string]bool{}
			right := newReplay(ptxsim.NewDriver(ptxsim.Options{Unchecked: true, Reverse: true}))
			for _, c := range s.cases() {
				if tried[c.Kernel.Family] {
					continue
				}
				right.forget()
				if err := right.runCase(t, c); err != nil || right.differ() != 0 || right.values == 0 {
					t.Errorf("%s: %v; %s", c.Name, err, right)
				}
				if right.values < several && !strings.HasPrefix(c.Kernel.Family, "linear_nll") { // which gives one number for each token
					continue
				}
				tried[c.Kernel.Family] = true
				for _, w := range wrongs {
					if err := w.run(t, c); err == nil {
						t.Errorf("%s: passes, though %s", c.Name, w.name)
					}
				}
			}
			for _, c := range s.cases() {
				if f := c.Kernel.Family; !tried[f] {
					t.Errorf("no case of %s is large", f)
					tried[f] = true
				}
			}
			if err := right.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// run is the replay of a case on the wrong driver.
func (w wrong) run(t *testing.T, c testCase) error {
	r := newReplay(&crooked{Driver: ptxsim.NewDriver(ptxsim.Options{Unchecked: true}), kernels: goldens(), change: w.change, bend: w.bend})
	return errors.Join(r.runCase(t, c), r.close())
}

// TestWrongWordIsFound: linear_nll's word of the largest logit is an int among
// numbers; the next word, or the last bit, is another.
func TestWrongWordIsFound(t *testing.T) {
	product, _ := lossKernels(launch.F16)
	next := wrong{name: "a word is off by one", bend: func(before, after []byte, results []result) {
		if last := results[len(results)-1]; last.kind == "chunks" {
			at := last.from
			for ; after[at] != guard || after[at+1] != guard || after[at+2] != guard; at += 16 { // to the end
			}
			after[at-8]++
		}
	}}
	for i, p := range lossProblems(launch.F16) {
		c := linearNLLCases()[2*i]
		if c.Kernel.Entry() != product.Entry() {
			t.Fatalf("%s, want a case of %s", c.Name, product.Entry())
		}
		if err := next.run(t, c); err == nil || !strings.Contains(err.Error(), "the word of chunk") {
			t.Errorf("%v: %v", p, err)
		}
	}
}

// TestExactKernels: these have to be equal on any device, to the last bit. The
// results of others may be off by a bit.
func TestExactKernels(t *testing.T) {
	last := wrong{name: "a result is off by its last bit", bend: func(before, after []byte, results []result) {
		at, _ := largest(before, after, results)
		after[at] ^= 1
	}}
	exact := map[string]bool{"embed": false, "select_rows": true, "pool": false, "csr_linear_act1": false, "csr_linear_dtype1_out321_r321": false,
		"linear_bk64_bm16_bn64_stages8_wm16_wn32": false, "skip_layernorm": false}
	for _, s := range suites {
		for _, c := range s.cases() {
			entry := c.Kernel.Entry()
			want, ok := exact[entry]
			if !ok {
				continue
			}
			delete(exact, entry)
			ptx, err := goldenPTX(entry)
			if err != nil {
				t.Fatal(err)
			}
			if got := correctlyRounded(ptx); got != want {
				t.Errorf("%s: no rounding is open: %t, want %t", entry, got, want)
			}
			if err := last.run(t, c); want != (err != nil && strings.Contains(err.Error(), "may be rounded otherwise")) {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
	if len(exact) > 0 {
		t.Errorf("no case runs %v", exact)
	}
}

// TestReplayCounts: how far two results are apart.
func TestReplayCounts(t *testing.T) {
	for _, c := range []struct {
		kind      string
		want, got []byte
		units     [3]int
		most      int64
	}{
		{"f16", []byte{0, 0x3c}, []byte{1, 0x3c}, [3]int{1}, 1},
		{"f16", []byte{0xff, 0x3b}, []byte{2, 0x3c}, [3]int{0, 1}, 3},
		{"bf16", []byte{0x80, 0x3f, 1, 0}, []byte{0x84, 0x3f, 1, 0x80}, [3]int{0, 1, 1}, 4},
		{"f32", []byte{0, 0, 0x80, 0xbf}, []byte{1, 0, 0x80, 0xbf}, [3]int{1}, 1},
		{"f32", []byte{0, 0, 0x80, 0x3f}, []byte{0, 0, 0x80, 0x3f}, [3]int{}, 0},
		{"chunks", make([]byte, 16), []byte{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0}, [3]int{1, 0, 1}, 1<<32 - 1},
	} {
		r := new(replay)
		if err := r.compare(c.kind, c.kind, false, c.got, c.want); err != nil || r.units != c.units || r.most != c.most {
			t.Errorf("%s: %x for %x: %v; %v, at most %d, want %v, at most %d", c.kind, c.got, c.want, err, r.units, r.most, c.units, c.most)
		}
	}
}
