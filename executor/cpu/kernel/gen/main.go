// Command gen writes the assembly of package kernel, kernels_amd64.s, its
// declarations, kernels_amd64.go, and the choice within families of kernels,
// families_amd64.go. Each kernel is written once, over vectors of
// 16 lanes, and emitted for each level: one 512-bit register a vector for
// AVX-512, two of 256 bits for AVX2. So both do the same operations on the same
// lanes in the same order, and give the same bits. Products of integers, whose
// bits no order changes, are emitted for AVX2, AVX-VNNI and AVX-512 VNNI.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

func main() {
	dir := flag.String("dir", ".", "folder of package kernel")
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
	c := build.NewContext()
	c.ConstraintExpr("amd64")
	constants := newConstants(c)
	emitters := []*emitter{avx2(c, constants), avx512(c, constants)}
	for _, e := range emitters {
		e.peak()
		e.denseFamily()
		e.tilesFamily()
		e.csrFamily()
		e.activations()
		e.softmax()
		e.sumExp2()
		e.blocks()
		e.norms()
		e.quantisation()
	}
	transpose(c)
	integers := []*emitter{emitters[0], emitters[0].withDots("AVXVNNI", vexDots), emitters[1].withDots("AVX512VNNI", evexDots)}
	for _, e := range integers {
		e.integerFamilies()
	}

	f, err := c.Result()
	if err != nil {
		return nil, err
	}
	if err := pass.Compile.Execute(f); err != nil {
		return nil, err
	}
	if err := encodeUnknown(f); err != nil {
		return nil, err
	}
	cfg := printer.Config{Name: "gen", Pkg: "kernel"}
	asm, err := printer.NewGoAsm(cfg).Print(f)
	if err != nil {
		return nil, err
	}
	stubs, err := printer.NewStubs(cfg).Print(f)
	if err != nil {
		return nil, err
	}
	choice, err := dispatch(emitters, integers)
	return map[string][]byte{"kernels_amd64.s": asm, "kernels_amd64.go": stubs, "families_amd64.go": choice}, err
}
