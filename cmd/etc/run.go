package main

import (
	"context"
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
	f.deviceFlags.add(c)
	f.addTruncate(c)
	c.Flags().StringVar(&f.input, "input", "-", "file of rows, - for standard input")
	c.Flags().StringVar(&f.format, "input-format", "auto", "auto, text or jsonl")
	c.Flags().StringVarP(&f.output, "output", "o", "-", "file of results, - for standard output")
	c.Flags().BoolVar(&f.want.Probabilities, "probabilities", false, "classification: probabilities of all labels")
	c.Flags().BoolVar(&f.want.Logits, "logits", false, "language model: logits of every token")
	c.Flags().BoolVar(&f.want.LastLogits, "last-logits", false, "language model: logits after the last token")
	c.Flags().BoolVar(&f.want.Hidden, "hidden", false, "embedding: last hidden state of every token")
	c.Flags().BoolVar(&f.skipErrors, "skip-errors", false, "exit with 0 although rows had errors")
	p.addForce(c)
	return c
}

func (p *program) run(ctx context.Context, path string, f *runFlags) error {
	format, err := rows.ParseFormat(f.format)
	if err != nil {
		return err
	}
	in, name, err := p.openInput(f.input)
	if err != nil {
		return err
	}
	defer in.Close()
	s, err := p.openSession(path, &f.deviceFlags, f.want)
	if err != nil {
		return err
	}
	defer s.close()
	reader := rows.NewReader(ctx, in, name, format)
	defer reader.Close()
	if f.output == "-" {
		return f.stream(ctx, s, reader, p.out)
	}
	if err := p.checkOutput(f.output); err != nil {
		return err
	}
	var rowErrors error
	err = p.create(f.output, func(w io.Writer) error {
		err := f.stream(ctx, s, reader, w)
		if fault.KindOf(err) == fault.Corrupt { // rows were refused, their lines say why
			rowErrors, err = err, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return rowErrors
}

// stream runs all rows and flushes results window by window.
func (f *runFlags) stream(ctx context.Context, s *session, reader *rows.Reader, out io.Writer) error {
	w := rows.NewWriter(out)
	bad, total := 0, 0
	err := s.Run(ctx, reader, func(r *executor.Result) error {
		total++
		if r.Err != nil {
			bad++
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
	if err == nil && bad > 0 && !f.skipErrors {
		return fault.Newf(fault.Corrupt, "%d of %d rows had errors", bad, total).WithHint("their lines say why; --skip-errors accepts them")
	}
	return err
}

// openInput opens a file of rows or standard input.
func (p *program) openInput(path string) (io.ReadCloser, string, error) {
	if path == "-" {
		return io.NopCloser(p.in), "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, "", fault.Newf(fault.Usage, "input: %v", err)
	}
	return f, path, nil
}
