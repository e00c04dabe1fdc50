package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// importRules is the policy: what each package may import beside the standard
// library, packages of this module by their folder, others by module. A
// package that is not listed does not exist. Tests are free within the module.
const importRules = `
fault:
memo:

ir/tensor:
ir/sparse:            ir/tensor fault
ir:                   ir/tensor
ir/pass:              ir
ir/interp:            ir ir/tensor fault
ir/irtest:            ir ir/pass ir/interp ir/tensor github.com/rogpeppe/go-internal

formats/mapped:       fault golang.org/x/sys
formats/safetensors:  fault formats/mapped ir/tensor github.com/nlpodyssey/safetensors
formats/strictjson:
formats/tokenizer:    fault formats/strictjson golang.org/x/text
formats/tokenizer/gen:
formats/checkpoint:   fault formats/mapped formats/safetensors formats/strictjson formats/tokenizer ir/tensor
formats/rows:         fault
formats/plan/layout:  fault
formats/plan/launch:
formats/plan:         fault formats/mapped formats/plan/launch formats/plan/layout ir/tensor

prune:                fault ir ir/sparse ir/tensor prune/latency prune/linalg
prune/gradient:       fault ir ir/interp prune/linalg
prune/latency:        fault
prune/linalg:         fault golang.org/x/sys
prune/linalg/gen:     github.com/mmcloughlin/avo
prune/report:
eval:                 fault formats/rows

compiler/cost:        fault formats/plan/launch ir ir/sparse
compiler/frontend:    fault formats/checkpoint formats/mapped formats/plan ir ir/tensor
compiler/frontend/frontendtest: formats/safetensors ir/tensor
compiler/transform:   ir ir/pass ir/sparse ir/tensor
compiler/schedule:    formats/plan ir ir/tensor
codegen:              compiler/schedule formats/plan formats/plan/layout ir ir/tensor
codegen/cuda/kernels: formats/plan/launch
codegen/cuda/emit:    executor/gpu formats/plan formats/plan/launch ir/tensor
codegen/cuda/nvrtc:   fault memo
codegen/cuda:         codegen codegen/cuda/kernels codegen/cuda/nvrtc compiler/cost compiler/schedule fault formats/plan formats/plan/launch formats/plan/layout ir ir/tensor
codegen/cpu:          codegen compiler/schedule fault formats/plan formats/plan/layout ir ir/tensor
compiler:             codegen codegen/cpu codegen/cuda compiler/cost compiler/frontend compiler/schedule compiler/transform fault formats/checkpoint formats/mapped formats/plan formats/tokenizer ir ir/pass ir/tensor

executor:             fault formats/mapped formats/plan formats/rows formats/tokenizer
executor/cpu/kernel/approx:
executor/cpu/kernel:  executor/cpu/kernel/approx fault formats/plan/layout golang.org/x/sys
executor/cpu/kernel/gen: executor/cpu/kernel/approx github.com/mmcloughlin/avo
executor/cpu/pool:    fault golang.org/x/sys
executor/memory:
executor/cpu:         executor executor/cpu/kernel executor/cpu/pool executor/memory fault formats/mapped formats/plan formats/plan/layout ir/tensor

executor/gpu:         executor fault formats/mapped formats/plan formats/plan/launch formats/plan/layout ir/tensor
executor/ptxsim:      executor/gpu executor/memory fault
executor/cuda/driver: fault gorgonia.org/cu
executor/cuda/driver/gen:
executor/cuda/driver/drivertest:
executor/cuda:        executor/cuda/driver executor/gpu fault

cmd/etc-bert:         formats/safetensors ir/tensor
cmd/etc-nvrtc:        github.com/ebitengine/purego
cmd/etc:              * github.com/spf13/cobra github.com/spf13/pflag github.com/spf13/viper go.yaml.in/yaml golang.org/x/term
`

// testModules are what tests may import from outside besides.
var testModules = map[string][]string{
	"cmd/etc": {"github.com/rogpeppe/go-internal"},
}

// strangers must not reach one another by any chain of imports.
var strangers = [][2]string{
	{"prune", "compiler"}, {"compiler", "prune"}, // they meet in a checkpoint
	{"executor", "ir"}, {"executor/cpu", "ir"}, // a plan is all there is to run
	{"executor", "compiler"}, {"executor/cpu", "compiler"},
	{"formats/plan", "ir"}, {"eval", "executor"},
}

// everything allows every package of this module.
const everything = "*"

const moduleRoot = "../.."

// A goFile is a file of this module and its package's folder.
type goFile struct {
	*ast.File
	pkg  string
	test bool
	path string
}

// sources parses every Go file of the module.
func sources(t *testing.T, mode parser.Mode) (files []goFile, set *token.FileSet) {
	t.Helper()
	set = token.NewFileSet()
	err := filepath.WalkDir(moduleRoot, func(file string, d fs.DirEntry, err error) error {
		name := d.Name()
		if d.IsDir() && file != moduleRoot && (strings.HasPrefix(name, ".") || name == "testdata" || name == "out") {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || filepath.Ext(file) != ".go" {
			return err
		}
		parsed, err := parser.ParseFile(set, file, nil, mode)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(moduleRoot, file)
		files = append(files, goFile{parsed, path.Dir(filepath.ToSlash(relative)), strings.HasSuffix(file, "_test.go"), filepath.ToSlash(relative)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, set
}

// imported splits what f imports into packages of this module and others,
// without the standard library.
func (f *goFile) imported() (ours, others []string) {
	for _, spec := range f.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		first, _, _ := strings.Cut(name, "/")
		if inside, ok := strings.CutPrefix(name, "etc/"); ok {
			ours = append(ours, inside)
		} else if strings.Contains(first, ".") {
			others = append(others, name)
		}
	}
	return ours, others
}

func TestImports(t *testing.T) {
	allowed := map[string][]string{}
	for line := range strings.Lines(importRules) {
		if pkg, list, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			allowed[pkg] = strings.Fields(list)
		}
	}
	files, _ := sources(t, parser.ImportsOnly)
	direct := map[string][]string{}
	for _, f := range files {
		rule, ok := allowed[f.pkg]
		if !ok {
			t.Errorf("%s: package %s is not in importRules", f.path, f.pkg)
			continue
		}
		ours, others := f.imported()
		if !f.test {
			direct[f.pkg] = append(direct[f.pkg], ours...)
			for _, name := range ours {
				if !slices.Contains(rule, name) && !slices.Contains(rule, everything) {
					t.Errorf("%s imports %s, which importRules does not let %s do", f.path, name, f.pkg)
				}
			}
		}
		for _, name := range others {
			modules := rule
			if f.test {
				modules = slices.Concat(rule, testModules[f.pkg])
			}
			if !slices.ContainsFunc(modules, func(m string) bool { return name == m || strings.HasPrefix(name, m+"/") }) {
				t.Errorf("%s imports %s, which importRules does not let %s do", f.path, name, f.pkg)
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(allowed)) {
		if !slices.ContainsFunc(files, func(f goFile) bool { return f.pkg == pkg }) {
			t.Errorf("importRules lists %s, which is not there", pkg)
		}
	}
	for _, pair := range strangers {
		if way := route(direct, pair[0], pair[1], map[string]bool{}); way != nil {
			t.Errorf("%s reaches %s: %s", pair[0], pair[1], strings.Join(way, " → "))
		}
	}
}

// route is a chain of imports from one package to another or to one inside
// it, or nil. ir is the one package: its folders stand by themselves.
func route(direct map[string][]string, from, to string, seen map[string]bool) []string {
	for _, next := range direct[from] {
		if seen[next] {
			continue
		}
		seen[next] = true
		if next == to || to != "ir" && strings.HasPrefix(next, to+"/") {
			return []string{from, next}
		}
		if rest := route(direct, next, to, seen); rest != nil {
			return append([]string{from}, rest...)
		}
	}
	return nil
}

// ownGoroutines are the only places that start goroutines by themselves. None
// of them can crash, because Go's own crash code is 2.
var ownGoroutines = map[string]int{
	"fault/task.go":          2, // Go and Parallel, the helpers that all others use
	"formats/rows/reader.go": 1, // a panic is the stream's error
}

// TestGoroutines: every goroutine starts through package fault, or in a place that is
// known not to crash.
func TestGoroutines(t *testing.T) {
	files, set := sources(t, parser.SkipObjectResolution)
	found := map[string]int{}
	for _, f := range files {
		if f.test {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			if n != nil && startsGoroutine(n) {
				if found[f.path]++; found[f.path] > ownGoroutines[f.path] {
					t.Errorf("%v: starts a goroutine, want fault.Go", set.Position(n.Pos()))
				}
			}
			return true
		})
	}
	if !maps.Equal(found, ownGoroutines) {
		t.Errorf("goroutines start in %v, want %v", found, ownGoroutines)
	}
}

// startsGoroutine reports whether n is a go statement, or a call of a Go
// method such as that of sync.WaitGroup.
func startsGoroutine(n ast.Node) bool {
	if _, ok := n.(*ast.GoStmt); ok {
		return true
	}
	c, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	s, ok := c.Fun.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "Go" {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return !ok || x.Name != "fault"
}
