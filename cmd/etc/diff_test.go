package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"etc/formats/plan"
)

const sameSteps = "the same steps"

// TestDiffTellsApart: plans that compute, read or answer something else are not
// the same, and what differs is named; plans with other weights have the same steps.
func TestDiffTellsApart(t *testing.T) {
	plain := compileTiny(t)
	if said := mustRun(t, "diff", plain, forge(t, plain, "layer 1 ffn")); !strings.HasSuffix(said, sameSteps+"\n") {
		t.Errorf("other weights: %s", said)
	}
	for name, c := range map[string]struct {
		edit []string // of config.json
		args []string
		want string
	}{
		"activation": {edit: []string{`"gelu"`, `"relu"`}, want: "relu"},
		"eps":        {edit: []string{"1e-12", "1e-5"}, want: "eps 1e-05"},
		"labels":     {edit: []string{`"negative"`, `"bad"`}, want: "label 0\n  - \"negative\"\n  + \"bad\"\n"},
		"buckets":    {args: []string{"--seqlen-buckets", "16,128"}, want: "+ 16 128\n"},
		"budget":     {args: []string{"--max-batch-tokens", "77"}, want: "+ 77\n"},
		"target":     {args: []string{"--target", "cpu:int16"}, want: "+ cpu:int16\n"},
		"targets":    {args: []string{"--target", "cpu:f32,cpu:int16"}, want: "+ cpu:f32, cpu:int16\n"},
	} {
		other := filepath.Join(t.TempDir(), "other.etp")
		mustRun(t, append([]string{"compile", edited(t, c.edit), "-o", other, "--quiet"}, c.args...)...)
		if said := mustRun(t, "diff", plain, other); strings.Contains(said, sameSteps) || !strings.Contains(said, c.want) {
			t.Errorf("%s: want %q in %s", name, c.want, said)
		}
	}
}

// edited is the tiny model with texts of its configuration replaced.
func edited(t *testing.T, edit []string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(tinyModel)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.json")
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.NewReplacer(edit...).Replace(string(config))), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// decoded reads a plan that a test may change.
func decoded(t *testing.T, path string) *plan.Plan {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// change makes another value of v.
func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8:
		v.SetUint(v.Uint() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + 0.5)
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Slice:
		v.Set(reflect.Append(v.Slice3(0, v.Len(), v.Len()), reflect.Zero(v.Type().Elem())))
	default:
		t.Fatalf("a field is of type %v", v.Type())
	}
}

// TestDiffSeesEveryField: whatever a step or a model is told by, diff shows.
func TestDiffSeesEveryField(t *testing.T) {
	path := compileTiny(t)
	p := decoded(t, path)
	q := p.Programs[0]
	at := slices.IndexFunc(q.Steps, func(s plan.Step) bool { return s.Op.IsFusedAttention() })
	step := &q.Steps[at]
	said := func() string {
		d := newStepDetail(q, step, alwaysMask(q))
		return d.Shape + strings.Join(stepFacts(q, at, &d), ", ")
	}
	before, params := said(), step.Params
	for i := range reflect.TypeFor[plan.Params]().NumField() {
		change(t, reflect.ValueOf(&step.Params).Elem().Field(i))
		if said() == before {
			t.Errorf("a step with another %s: %s", reflect.TypeFor[plan.Params]().Field(i).Name, before)
		}
		step.Params = params
	}
	choice := &q.Buckets[0].Choices[0]
	was := choice.Op
	for choice.Op == was || !choice.Op.IsFusedAttention() {
		choice.Op = choice.Op%plan.LinearNLL + 1
	}
	if said() == before {
		t.Errorf("another operator in a bucket: %s", before)
	}
	choice.Op = was

	facts, model := planFacts(p), p.Model
	for i := range reflect.TypeFor[plan.Model]().NumField() {
		change(t, reflect.ValueOf(&p.Model).Elem().Field(i))
		if len(diffFacts(facts, planFacts(p))) == 0 || len(diffFacts(planFacts(p), facts)) == 0 {
			t.Errorf("a model with another %s", reflect.TypeFor[plan.Model]().Field(i).Name)
		}
		p.Model = model
	}
	p.Tokenizer = p.Tokenizer[1:]
	if len(diffFacts(facts, planFacts(p))) == 0 {
		t.Error("another tokenizer")
	}
}
