// Package report writes the page of --report: what a pruning was asked, what it
// reached, and what it tried on the way.
//
// In goes a Page, plain data; out comes one HTML file that needs nothing else:
// style and drawings are in it, there is no script and no link, and a browser
// may fetch nothing for it. Equal pages give equal bytes: times, hosts and
// paths are in it only where the Page has them.
package report

// A Page is all that the report says. A slice or pointer that is empty leaves
// its part out. All numbers are finite.
type Page struct {
	Head       Head        `json:"head"`
	Verdict    Verdict     `json:"verdict"`
	Metric     Metric      `json:"metric"`
	Candidates []Candidate `json:"candidates"` // in the order they were tried
	Layers     []Layer     `json:"layers"`     // from the embeddings on
	Notes      []string    `json:"notes"`      // warnings and what else a reader must know
}

// A Head says what was pruned, for what, with what, and how to do it again.
type Head struct {
	Model        string `json:"model"`
	Task         string `json:"task"`
	Version      string `json:"etc"`
	Source       string `json:"source"` // digest of the dense checkpoint, in hexadecimal
	Target       string `json:"target"`
	LatencyTable string `json:"latency_table"`  // where the table is from
	TableDigest  string `json:"latency_digest"` // of the table, in hexadecimal
	Command      string `json:"command"`        // exact, to be pasted into a shell
}

// A Verdict is what was asked and what came of it.
type Verdict struct {
	Speedup *Goal       `json:"speedup,omitempty"` // --speedup, asked as 1.5
	Drop    *Goal       `json:"drop,omitempty"`    // --max-drop, asked as 1%
	Shapes  []Shape     `json:"shapes"`
	Judged  []Judgement `json:"judged"`
	Rows    string      `json:"rows,omitempty"` // on which rows Judged is; "" for those that the search has not seen
}

// A Goal is one thing asked. Who fills in the Page decides on it: the numbers
// beside it are rounded.
type Goal struct {
	Asked   string `json:"asked"`
	Reached bool   `json:"reached"`
}

// A Shape is a batch that speed is told for.
type Shape struct {
	Name      string   `json:"name"`                // batch and tokens, as 8×128
	Predicted *float64 `json:"predicted,omitempty"` // ratio dense/pruned by the table; nil where none was read
	Measured  *float64 `json:"measured,omitempty"`  // nil where it was not
}

// A Judgement compares the pruned model with the dense one on some rows, as
// eval.Comparison: Drop is in points of metric×100, or in percent where lower
// is better; above zero is worse.
type Judgement struct {
	Name   string   `json:"name"` // of the rows: accept half, reserve
	Rows   int      `json:"rows"`
	Dense  float64  `json:"dense"`
	Pruned float64  `json:"pruned"`
	Drop   float64  `json:"drop"`
	Low    float64  `json:"low"` // 95 % interval of Drop
	High   float64  `json:"high"`
	P      *float64 `json:"p,omitempty"` // McNemar's
}

// A Metric is what candidates are judged by, on the search half. One where
// higher is better is shown times 100, another as it is.
type Metric struct {
	Name          string   `json:"name"`
	LowerIsBetter bool     `json:"lower_is_better"`
	Damage        string   `json:"damage"` // what Candidate.Damage is: KL, 1−cos
	Dense         *Value   `json:"dense,omitempty"`
	Allowed       *float64 `json:"allowed,omitempty"` // the worst value inside --max-drop
}

// A Value has its 95 % interval.
type Value struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// A Candidate is a way of pruning that was tried.
type Candidate struct {
	Name     string   `json:"name"` // uniform, dp-local, dp-e2e, switch
	Rung     int      `json:"rung"`
	Speedup  float64  `json:"speedup"`          // predicted
	Sparsity float64  `json:"sparsity"`         // share of zeros
	Damage   *float64 `json:"damage,omitempty"` // nil where it was not screened
	Metric   *Value   `json:"metric,omitempty"` // nil where it was not judged
	Outcome  Outcome  `json:"outcome"`
	Reason   string   `json:"reason"`
}

// An Outcome is what became of a candidate.
type Outcome string

const (
	Chosen    Outcome = "chosen"
	Inside    Outcome = "inside"     // of the drop allowed, but another is better
	Outside   Outcome = "outside"    // of the drop allowed
	EarlyStop Outcome = "early stop" // outside after a part of the rows: Metric is of that part
	NotJudged Outcome = "not judged" // its damage or speed was enough
)

// A Layer is what was kept of one. What a model does not have is Of 0.
type Layer struct {
	Heads    Kept `json:"heads"`
	QueryKey Kept `json:"query_key"` // rows of W_Q, as many as W_K's, over all heads
	Value    Kept `json:"value"`     // rows of W_V, over all heads
	FFN      Kept `json:"ffn"`       // neurons
	Tiles    Kept `json:"tiles"`     // 16×16 tiles with a non-zero, of its matrices
}

// Kept counts what is left of how many there were.
type Kept struct {
	Kept int `json:"kept"`
	Of   int `json:"of"`
}
