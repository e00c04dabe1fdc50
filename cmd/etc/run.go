package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"etc/executor"
	"etc/fault"
	"etc/formats/rows"
)

type runFlags struct {
	deviceFlags
	want                  executor.Want
	input, format, output string
	profile               string
	skipErrors            bool
}

func runCommand(p *program) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run PLAN.etp",
		Short: "Run rows through a plan, one JSON object a line",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return p.run(c.Context(), args[0], &f) },
	}
	c.Flags().StringVar(&f.input, "input", stdio, "file of rows, - for standard input")
	c.Flags().StringVar(&f.format, "input-format", string(rows.Auto), "auto, text or jsonl")
	c.Flags().StringVarP(&f.output, "output", "o", stdio, "file of results, - for standard output")
	f.deviceFlags.add(c)
	f.addTruncate(c)
	c.Flags().BoolVar(&f.want.Probabilities, "probabilities", false, "classification: probabilities of all labels")
	c.Flags().BoolVar(&f.want.Logits, "logits", false, "language model: logits of every token")
	c.Flags().BoolVar(&f.want.LastLogits, "last-logits", false, "language model: logits after the last token")
	c.Flags().BoolVar(&f.want.Hidden, "hidden", false, "embedding: last hidden state of every token")
	c.Flags().StringVar(&f.profile, "profile", "", "write a Chrome trace with the time of each step to this file")
	c.Flags().BoolVar(&f.skipErrors, "skip-errors", false, "exit with 0 although rows had errors")
	p.addForce(c)
	return c
}

// stdio is the path that means standard input or output.
const stdio = "-"

// A tally counts rows that were answered, and those that had errors.
type tally struct {
	rows, bad int
	tokens    int64 // of rows that were computed
}

func (p *program) run(ctx context.Context, path string, f *runFlags) error {
	format, err := rows.ParseFormat(f.format)
	if err != nil {
		return err
	}
	if f.output != stdio {
		if err := p.checkOutput(f.output); err != nil {
			return err
		}
	}
	if err := checkApart(outFlag{"-o", f.output}, outFlag{"--profile", f.profile}); err != nil {
		return err
	}
	in, name, err := p.openInput(f.input)
	if err != nil {
		return err
	}
	defer in.Close()
	var t tally
	err = p.profiled(f.profile, func(trace *profile) error {
		f.trace = trace
		s, err := p.openSession(path, &f.deviceFlags, f.want)
		if err != nil {
			return err
		}
		defer s.close()
		if trace != nil {
			if err := checkProfile(s); err != nil {
				return err
			}
		}
		reader := rows.NewReader(ctx, in, name, format)
		defer reader.Close()
		if f.output == stdio {
			err = t.stream(ctx, s, reader, p.out)
		} else {
			err = p.create(f.output, func(w *os.File) error { return t.stream(ctx, s, reader, w) })
		}
		if p.verbose {
			p.note("%s", t.summary(s.Device().Counters(), s.Times()))
		}
		return err
	})
	if err != nil {
		return err
	}
	return t.fault(f.skipErrors)
}

// stream runs all rows and flushes results window by window.
func (t *tally) stream(ctx context.Context, s *session, reader *rows.Reader, out io.Writer) error {
	w := rows.NewWriter(out)
	err := s.Run(ctx, reader, func(r *executor.Result) error {
		t.rows++
		t.tokens += int64(r.Tokens)
		if r.Err != nil {
			t.bad++
		}
		if err := w.Write(&r.Result); err != nil {
			return err
		}
		if r.Last {
			return w.Flush()
		}
		return nil
	})
	if flushed := w.Flush(); err == nil {
		err = flushed
	}
	return err
}

// summary says what a run computed, and how long its parts took side by side.
func (t *tally) summary(c executor.Counters, times executor.Times) string {
	return fmt.Sprintf("%d rows in %d batches, %d real / %d computed tokens (%.1f %%); tokenised in %.3f s of one thread, computed in %.3f s, written in %.3f s, side by side",
		t.rows, c.Batches, t.tokens, c.Tokens, 100*float64(t.tokens)/float64(max(1, c.Tokens)),
		times.Tokenise.Seconds(), times.Compute.Seconds(), times.Write.Seconds())
}

// fault is what rows with errors mean for the run as a whole.
func (t *tally) fault(skip bool) error {
	if t.bad == 0 || skip {
		return nil
	}
	return fault.Newf(fault.Corrupt, "%d of %d rows had errors", t.bad, t.rows).WithHint("their lines say why; --skip-errors accepts them")
}
