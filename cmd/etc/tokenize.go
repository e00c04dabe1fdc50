package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"etc/fault"
	"etc/formats/checkpoint"
	"etc/formats/plan"
	"etc/formats/rows"
	"etc/formats/tokenizer"
)

func tokenizeCommand(p *program) *cobra.Command {
	var input string
	c := &cobra.Command{
		Use:   "tokenize MODEL|PLAN.etp",
		Short: "Show the ids and tokens of text, one JSON object a line",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := openTokenizer(args[0])
			if err != nil {
				return err
			}
			in, name, err := p.openInput(input)
			if err != nil {
				return err
			}
			defer in.Close()
			reader := rows.NewReader(c.Context(), in, name, rows.Auto)
			defer reader.Close()
			return p.tokenize(t, reader)
		},
	}
	c.Flags().StringVar(&input, "input", stdio, "file of rows, - for standard input")
	return c
}

// openTokenizer reads the tokenizer of a plan or of a checkpoint.
func openTokenizer(path string) (*tokenizer.Tokenizer, error) {
	var t *tokenizer.Tokenizer
	if isPlan(path) {
		f, err := plan.Open(path, plan.OpenOptions{})
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if len(f.Plan.Tokenizer) > 0 {
			t, err = tokenizer.Unmarshal(f.Plan.Tokenizer)
		}
		if err != nil {
			return nil, err
		}
	} else {
		c, err := checkpoint.Open(path)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		if t, err = c.ReadTokenizer(); err != nil {
			return nil, err
		}
	}
	if t == nil {
		return nil, fault.Newf(fault.Unsupported, "%s has no tokenizer", path)
	}
	return t, nil
}

// isPlan reports whether path is a plan, by its name or its first bytes.
func isPlan(path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil || info.IsDir():
		return false
	case strings.HasSuffix(path, ".etp"):
		return true
	case !info.Mode().IsRegular(): // reading would take from a pipe
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(planHead))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == planHead
}

// planHead is how a plan begins; docs/plan-format.md.
const planHead = "\x89ETP"

// A tokenLine is what tokenize prints for a row.
type tokenLine struct {
	ID      json.RawMessage `json:"id,omitempty"`
	Line    int             `json:"line,omitempty"`
	Error   string          `json:"error,omitempty"`
	IDs     []int32         `json:"ids,omitempty"`
	TypeIDs []int32         `json:"type_ids,omitempty"`
	Tokens  []string        `json:"tokens,omitempty"`
}

// tokenize answers every row, and flushes where no further row is ready.
func (p *program) tokenize(t *tokenizer.Tokenizer, reader *rows.Reader) error {
	buffered := bufio.NewWriter(p.out)
	out := json.NewEncoder(buffered)
	out.SetEscapeHTML(false)
	var count tally
	for {
		r, err := reader.TryNext()
		if r == nil && err == nil {
			if err := buffered.Flush(); err != nil {
				return err
			}
			r, err = reader.Next()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		line := newTokenLine(t, r)
		count.rows++
		if line.Error != "" {
			count.bad++
		}
		if err := out.Encode(line); err != nil {
			return err
		}
		reader.Release(r)
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	if count.bad > 0 {
		return fault.Newf(fault.Corrupt, "%d of %d rows had errors", count.bad, count.rows).WithHint("their lines say why")
	}
	return nil
}

func newTokenLine(t *tokenizer.Tokenizer, r *rows.Row) *tokenLine {
	line := &tokenLine{ID: r.ID}
	enc, err := tokensOf(t, r, 0)
	if r.Err != nil {
		err = r.Err
	}
	for _, id := range enc.IDs {
		if err == nil && int(id) >= t.VocabSize() {
			err = fault.Newf(fault.Corrupt, "token id %d is outside the vocabulary of %d", id, t.VocabSize())
		}
	}
	if err != nil {
		line.Line, line.Error = r.Line, err.Error()
		return line
	}
	line.IDs = enc.IDs
	if t.ReturnsTypeIDs() || len(r.TypeIDs) > 0 {
		line.TypeIDs = enc.TypeIDs
	}
	for _, id := range enc.IDs {
		line.Tokens = append(line.Tokens, t.Token(id))
	}
	return line
}
