package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"etc/fault"
	"etc/formats/rows"
	"etc/formats/tokenizer"
)

// checkInput refuses an input path that is not there or is a folder.
func checkInput(what, path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Newf(fault.Usage, "%s %s: no such file", what, path)
	case err != nil:
		return err
	case info.IsDir():
		return fault.Newf(fault.Usage, "%s %s is a folder, want a file", what, path)
	}
	return nil
}

// readAtMost reads a file, of one that is longer than most bytes one byte more than
// that, by which the caller tells.
func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

// openInput opens a file of rows or standard input.
func (p *program) openInput(path string) (io.ReadCloser, string, error) {
	if path == "-" {
		return io.NopCloser(p.in), "", nil
	}
	if err := checkInput("input", path); err != nil {
		return nil, "", err
	}
	f, err := os.Open(path)
	return f, path, err
}

// loadData reads a data file.
func loadData(what, path string, o rows.DataOptions) (*rows.Data, error) {
	if err := checkInput(what, path); err != nil {
		return nil, err
	}
	return rows.LoadFile(path, o)
}

// loadRows reads the rows of a data file; of plain text, each line is one.
func loadRows(what, path string, o rows.DataOptions) ([]*rows.Row, error) {
	data, err := loadData(what, path, o)
	if err != nil {
		return nil, err
	}
	list := append(rowsOf(data), linesOf(data)...)
	if o.Limit > 0 {
		list = list[:min(len(list), o.Limit)]
	}
	if len(list) == 0 {
		return nil, fault.Newf(fault.Corrupt, "%s: no rows", path)
	}
	return list, nil
}

// linesOf are the lines of a data file of plain text.
func linesOf(data *rows.Data) []*rows.Row {
	var list []*rows.Row
	number := 0
	for line := range strings.Lines(data.Text) {
		number++
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			list = append(list, &rows.Row{Line: number, Text: line})
		}
	}
	return list
}

// lengthsOf are the lengths in tokens of the rows of a file.
func lengthsOf(t *tokenizer.Tokenizer, what, path string) ([]int, error) {
	list, err := loadRows(what, path, rows.DataOptions{})
	if err != nil {
		return nil, err
	}
	var lengths []int
	for _, r := range list {
		enc, err := tokensOf(t, r, 0)
		if err != nil {
			return nil, fault.Newf(fault.Corrupt, "%s: line %d: %w", path, r.Line, err)
		}
		lengths = append(lengths, len(enc.IDs))
	}
	return lengths, nil
}

// tokensOf are the tokens of a row, cut to limit where that is not 0.
func tokensOf(t *tokenizer.Tokenizer, r *rows.Row, limit int) (enc tokenizer.Encoding, err error) {
	switch {
	case len(r.IDs) > 0:
		enc = tokenizer.Encoding{IDs: r.IDs, TypeIDs: r.TypeIDs}
	case t == nil:
		err = fault.Newf(fault.Corrupt, "row of text, but the model has no tokenizer")
	default:
		err = t.NewEncoder().Encode(&enc, r.Text, r.Pair, limit)
	}
	return enc, err
}
