package nvrtc

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"etc/fault"
)

// TestMain makes the test binary a helper too, one that does as its sources say.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && filepath.Base(os.Args[1]) == "libnvrtc.so.12" {
		helper()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	fakePTX   = ".version 8.8\n.target sm_80\n\t.file\t1 \"/some/folder/k.cu\"\n"
	fakePtxas = "ptxas info    : 0 bytes stack frame, 12 bytes spill stores, 8 bytes spill loads\nptxas info    : Used 40 registers, 16 bytes smem\n"
)

func helper() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var r request
		if in.Decode(&r) != nil {
			return
		}
		count()
		switch {
		case r.Source == "":
			out.Encode(answer{Version: "12.9"})
		case r.Source == "crash":
			fmt.Fprintln(os.Stderr, "Segmentation fault")
			os.Exit(139)
		case r.Source == "hang":
			time.Sleep(time.Hour)
		case r.Source == "garbage":
			fmt.Println("no JSON at all")
		case r.Source == "wrong":
			out.Encode(answer{Error: "NVRTC_ERROR_COMPILATION", Log: "\nk.cu(3): error: what is this\nk.cu(4): error: and this\nk.cu(5): error\nk.cu(6): error"})
		case r.Source == "silent" || os.Getenv("CUDA_CACHE_DISABLE") != "1":
			out.Encode(answer{Code: []byte("ELF")})
		case r.PTX:
			out.Encode(answer{Code: []byte(fakePTX + r.Source)})
		default:
			out.Encode(answer{Code: []byte("ELF" + r.Source), Log: fakePtxas})
		}
	}
}

// count notes that the helper was asked, in a file that tests read.
func count() {
	if path := os.Getenv("ETC_TEST_COUNT"); path != "" {
		f, _ := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
		f.Write([]byte{'.'})
		f.Close()
	}
}

// fake is a compiler over this binary, and how often it was asked to compile.
func fake(t *testing.T, cache string) (*Compiler, func() int) {
	t.Helper()
	folder := t.TempDir()
	library, asked := filepath.Join(folder, "libnvrtc.so.12"), filepath.Join(folder, "asked")
	if err := os.WriteFile(library, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ETC_TEST_COUNT", asked)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Find(Options{Helper: self, Library: library, Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	return c, func() int {
		b, _ := os.ReadFile(asked)
		return len(b) - 1 // the version
	}
}

func job(name, source string) Job { return Job{Name: name, Source: source, SM: 80} }

// TestHelperThatFails: whatever a helper does is the error of the kernel it
// had, with what it said; the others compile.
func TestHelperThatFails(t *testing.T) {
	c, _ := fake(t, "")
	c.timeout = 2 * time.Second
	for source, want := range map[string]string{
		"crash":   "kernel k for sm_80: the helper crashed (exit status 139): Segmentation fault",
		"hang":    "kernel k for sm_80: the helper gave no answer in 2s and was stopped",
		"garbage": "kernel k for sm_80: the helper ",
		"wrong":   "kernel k for sm_80: NVRTC_ERROR_COMPILATION: k.cu(3): error: what is this; k.cu(4): error: and this; k.cu(5): error",
		"silent":  "kernel k for sm_80: ptxas told nothing of registers",
	} {
		_, err := c.Compile([]Job{job("a", "1"), job("b", "2"), job("k", source), job("c", "3"), job("d", "4")})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", source, err, want)
		}
		if fault.KindOf(err) != fault.Internal || strings.Contains(fmt.Sprint(err), "k.cu(6)") {
			t.Errorf("%s: %v of kind %d", source, err, fault.KindOf(err))
		}
	}
}

// TestResultsInTheOrderOfJobs, with what ptxas said, and PTX made fit for old drivers.
func TestResultsInTheOrderOfJobs(t *testing.T) {
	c, _ := fake(t, "")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var jobs []Job
	for i := range 20 {
		jobs = append(jobs, job(fmt.Sprint("k", i), fmt.Sprint(i)))
	}
	jobs = append(jobs, Job{Name: "text", Source: "mma.sync", SM: 80, PTX: true})
	code, err := c.Compile(jobs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if k := code[i]; string(k.Bytes) != fmt.Sprint("ELF", i) || k.Registers != 40 || k.Spills != 20 || k.StaticShared != 16 {
			t.Errorf("job %d: %+v", i, k)
		}
	}
	if got, want := string(code[20].Bytes), ".version 7.1\n.target sm_80\n\t.file\t1 \"k.cu\"\nmma.sync"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestNewInstructionsKeepTheirVersion: 7.1 has no wgmma.
func TestNewInstructionsKeepTheirVersion(t *testing.T) {
	for text, want := range map[string]string{
		"\tmma.sync.aligned ":    ".version 7.1\n",
		"\twgmma.fence.sync;":    ".version 8.8\n",
		"\t@%p1 mbarrier.init ":  ".version 8.8\n",
		"// wgmma is not used\n": ".version 7.1\n",
	} {
		got, err := lowered([]byte(".version 8.8\n" + text))
		if err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := lowered([]byte("no PTX")); err == nil {
		t.Error("text without a version passes")
	}
}

// TestCache: what was compiled is not compiled again unless it is damaged or
// anything it depends on is another; the code is the same with and without.
func TestCache(t *testing.T) {
	cache := t.TempDir()
	c, asked := fake(t, cache)
	compile := func(j Job) string {
		t.Helper()
		code, err := c.Compile([]Job{j})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%+v", code)
	}
	j := job("k", "1")
	first := compile(j)
	if compile(j) != first || asked() != 1 {
		t.Errorf("asked %d times, want 1", asked())
	}
	for i, other := range []Job{job("k", "2"), {Name: "k", Source: "1", SM: 90}, {Name: "k", Source: "1", SM: 80, PTX: true}} {
		if compile(other); asked() != i+2 {
			t.Errorf("%v: asked %d times, want %d", &other, asked(), i+2)
		}
	}
	path, before := entry(cache, c, &j), asked()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte{}, good...)
	flipped[len(flipped)-3] ^= 1 // the last digit of a number: JSON still
	for i, bad := range [][]byte{nil, good[:10], good[:len(good)-1], flipped} {
		if err := os.WriteFile(path, bad, 0o666); err != nil {
			t.Fatal(err)
		}
		if compile(j) != first || asked() != before+i+1 {
			t.Errorf("damaged entry %d: asked %d times, want %d", i, asked(), before+i+1)
		}
	}
	other := job("k", "2") // whole, but not of this kernel
	foreign, err := os.ReadFile(entry(cache, c, &other))
	if err == nil {
		err = os.WriteFile(path, foreign, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	if before++; compile(j) != first || asked() != before+4 {
		t.Error("the entry of another kernel was used")
	}
	if c.version = "13.0"; compile(j) != first || asked() != before+5 {
		t.Error("the entry of another version was used")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".unfinished-*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

// entry is the file of a job's code.
func entry(cache string, c *Compiler, j *Job) string {
	name := c.question(j).String()
	return filepath.Join(cache, "nvrtc", name[:2], name)
}

// TestCacheThatCannotBeWritten is as good as none.
func TestCacheThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	c, _ := fake(t, file)
	if _, err := c.Compile([]Job{job("k", "1")}); err != nil {
		t.Fatal(err)
	}
}

// TestNotFound is exit 6 with the command that installs both.
func TestNotFound(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("ETC_NVRTC", "")
	self, _ := os.Executable()
	for name, o := range map[string]Options{"no helper": {}, "no such helper": {Helper: "/nowhere/etc-nvrtc"}, "no such library": {Helper: self, Library: "/nowhere/libnvrtc.so.12"}} {
		_, err := Find(o)
		var e *fault.Error
		if fault.KindOf(err) != fault.Unavailable || !errors.As(err, &e) || !strings.Contains(e.Hint, "make nvrtc") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhereTheHelperIsLookedFor: the path given, the environment, beside the
// program, PATH, in that order. What is named has to be there.
func TestWhereTheHelperIsLookedFor(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	put := func(file string) string {
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o777); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(file) })
		return file
	}
	named, env := put(filepath.Join(root, "named")), put(filepath.Join(root, "env"))
	onPath, beside := put(filepath.Join(root, helperName)), put(filepath.Join(filepath.Dir(self), helperName))
	t.Setenv("PATH", root)
	for _, c := range []struct{ given, env, want string }{{named, env, named}, {"", env, env}, {"", "", beside}} {
		t.Setenv("ETC_NVRTC", c.env)
		if found, err := findHelper(c.given); err != nil || found != c.want {
			t.Errorf("given %q, ETC_NVRTC %q: %s, %v, want %s", c.given, c.env, found, err, c.want)
		}
	}
	os.Remove(beside)
	if found, err := findHelper(""); err != nil || found != onPath {
		t.Errorf("on PATH: %s, %v", found, err)
	}
	for _, c := range []struct{ given, env, want string }{{root, "", "the path given"}, {"", root, "ETC_NVRTC"}, {"", root + "/none", "ETC_NVRTC"}} {
		t.Setenv("ETC_NVRTC", c.env)
		if found, err := findHelper(c.given); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), c.want) {
			t.Errorf("given %q, ETC_NVRTC %q: %s, %v", c.given, c.env, found, err)
		}
	}
}

// TestOneCrashLosesOneKernel: those before and after it are compiled, and in
// the cache when the next run asks.
func TestOneCrashLosesOneKernel(t *testing.T) {
	c, asked := fake(t, t.TempDir())
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if _, err := c.Compile([]Job{job("a", "1"), job("k", "crash"), job("b", "2"), job("c", "3")}); err == nil {
		t.Fatal("a crash is no error")
	}
	before := asked()
	if _, err := c.Compile([]Job{job("a", "1"), job("b", "2"), job("c", "3")}); err != nil || asked() != before {
		t.Errorf("%v; asked %d times more", err, asked()-before)
	}
}

// TestHelperThatDoesNotStart is an error of the kernel, and a helper that is
// asked for its version and does not know it is none.
func TestHelperThatDoesNotStart(t *testing.T) {
	c, _ := fake(t, "")
	c.helper = filepath.Join(t.TempDir(), "gone")
	if _, err := c.Compile([]Job{job("k", "1")}); err == nil || !strings.HasPrefix(err.Error(), "kernel k for sm_80: helper ") {
		t.Error(err)
	}
	program, err := exec.LookPath("cat") // answers with what it is asked
	if err != nil {
		t.Skip(err)
	}
	if _, err := Find(Options{Helper: program, Library: c.library}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("cat as a helper: %v", err)
	}
}

// TestWhereTheLibraryIsLookedFor: the path given, the environment, beside the
// helper, the wheel of a virtual environment, CUDA_HOME, in that order.
func TestWhereTheLibraryIsLookedFor(t *testing.T) {
	root := t.TempDir()
	put := func(path ...string) string {
		file := filepath.Join(append(append([]string{root}, path...), "libnvrtc.so.12")...)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o777), os.WriteFile(file, nil, 0o666)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	t.Setenv("PATH", root)
	t.Setenv("HOME", root)
	t.Setenv("ETC_NVRTC_LIB", "")
	t.Setenv("VIRTUAL_ENV", filepath.Join(root, "venv"))
	t.Setenv("CUDA_HOME", filepath.Join(root, "cuda"))
	put("cuda", "lib64")
	put("venv", "lib", "python3.11", "site-packages", "nvidia", "cuda_nvrtc", "lib")
	put("bin", "nvrtc")
	put("bin")
	order := []string{filepath.Join(root, "bin"), filepath.Join(root, "bin", "nvrtc"), filepath.Join(root, "venv"), filepath.Join(root, "cuda")}
	for _, place := range order {
		found, err := findLibrary("", filepath.Join(root, "bin"))
		if err != nil || !strings.HasPrefix(found, place) {
			t.Errorf("found %s, %v, want that of %s", found, err, place)
		}
		os.Remove(found)
	}
	named, env := put("named"), put("env")
	t.Setenv("ETC_NVRTC_LIB", env)
	for given, want := range map[string]string{named: named, "": env} {
		if found, err := findLibrary(given, root); err != nil || found != want {
			t.Errorf("given %q: %s, %v", given, found, err)
		}
	}
}
