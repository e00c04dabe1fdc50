package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"etc/eval"
	"etc/executor"
	"etc/fault"
	"etc/formats/plan"
	"etc/formats/rows"
)

type evalFlags struct {
	deviceFlags
	data  dataFlags
	task  string
	json  bool
	limit int
}

// dataFlags say how to read a data file.
type dataFlags struct{ path, columns string }

func evalCommand(p *program) *cobra.Command {
	var f evalFlags
	c := &cobra.Command{
		Use:   "eval PLAN.etp --data FILE",
		Short: "Judge a plan by labelled rows or by text",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return p.eval(c.Context(), args[0], &f) },
	}
	f.deviceFlags.add(c)
	f.addTruncate(c)
	c.Flags().StringVar(&f.data.path, "data", "", "JSONL, TSV or, for a language model, text")
	c.Flags().StringVar(&f.data.columns, "columns", "", "where things stand in a TSV, such as text=1,label=2")
	c.Flags().StringVar(&f.task, "task", "", "the task it must be: "+strings.Join(taskNames(), ", "))
	c.Flags().IntVar(&f.limit, "limit", 0, "judge only the first examples or windows")
	c.Flags().BoolVar(&f.json, "json", false, "print the record as JSON")
	return c
}

func (p *program) eval(ctx context.Context, path string, f *evalFlags) error {
	if f.data.path == "" {
		return fault.Newf(fault.Usage, "no data: --data FILE is wanted")
	}
	if f.limit < 0 {
		return fault.Newf(fault.Usage, "--limit %d: want at least 1, or 0 for all", f.limit)
	}
	if f.task != "" && !slices.Contains(taskNames(), f.task) {
		return unknownTask(f.task)
	}
	data, err := loadData("--data", f.data.path, rows.DataOptions{Columns: f.data.columns})
	if err != nil {
		return err
	}
	s, err := p.openSession(path, &f.deviceFlags, executor.Want{})
	if err != nil {
		return err
	}
	defer s.close()
	if err := checkTask(&s.Program().Model, f.task); err != nil {
		return err
	}
	if err := limit(s.Executor, data, f.limit); err != nil {
		return err
	}
	bar := p.newProgress("judging")
	report, err := evaluate(ctx, s.Executor, data, bar)
	bar.clear()
	if err != nil {
		return err
	}
	if f.json {
		return p.printJSON(evalRecord{report, s.file.ID(), s.Device().Name(), s.Program().Target})
	}
	printReport(p, report)
	return nil
}

// An evalRecord is what eval --json prints.
type evalRecord struct {
	*eval.Report
	Plan   string `json:"plan"`
	Device string `json:"device"`
	Target string `json:"target"`
}

// limit keeps the first n examples, or windows of a text.
func limit(s *executor.Executor, data *rows.Data, n int) error {
	if n == 0 {
		return nil
	}
	if data.Text != "" && s.Program().Model.Task == plan.CausalLM {
		windows, err := windowsOf(s, data)
		if err != nil {
			return err
		}
		data.Text = ""
		for _, w := range windows[:min(n, len(windows))] {
			data.Examples = append(data.Examples, rows.Example{Row: *w})
		}
		return nil
	}
	data.Examples = data.Examples[:min(n, len(data.Examples))]
	return nil
}

func printReport(p *program, r *eval.Report) {
	fmt.Fprintf(p.out, "%-20s %10s   %s\n", fmt.Sprintf("%d rows", r.Rows), "value", "95 % interval")
	for _, m := range r.Metrics {
		fmt.Fprintf(p.out, "%-20s %10.5g   %.5g to %.5g\n", m.Name, m.Value, m.Low, m.High)
	}
}

// tasks are the names of --task.
var tasks = []struct {
	name string
	task plan.Task
}{
	{"classification", plan.Classification}, {"multi-label", plan.MultiLabel}, {"regression", plan.Regression},
	{"embedding", plan.Embedding}, {"causal-lm", plan.CausalLM},
}

func taskNames() []string {
	var names []string
	for _, t := range tasks {
		names = append(names, t.name)
	}
	return names
}

func taskName(task plan.Task) string {
	for _, t := range tasks {
		if t.task == task {
			return t.name
		}
	}
	return ""
}

// checkTask refuses a model whose task is not the one that --task asks for.
func checkTask(m *plan.Model, name string) error {
	switch {
	case name == "":
		return nil
	case !slices.Contains(taskNames(), name):
		return unknownTask(name)
	case taskName(m.Task) != name:
		return fault.Newf(fault.Usage, "--task %s: this model is of task %s", name, taskName(m.Task))
	}
	return nil
}

func unknownTask(name string) error {
	return fault.Newf(fault.Unsupported, "--task %q: supported are %s", name, strings.Join(taskNames(), ", "))
}
