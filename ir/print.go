package ir

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// maxPrinted is the largest number of elements of a weight whose values are
// part of the text; those of larger ones are not, and parse to no data.
const maxPrinted = 64

// Print writes g in the text form that Parse reads:
//
//	graph "tiny"
//	%0 = input {name="ids"} : i32[T]
//	%7 = linear(%5, %6, _, _, _) {act=gelu} "layer 0 ffn" : f32[T,512]
//	output "logits" %9
func Print(g *Graph) string {
	var b strings.Builder
	fmt.Fprintf(&b, "graph %s\n", strconv.Quote(g.Name))
	number := map[*Value]int{}
	for _, op := range g.Ops {
		for i, r := range op.Results {
			if i > 0 {
				b.WriteString(", ")
			}
			number[r] = len(number)
			fmt.Fprintf(&b, "%%%d", number[r])
		}
		fmt.Fprintf(&b, " = %v", op.Kind)
		printArgs(&b, op.Args, number)
		printAttrs(&b, op.Attrs)
		if op.Label != "" {
			b.WriteString(" " + strconv.Quote(op.Label))
		}
		for i, r := range op.Results {
			b.WriteString([]string{" : ", ", "}[min(i, 1)])
			b.WriteString(r.Type.String())
		}
		b.WriteByte('\n')
	}
	for _, o := range g.Outputs {
		fmt.Fprintf(&b, "%v %s %%%d\n", o.When, strconv.Quote(o.Name), number[o.Value])
	}
	return b.String()
}

func printArgs(b *strings.Builder, args []*Value, number map[*Value]int) {
	if len(args) == 0 {
		return
	}
	b.WriteByte('(')
	for i, a := range args {
		if i > 0 {
			b.WriteString(", ")
		}
		if a == nil {
			b.WriteByte('_')
			continue
		}
		fmt.Fprintf(b, "%%%d", number[a])
	}
	b.WriteByte(')')
}

// printAttrs writes the fields of an attribute struct that are not zero, in
// the order of their declaration.
func printAttrs(b *strings.Builder, attrs any) {
	if attrs == nil {
		return
	}
	var fields []string
	v := reflect.ValueOf(attrs).Elem()
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		if w, ok := attrs.(*WeightAttrs); ok && name == "Data" {
			if s := printValues(w); s != "" {
				fields = append(fields, s)
			}
			continue
		}
		if !f.IsZero() {
			fields = append(fields, attrName(name)+"="+printScalar(f))
		}
	}
	if len(fields) > 0 {
		fmt.Fprintf(b, " {%s}", strings.Join(fields, " "))
	}
}

func attrName(field string) string { return strings.ToLower(field) }

func printScalar(f reflect.Value) string {
	if m, ok := f.Interface().(encoding.TextMarshaler); ok {
		text, _ := m.MarshalText()
		return string(text)
	}
	switch f.Kind() {
	case reflect.String:
		return strconv.Quote(f.String())
	case reflect.Float64:
		return strconv.FormatFloat(f.Float(), 'g', -1, 64)
	case reflect.Bool:
		return strconv.FormatBool(f.Bool())
	default:
		return strconv.FormatInt(f.Int(), 10)
	}
}

// printValues gives the elements of a small weight. The dtype they are stored
// in is not part of the text.
func printValues(w *WeightAttrs) string {
	if w.Data.Data == nil || w.Data.Len() > maxPrinted {
		return ""
	}
	var fields []string
	if !w.Data.DType.IsFloat() {
		for _, x := range w.Data.Int32s() {
			fields = append(fields, strconv.Itoa(int(x)))
		}
	} else {
		for _, x := range w.Data.Float64s() {
			fields = append(fields, strconv.FormatFloat(x, 'g', -1, 64))
		}
	}
	return "values=[" + strings.Join(fields, " ") + "]"
}
