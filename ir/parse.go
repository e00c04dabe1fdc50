package ir

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"etc/ir/tensor"
)

// Parse reads the text form that Print writes. Empty lines and lines that
// begin with # are skipped. Types are read, not inferred; Verify compares.
func Parse(text string) (*Graph, error) {
	p := &parser{g: &Graph{}, values: map[int]*Value{}}
	for i, line := range strings.Split(text, "\n") {
		p.rest = strings.TrimSpace(line)
		if p.rest == "" || p.rest[0] == '#' {
			continue
		}
		if err := p.line(); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if !p.named {
		return nil, fmt.Errorf("no line: graph \"NAME\"")
	}
	return p.g, nil
}

type parser struct {
	g      *Graph
	values map[int]*Value // by number in the text
	rest   string         // of the line
	named  bool
}

func (p *parser) line() error {
	if p.rest[0] == '%' {
		return p.op()
	}
	word := p.word()
	name, err := p.quoted()
	if err != nil {
		return err
	}
	if word == "graph" {
		if p.named {
			return fmt.Errorf("graph %q: the graph has a name", name)
		}
		p.g.Name, p.named = name, true
		return p.end()
	}
	for w, n := range whenNames {
		if n != word {
			continue
		}
		v, err := p.value()
		if err != nil {
			return err
		}
		if v == nil {
			return fmt.Errorf("output %q: want a value", name)
		}
		p.g.Outputs = append(p.g.Outputs, Output{name, v, When(w)})
		return p.end()
	}
	return fmt.Errorf("%q: want graph, a value, output, ondemand or tap", word)
}

// op reads "%1, %2 = kind(%0, _) {a=1} "label" : type, type".
func (p *parser) op() error {
	op := &Op{}
	var numbers []int
	for {
		n, err := p.number()
		if err != nil {
			return err
		}
		if p.values[n] != nil {
			return fmt.Errorf("%%%d is defined twice", n)
		}
		numbers = append(numbers, n)
		if !p.skip(",") {
			break
		}
	}
	if !p.skip("=") {
		return p.want("=")
	}
	name := p.word()
	kind, ok := ParseKind(name)
	if !ok {
		return fmt.Errorf("operator %q is not known", name)
	}
	op.Kind = kind
	if err := p.args(op); err != nil {
		return err
	}
	if err := p.attrs(op); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if strings.HasPrefix(p.rest, `"`) {
		label, err := p.quoted()
		if err != nil {
			return err
		}
		op.Label = label
	}
	for i, n := range numbers {
		if !p.skip([]string{":", ","}[min(i, 1)]) {
			return p.want("a type for each result")
		}
		t, err := ParseType(p.typeWord())
		if err != nil {
			return err
		}
		v := &Value{ID: p.g.values, Type: t, Def: op}
		p.g.values++
		p.values[n] = v
		op.Results = append(op.Results, v)
	}
	if w, ok := op.Attrs.(*WeightAttrs); ok {
		if err := shapeValues(w, op.Results[0].Type); err != nil {
			return err
		}
	}
	p.g.Ops = append(p.g.Ops, op)
	return p.end()
}

func (p *parser) args(op *Op) error {
	if !p.skip("(") {
		return nil
	}
	for !p.skip(")") {
		if len(op.Args) > 0 && !p.skip(",") {
			return p.want(", or )")
		}
		v, err := p.value()
		if err != nil {
			return err
		}
		op.Args = append(op.Args, v)
	}
	return nil
}

func (p *parser) attrs(op *Op) error {
	t := table[op.Kind].attrs
	if t == nil {
		return nil
	}
	v := reflect.New(t)
	op.Attrs = v.Interface()
	if !p.skip("{") {
		return nil
	}
	seen := map[string]bool{}
	for !p.skip("}") {
		name := p.word()
		if seen[name] {
			return fmt.Errorf("%s is given twice", name)
		}
		seen[name] = true
		if !p.skip("=") {
			return p.want("name=value or }")
		}
		if err := p.attr(v.Elem(), name); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) attr(v reflect.Value, name string) error {
	if name == "values" && v.Type() == reflect.TypeFor[WeightAttrs]() {
		return p.valuesList(v.Addr().Interface().(*WeightAttrs))
	}
	for i := range v.NumField() {
		if attrName(v.Type().Field(i).Name) == name && name != "data" {
			return p.scalar(v.Field(i), name)
		}
	}
	return fmt.Errorf("attribute %q is not known", name)
}

func (p *parser) scalar(f reflect.Value, name string) error {
	if f.Kind() == reflect.String {
		s, err := p.quoted()
		f.SetString(s)
		return err
	}
	word := p.word()
	if u, ok := f.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(word))
	}
	switch f.Kind() {
	case reflect.Float64:
		x, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return fmt.Errorf("%s=%s: want a number", name, word)
		}
		f.SetFloat(x)
	case reflect.Bool:
		x, err := strconv.ParseBool(word)
		if err != nil {
			return fmt.Errorf("%s=%s: want true or false", name, word)
		}
		f.SetBool(x)
	default:
		x, err := strconv.ParseInt(word, 10, 31)
		if err != nil {
			return fmt.Errorf("%s=%s: want an integer", name, word)
		}
		f.SetInt(x)
	}
	return nil
}

// valuesList reads [1 2 3] as f64; shapeValues gives it its shape and dtype.
func (p *parser) valuesList(w *WeightAttrs) error {
	if !p.skip("[") {
		return p.want("[")
	}
	v := []float64{}
	for !p.skip("]") {
		x, err := strconv.ParseFloat(p.word(), 64)
		if err != nil {
			return p.want("a number or ]")
		}
		if v = append(v, x); len(v) > maxPrinted {
			return fmt.Errorf("more than %d values", maxPrinted)
		}
	}
	w.Data = tensor.FromFloat64s([]int{len(v)}, v)
	return nil
}

func shapeValues(w *WeightAttrs, t Type) error {
	if w.Data.Data == nil {
		return nil
	}
	shape := []int{}
	for _, d := range t.Shape {
		shape = append(shape, int(d))
	}
	if n, ok := tensor.Elements(shape); !ok || n != w.Data.Len() {
		return fmt.Errorf("weight %q: %d values for %v", w.Name, w.Data.Len(), t)
	}
	if t.DType == tensor.I32 {
		v := make([]int32, w.Data.Len())
		for i, x := range w.Data.Float64s() {
			if v[i] = int32(x); x != math.Trunc(x) || float64(v[i]) != x {
				return fmt.Errorf("weight %q: %v is no i32", w.Name, x)
			}
		}
		w.Data = tensor.FromInt32s(shape, v)
	}
	w.Data.Shape = shape
	return nil
}

// value reads %N or _, which is nil.
func (p *parser) value() (*Value, error) {
	if p.skip("_") {
		return nil, nil
	}
	n, err := p.number()
	if err != nil {
		return nil, err
	}
	v := p.values[n]
	if v == nil {
		return nil, fmt.Errorf("%%%d is used before it is defined", n)
	}
	return v, nil
}

func (p *parser) number() (int, error) {
	if !p.skip("%") {
		return 0, p.want("a value such as %7")
	}
	word := p.word()
	n, err := strconv.ParseInt(word, 10, 31)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%%%s: want a number", word)
	}
	return int(n), nil
}

// skip drops token, if it comes next, and the space after it.
func (p *parser) skip(token string) bool {
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = strings.TrimLeft(rest, " \t")
	}
	return ok
}

func (p *parser) take(n int) string {
	s := p.rest[:n]
	p.rest = strings.TrimLeft(p.rest[n:], " \t")
	return s
}

func (p *parser) word() string {
	n := strings.IndexAny(p.rest, " \t,=(){}[]:\"%")
	if n < 0 {
		n = len(p.rest)
	}
	return p.take(n)
}

func (p *parser) typeWord() string {
	n := strings.IndexByte(p.rest, ']') + 1
	return p.take(n)
}

func (p *parser) quoted() (string, error) {
	q, err := strconv.QuotedPrefix(p.rest)
	if err != nil || q[0] != '"' {
		return "", p.want("a quoted name")
	}
	p.take(len(q))
	s, err := strconv.Unquote(q)
	if err != nil || !utf8.ValidString(q) || !utf8.ValidString(s) {
		return "", fmt.Errorf("%s: want quoted UTF-8", q)
	}
	return s, nil
}

func (p *parser) end() error {
	if p.rest != "" {
		return p.want("the end of the line")
	}
	return nil
}

func (p *parser) want(what string) error { return fmt.Errorf("found %.40q, want %s", p.rest, what) }
