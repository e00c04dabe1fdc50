// Package kernels holds the CUDA source of every kernel of a plan: one family
// to a .cu file, and prelude.cuh before each.
//
// A launch.Kernel enters; the text that NVRTC compiles leaves. A family is
// specialised by constants that are defined above the file, never by changing
// its text: what is tested here is what a plan ships.
package kernels

import (
	"embed"
	"fmt"
	"strings"

	"etc/formats/plan/launch"
)

//go:embed *.cu *.cuh
var files embed.FS

// usesMark begins the first lines of a family that is written over a header
// beside the prelude, as in "// uses attention.cuh".
const usesMark = "// uses "

// Source is the whole text of k, which must pass Check: its constants, ENTRY
// as the name of its function, the prelude, the headers that the family's
// first lines ask for, and the family. Compilers and the simulator name lines
// by the files as they lie in this folder.
func Source(k launch.Kernel) (string, error) {
	if err := k.Check(); err != nil {
		return "", err
	}
	family := k.Family + ".cu"
	text, err := files.ReadFile(family)
	if err != nil {
		return "", fmt.Errorf("kernel family %s has no source", k.Family)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "// %s of etc, specialised by these constants.\n", k.Family)
	for _, d := range k.Defines {
		fmt.Fprintf(&b, "#define %s %d\n", d.Name, d.Value)
	}
	fmt.Fprintf(&b, "#define ENTRY %s\n", k.Entry())
	for _, name := range append([]string{"prelude.cuh"}, headers(string(text))...) {
		header, err := files.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("%s uses %s, which is not there", family, name)
		}
		part(&b, name, header)
	}
	part(&b, family, text)
	return b.String(), nil
}

// headers are those that the first lines of a family ask for, in order.
func headers(text string) []string {
	var names []string
	for {
		line, rest, _ := strings.Cut(text, "\n")
		name, ok := strings.CutPrefix(line, usesMark)
		if !ok {
			return names
		}
		names, text = append(names, strings.TrimSpace(name)), rest
	}
}

func part(b *strings.Builder, name string, text []byte) {
	fmt.Fprintf(b, "\n#line 1 %q\n", name)
	b.Write(text)
}
