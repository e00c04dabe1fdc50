//go:build cuda && linux && amd64

// Package drivertest lets tests run with a CUDA driver that is made of
// testdata/libcuda.c with the C compiler, and without any.
package drivertest

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed testdata/libcuda.c
var source []byte

// The variables of a process that a test starts.
const (
	kind    = "FAKE_CUDA" // fake or none
	logFile = "FAKE_CUDA_LOG"
)

// Main is what TestMain of a package calls: it runs the tests in a process of
// their own, whose driver is the one for tests.
func Main(m *testing.M) {
	if os.Getenv(kind) != "" {
		os.Exit(m.Run())
	}
	os.Exit(inner())
}

func inner() int {
	dir, err := os.MkdirTemp("", "libcuda")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := process(dir, "fake", os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if cmd.Run() != nil {
		return 1
	}
	return 0
}

// build makes the library in dir. It finds cuda.h where cgo does.
func build(dir string) error {
	args := append(strings.Fields(os.Getenv("CGO_CFLAGS")), "-w", "-shared", "-fPIC", "-x", "c", "-", "-o", filepath.Join(dir, "libcuda.so.1"))
	cmd := exec.Command("cc", args...)
	cmd.Stdin = strings.NewReader(string(source))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the driver for tests: %w\n%s", err, out)
	}
	return nil
}

// process is this program again, with the library in dir.
func process(dir, what string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), kind+"="+what, logFile+"="+filepath.Join(dir, "log"), "LD_LIBRARY_PATH="+dir)
	return cmd
}

// Apart reports whether t runs in a process with those variables. Where it does not,
// Apart starts one for t alone, and fails t with its output if t fails there. In
// a process with FAKE_CUDA=none there is no driver, even where the machine has one.
func Apart(t *testing.T, variables ...string) bool {
	t.Helper()
	const mark = "FAKE_CUDA_APART"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	dir := t.TempDir()
	cmd.Env = append(append(os.Environ(), mark+"="+t.Name(), logFile+"="+filepath.Join(dir, "log")), variables...)
	for _, v := range variables {
		if v == kind+"=none" {
			if err := os.WriteFile(filepath.Join(dir, "libcuda.so.1"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+dir)
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("with %v: %v\n%s", variables, err, out)
	}
	return false
}

// Calls returns what the driver for tests has recorded since the last time.
func Calls(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(os.Getenv(logFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing has called it yet
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	fresh := lines[seen:]
	seen = len(lines)
	return fresh
}

// seen is how many lines Calls has returned.
var seen int
