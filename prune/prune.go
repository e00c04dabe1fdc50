// Package prune zeroes the weights that an encoder can best do without and
// lets those that stay take over what they can.
//
// A graph of model operators enters, with statistics of the activations that
// calibration rows cause; the same graph leaves with some entries of its
// encoder matrices exactly +0, the others refitted by least squares, and the
// biases behind them too. Shapes and dtypes do not change: the compiler finds
// the structure in the zeros.
//
// A Method is a structure, which says what goes together, with a criterion,
// which says in what order. It makes dials, one for each place of the model; a
// setting of all dials is a pruned model. Fixed turns all dials evenly to a
// given sparsity, a Quest looks for the setting that is fast enough and loses
// no more than a user's metric allows. Sources: docs/pruning.md.
package prune

import (
	"strings"

	"etc/fault"
	"etc/ir"
)

// A structure says what goes together. Every structure is one file and one row
// of Structures; rank makes its dials.
type structure struct {
	name      string
	doc       string // one line for people
	criterion string // the default
	rank      func(e *Edit)
}

// structures lists every structure; the first is the default.
var structures = []structure{
	Structured, Heads, Neurons, Widths, Narrow, Rows, Columns, Tiles, BalancedTiles, NM, Elements, ETTile, ETAware1, ETAware2,
}

// A Method is a structure with a criterion.
type Method struct {
	Name      string // STRUCTURE, or STRUCTURE:CRITERION where that is not the default
	structure *structure
	criterion *Criterion
}

// Methods are all structures with their default criteria; the first is the default.
func Methods() []Method {
	var all []Method
	for i := range structures {
		m, err := MethodNamed(structures[i].name)
		if err != nil {
			panic("bug: prune: " + err.Error())
		}
		all = append(all, m)
	}
	return all
}

// Criterion is what decides the order in which things go.
func (m Method) Criterion() *Criterion { return m.criterion }

// Reaches tells whether outputs of products count by what Statistics.Reach knows.
func (m Method) Reaches() bool { return m.criterion.reach }

// Doc is one line for people.
func (m Method) Doc() string { return m.structure.doc }

// MethodNamed finds a method: tiles, or tiles:magnitude.
func MethodNamed(name string) (Method, error) {
	what, how, chosen := strings.Cut(name, ":")
	for i := range structures {
		s := &structures[i]
		if s.name != what {
			continue
		}
		if !chosen {
			how = s.criterion
		}
		for j := range Criteria {
			if c := &Criteria[j]; c.Name == how {
				if how != s.criterion {
					what += ":" + how
				}
				return Method{what, s, c}, nil
			}
		}
		return Method{}, fault.Newf(fault.Usage, "criterion %q of pruning method %q: want one of %s", how, name, criterionNames())
	}
	return Method{}, fault.Newf(fault.Usage, "pruning method %q: want one of %s, perhaps with :CRITERION", name, StructureNames())
}

// StructureNames are the names of all structures.
func StructureNames() string {
	var names []string
	for _, s := range structures {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func criterionNames() string {
	var names []string
	for _, c := range Criteria {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// Rank finds the blocks of g and makes the dials of m.
func (m Method) rank(g *ir.Graph, stats *Statistics) (*Edit, error) {
	e, err := newEdit(g, stats, m)
	if err != nil {
		return nil, err
	}
	m.structure.rank(e)
	for _, matrix := range e.matrices {
		matrix.reach = nil // is large, and only orders
	}
	return e, nil
}
