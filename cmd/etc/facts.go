package main

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"etc/formats/plan"
)

// A fact is one thing that is so of a model or a plan, besides its steps.
type fact struct{ what, value string }

// A factDiff is a fact that differs; a side that does not have it is empty.
type factDiff struct {
	What string `json:"what"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// modelFacts are those that a checkpoint decides.
func modelFacts(m *plan.Model, tokenizer []byte) []fact {
	facts := []fact{
		{"architecture", m.Architecture}, {"task", taskName(m.Task)},
		{"layers", strconv.Itoa(m.Layers)}, {"width", strconv.Itoa(m.Hidden)},
		{"vocabulary", strconv.Itoa(m.VocabSize)}, {"token types", strconv.Itoa(m.TypeVocabSize)},
		{"position of the first token", strconv.Itoa(m.PositionOffset)},
		{"longest row", strconv.Itoa(m.MaxTokens)}, {"labels", strconv.Itoa(len(m.Labels))},
	}
	for i, label := range m.Labels {
		facts = append(facts, fact{fmt.Sprintf("label %d", i), strconv.Quote(label)})
	}
	for _, id := range m.Padding {
		facts = append(facts, fact{"token of padding (pad_token_id)", strconv.Itoa(id)})
	}
	if len(tokenizer) > 0 {
		facts = append(facts, fact{"tokenizer", inDigest(tokenizer)})
	}
	return facts
}

// planFacts are those of the model, and what the compiler was asked for.
func planFacts(p *plan.Plan) []fact {
	facts := append(modelFacts(&p.Model, p.Tokenizer),
		fact{"targets", strings.Join(p.Targets(), ", ")}, fact{"tokens of a batch", strconv.Itoa(p.MaxBatchTokens)})
	for _, q := range p.Programs {
		facts = append(facts, fact{labelOf(q, "buckets"), strings.Trim(fmt.Sprint(bucketLengths(q)), "[]")})
		if isGPU(q) {
			facts = append(facts, fact{labelOf(q, "kernels"), inDigest(launchText(q))})
		}
	}
	return facts
}

// launchText says which kernels the steps of a program run, and what code.
func launchText(q *plan.Program) []byte {
	var text []byte
	use := func(step int, launches []plan.Launch) {
		for _, l := range launches {
			text = fmt.Appendln(text, step, l.Tokens)
			for _, k := range l.Kernels {
				text = fmt.Appendln(text, q.Kernels[k].Entry())
			}
		}
	}
	for i := range q.Steps {
		use(i, q.Steps[i].Launches)
	}
	for _, b := range q.Buckets {
		for _, c := range b.Choices {
			use(c.Step, c.Launches)
		}
	}
	return append(text, q.Code...)
}

// inDigest stands for bytes that say nothing to people.
func inDigest(b []byte) string { return fmt.Sprintf("sha256 %.8x…", sha256.Sum256(b)) }

// diffFacts are the facts that differ, in the order of a, then of b.
func diffFacts(a, b []fact) []factDiff {
	var diffs []factDiff
	for _, x := range a {
		if y := factOf(b, x.what); y != x.value {
			diffs = append(diffs, factDiff{x.what, x.value, y})
		}
	}
	for _, y := range b {
		if !slices.ContainsFunc(a, func(x fact) bool { return x.what == y.what }) {
			diffs = append(diffs, factDiff{y.what, "", y.value})
		}
	}
	return diffs
}

func factOf(facts []fact, what string) string {
	for _, x := range facts {
		if x.what == what {
			return x.value
		}
	}
	return ""
}

// orNone is the value of a fact for people.
func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return value
}
