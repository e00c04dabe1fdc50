package prune

// A Recipe says what was done, for etc-recipe.json.
type Recipe struct {
	Schema   int      `json:"schema"`
	Method   string   `json:"method"`
	Scores   string   `json:"scores"`   // what the scores are made of
	Sparsity float64  `json:"sparsity"` // share of zeros in the encoder's matrices
	Matrices []Record `json:"matrices"`
}

// A Record is one matrix of the recipe.
type Record struct {
	Weight  string `json:"weight"`
	Block   string `json:"block"`
	Shape   [2]int `json:"shape"`
	Zeros   int    `json:"zeros"`
	Rows    int    `json:"zero_rows"`    // rows without another entry
	Columns int    `json:"zero_columns"` // columns without another entry
}

// recipeSchema is the version of the JSON shape.
const recipeSchema = 1

// apply makes the edit in its graph and says what it was.
func (e *Edit) apply(method string) *Recipe {
	r := &Recipe{Schema: recipeSchema, Method: method, Sparsity: e.Sparsity()}
	for _, m := range e.matrices() {
		r.Matrices = append(r.Matrices, m.record())
	}
	for _, m := range e.matrices() {
		m.apply(e.graph)
	}
	return r
}

func (m *matrix) record() Record {
	r := Record{Weight: m.op.Arg("w").WeightName(), Block: m.op.Label, Shape: [2]int{m.n, m.k}, Zeros: m.zeros()}
	column := make([]bool, m.k)
	for i := range m.n {
		empty := true
		for j := range m.k {
			if at := i*m.k + j; !m.zero[at] && m.w[at] != 0 {
				empty, column[j] = false, true
			}
		}
		if empty {
			r.Rows++
		}
	}
	for _, kept := range column {
		if !kept {
			r.Columns++
		}
	}
	return r
}
