package prune

import (
	"fmt"

	"etc/ir"
)

// A Recall gives answers that an earlier run has found: answer, a pointer to
// what JSON can hold, gets the one to question, or find sets it, and it is kept.
// A question tells apart all answers about one model, statistics and
// calibration rows; an answer is the same however often it is found.
type Recall func(question string, answer any, find func() error) error

func (q *Quest) recall(question string, answer any, find func() error) error {
	if q.Recall == nil {
		return find()
	}
	return q.Recall(question, answer, find)
}

// question is about a candidate, whose weights follow from its setting.
func (q *Quest) question(c *Candidate, about string) string {
	how := "at once"
	if c.rebuilds(q) {
		how = "layer by layer"
	}
	if c.cut {
		how = fmt.Sprintf("layer by layer, the first %d stages", c.stages)
	}
	return fmt.Sprintf("%s: %s %v %s", about, c.edit.method, c.setting, how)
}

// rebuilds tells whether c is written on top of what is already pruned.
func (c *Candidate) rebuilds(q *Quest) bool {
	return c.settled && q.Calibrate != nil && q.Damage != nil
}

// A looked is what is known of a candidate without the metric.
type looked struct{ Damage, Sparsity float64 }

// A judgedAs is what the search rows say of a candidate.
type judgedAs struct {
	Verdict  Verdict
	Sparsity float64
}

// A stageWritten is what writing a stage leaves: the record of each matrix, the
// bytes of its weight and bias, and the damage of the model by then.
type stageWritten struct {
	Records []Record
	Weights [][]byte
	Biases  [][]byte // nil of a matrix without one
	Damage  float64
}

// A keep knows stages of a model that were written before, by the number of
// their first matrix, or has find write them.
type keep func(first int, answer any, find func() error) error

// keeper keeps the stages of a candidate.
func (q *Quest) keeper(c *Candidate) keep {
	return func(first int, answer any, find func() error) error {
		return q.recall(q.question(c, fmt.Sprintf("stage from matrix %d on", first)), answer, find)
	}
}

// known is a stage as an earlier run left it, else as write does.
func (w *writer) known(stage []*matrix, first int, write func() (*stageWritten, error)) (*stageWritten, error) {
	if w.keep == nil {
		return write()
	}
	s := &stageWritten{}
	found := func() error {
		written, err := write()
		if err == nil {
			*s = *written
		}
		return err
	}
	err := w.keep(first, s, found)
	if err == nil && !s.fits(stage) {
		err = found()
	}
	return s, err
}

// of is what stands in g now.
func (s *stageWritten) of(g *ir.Graph, stage []*matrix) {
	for _, m := range stage {
		w, b := m.written(g)
		s.Weights, s.Biases = append(s.Weights, w), append(s.Biases, b)
	}
}

// written is the bytes of the weight and the bias in g.
func (m *matrix) written(g *ir.Graph) (w, b []byte) {
	data, _ := g.Ops[m.op].Arg("w").Data()
	w = data.Data
	if m.biased {
		data, _ = g.Ops[m.op].Arg("b").Data()
		b = data.Data
	}
	return w, b
}

// fits tells whether s can be of a stage: what comes from a file may be anything.
func (s *stageWritten) fits(stage []*matrix) bool {
	if len(s.Records) != len(stage) || len(s.Weights) != len(stage) || len(s.Biases) != len(stage) {
		return false
	}
	for i, m := range stage {
		if len(s.Weights[i]) != len(m.w.Data) || m.biased && len(s.Biases[i]) != len(m.b.Data) {
			return false
		}
	}
	return true
}

// put puts s into g.
func (s *stageWritten) put(g *ir.Graph, stage []*matrix) {
	for i, m := range stage {
		w, b := m.written(g)
		op := g.Ops[m.op]
		if string(s.Weights[i]) != string(w) {
			t := m.w
			t.Data = s.Weights[i]
			setData(op.Arg("w"), t)
		}
		if m.biased && string(s.Biases[i]) != string(b) {
			t := m.b
			t.Data = s.Biases[i]
			setData(op.Arg("b"), t)
		}
	}
}
