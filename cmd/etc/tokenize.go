package main

import (
	"encoding/json"
	"fmt"
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
	c.Flags().StringVar(&input, "input", "-", "file of rows, - for standard input")
	return c
}

// openTokenizer reads the tokenizer of a plan or of a checkpoint.
func openTokenizer(path string) (*tokenizer.Tokenizer, error) {
	var t *tokenizer.Tokenizer
	if isPlan(path) {
		f, err := plan.Open(path)
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
		if t, err = tokenizer.New(c.Tokenizer); err != nil {
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
	if strings.HasSuffix(path, ".etp") {
		return true
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

func (p *program) tokenize(t *tokenizer.Tokenizer, reader *rows.Reader) error {
	e := t.NewEncoder()
	out := json.NewEncoder(p.out)
	out.SetEscapeHTML(false)
	bad := 0
	for {
		r, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		var enc tokenizer.Encoding
		line := struct {
			ID      json.RawMessage `json:"id,omitempty"`
			Line    int             `json:"line,omitempty"`
			Error   string          `json:"error,omitempty"`
			IDs     []int32         `json:"ids,omitempty"`
			TypeIDs []int32         `json:"type_ids,omitempty"`
			Tokens  []string        `json:"tokens,omitempty"`
		}{ID: r.ID}
		err = r.Err
		if err == nil && len(r.IDs) > 0 {
			enc = tokenizer.Encoding{IDs: r.IDs, TypeIDs: r.TypeIDs}
		} else if err == nil {
			err = e.Encode(&enc, r.Text, r.Pair, 0)
		}
		if err != nil {
			bad++
			line.Line, line.Error = r.Line, err.Error()
		} else {
			line.IDs = enc.IDs
			if t.ReturnsTypeIDs() {
				line.TypeIDs = enc.TypeIDs
			}
			for _, id := range enc.IDs {
				line.Tokens = append(line.Tokens, t.Token(id))
			}
		}
		if err := out.Encode(line); err != nil {
			return err
		}
		reader.Release(r)
	}
	if bad > 0 {
		return fault.Newf(fault.Corrupt, "%d rows had errors", bad)
	}
	return nil
}

func versionCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.out, "etc %s\n", version)
			return err
		},
	}
}
