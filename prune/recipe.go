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
