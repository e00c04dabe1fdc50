package rows

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"etc/fault"
)

// MaxData is the largest data file taken, in bytes: it is held in memory.
const MaxData = 1 << 30

// An Example is a row and what should come out for it.
type Example struct {
	Row
	Label    string  // class name or number as it stands in the file, "" without one
	Score    float64 // regression target, or the similarity that a cosine is judged by
	HasScore bool
}

// A Target says what the examples of a file are judged by.
type Target int

const (
	NoTarget    Target = iota // calibration rows, or rows for perplexity
	LabelTarget               // every example has a Label
	ScoreTarget               // every example has a Score
)

// Data is a data file. A file that is neither JSONL nor tab-separated has no
// Examples and is Text as a whole, line ends as line feeds.
type Data struct {
	Name     string
	Examples []Example
	Target   Target
	Text     string
}

// DataOptions are the flags of a data file.
type DataOptions struct {
	Columns string // where things stand in a tab-separated file, see columnsOf; "" to find out
	Limit   int    // examples taken from the front of the file, 0 for all
}

// LoadFile loads the data file at path. One that is not there is fault.Usage.
func LoadFile(path string, options DataOptions) (*Data, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Newf(fault.Usage, "data file %s: not found", path)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return Load(file, path, options)
}

// Load reads a data file called name. Errors of its content are fault.Corrupt
// and name file and line. Blank lines are passed over; they count as lines.
func Load(src io.Reader, name string, options DataOptions) (*Data, error) {
	content, err := io.ReadAll(io.LimitReader(src, MaxData+1))
	if err != nil {
		return nil, err
	}
	if len(content) > MaxData {
		return nil, fault.Newf(fault.Corrupt, "%s: over %d GB, want a smaller data file", name, MaxData>>30)
	}
	content = bytes.TrimPrefix(content, []byte(bom))
	first, _, _ := bytes.Cut(content, []byte("\n"))
	l := loader{data: &Data{Name: name}, limit: options.Limit}
	jsonl := strings.HasSuffix(name, ".jsonl") || bytes.HasPrefix(content, []byte("{"))
	tabs := !jsonl && bytes.IndexByte(first, '\t') >= 0
	switch {
	case options.Columns != "" && !tabs:
		err = fault.Newf(fault.Usage, "%s: columns %s given, want a file with a tab in its first line", name, options.Columns)
	case jsonl:
		err = l.eachLine(content, 1, l.addObject)
	case tabs:
		err = l.loadTable(content, first, options.Columns)
	case !utf8.Valid(content):
		err = fault.Newf(fault.Corrupt, "%s: invalid UTF-8, want UTF-8", name)
	default:
		l.data.Text = strings.ReplaceAll(string(content), "\r\n", "\n")
	}
	if err == nil && (jsonl || tabs) && len(l.data.Examples) == 0 {
		err = fault.Newf(fault.Corrupt, "%s: no rows, want at least one", name)
	}
	if err != nil {
		return nil, err
	}
	return l.data, nil
}

// A loader fills data from the lines of a file.
type loader struct {
	data   *Data
	limit  int
	fields object
	table  columns
}

// eachLine makes an example of every line that is not blank, until limit. The
// first is number in its file.
func (l *loader) eachLine(content []byte, number int, add func(line []byte, e *Example) error) error {
	for line := range bytes.Lines(content) {
		e := Example{Row: Row{Line: number}}
		number++
		line = trimLineEnd(line)
		if len(bytes.Trim(line, " ")) == 0 {
			continue
		}
		err := error(fault.Newf(fault.Corrupt, "over %d MB, want a shorter line", MaxLine>>20))
		if len(line) <= MaxLine {
			err = add(line, &e)
		}
		if err == nil {
			err = l.keep(e)
		}
		if err != nil {
			return fault.Newf(fault.KindOf(err), "%s: line %d: %w", l.data.Name, e.Line, err)
		}
		if len(l.data.Examples) == l.limit {
			break
		}
	}
	return nil
}

// keep appends e, whose target must be that of the examples before it.
func (l *loader) keep(e Example) error {
	target := NoTarget
	switch {
	case e.Label != "" && e.HasScore:
		return fault.Newf(fault.Corrupt, `both "label" and "score", want one of them`)
	case e.Label != "":
		target = LabelTarget
	case e.HasScore:
		target = ScoreTarget
	}
	if len(l.data.Examples) == 0 {
		l.data.Target = target
	}
	if target != l.data.Target {
		return fault.Newf(fault.Corrupt, "%s, want %s as in the lines before", target, l.data.Target)
	}
	l.data.Examples = append(l.data.Examples, e)
	return nil
}

func (t Target) String() string {
	return [...]string{"neither label nor score", "a label", "a score"}[t]
}

// addObject reads a line of JSON.
func (l *loader) addObject(line []byte, e *Example) error {
	err := e.parseObject(line, &l.fields)
	if err != nil {
		return err
	}
	if label := l.fields.value[fieldLabel]; label != nil {
		if e.Label, err = l.fields.label(label); err != nil {
			return err
		}
	}
	if score := l.fields.value[fieldScore]; score != nil {
		e.HasScore = true
		e.Score, err = readScore(string(score))
	}
	return err
}

// label is the class that value names: a string, or a number as it is written.
func (o *object) label(value []byte) (label string, err error) {
	switch kindName(value) {
	case "a string":
		label, err = o.text(fieldLabel)
	case "a number":
		label = string(value)
	default:
		err = fault.Newf(fault.Corrupt, `"label": got %s, want a string or a number`, kindName(value))
	}
	if err == nil && label == "" {
		err = errNoLabel
	}
	return label, err
}

var errNoLabel = fault.Newf(fault.Corrupt, "empty label, want a class name or number")

// readScore reads a finite number.
func readScore(s string) (float64, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
		return 0, fault.Newf(fault.Corrupt, "score %.40q, want a number", s)
	}
	return x, nil
}
