package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"reflect"
)

//go:embed page.html
var source string

//go:embed style.css
var style string

// page escapes whatever a Page holds; only the style is ours and goes in raw.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"style":   func() template.CSS { return template.CSS(style) },
	"times":   times,
	"percent": percent,
	"short":   short,
	"signed":  signed,
}).Parse(source))

// Write writes the page to w, in one call of Write. A number that is not finite
// and an outcome that is none are errors that name their place: whoever made
// the Page is wrong, so that they are internal ones.
func Write(w io.Writer, p *Page) error {
	if err := finite(reflect.ValueOf(*p), "page"); err != nil {
		return err
	}
	for i := range p.Candidates {
		if _, ok := shapes[class(p.Candidates[i].Outcome)]; !ok {
			return fmt.Errorf("report: page.Candidates[%d] has the outcome %.20q, want one that is known", i, p.Candidates[i].Outcome)
		}
	}
	var b bytes.Buffer
	if err := page.Execute(&b, newView(p)); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// finite looks for a number that is not, however deep.
func finite(v reflect.Value, path string) error {
	switch v.Kind() {
	case reflect.Float64:
		if x := v.Float(); math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("report: %s is %g, want a finite number", path, x)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			return finite(v.Elem(), path)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if err := finite(v.Field(i), path+"."+v.Type().Field(i).Name); err != nil {
				return err
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := finite(v.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	}
	return nil
}
