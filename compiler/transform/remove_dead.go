package transform

import (
	"etc/ir"
	"etc/ir/pass"
)

// RemoveDead drops operators that no output needs: what the frontend claimed
// and then did not use.
var RemoveDead = pass.Pass{
	Name: "remove-dead",
	Doc:  "drop operators and weights that no output needs",
	Run:  func(g *ir.Graph) int { return g.RemoveDead() },
}
