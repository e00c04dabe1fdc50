package irtest

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"etc/ir"
	"etc/ir/pass"
	"etc/ir/tensor"
)

var update = flag.Bool("update", false, "rewrite golden files from what the code gives now")

// Rewrite runs passes over the before.ir of each case in a txtar file,
// compares the graph with after.ir and evaluates both. A file holds one case
// (before.ir, after.ir) or several (NAME/before.ir, NAME/after.ir); Load says
// how weights get values. Values of floats are part of the comparison where
// before.ir gives them for every float weight. With -update, after.ir is
// rewritten; comment lines at its top stay.
func Rewrite(t *testing.T, file string, passes ...pass.Pass) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, f := range slices.Clone(archive.Files) {
		name, ok := strings.CutSuffix(f.Name, "before.ir")
		if !ok {
			if !strings.HasSuffix(f.Name, "after.ir") {
				t.Errorf("%s: file %s: want NAME/before.ir or NAME/after.ir", file, f.Name)
			}
			continue
		}
		cases++
		t.Run(strings.TrimSuffix(name, "/"), func(t *testing.T) {
			after := section(archive, name+"after.ir")
			got := rewrite(t, string(f.Data), string(after.Data), passes)
			after.Data = []byte(got)
		})
	}
	if cases == 0 || !*update && len(archive.Files) != 2*cases {
		t.Errorf("%s: %d before.ir of %d files: want one after.ir to each", file, cases, len(archive.Files))
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// section returns the file of that name, new where there is none.
func section(a *txtar.Archive, name string) *txtar.File {
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		a.Files = append(a.Files, txtar.File{Name: name})
		i = len(a.Files) - 1
	}
	return &a.Files[i]
}

// rewrite checks one case and returns the text that after.ir should be.
func rewrite(t *testing.T, text, want string, passes []pass.Pass) string {
	given := hasValues(parse(t, text))
	before := Load(t, text)
	after := before.Clone()
	pass.Run(after, passes, "", nil)
	got := printed(after, given)
	if !*update {
		if expected := printed(parse(t, want), given); got != expected {
			t.Errorf("after.ir differs\n--- got\n%s--- want\n%s", got, expected)
		}
	}
	Equivalent(t, before, after, 1)
	return comments(want) + got
}

// comments is the comment lines that a text begins with.
func comments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		b.WriteString(line)
	}
	return b.String()
}

// hasValues reports whether every float weight of g has values.
func hasValues(g *ir.Graph) bool {
	for _, op := range g.Ops {
		if a, ok := op.Attrs.(*ir.WeightAttrs); ok && a.Data.Data == nil && op.Result().Type.DType == tensor.F32 {
			return false
		}
	}
	return true
}

// printed is the text of g, without the values of floats unless they are wanted.
func printed(g *ir.Graph, floats bool) string {
	g = g.Clone()
	for _, op := range g.Ops {
		if a, ok := op.Attrs.(*ir.WeightAttrs); ok && !floats && a.Data.DType.IsFloat() {
			a.Data = tensor.Tensor{}
		}
	}
	return ir.Print(g)
}
