// Package frontend turns a checkpoint into a graph of model operators.
//
// An open checkpoint enters; a verified graph leaves, with the facts a plan
// needs about feeding it and reading its answers. Each architecture is one
// file that reads like the model's own definition, with the names of its
// weights spelled out; layers that several share are in encoder.go, heads in
// heads.go. Weights keep the dtype of the file and say where they came from,
// so that WriteBack can carry pruned values home.
package frontend

import (
	"fmt"
	"slices"
	"strings"

	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/mapped"
	"etc/formats/plan"
	"etc/ir"
)

// An architecture is one row of the table: what config.json calls it, which
// classes there are, under which prefix of its own its weights may stand, how
// its sizes are read, and how its graph is built.
type architecture struct {
	modelType string
	classes   []class // the first is meant where config.json names none
	prefix    string  // tried before the common ones
	config    func(*checkpoint.Config) config
	build     func(*model)
}

// A class is a value of "architectures" in config.json.
type class struct {
	name string
	task plan.Task
}

// later stands for the task of a class that is known but not supported yet.
const later plan.Task = 0

var architectures = []architecture{
	{"bert", []class{
		{"BertModel", plan.Embedding},
		{"BertForSequenceClassification", plan.Classification},
		{"BertForMaskedLM", later},
		{"BertForTokenClassification", later},
		{"BertForQuestionAnswering", later},
	}, "bert.", bertConfig, buildBERT},

	{"distilbert", []class{
		{"DistilBertModel", plan.Embedding},
		{"DistilBertForSequenceClassification", plan.Classification},
		{"DistilBertForMaskedLM", later},
		{"DistilBertForTokenClassification", later},
		{"DistilBertForQuestionAnswering", later},
	}, "distilbert.", distilBERTConfig, buildDistilBERT},

	{"gpt2", []class{
		{"GPT2Model", plan.Embedding},
		{"GPT2LMHeadModel", plan.CausalLM},
		{"GPT2ForSequenceClassification", plan.Classification},
		{"GPT2ForTokenClassification", later},
		{"GPT2ForQuestionAnswering", later},
	}, "transformer.", gpt2Config, buildGPT2},

	{"transformer-lm", []class{
		{"TransformerModel", plan.CausalLM},
	}, "", transformerLMConfig, buildTransformerLM},
}

// commonPrefixes are the names under which checkpoints hold a base model:
// code that wraps one often calls it by another architecture's name.
var commonPrefixes = []string{"bert.", "distilbert.", "roberta.", "model.", "transformer."}

// An Imported is what a checkpoint became.
type Imported struct {
	Graph     *ir.Graph
	Model     plan.Model
	Unclaimed []string // tensors of the file that the model does not use, in file order
}

// Import builds the graph of c. What is known but not supported is
// fault.Unsupported; a config.json that is nonsense, and weights that are
// missing, not finite or of other shapes than it says, are fault.Corrupt.
// The graph's weights are views of the checkpoint's files where that is possible.
func Import(c *checkpoint.Checkpoint) (*Imported, error) {
	a, cl, err := identify(c.Config)
	if err != nil {
		return nil, err
	}
	cfg := a.config(c.Config)
	if err := c.Config.Err(); err != nil {
		return nil, err
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	m := newModel(c, cfg, cl, a.prefix)
	if err := mapped.Guard(func() error { a.build(m); return m.Err() }); err != nil {
		return nil, err
	}
	if err := c.CheckFinite(m.weights.Claimed()); err != nil {
		return nil, err
	}
	if err := ir.Verify(m.g, ir.Model); err != nil {
		panic(fmt.Sprintf("bug: frontend: %v", err))
	}
	return &Imported{m.g, m.facts(), m.weights.Unclaimed()}, nil
}

// identify finds the row and the class that config.json names.
func identify(c *checkpoint.Config) (*architecture, class, error) {
	modelType, names := c.String("model_type", ""), c.Strings("architectures")
	if err := c.Err(); err != nil {
		return nil, class{}, err
	}
	i := slices.IndexFunc(architectures, func(a architecture) bool { return a.modelType == modelType })
	if i < 0 {
		return nil, class{}, fault.Newf(fault.Unsupported, "config.json: model_type %q, supported are %s", modelType, modelTypes())
	}
	a := &architectures[i]
	if len(names) == 0 {
		return a, a.classes[0], nil
	}
	j := slices.IndexFunc(a.classes, func(c class) bool { return c.name == names[0] })
	switch {
	case j < 0:
		return nil, class{}, fault.Newf(fault.Unsupported, "config.json: architecture %q of model_type %q, supported are %s", names[0], modelType, a.supported())
	case a.classes[j].task == later:
		return nil, class{}, fault.Newf(fault.Unsupported, "config.json: architecture %q comes in a later version; of model_type %q, supported are %s", names[0], modelType, a.supported())
	}
	return a, a.classes[j], nil
}

func modelTypes() string {
	var names []string
	for _, a := range architectures {
		names = append(names, a.modelType)
	}
	return strings.Join(names, ", ")
}

func (a *architecture) supported() string {
	var names []string
	for _, c := range a.classes {
		if c.task != later {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, ", ")
}
