package ir_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etc/ir"
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// examples is the contents of the fenced blocks without a language.
func examples(text string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// TestIRPageExample: the page's example is in print's own form and verifies.
func TestIRPageExample(t *testing.T) {
	blocks := examples(page(t, "ir.md"))
	if len(blocks) != 1 {
		t.Fatalf("%d examples, want 1", len(blocks))
	}
	text := regexp.MustCompile("(?m)^#.*\n").ReplaceAllString(blocks[0], "")
	g, err := ir.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.Verify(g, ir.Model); err != nil {
		t.Error(err)
	}
	if printed := ir.Print(g); printed != text {
		t.Errorf("prints as\n%s", printed)
	}
}

// TestIRPageNamesInputs: the page's table has every input, and no other.
func TestIRPageNamesInputs(t *testing.T) {
	text := page(t, "ir.md")
	for _, name := range ir.InputNames {
		if !strings.Contains(text, "\n| `"+name+"` | `i32[") {
			t.Errorf("input %q is not in docs/ir.md", name)
		}
	}
}

// TestOperatorsPage: every operator has a heading with its level, its operands
// in order, and an example that ends with it and verifies; and there is no
// other heading.
func TestOperatorsPage(t *testing.T) {
	text := page(t, "operators.md")
	sections := map[string]string{}
	for i, s := range regexp.MustCompile(`(?m)^### `).Split(text, -1) {
		if name, body, _ := strings.Cut(s, "\n"); i > 0 {
			body, _, _ = strings.Cut(body, "\n## ")
			sections[name] = body
		}
	}
	for _, k := range ir.Kinds() {
		t.Run(k.String(), func(t *testing.T) {
			body, ok := sections[k.String()]
			if !ok {
				t.Fatalf("docs/operators.md has no heading ### %v", k)
			}
			delete(sections, k.String())
			level := map[ir.Level]string{ir.Model: "Level: model", ir.Kernel: "Level: kernel", ir.Model | ir.Kernel: "Level: model, kernel"}
			if want := level[levelOf(k)]; !regexp.MustCompile(want + `[.;]`).MatchString(body) {
				t.Errorf("want %q", want)
			}
			checkExample(t, k, body)
		})
	}
	for name := range sections {
		t.Errorf("docs/operators.md: %q is no operator", name)
	}
}

func levelOf(k ir.Kind) ir.Level {
	var l ir.Level
	for _, one := range []ir.Level{ir.Model, ir.Kernel} {
		if k.Is(one) {
			l |= one
		}
	}
	return l
}

// checkExample parses a section's example and compares the operand table with
// the operator in it.
func checkExample(t *testing.T, k ir.Kind, body string) {
	blocks := examples(body)
	if len(blocks) != 1 {
		t.Fatalf("%d examples, want 1", len(blocks))
	}
	g, err := ir.Parse("graph \"example\"\n" + blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.Verify(g, ir.Model|ir.Kernel); err != nil {
		t.Fatal(err)
	}
	op := g.Ops[len(g.Ops)-1]
	if op.Kind != k {
		t.Fatalf("the example ends with %v", op.Kind)
	}
	var want, got []string
	for i := range op.Args {
		want = append(want, ir.OperandName(k, i)+optional(g, i))
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)`( \\?)?").FindAllStringSubmatch(operandTable(body), -1) {
		got = append(got, m[1]+m[2])
	}
	if !slices.Equal(got, want) {
		t.Errorf("operands %q, want %q", got, want)
	}
}

// optional is " ?" where the last operator of g may lack operand i.
func optional(g *ir.Graph, i int) string {
	c := g.Clone()
	c.Ops[len(c.Ops)-1].Args[i] = nil
	if err := ir.Verify(c, ir.Model|ir.Kernel); err != nil && strings.HasSuffix(err.Error(), " is absent") {
		return ""
	}
	return " ?"
}

// operandTable is the table of a section that begins with the word operand.
func operandTable(body string) string {
	_, table, _ := strings.Cut(body, "| operand |")
	table, _, _ = strings.Cut(table, "\n\n")
	return table
}
