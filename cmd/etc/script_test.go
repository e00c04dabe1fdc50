package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"etc/compiler/frontend/frontendtest"
	"etc/formats/plan"
)

// TestMain makes this test binary the command etc, for scripts and for tests
// that need a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(cached{m}, map[string]func(){"etc": main})
}

// A cached runs tests with a cache of their own, in which only kernels that
// were compiled before are.
type cached struct{ tests *testing.M }

func (c cached) Run() int {
	kernels := filepath.Join(cacheFolder(), "nvrtc")
	dir, err := os.MkdirTemp("", "etc-cache-")
	if err == nil {
		err = errors.Join(os.MkdirAll(kernels, 0o777), os.Symlink(kernels, filepath.Join(dir, "nvrtc")), os.Setenv("ETC_CACHE_DIR", dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	return c.tests.Run()
}

// scriptCommands are what scripts need besides etc itself.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":   cmdExits,
	"newer":   cmdNewer,
	"version": cmdVersion,
	"cut":     cmdCut,
	"zeros":   cmdZeros,
}

// TestScripts runs testdata/script: what a user sees of the program.
func TestScripts(t *testing.T) {
	testdata, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	sizes := frontendtest.Options{Heads: 2, HeadSize: 8, Inner: 24, Layers: 2}
	random := func(seed uint64, class string) string {
		return frontendtest.Random(t, rand.New(rand.NewPCG(seed, 0)), class, sizes)
	}
	wide := sizes // more than 100 KB a token in the arena
	wide.Inner = 64 << 10
	env := []string{
		"TESTDATA=" + testdata,
		"MODEL=" + filepath.Join(testdata, "tiny-sst2"),
		"DEV=" + filepath.Join(testdata, "sst2-dev.tsv"),
		"EMBEDDER=" + random(1, "BertModel"),
		"CLASSIFIER=" + random(4, "GPT2ForSequenceClassification"),
		"DECODER=" + random(2, "GPT2LMHeadModel"),
		"WIDE=" + frontendtest.Random(t, rand.New(rand.NewPCG(3, 0)), "BertModel", wide),
		"ETC_CACHE_DIR=" + cacheFolder(),
	}
	helper := nvrtcHelper()
	if helper != "" {
		env = append(env, "ETC_NVRTC="+helper)
	}
	testscript.Run(t, testscript.Params{
		Condition: func(name string) (bool, error) {
			if name != "nvrtc" {
				return false, fmt.Errorf("condition %q is not known", name)
			}
			return helper != "", nil
		},
		Dir:                 "testdata/script",
		Cmds:                scriptCommands,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, env...)
			return nil
		},
	})
}

// nvrtcHelper is the helper that make nvrtc made, "" where there is none.
func nvrtcHelper() string {
	helper, err := filepath.Abs("../../bin/etc-nvrtc")
	if err == nil {
		_, err = os.Stat(helper)
	}
	if err != nil {
		return ""
	}
	return helper
}

// cmdExits runs a program and checks its exit code: exits 2 etc run.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("%q: exit %d, want %d", args[1:], code, want)
	}
}

// Places in a plan's header; docs/plan-format.md.
const (
	headerSize = 4096
	majorAt    = 8
)

// cmdNewer makes a plan of the next major version, whole but not for us.
func cmdNewer(ts *testscript.TestScript, neg bool, args []string) {
	file := []byte(ts.ReadFile(args[0]))
	binary.LittleEndian.PutUint16(file[majorAt:], plan.Major+1)
	sum := sha256.Sum256(file[:headerSize-sha256.Size])
	copy(file[headerSize-sha256.Size:], sum[:])
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), file, 0o666))
}

// cmdVersion makes a plan that records another version of etc.
func cmdVersion(ts *testscript.TestScript, neg bool, args []string) {
	p, err := plan.Decode([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	p.Provenance.Version = args[2]
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), plan.Encode(p), 0o666))
}

// cmdCut copies the first bytes of a file: cut FROM TO 1000.
func cmdCut(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(ts.ReadFile(args[0]))[:n], 0o666))
}

// cmdZeros writes a line of so many letters: zeros FILE 20000000.
func cmdZeros(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(bytes.Repeat([]byte("0"), n), '\n'), 0o666))
}
