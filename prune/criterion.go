package prune

// A Criterion says what an entry is worth, which decides the order in which
// entries go, and what the entries that stay take over from those that went.
type Criterion struct {
	Name    string
	Doc     string // one line for people
	worth   func(mean, square float64) float64
	reach   bool // outputs count by what they reach
	surgeon bool // units go one after the other, each with what the others can take over counted in
	repair  repair
}

// A repair is what is done about the entries that went.
type repair int

const (
	noRepair     repair = iota
	refitBias           // the bias takes over the mean of what went
	leastSquares        // and the entries that stay take over what they can
)

// Criteria lists every criterion. The energy of an entry w of input x is what
// it adds to the mean square of its output by itself, w²·E[x²]; what its mean
// adds is a bias, so that w²·Var[x] is what counts where the bias is refitted.
var Criteria = []Criterion{
	{"obs", "optimal brain surgeon: what the outputs lose when the rest takes over what it can; least squares", variance, true, true, leastSquares},
	{"energy", "energy of each entry by itself; least squares", variance, true, false, leastSquares},
	{"magnitude", "squared weights, as E.T. does; no repair", one, false, false, noRepair},
	{"wanda", "energy, mean included; no repair", secondMoment, false, false, noRepair},
	{"flap", "energy; the bias takes over the mean", variance, false, false, refitBias},
}

func variance(mean, square float64) float64  { return square - float64(mean*mean) }
func secondMoment(_, square float64) float64 { return square }
func one(_, _ float64) float64               { return 1 }
