package prune

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"etc/fault"
	"etc/ir"
	"etc/prune/latency"
)

// A Verdict is what a user's metric says of a pruned model.
type Verdict struct {
	Inside                bool    // no worse than is allowed; true where nothing was asked
	Name                  string  // of the metric
	Metric                float64 // of the pruned model, with its 95 % interval
	MetricLow, MetricHigh float64
	Was                   float64 // of the dense model on the same rows
	Dense                 float64 // and on all of the rows, with its interval
	DenseLow, DenseHigh   float64
	Drop                  float64 // in points of metric×100, or percent of a perplexity; positive is worse
	Low                   float64 // 95 % interval of the drop
	High                  float64
	P                     *float64 // McNemar's, where it was taken
	Rows                  int      // that were judged
	Of                    int      // rows there are: more than Rows where it was hopeless by then
}

// Hopeless tells whether not all rows were judged, because it would not have helped.
func (v *Verdict) Hopeless() bool { return v.Rows < v.Of }

// A Judge judges a pruned graph on some rows.
type Judge func(ctx context.Context, g *ir.Graph) (*Verdict, error)

// A Quest looks for a model that is fast enough, or as fast as the metric
// allows.
//
// At each of a ladder of speeds a few allocations of what goes to sublayers
// compete: the same for all layers, and the cheapest by a knapsack over what
// sublayers lose by themselves or end to end. Damage, how far the outputs are
// from the dense model's, picks among them; the metric decides only how far to
// climb. What is found is then written anew, layer after layer on top of what is
// already pruned, and has to pass on rows that the search never saw.
// Source: notes of the project and docs/pruning.md.
type Quest struct {
	Dense     *ir.Graph
	Stats     *Statistics
	Method    Method
	Latency   *latency.Table
	Speedup   float64                                                 // wanted; 0: as much as the metric allows
	Sparsity  float64                                                 // share of zeros wanted instead, without a judge or a table
	Damage    func(ctx context.Context, g *ir.Graph) (float64, error) // nil: nothing to compare outputs on
	Calibrate Calibrate                                               // nil: all is written at once; else with Damage
	Search    Judge                                                   // on rows that the search may see; nil: the metric has no say
	Rows      string                                                  // names the search rows and what is allowed on them
	Accept    Judge                                                   // on rows that it may not, asked once
	Reserve   Judge                                                   // on rows set aside for one more try
	Measure   func(ctx context.Context, g *ir.Graph) (float64, error) // a model's speed-up as measured; nil: the table is believed
	Recall    Recall                                                  // answers of earlier runs; nil: there are none
	Stop      func(s Step) bool                                       // no time for a step that can be left out; nil: there is
	Tell      func(stage string, done, total int)                     // nil: nobody listens
	Heard     func(v *Verdict)                                        // is told what the search rows say, recalled or not; nil: nobody
	Ranked    func()                                                  // is told that nobody needs Stats.Reach any more; nil: nobody

	edit     *Edit
	menus    []menu
	schemes  []scheme
	measured bool // what options cost end to end
	refused  bool // the accept rows said no
	stage    progress
	tried    map[string]*Candidate
	Tried    []*Candidate // in the order in which they were first looked at
	Best     *Candidate   // the best that passed so far: of a speed, what loses least; else the fastest
	Stopped  bool         // there was no time to try everything
	Before   float64      // share of zeros of the dense model
}

// A Step is what a search does only if there is time for it, and for what has to
// follow: judges and, unless Bare, rebuilding a candidate.
type Step struct {
	Kind  string // steps of one kind take about as long
	Count int    // so many, none of use without the others
	Bare  bool
}

// Kinds of steps.
const (
	stepSublayer   = "sublayer"   // a look at what one loses end to end
	stepScheme     = "scheme"     // the order of what goes by one
	stepAllocation = "allocation" // a candidate written at once and looked at
	stepStage      = "stage"      // one rebuilt
)

// Progress is what the comparison of candidates is a part of.
type progress struct {
	stage       string
	done, total int
}

// A Candidate is a pruned model that was looked at.
type Candidate struct {
	Name     string    // which allocation it is
	Wanted   float64   // the speed-up it was made for
	Speedups []float64 // by the latency table, by shape
	Sparsity float64
	Damage   float64
	Verdict  *Verdict // on the search rows; nil: not judged
	Outcome  string

	choice  choice // nil: of a scheme, or evenly
	edit    *Edit
	setting Setting // of its dials
	looked  bool    // Damage is known
	ratio   float64 // of the dense model's time to its, as measured; 0: it was not
	settled bool    // written for good
	cut     bool    // there was no time to rebuild more stages than those
	stages  int
	once    float64 // damage of what is settled as it was before, written at once
	writing string  // the stage that is told while it is
	graph   *ir.Graph
	recipe  *Recipe
}

// Speedup is the smallest ratio of the dense model's time to its.
func (c *Candidate) Speedup() float64 {
	if len(c.Speedups) == 0 {
		return 0
	}
	return slices.Min(c.Speedups)
}

// gain is what a climb is for: the speed-up or, where there is no table of it, the zeros.
func (c *Candidate) gain() float64 { return cmp.Or(c.Speedup(), c.Sparsity) }

// Gain is that for people.
func (c *Candidate) Gain() string {
	if c.Speedup() == 0 {
		return fmt.Sprintf("%.0f %% zeros", 100*c.Sparsity)
	}
	return fmt.Sprintf("speed-up %.2f", c.Speedup())
}

// Looked tells whether its damage was measured or asked for in vain.
func (c *Candidate) Looked() bool { return c.looked }

// A Found is the outcome of a search.
type Found struct {
	Graph     *ir.Graph
	Recipe    *Recipe
	Candidate *Candidate
	Accepted  *Verdict // on rows the search did not see; nil: there were none
	Reserved  bool     // whether those were the rows set aside
}

// rung is the ratio between the speeds of two rungs of the ladder.
const rung = 1.05

// Run searches. Nothing fast enough, or nothing that the metric accepts, is
// fault.Unreachable and says the best that was found.
func (q *Quest) Run(ctx context.Context) (*Found, error) {
	if err := q.prepare(ctx); err != nil {
		return nil, err
	}
	if q.Sparsity > 0 {
		return q.atSparsity(ctx)
	}
	if q.Speedup > 0 {
		if !q.allocates() {
			return nil, fault.Newf(fault.Usage, "--speedup with --method %s: its speeds are not in the latency table; want %s by its default criterion", q.Method.Name, Structured.name)
		}
		return q.atSpeed(ctx)
	}
	return q.climb(ctx)
}

// prepare makes the dials, and for a structured search the menus and what their
// options cost end to end.
func (q *Quest) prepare(ctx context.Context) error {
	q.tried = map[string]*Candidate{}
	q.tell("ranking", 0, 1)
	m := q.Method
	if q.allocates() {
		m.structure = &searched
	}
	stats := q.Stats.clone()
	e, err := m.rank(q.Dense, stats)
	if err != nil {
		return err
	}
	q.edit = e
	q.Before = float64(e.zerosAt(make(Setting, len(e.dials)))) / float64(e.entries())
	if !q.allocates() {
		return nil
	}
	q.menus = e.menus(q.Latency)
	if err := q.measureDamage(ctx); err != nil {
		return err
	}
	if q.measured { // schemes are compared by damage only
		if err := q.rankSchemes(stats); err != nil {
			return err
		}
	}
	if stats != nil {
		stats.Reach = nil // is large, and all that it orders is in order
	}
	if q.Ranked != nil {
		q.Ranked()
	}
	return nil
}

// allocates tells whether sublayers are pruned each in its own way: by the
// structure for which the latency table has every level, in an order that says
// what each level loses.
func (q *Quest) allocates() bool {
	return q.Sparsity == 0 && q.Method.structure.name == Structured.name && q.Method.criterion.surgeon
}

func (q *Quest) tell(stage string, done, total int) {
	if q.Tell != nil {
		q.Tell(stage, done, total)
	}
}

// tellTried says that the candidates of a rung are compared, done so far.
func (q *Quest) tellTried(done int) {
	q.tell(q.stage.stage, min(q.stage.done+done, q.stage.total), q.stage.total)
}

// stop tells whether there is no time for a step.
func (q *Quest) stop(s Step) bool {
	stop := q.Stop != nil && q.Stop(s)
	q.Stopped = q.Stopped || stop
	return stop
}

// allocating is the step to another candidate. As long as a climb has found nothing
// inside there is nothing to rebuild.
func (q *Quest) allocating() Step {
	return Step{stepAllocation, 1, q.climbs() && q.Best == nil}
}

// climbs tells whether the fastest that is inside is wanted, and not a speed or a share.
func (q *Quest) climbs() bool { return q.Speedup == 0 && q.Sparsity == 0 }

// atSpeed finds the best model of the speed that is wanted.
func (q *Quest) atSpeed(ctx context.Context) (*Found, error) {
	finalists, err := q.fastEnough(ctx)
	if err != nil {
		return nil, err
	}
	if len(finalists) == 0 {
		return nil, fault.Newf(fault.Unreachable, "speed-up %.3g: the fastest model by the latency table is %.3g times as fast as the dense one", q.Speedup, q.fastest()).
			WithHint("less --speedup, or another --target")
	}
	ranked, err := q.settle(ctx, finalists)
	if err != nil {
		return nil, err
	}
	best := ranked[0]
	if best.Verdict != nil && !best.Verdict.Inside {
		return nil, q.unreachable(best, best.Verdict, "on the search rows")
	}
	return q.accept(ctx, best, func() (*Candidate, error) {
		if len(ranked) == 1 || !ranked[1].Verdict.Inside {
			return nil, nil
		}
		return ranked[1], q.build(ctx, ranked[1])
	})
}

// measureTries is how often what turns out too slow is made faster.
const measureTries = 3

// fastEnough is the candidates of the wanted speed. Where speeds are measured
// it is those that settle may take, none of them slower than is wanted; where the best is
// slower than the table says, the table is asked for as much more; too slow for too long is
// fault.Unreachable.
func (q *Quest) fastEnough(ctx context.Context) ([]*Candidate, error) {
	wanted := q.Speedup
	for try := 0; ; try++ {
		q.stage = q.comparing()
		list, err := q.rung(ctx, wanted, true)
		if err != nil || len(list) == 0 || q.Measure == nil {
			return list, err
		}
		best := list[0]
		if err := q.measure(ctx, best); err != nil {
			return nil, err
		}
		if best.ratio < q.Speedup {
			if try == measureTries {
				return nil, fault.Newf(fault.Unreachable, "speed-up %.3g: what the latency table calls %.2f is %.2f as measured", q.Speedup, best.Speedup(), best.ratio).
					WithHint("less --speedup, or a machine with nothing else to do")
			}
			wanted *= q.Speedup / best.ratio
			continue
		}
		fast := []*Candidate{best}
		for _, c := range list[1:] {
			if len(fast) == finals || q.stop(q.allocating()) {
				break
			}
			if err := q.measure(ctx, c); err != nil {
				return nil, err
			}
			if c.ratio >= q.Speedup {
				fast = append(fast, c)
			}
		}
		return fast, nil
	}
}

// measure finds out how many times as fast a candidate is, once.
func (q *Quest) measure(ctx context.Context, c *Candidate) error {
	if c.ratio > 0 {
		return nil
	}
	if err := q.build(ctx, c); err != nil {
		return err
	}
	ratio, err := q.Measure(ctx, c.graph)
	if err != nil {
		return err
	}
	c.forget()
	if c.ratio = ratio; ratio < q.Speedup {
		c.Outcome = fmt.Sprintf("too slow: %.2f times as fast as measured", ratio)
	} else if q.Search == nil {
		q.prefer(c)
	}
	return nil
}

// A ladder is models of rising speed or sparsity, from rung 1 on; rung 0 is
// the dense model.
type ladder struct {
	rungs int
	// at is the candidates of a rung, the best first; polished, with more effort.
	at func(ctx context.Context, rung int, polished bool) ([]*Candidate, error)
}

// shares is the number of shares that a ladder of even settings tells apart.
const shares = 32

// ladder is that of the method.
func (q *Quest) ladder() ladder {
	if q.allocates() {
		return ladder{int(math.Log(q.fastest()) / math.Log(rung)), func(ctx context.Context, k int, polished bool) ([]*Candidate, error) {
			return q.rung(ctx, math.Pow(rung, float64(k)), polished)
		}}
	}
	var settings []Setting // small matrices have fewer units than there are shares
	most := q.edit.zerosAt(make(Setting, len(q.edit.dials)))
	for k := range shares {
		s := q.edit.at(levels / shares * level(k+1))
		if zeros := q.edit.zerosAt(s); zeros > most {
			settings, most = append(settings, s), zeros
		}
	}
	made := make([]*Candidate, len(settings))
	return ladder{len(settings), func(_ context.Context, k int, _ bool) ([]*Candidate, error) {
		if made[k-1] == nil {
			made[k-1] = &Candidate{Name: "evenly", edit: q.edit, setting: settings[k-1], Outcome: "not judged"}
			q.Tried = append(q.Tried, made[k-1])
		}
		return made[k-1 : k], nil
	}}
}

// climb bisects over the ladder for the highest rung that the metric allows.
func (q *Quest) climb(ctx context.Context) (*Found, error) {
	ladder := q.ladder()
	if ladder.rungs == 0 {
		return nil, fault.Newf(fault.Unreachable, "method %s has nothing left to zero", q.Method.Name).WithHint("another --method")
	}
	low, high := 0, ladder.rungs+1 // low passes, high does not
	passed := map[int]*Candidate{}
	var worst *Candidate
	looks := len(q.portfolio()) + 1 // at a rung: at each allocation, and with the metric
	for done := 0; high-low > 1 && !q.stop(q.allocating()); done++ {
		q.stage = progress{"searching", looks * done, looks * (done + bitsFor(high-low))}
		q.tellTried(0)
		mid := (low + high) / 2
		list, err := ladder.at(ctx, mid, false)
		if err != nil {
			return nil, err
		}
		ok := false
		if len(list) > 0 {
			q.tellTried(looks - 1)
			if ok, err = q.judged(ctx, list[0]); err != nil {
				return nil, err
			}
		}
		if ok {
			low, passed[mid] = mid, list[0]
		} else {
			high = mid
			if len(list) > 0 {
				worst = list[0]
			}
		}
	}
	for k := low; k > 0; k-- {
		if passed[k] == nil {
			continue
		}
		q.stage = q.comparing()
		list, err := ladder.at(ctx, k, true)
		if err != nil {
			return nil, err
		}
		ranked, err := q.settle(ctx, list)
		if err != nil {
			return nil, err
		}
		best := ranked[0]
		if best.Verdict != nil && !best.Verdict.Inside { // what is written anew is judged anew
			worst = best
			continue
		}
		return q.accept(ctx, best, func() (*Candidate, error) {
			safer := q.safer(passed, k)
			if safer == nil {
				return nil, nil
			}
			ranked, err := q.settle(ctx, []*Candidate{safer})
			if err != nil {
				return nil, err
			}
			return ranked[0], nil
		})
	}
	if worst == nil {
		return nil, q.unreachable(nil, nil, "")
	}
	return nil, q.unreachable(worst, worst.Verdict, "on the search rows")
}

// safer is the candidate of the highest rung below k that passed, or nil.
func (q *Quest) safer(passed map[int]*Candidate, k int) *Candidate {
	for k--; k > 0; k-- {
		if passed[k] != nil {
			return passed[k]
		}
	}
	return nil
}

func bitsFor(n int) int { return int(math.Ceil(math.Log2(float64(max(2, n))))) }

// fastest is the largest speed-up that any choice has.
func (q *Quest) fastest() float64 {
	c := make(choice, len(q.menus))
	weight := weightOf(q.menus, q.Latency.Rest)
	for i, m := range q.menus {
		for j := range m.options {
			if weight(&m.options[j]) < weight(&m.options[c[i]]) {
				c[i] = j
			}
		}
	}
	return speedup(q.menus, q.Latency.Rest, c)
}

// accept has the rows decide that the search did not see. They are looked at
// once; if they refuse, another model may try those set aside: one known to lose
// less, or the next best of a speed. nil where there is none.
func (q *Quest) accept(ctx context.Context, best *Candidate, another func() (*Candidate, error)) (*Found, error) {
	if q.Accept == nil {
		return &Found{Graph: best.graph, Recipe: best.recipe, Candidate: best}, nil
	}
	v, err := q.Accept(ctx, best.graph)
	if err != nil {
		return nil, err
	}
	if v.Inside {
		best.Outcome = "accepted"
		return &Found{best.graph, best.recipe, best, v, false}, nil
	}
	best.Outcome, q.refused = fmt.Sprintf("refused by the accept rows: %+.2f", v.Drop), true
	var next *Candidate
	if q.Reserve != nil {
		if next, err = another(); err != nil {
			return nil, err
		}
	}
	if next == nil {
		return nil, q.unreachable(best, v, "on the accept rows")
	}
	if v, err = q.Reserve(ctx, next.graph); err != nil {
		return nil, err
	}
	if !v.Inside {
		next.Outcome = fmt.Sprintf("refused by the rows set aside: %+.2f", v.Drop)
		return nil, q.unreachable(next, v, "on the rows set aside")
	}
	next.Outcome = "accepted on the rows set aside"
	return &Found{next.graph, next.recipe, next, v, true}, nil
}

// unreachable says what rows said of c, and the best that was found; c is nil
// where there was none.
func (q *Quest) unreachable(c *Candidate, v *Verdict, where string) error {
	hint := "allow a larger --max-drop, less --speedup, or fine-tune with the masks and prune again"
	if q.Stopped {
		hint = "there was no time to try everything: allow a larger --budget, or " + strings.TrimPrefix(hint, "allow ")
	}
	if c == nil || v == nil {
		return fault.Newf(fault.Unreachable, "no pruned model was found inside the drop allowed").WithHint("%s", hint)
	}
	best := "none that was inside"
	if q.Best != nil && q.Best.Verdict != nil {
		best = fmt.Sprintf("%s at a drop of %.2f", q.Best.Gain(), q.Best.Verdict.Drop)
	}
	if v.Hopeless() {
		where = fmt.Sprintf("%s, on the first %d of %d", where, v.Rows, v.Of)
	}
	return fault.Newf(fault.Unreachable, "%s costs %.2f points %s, more than is allowed; best found on the search rows: %s", c.Gain(), v.Drop, where, best).
		WithHint("%s", hint)
}

// judged looks at a candidate with the metric, once.
func (q *Quest) judged(ctx context.Context, c *Candidate) (bool, error) {
	if q.Search == nil {
		q.prefer(c)
		return true, nil
	}
	if c.Verdict == nil {
		var answer judgedAs
		err := q.recall(q.question(c, "verdict of "+q.Rows), &answer, func() error {
			if err := q.build(ctx, c); err != nil {
				return err
			}
			v, err := q.Search(ctx, c.graph)
			if err == nil {
				answer = judgedAs{*v, c.recipe.Sparsity}
			}
			return err
		})
		if err != nil {
			return false, err
		}
		c.heard(&answer)
		if q.Heard != nil {
			q.Heard(c.Verdict)
		}
		if !c.settled {
			c.forget()
		}
		q.prefer(c)
	}
	return c.Verdict.Inside, nil
}

// heard takes what the search rows say.
func (c *Candidate) heard(said *judgedAs) {
	c.Verdict, c.Sparsity = &said.Verdict, said.Sparsity
	c.Outcome = "inside"
	if !c.Verdict.Inside {
		c.Outcome = "outside"
	}
	if c.Verdict.Hopeless() {
		c.Outcome = fmt.Sprintf("outside, after %d rows", c.Verdict.Rows)
	}
}

// forget drops the weights: a model is large, and is soon made again.
func (c *Candidate) forget() { c.graph, c.recipe = nil, nil }

// prefer keeps c as the best so far if it is: of what is wanted, not known to
// be outside and, where speeds are measured, not slower.
func (q *Quest) prefer(c *Candidate) {
	if q.Search != nil && (c.Verdict == nil || !c.Verdict.Inside) || q.Measure != nil && c.ratio < q.Speedup {
		return
	}
	if q.Best == nil || q.climbs() && c.gain() > q.Best.gain() || !q.climbs() && c.better(q.Best) {
		q.Best = c
	}
}

// Kept is the best of a search that did not end, nil where there is none: what
// the accept rows have refused is not. They have not been asked of it.
func (q *Quest) Kept(ctx context.Context) (*Found, error) {
	if q.Best == nil || q.refused {
		return nil, nil
	}
	if err := q.build(ctx, q.Best); err != nil {
		return nil, err
	}
	return &Found{Graph: q.Best.graph, Recipe: q.Best.recipe, Candidate: q.Best}, nil
}

// build writes a candidate's graph, unless it is there.
func (q *Quest) build(ctx context.Context, c *Candidate) error {
	if c.graph != nil {
		return nil
	}
	w := &writer{Edit: c.edit, g: q.Dense.Clone()}
	if c.rebuilds(q) {
		w.rebuild, w.keep, w.once = q.rebuilding(ctx, c), q.keeper(c), &c.once
	}
	c.edit.turn(c.setting)
	r, err := w.write()
	if err != nil {
		return err
	}
	c.graph, c.recipe, c.Sparsity = w.g, r, r.Sparsity
	if c.cut, c.stages = w.cut, w.stages; c.cut {
		c.Name += fmt.Sprintf(" (the first %d stages)", c.stages)
	}
	return nil
}

// rebuilding is a Rebuild that says which sublayer of a candidate is rebuilt.
func (q *Quest) rebuilding(ctx context.Context, c *Candidate) *Rebuild {
	return &Rebuild{
		Calibrate: func(g *ir.Graph, p *Pass) error {
			at := slices.IndexFunc(c.edit.layers, func(l *sublayer) bool { return l.label == p.Block() })
			q.tell(c.writing, max(0, at), len(c.edit.layers))
			return q.Calibrate(g, p)
		},
		Damage: func(g *ir.Graph) (float64, error) {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			return q.Damage(ctx, g)
		},
		Stop: func() bool { return q.stop(Step{stepStage, 1, true}) },
	}
}

// finals is how many candidates of a rung are written anew.
const finals = 2

// settle writes the best of some candidates anew, each layer on top of what is
// already pruned, and ranks the outcomes: first the one that does least damage, of
// those that the metric allows.
func (q *Quest) settle(ctx context.Context, list []*Candidate) ([]*Candidate, error) {
	var ranked []*Candidate
	list = list[:min(finals, len(list))]
	for i, c := range list {
		if i > 0 && q.stop(Step{stepStage, max(1, ranked[0].stages), true}) {
			break
		}
		if !c.looked && q.Damage != nil {
			if err := q.look(ctx, c); err != nil {
				return nil, err
			}
			c.forget()
		}
		again := *c
		again.Verdict, again.graph, again.settled, again.once = nil, nil, true, c.Damage
		again.writing = fmt.Sprintf("rebuilding %d of %d", i+1, len(list))
		if again.rebuilds(q) {
			again.Name += ", layer by layer"
		}
		if err := q.look(ctx, &again); err != nil {
			return nil, err
		}
		q.Tried = append(q.Tried, &again)
		if _, err := q.judged(ctx, &again); err != nil {
			return nil, err
		}
		ranked = append(ranked, &again)
		slices.SortStableFunc(ranked, byVerdict)
		for _, c := range ranked[1:] {
			if c != q.Best && q.Stop == nil { // wanted in a hurry, or not to be made again in any time
				c.forget()
			}
		}
	}
	return ranked, q.build(ctx, ranked[0])
}

// byVerdict puts the better of two candidates of one speed first.
func byVerdict(a, b *Candidate) int {
	switch {
	case a.better(b):
		return -1
	case b.better(a):
		return 1
	}
	return 0
}

// better compares two candidates of one speed. Damage has the first word: it
// counts every bit of every row, where a metric of some hundred labels cannot
// tell candidates apart.
func (c *Candidate) better(than *Candidate) bool {
	if v, w := c.Verdict, than.Verdict; v != nil && w != nil {
		if v.Inside != w.Inside {
			return v.Inside
		}
		if c.Damage == than.Damage {
			return v.Drop < w.Drop
		}
	}
	return c.Damage < than.Damage
}

// look measures a candidate's damage.
func (q *Quest) look(ctx context.Context, c *Candidate) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var answer looked
	if q.Stop != nil && c.rebuilds(q) { // how far, and what the question is, time tells
		if err := q.build(ctx, c); err != nil {
			return err
		}
	}
	err := q.recall(q.question(c, "damage"), &answer, func() error {
		if err := q.build(ctx, c); err != nil {
			return err
		}
		answer.Sparsity = c.recipe.Sparsity
		if q.Damage == nil {
			return nil
		}
		d, err := q.Damage(ctx, c.graph)
		answer.Damage = bounded(d)
		return err
	})
	c.Damage, c.Sparsity, c.looked = answer.Damage, answer.Sparsity, err == nil
	return err
}
