package transform_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"etc/compiler/transform"
)

// architecture is the page that lists the passes, in a table whose rows
// begin with the name of a pass in backquotes.
const architecture = "../../docs/architecture.md"

// TestTable: names are unique, Lowered is one of them, and the page lists
// them all in their order.
func TestTable(t *testing.T) {
	var names []string
	for _, p := range transform.Passes(everything) {
		if slices.Contains(names, p.Name) || p.Doc == "" {
			t.Errorf("%s: want a name of its own and a line of documentation", p.Name)
		}
		names = append(names, p.Name)
	}
	if !slices.Contains(names, transform.Lowered) {
		t.Errorf("no pass %s", transform.Lowered)
	}
	page, err := os.ReadFile(architecture)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllSubmatch(page, -1) {
		listed = append(listed, string(row[1]))
	}
	if !slices.Equal(listed, names) {
		t.Errorf("%s lists the passes %q, the program has %q", architecture, listed, names)
	}
}
