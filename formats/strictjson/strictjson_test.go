package strictjson

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// A file has a key of every kind that Unmarshal looks at.
type file struct {
	Embedded
	Name  string            `json:"name"`
	Parts []part            `json:"parts"`
	ByKey map[string]part   `json:"by_key"`
	Maybe *part             `json:"maybe"`
	Raw   json.RawMessage   `json:"raw"`
	Own   own               `json:"own"`
	Free  map[string]string `json:"free"`
}

type Embedded struct {
	Inner int `json:"inner"`
}

type part struct {
	ID int `json:"id"`
}

// own reads its JSON itself.
type own struct {
	Name string
}

func (o *own) UnmarshalJSON(b []byte) error { o.Name = string(b); return nil }

func TestUnmarshal(t *testing.T) {
	var got file
	text := ` {"name": "\ud83d\ude00\n\u00e9", "inner": 1, "parts": [{"id": 1}, {"id": 2, "other": [[], {}, null]}], "by_key": {"ID": {"id": 3}, "id": {"id": 4}},
		"maybe": {"id": 5}, "raw": {"ID": 1, "Id": 2}, "own": {"NAME": 1, "Name": 2}, "free": {"a": "1", "A": "2"}, "unknown": {"NAME": -1.5e3}, "embedded": 1} `
	if err := Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := file{Embedded{1}, "😀\né", []part{{1}, {2}}, map[string]part{"ID": {3}, "id": {4}}, &part{5}, json.RawMessage(`{"ID": 1, "Id": 2}`),
		own{`{"NAME": 1, "Name": 2}`}, map[string]string{"a": "1", "A": "2"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                              "not JSON: it ends too early",
		` `:                             "not JSON: it ends too early",
		`{"name": "a`:                   "not JSON: it ends too early",
		`{"name": "a\`:                  "not JSON: it ends too early",
		`{"name": `:                     "not JSON: it ends too early",
		`{"name"`:                       "not JSON: it ends too early",
		`{"parts": [1,`:                 "not JSON: it ends too early",
		`{} {}`:                         "not JSON: something follows its end",
		`{"name": tru}`:                 "not JSON: invalid character",
		`{"name": 01}`:                  "not JSON: invalid character",
		`{"name" 1}`:                    "not JSON: invalid character",
		`{"name": "a",}`:                "not JSON: invalid character",
		`{"parts": [,]}`:                "not JSON: invalid character",
		`{name: 1}`:                     "not JSON: invalid character",
		`{"name": "\u12"}`:              "not JSON: invalid character",
		`{"name": "\q"}`:                "not JSON: invalid character",
		`{"\q": 1}`:                     "not JSON: invalid character",
		"{\"name\": \"\xff\"}":          "not valid UTF-8",
		`{"name": "", "name": ""}`:      `"name" stands there twice`,
		`{"name": "", "n\u0061me": ""}`: `"name" stands there twice`,
		`{"raw": [{"a": 1, "a": 1}]}`:   `"a" stands there twice`,
		`{"own": {"a": 1, "a": 1}}`:     `"a" stands there twice`,
		`{"other": {"a": 1, "a": 1}}`:   `"a" stands there twice`,
		`{"Name": "a"}`:                 `"Name" is "name" in other letter case`,
		`{"INNER": 1}`:                  `"INNER" is "inner" in other letter case`,
		`{"part\u017f": []}`:            `"partſ" is "parts" in other letter case`,
		`{"parts": [{}, {"ID": 1}]}`:    `"ID" is "id" in other letter case`,
		`{"by_key": {"x": {"Id": 1}}}`:  `"Id" is "id" in other letter case`,
		`{"maybe": {"iD": 1}}`:          `"iD" is "id" in other letter case`,
		`{"name": "\ud800"}`:            `\ud800 is half of a surrogate pair`,
		`{"name": "\uD800\u0041"}`:      `\uD800 is half of a surrogate pair`,
		`{"name": "\udc00\ud800"}`:      `\udc00 is half of a surrogate pair`,
		`{"free": {"\ud800": "a"}}`:     `\ud800 is half of a surrogate pair`,
		strings.Repeat("[", 33) + strings.Repeat("]", 33):    "nested deeper than 32",
		`{"` + strings.Repeat("a", 99) + `": 1, "x": [[[[[`:  "not JSON: it ends too early",
		many(20) + `, "k7": 1}`:                              `"k7" stands there twice`,
		many(3) + `, "` + strings.Repeat("k", 500) + `": 1}`: "",
	} {
		var v file
		err := Unmarshal([]byte(text), &v)
		if want == "" && err == nil {
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) || want == "" {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
	var v file
	err := Unmarshal([]byte(`{"name": 1}`), &v)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); !ok {
		t.Errorf("error %v, want that of another type", err)
	}
}

// many is an object of n keys without its end.
func many(n int) string {
	var s strings.Builder
	for i := range n {
		s.WriteString(`, "k` + string(rune('0'+i)) + `": 1`)
	}
	return "{" + s.String()[1:]
}

// FuzzUnmarshal: what is accepted, encoding/json reads alike, and what it cannot read is refused.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"name": "\ud83d\ude00", "parts": [{"id": 1}], "other": [[], {}, null, -1e3, true]}`))
	f.Add([]byte(`{"name": "a`))
	f.Add([]byte(`{"": {"": ""}} `))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want any
		err := Unmarshal(data, &got)
		plain := json.Unmarshal(data, &want)
		if err == nil && (plain != nil || !reflect.DeepEqual(got, want)) {
			t.Errorf("%v, want %v, %v", got, want, plain)
		}
		if err != nil && plain == nil && strings.HasPrefix(err.Error(), "not JSON") {
			t.Errorf("error %v of what is JSON", err)
		}
	})
}
