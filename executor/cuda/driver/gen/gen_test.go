package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestSymbolsAreUpToDate scans the module's sources and package driver afresh.
func TestSymbolsAreUpToDate(t *testing.T) {
	want, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", target))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is out of date: go generate ./executor/cuda/driver writes it", target)
	}
}

func TestCalled(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.go":      "package p\nimport \"C\"\nfunc f() { var x C.cuType; C.cuAlpha(x); C.cudaNot(); other.cuNot() }\n",
		"a_test.go": "package p\nimport \"C\"\nfunc g() { C.cuNot() }\n",
		"b.c":       "// cuNot()\n/* cuNot() */\nCUresult cuOwn(int a) {\n\treturn cuBeta (a);\n}\nint z = cuOwn(1);\nCUresult cuGamma(int);\n",
		"c.h":       "cuNot();\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := called(dir)
	if want := []string{"cuAlpha", "cuBeta", "cuGamma"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}
