package rows

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"etc/fault"
)

// columns says in which column of a tab-separated file what stands, from 1; 0
// is nowhere.
type columns struct {
	text, pair, label, score int
	exactly                  int // how many columns every line has, 0 for any number
	header                   bool
}

// STS-B's files, as they are published, have no header: genre, file, year,
// number, score, two sentences, and sometimes two sources.
const (
	stsbColumns = 7
	stsbScore   = 5
)

var (
	twoColumns = columns{text: 1, label: 2, exactly: 2}
	stsb       = columns{score: stsbScore, text: 6, pair: 7}
)

// loadTable reads a tab-separated file. Cells are taken as they are: a quote
// is a character like others.
func (l *loader) loadTable(content, first []byte, flag string) (err error) {
	if !utf8.Valid(first) {
		return fault.Newf(fault.Corrupt, "%s: line 1: %w", l.data.Name, errUTF8)
	}
	if l.table, err = columnsOf(strings.Split(string(trimLineEnd(first)), "\t"), flag); err != nil {
		return fault.Newf(fault.KindOf(err), "%s: line 1: %w", l.data.Name, err).
			WithHint("say where they stand, by number without a header or by name with one: --columns text=1,label=2 (also pair, score)")
	}
	if l.table.header {
		_, content, _ = bytes.Cut(content, []byte("\n"))
		return l.eachLine(content, 2, l.addCells)
	}
	return l.eachLine(content, 1, l.addCells)
}

// columnsOf finds the columns of a table by the first of these that applies:
// the flag; a header of known names; two columns, text and label; seven or more
// with a number in the fifth, STS-B.
func columnsOf(first []string, flag string) (columns, error) {
	if flag != "" {
		return parseColumns(flag, first)
	}
	if c := headerColumns(first); c.complete() {
		return c, nil
	}
	if len(first) == twoColumns.exactly {
		return twoColumns, nil
	}
	if len(first) >= stsbColumns {
		if _, err := readScore(first[stsbScore-1]); err == nil {
			return stsb, nil
		}
	}
	return columns{}, fault.Newf(fault.Corrupt, "%d columns beginning %.60q, want text and label, STS-B, or a header naming text (sentence, sentence1) and label or score", len(first), first[0])
}

// complete tells whether both a text and a target were found.
func (c columns) complete() bool { return c.text > 0 && (c.label > 0 || c.score > 0) }

// setHeaders are the names that some data sets alone give to a text, its pair
// and the label: QNLI, QQP, NLI that is not of GLUE, MRPC as it was published.
var setHeaders = []struct{ text, pair, label string }{
	{"question", "sentence", "label"},
	{"question1", "question2", "is_duplicate"},
	{"premise", "hypothesis", "label"},
	{"#1 string", "#2 string", "quality"},
}

// headerColumns finds the names that data sets commonly give their columns,
// the first of each kind, and, where they make no pair, those of one set.
func headerColumns(header []string) columns {
	c := columns{header: true}
	for i, name := range header {
		var at *int
		switch strings.ToLower(name) {
		case "text", "text1", "sentence", "sentence1":
			at = &c.text
		case "text_pair", "text2", "sentence2":
			at = &c.pair
		case "label", "gold_label": // of MNLI and SNLI, beside label1, label2 … of who made it
			at = &c.label
		case "score":
			at = &c.score
		}
		if at != nil && *at == 0 {
			*at = i + 1
		}
	}
	for _, set := range setHeaders {
		text, pair := headerIndex(header, set.text), headerIndex(header, set.pair)
		if c.pair == 0 && text > 0 && pair > 0 {
			c.text, c.pair = text, pair
			if c.label == 0 {
				c.label = headerIndex(header, set.label)
			}
		}
	}
	return c
}

// headerIndex is the number of the column called name, from 1; 0 for none.
func headerIndex(header []string, name string) int {
	return slices.IndexFunc(header, func(h string) bool { return strings.ToLower(h) == name }) + 1
}

// parseColumns reads the value of --columns, KEY=COLUMN with commas between.
// A column is a number from 1, or a name, and then the first line is a header.
func parseColumns(flag string, first []string) (c columns, err error) {
	for item := range strings.SplitSeq(flag, ",") {
		key, value, _ := strings.Cut(item, "=")
		at, known := map[string]*int{"text": &c.text, "pair": &c.pair, "label": &c.label, "score": &c.score}[key]
		if !known || value == "" || *at != 0 {
			return c, fault.Newf(fault.Usage, "columns %q: %q, want each of text, pair, label, score once at most, as in text=1", flag, item)
		}
		if *at, err = strconv.Atoi(value); err != nil {
			*at = slices.Index(first, value) + 1
			c.header = true
		}
		if *at < 1 || *at > len(first) {
			return c, fault.Newf(fault.Usage, "columns %q: no column %q among %d", flag, value, len(first))
		}
	}
	if c.text == 0 {
		return c, fault.Newf(fault.Usage, "columns %q, want text among them", flag)
	}
	return c, nil
}

// last is the number of the last column that is used.
func (c columns) last() int { return max(c.text, c.pair, c.label, c.score) }

// addCells reads a line of the table.
func (l *loader) addCells(line []byte, e *Example) (err error) {
	if !utf8.Valid(line) {
		return errUTF8
	}
	cells := strings.Split(string(line), "\t")
	c := l.table
	switch {
	case c.exactly > 0 && len(cells) != c.exactly:
		return fault.Newf(fault.Corrupt, "%d columns, want %d", len(cells), c.exactly)
	case len(cells) < c.last():
		return fault.Newf(fault.Corrupt, "%d columns, want at least %d", len(cells), c.last())
	}
	e.Text = cells[c.text-1]
	if c.pair > 0 {
		e.Pair = &cells[c.pair-1]
	}
	if c.label > 0 {
		if e.Label = cells[c.label-1]; e.Label == "" {
			return errNoLabel
		}
	}
	if c.score > 0 {
		e.HasScore = true
		e.Score, err = readScore(cells[c.score-1])
	}
	return err
}
