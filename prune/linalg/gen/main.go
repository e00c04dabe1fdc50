// Command gen writes the assembly of package linalg, kernels_amd64.s, and its
// declarations, kernels_amd64.go: the micro-kernels on AVX2 and FMA.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	dir := flag.String("dir", ".", "folder of package linalg")
	flag.Parse()
	files, err := generate()
	for name, content := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(*dir, name), content, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// generate returns the generated files by name.
func generate() (map[string][]byte, error) {
	e := &emitter{build.NewContext()}
	e.ConstraintExpr("amd64")
	e.multiply()
	e.solve()
	e.copyRows(6)
	e.copyRows(8)
	e.transpose()
	e.peak()

	f, err := e.Result()
	if err != nil {
		return nil, err
	}
	if err := pass.Compile.Execute(f); err != nil {
		return nil, err
	}
	cfg := printer.Config{Name: "gen", Pkg: "linalg"}
	asm, err := printer.NewGoAsm(cfg).Print(f)
	if err != nil {
		return nil, err
	}
	stubs, err := printer.NewStubs(cfg).Print(f)
	return map[string][]byte{"kernels_amd64.s": asm, "kernels_amd64.go": stubs}, err
}

// An emitter emits kernels.
type emitter struct{ *build.Context }

func (e *emitter) function(name, signature string) {
	e.Function(name + "AVX2")
	e.Attributes(attr.NOSPLIT)
	e.Pragma("noescape")
	e.SignatureExpr(signature)
}

func (e *emitter) param(name string) reg.GPVirtual {
	return e.Load(e.Param(name), e.GP64()).(reg.GPVirtual)
}

// end clears the upper halves of the registers, without which SSE code that
// follows is slow, and returns.
func (e *emitter) end() {
	e.VZEROUPPER()
	e.RET()
}

func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }
