package kernels

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"etc/codegen/cuda/nvrtc"
	"etc/executor/ptxsim"
	"etc/formats/plan/launch"
)

var update = flag.Bool("update", false, "compile the PTX of testdata again")

// A suite is the kernels of a family whose PTX lies in testdata, and the cases
// that they are tested by.
type suite struct {
	name    string
	goldens func() []launch.Kernel
	cases   func() []testCase
}

// suites has every family: TestEveryFamilyHasCases.
var suites = []suite{
	{"attention", attentionGoldens, attentionCases},
	{"linear", linearGoldens, linearCases},
	{"linear_nll", linearNLLGoldens, linearNLLCases},
	{"block_sparse", blockSparseGoldens, blockSparseCases},
	{"sparse24", sparse24Goldens, sparse24Cases},
	{"csr", csrGoldens, csrCases},
	{"rowwise", rowwiseGoldens, rowwiseCases},
}

// goldens are all kernels with PTX in testdata, by entry.
func goldens() map[string]launch.Kernel {
	all := map[string]launch.Kernel{}
	for _, s := range suites {
		for _, k := range s.goldens() {
			all[k.Entry()] = k
		}
	}
	return all
}

const goldenFolder = "testdata/ptx"

func goldenPath(entry string) string { return filepath.Join(goldenFolder, entry+".ptx.gz") }

// goldenPTX is the PTX of a kernel in testdata.
func goldenPTX(entry string) ([]byte, error) {
	f, err := os.Open(goldenPath(entry))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// modules keeps what was parsed: tests share it.
var modules sync.Map

// goldenModule is the module of a kernel in testdata.
func goldenModule(t testing.TB, k launch.Kernel) *ptxsim.Module {
	t.Helper()
	if m, ok := modules.Load(k.Entry()); ok {
		return m.(*ptxsim.Module)
	}
	ptx, err := goldenPTX(k.Entry())
	if err != nil {
		t.Fatalf("%v: go test ./codegen/cuda/kernels -run TestGolden -update makes it, with NVRTC", err)
	}
	m, err := ptxsim.Parse(ptx)
	if err != nil {
		t.Fatalf("%s: %v", k.Entry(), err)
	}
	modules.Store(k.Entry(), m)
	return m
}

// modes are the orders of warps and blocks, and of background copies, in which
// a right kernel gives the same.
var modes = []ptxsim.Options{{}, {Reverse: true}, {EarlyCopies: true}, {Reverse: true, EarlyCopies: true}}

// TestKernels: each case, in both orders and with both kinds of copies, gives
// what it means, and no detector finds anything.
func TestKernels(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			for i, c := range s.cases() {
				m := goldenModule(t, c.Kernel)
				for j, o := range modes {
					if testing.Short() && j != i%len(modes) {
						continue
					}
					if err := c.Run(m, o); err != nil {
						t.Errorf("%s, reverse %t, early copies %t: %v", c.Name, o.Reverse, o.EarlyCopies, err)
					}
				}
			}
		})
	}
}

// TestEveryFamilyHasCases, and every case a kernel whose PTX is kept.
func TestEveryFamilyHasCases(t *testing.T) {
	kept, families := goldens(), map[string]bool{}
	for _, s := range suites {
		for _, c := range s.cases() {
			families[c.Kernel.Family] = true
			if _, ok := kept[c.Kernel.Entry()]; !ok {
				t.Errorf("%s: %s is not among the goldens", c.Name, c.Kernel.Entry())
			}
		}
	}
	for _, k := range kept {
		if !families[k.Family] {
			t.Errorf("no case runs %s", k.Entry())
		}
	}
	for _, family := range launch.Families() {
		if !families[family] {
			t.Errorf("no case runs a kernel of %s", family)
		}
	}
}

// compiler is NVRTC where it is found, as make nvrtc installs it or elsewhere.
func compiler() (*nvrtc.Compiler, error) {
	o := nvrtc.Options{Cache: os.Getenv("ETC_CACHE_DIR")}
	if bin, err := filepath.Abs("../../../bin"); err == nil {
		if _, err := os.Stat(filepath.Join(bin, "etc-nvrtc")); err == nil {
			o.Helper = filepath.Join(bin, "etc-nvrtc")
		}
	}
	return nvrtc.Find(o)
}

// sumsFile lists, for each file, the digest of the source it was made from, the
// version of NVRTC, and the digest of the PTX.
var sumsFile = filepath.Join(goldenFolder, "SUMS")

// A sum is one line of it.
type sum struct{ source, version, ptx string }

func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func readSums(t *testing.T) map[string]sum {
	t.Helper()
	f, err := os.Open(sumsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string]sum{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if w := strings.Fields(lines.Text()); len(w) == 4 {
			all[w[0]] = sum{w[1], w[2], w[3]}
		}
	}
	return all
}

// TestGoldenPTXIsUpToDate: the PTX that tests run was made from the sources
// that plans hold, and there is no other. It needs no NVRTC.
func TestGoldenPTXIsUpToDate(t *testing.T) {
	if *update {
		updateGoldens(t)
	}
	sums, all := readSums(t), goldens()
	for entry, k := range all {
		source, err := Source(k)
		if err != nil {
			t.Fatal(err)
		}
		ptx, err := goldenPTX(entry)
		switch s := sums[entry]; {
		case err != nil:
			t.Error(err)
		case s.source != digest([]byte(source)):
			t.Errorf("%s: its source has changed since its PTX was made: -update makes it again", entry)
		case s.ptx != digest(ptx):
			t.Errorf("%s: its PTX is not the one that was made", entry)
		}
	}
	files, err := filepath.Glob(goldenPath("*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := all[strings.TrimSuffix(filepath.Base(f), ".ptx.gz")]; !ok {
			t.Errorf("%s: no test runs it", f)
		}
	}
	if len(files) != len(sums) {
		t.Errorf("%d files, %d sums", len(files), len(sums))
	}
}

// TestGoldenPTXIsNVRTCs: what NVRTC makes of the sources is what is kept, where
// there is the version that made it.
func TestGoldenPTXIsNVRTCs(t *testing.T) {
	c, err := compiler()
	if err != nil {
		t.Skipf("no NVRTC: %v", err)
	}
	if testing.Short() {
		t.Skip("short")
	}
	sums := readSums(t)
	entries, code := compileGoldens(t, c, func(entry string) bool { return sums[entry].version == c.Version() })
	for i, entry := range entries {
		if got := digest(code[i].Bytes); got != sums[entry].ptx {
			t.Errorf("%s: NVRTC %s makes other PTX of it", entry, c.Version())
		}
	}
}

// compileGoldens compiles those that keep reports.
func compileGoldens(t *testing.T, c *nvrtc.Compiler, keep func(entry string) bool) ([]string, []nvrtc.Code) {
	t.Helper()
	all := goldens()
	var entries []string
	var jobs []nvrtc.Job
	for _, entry := range slices.Sorted(maps.Keys(all)) {
		if !keep(entry) {
			continue
		}
		source, err := Source(all[entry])
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry)
		jobs = append(jobs, nvrtc.Job{Name: entry, Source: source, SM: 80, PTX: true})
	}
	code, err := c.Compile(jobs)
	if err != nil {
		t.Fatal(err)
	}
	return entries, code
}

// updateGoldens makes what is missing or out of date, and removes what no test
// runs.
func updateGoldens(t *testing.T) {
	t.Helper()
	c, err := compiler()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(goldenFolder, 0o777); err != nil {
		t.Fatal(err)
	}
	entries, code := compileGoldens(t, c, func(string) bool { return true })
	var sums bytes.Buffer
	keep := map[string]bool{}
	all := goldens()
	for i, entry := range entries {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // no name and no time: the same bytes each time
		z.Write(code[i].Bytes)
		z.Close()
		if err := os.WriteFile(goldenPath(entry), b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		source, _ := Source(all[entry])
		fmt.Fprintln(&sums, entry, digest([]byte(source)), c.Version(), digest(code[i].Bytes))
		keep[goldenPath(entry)] = true
	}
	files, _ := filepath.Glob(goldenPath("*"))
	for _, f := range files {
		if !keep[f] {
			os.Remove(f)
		}
	}
	if err := os.WriteFile(sumsFile, sums.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}
