package main

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestStatic: etc as it is built for users needs no library and no loader of
// the machine that it runs on: NVRTC is called by a program of its own.
func TestStatic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etc")
	build := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_DYNAMIC || p.Type == elf.PT_INTERP {
			t.Errorf("%v: %s is linked to what is on the machine", p.Type, path)
		}
	}
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("needs %v, %v", libraries, err)
	}
}
