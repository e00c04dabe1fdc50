package main

import (
	"go/ast"
	"go/parser"
	"os"
	"slices"
	"strings"
	"testing"

	"etc/codegen"
	"etc/formats/plan"
	"etc/formats/plan/launch"
	"etc/ir"
)

// TestOperatorsComplete: every kernel operator is defined, goes into plans,
// is run on the CPU and on GPUs, and is described.
func TestOperatorsComplete(t *testing.T) {
	page, err := os.ReadFile(moduleRoot + "/docs/operators.md")
	if err != nil {
		t.Fatal(err)
	}
	definitions := selectors(t, "ir/interp", "ir", func(n ast.Node) []ast.Expr {
		if pair, ok := n.(*ast.KeyValueExpr); ok {
			return []ast.Expr{pair.Key}
		}
		return nil
	})
	bindings := selectors(t, "executor/cpu", "plan", func(n ast.Node) []ast.Expr {
		if c, ok := n.(*ast.CaseClause); ok {
			return c.List
		}
		return nil
	})
	seen := map[plan.Op]bool{}
	for _, k := range ir.Kinds() {
		if !k.Is(ir.Kernel) || k == ir.Input || k == ir.Weight {
			continue
		}
		name := k.String()
		if !slices.Contains(definitions, plainName(name)) {
			t.Errorf("%s: no definition in ir/interp", name)
		}
		if !strings.Contains(string(page), "\n### "+name+"\n") {
			t.Errorf("%s: no heading in docs/operators.md", name)
		}
		op, ok := codegen.Op(k)
		switch {
		case !ok:
			t.Errorf("%s: no step in codegen", name)
			continue
		case op.String() != name:
			t.Errorf("%s: the plan's operator is called %s", name, op)
		case !slices.Contains(bindings, plainName(name)):
			t.Errorf("%s: not bound in executor/cpu", name)
		}
		if _, err := os.Stat(moduleRoot + "/codegen/cuda/kernels/" + name + ".cu"); err != nil || !slices.Contains(launch.Families(), name) {
			t.Errorf("%s: no CUDA kernel", name)
		}
		if !strings.Contains(string(page), "\n| `"+name+"` | GPU |") {
			t.Errorf("%s: no tolerance on GPUs in docs/operators.md", name)
		}
		seen[op] = true
	}
	for _, op := range plan.Ops() {
		if !seen[op] {
			t.Errorf("%s: an operator of plans that no kernel operator becomes", op)
		}
	}
}

// plainName makes otf_attention and OTFAttention alike.
func plainName(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "_", ""))
}

// selectors lists the names N of expressions from.N that pick finds in a package.
func selectors(t *testing.T, pkg, from string, pick func(ast.Node) []ast.Expr) (names []string) {
	t.Helper()
	files, _ := sources(t, parser.SkipObjectResolution)
	for _, f := range files {
		if f.pkg != pkg || f.test {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			for _, e := range pick(n) {
				if s, ok := e.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == from {
						names = append(names, plainName(s.Sel.Name))
					}
				}
			}
			return true
		})
	}
	return names
}
