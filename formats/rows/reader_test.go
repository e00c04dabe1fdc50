package rows

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"etc/fault"
)

// readAll reads every row of s, checking that lines count up from 1.
func readRows(t *testing.T, s, name string, format Format) []*Row {
	t.Helper()
	r := NewReader(t.Context(), strings.NewReader(s), name, format)
	defer r.Close()
	var all []*Row
	for {
		row, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if row.Line != len(all)+1 {
			t.Fatalf("row %d has line %d", len(all)+1, row.Line)
		}
		all = append(all, row)
	}
}

// show prints a row in the way the tables below write it.
func show(r *Row) string {
	if r.Err != nil {
		return fmt.Sprintf("id=%s error: %v", r.ID, r.Err)
	}
	s := fmt.Sprintf("id=%s %q", r.ID, r.Text)
	if r.Pair != nil {
		s += fmt.Sprintf("+%q", *r.Pair)
	}
	if len(r.IDs) > 0 {
		s = fmt.Sprintf("id=%s %v %v", r.ID, r.IDs, r.TypeIDs)
	}
	return s
}

func TestRowsOfText(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"\xef\xbb\xbf", nil},
		{"a\nb\n", []string{`id= "a"`, `id= "b"`}},
		{"a\r\n\r\n\xef\xbb\xbfb\rc\r", []string{`id= "a"`, `id= ""`, `id= "\ufeffb\rc"`}},
		{"\xef\xbb\xbfä\n\xff\nz", []string{`id= "ä"`, "id= error: invalid UTF-8, want UTF-8", `id= "z"`}},
		{"\n", []string{`id= ""`}},
	} {
		var got []string
		for _, row := range readRows(t, c.in, "", Auto) {
			got = append(got, show(row))
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%q:\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

func TestRowsOfJSON(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"text":"a"}`, `id= "a"`},
		{`{"text":""}`, `id= ""`},
		{` { "id" : [1, {"a": "}"}] , "text" : "a\"\\\/\b\f\n\r\tb" , "text_pair":"c" } `, `id=[1, {"a": "}"}] "a\"\\/\b\f\n\r\tb"+"c"`},
		{`{"text":"\u00e4\uD83d\uDe00\u0041","id":null,"text_pair":null,"label":[1],"score":"x"}`, `id=null "ä😀A"`},
		{`{"te\u0078t":"a","Text":"b","TEXT":1,"other":{"text":[{}]},"other":2}`, `id= "a"`},
		{`{"ids":[0, 2147483647 ,5],"id":"x\u0041"}`, `id="x\u0041" [0 2147483647 5] []`},
		{`{"ids":[1,2],"type_ids":[0,1]}`, `id= [1 2] [0 1]`},
		{`{"id":7}`, `id=7 error: neither "text" nor "ids", want one of them`},
		{`{}`, `id= error: neither "text" nor "ids", want one of them`},
		{`{"id":7,"text":"a","ids":[1]}`, `id=7 error: both "text" and "ids", want one of them`},
		{`{"text":1,"id":7}`, `id=7 error: "text": got a number, want a string`},
		{`{"text":"a","text_pair":["b"]}`, `id= error: "text_pair": got an array, want a string`},
		{`{"text":"a","type_ids":[0]}`, `id= error: "type_ids" beside "text", want it beside "ids" only`},
		{`{"ids":[1],"text_pair":"a"}`, `id= error: "text_pair" beside "ids", want it beside "text" only`},
		{`{"ids":"1"}`, `id= error: "ids": got a string, want an array of whole numbers`},
		{`{"ids":{}}`, `id= error: "ids": got an object, want an array of whole numbers`},
		{`{"ids":[]}`, `id= error: "ids" is empty, want at least one token`},
		{`{"ids":[ ]}`, `id= error: "ids" is empty, want at least one token`},
		{`{"ids":[1,-1]}`, `id= error: "ids": got -1 at 1, want whole numbers from 0 to 2147483647`},
		{`{"ids":[2147483648]}`, `id= error: "ids": got 2147483648 at 0, want whole numbers from 0 to 2147483647`},
		{`{"ids":[99999999999999999999]}`, `id= error: "ids": got 99999999999999999999 at 0, want whole numbers from 0 to 2147483647`},
		{`{"ids":[1.0]}`, `id= error: "ids": got 1.0 at 0, want whole numbers from 0 to 2147483647`},
		{`{"ids":[1,null]}`, `id= error: "ids": got null at 1, want whole numbers from 0 to 2147483647`},
		{`{"ids":[[1]]}`, `id= error: "ids": got [1] at 0, want whole numbers from 0 to 2147483647`},
		{`{"ids":[1,2],"type_ids":[0]}`, `id= error: 1 "type_ids", want 2, one for each of "ids"`},
		{`{"ids":[1,2],"type_ids":true}`, `id= error: "type_ids": got a boolean, want an array of whole numbers`},
		{`{"text":"a","id":1,"text":"b"}`, `id=1 error: "text" stands twice, want it once`},
		{`{"text":null,"text":"b"}`, `id= error: "text" stands twice, want it once`},
		{`{"input_ids":[1]}`, `id= error: "input_ids" is no key of rows, want "ids"`},
		{`{"id":7,"ids":[1],"token_type_ids":[1]}`, `id=7 error: "token_type_ids" is no key of rows, want "type_ids"`},
		{`{"token_type_id\u0073":[1],"ids":[1]}`, `id= error: "token_type_ids" is no key of rows, want "type_ids"`},
		{`{"ids":[1,0],"attention_mask":[1,0]}`, `id= error: "attention_mask" is no key of rows, want "ids" without those that are masked`},
		{`{"ids":[1],"type_ids":[0],"attention_mask":[1]}`, `id= error: "attention_mask" is no key of rows, want "ids" without those that are masked`},
		{`{"ids":[1],"position_ids":[3]}`, `id= error: "position_ids" is no key of rows, want positions that count up, which rows have without it`},
		{`{"text":"a","pair":"b","id":7}`, `id=7 error: "pair" is no key of rows, want "text_pair"`},
		{`{"text":"a","text2":"b"}`, `id= error: "text2" is no key of rows, want "text_pair"`},
		{`{"text":"a","sentence2":"b"}`, `id= error: "sentence2" is no key of rows, want "text_pair"`},
		{`{"text":"a","text_pair":null,"pair":"b"}`, `id= error: "pair" is no key of rows, want "text_pair"`},
		{`{"text":"a","text_pair":"b","sentence1":"a","sentence2":"b","pair":1}`, `id= "a"+"b"`},
		{`{"ids":[1],"input_ids":[2],"type_ids":[1],"token_type_ids":[0]}`, `id= [1] [1]`},
		{`{"text":"a","sentence2":null,"input_ids":null,"attention_mask":null}`, `id= "a"`},
		{`{"text":"a","Pair":"b","sentence":"c","masks":{"attention_mask":[0]}}`, `id= "a"`},
		{`{"text":"\ud800"}`, `id= error: "text": half of a surrogate pair, want Unicode text`},
		{`{"text":"\ud800\u0041"}`, `id= error: "text": half of a surrogate pair, want Unicode text`},
		{`{"text":"\ud800xxdc00"}`, `id= error: "text": half of a surrogate pair, want Unicode text`},
		{`{"text":"\ud800\ndc00"}`, `id= error: "text": half of a surrogate pair, want Unicode text`},
		{`{"text":"\udc00\ud800"}`, `id= error: "text": half of a surrogate pair, want Unicode text`},
		{"{\"text\":\"\xff\"}", `id= error: invalid UTF-8, want UTF-8`},
		{`[]`, `id= error: got an array, want an object with "text" or "ids"`},
		{`null`, `id= error: got null, want an object with "text" or "ids"`},
		{``, `id= error: bad JSON: empty line, want an object`},
		{`{"text":"a"`, `id= error: bad JSON at byte 11: unexpected end of JSON input`},
		{`{"text":"a"} x`, `id= error: bad JSON at byte 14: invalid character 'x' after top-level value`},
		{`{"text":tru}`, `id= error: bad JSON at byte 12: invalid character '}' in literal true (expecting 'e')`},
	} {
		all := readRows(t, c.in+"\r\n", "", JSONL)
		if len(all) != 1 {
			t.Fatalf("%s: %d rows, want 1", c.in, len(all))
		}
		if got := show(all[0]); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.in, got, c.want)
		}
		if err := all[0].Err; err != nil && fault.KindOf(err) != fault.Corrupt {
			t.Errorf("%s: kind %d, want %d", c.in, fault.KindOf(err), fault.Corrupt)
		}
	}
}

// TestMisspelledKeyIsOfItsLine: the error of a row is not the next one's.
func TestMisspelledKeyIsOfItsLine(t *testing.T) {
	all := readRows(t, `{"text":"a","pair":"b"}`+"\n"+`{"text":"a"}`+"\n"+`{"text":1,"pair":"b"`+"\n"+`{"text":"c"}`+"\n", "", JSONL)
	for i, bad := range []bool{true, false, true, false} {
		if (all[i].Err != nil) != bad {
			t.Errorf("row %d: error %v", i, all[i].Err)
		}
	}
}

func TestFormatIsFound(t *testing.T) {
	object := `{"text":"a"}`
	for _, c := range []struct {
		in, name string
		format   Format
		want     string
	}{
		{object, "-", Auto, `id= "a"`},
		{bom + object, "rows.txt", Auto, `id= "a"`},
		{" " + object, "-", Auto, `id= " {\"text\":\"a\"}"`},
		{" " + object, "dir/rows.jsonl", Auto, `id= "a"`},
		{object, "rows.jsonl", Text, `id= "{\"text\":\"a\"}"`},
		{"a", "-", JSONL, "id= error: bad JSON at byte 1: invalid character 'a' looking for beginning of value"},
	} {
		if got := show(readRows(t, c.in, c.name, c.format)[0]); got != c.want {
			t.Errorf("%q %s %s:\n got %s\nwant %s", c.in, c.name, c.format, got, c.want)
		}
	}
	if _, err := ParseFormat("csv"); fault.KindOf(err) != fault.Usage {
		t.Errorf("format csv: %v, want a usage error", err)
	}
}

// A repeated source: a pattern n bytes long in all, read without memory.
type repeated struct {
	pattern string
	n       int64
	given   atomic.Int64
}

func (r *repeated) Read(p []byte) (int, error) {
	given := r.given.Load()
	n := int64(0)
	for n < int64(len(p)) && given+n < r.n {
		n += int64(copy(p[n:min(int64(len(p)), r.n-given)], r.pattern[(given+n)%int64(len(r.pattern)):]))
	}
	if r.given.Add(n); n == 0 {
		return 0, io.EOF
	}
	return int(n), nil
}

func TestLongLineIsOneErrorRow(t *testing.T) {
	for _, c := range []struct {
		length int
		end    string
		ok     bool
	}{{MaxLine, "\n", true}, {MaxLine, "\r\n", true}, {MaxLine + 1, "\n", false}, {MaxLine + 1, "", false}} {
		all := readRows(t, strings.Repeat("x", c.length)+c.end+"after", "", Text)
		if c.end == "" {
			all = append(all, nil)
		}
		if len(all) != 2 || (all[0].Err == nil) != c.ok {
			t.Errorf("line of %d with end %q: %d rows, error %v", c.length, c.end, len(all), all[0].Err)
		}
		if c.ok && len(all[0].Text) != c.length || c.end != "" && all[1].Text != "after" {
			t.Errorf("line of %d: wrong text", c.length)
		}
	}
}

// A line of 400 MB must be skipped in memory that MaxLine bounds.
func TestLongLineIsNotHeld(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := NewReader(t.Context(), &repeated{pattern: "x", n: 400 << 20}, "", Text)
	defer r.Close()
	row, err := r.Next()
	runtime.ReadMemStats(&after)
	if err != nil || row.Err == nil || row.Err.Error() != "line over 16 MB, want a shorter one" {
		t.Fatalf("row %+v, error %v", row, err)
	}
	const growth = 6 // append grows by 1.25: the sum of all its buffers is five times the last
	if got := after.TotalAlloc - before.TotalAlloc; got > growth*MaxLine {
		t.Errorf("%d MB allocated", got>>20)
	}
}

// Whatever the size of rows, no more than the queue and one row is read ahead.
func TestReadAheadIsBounded(t *testing.T) {
	for _, pattern := range []string{"x\n", strings.Repeat("y", 999) + "\n", strings.Repeat("z", 3<<20) + "\n"} {
		synctest.Test(t, func(t *testing.T) {
			src := &repeated{pattern: pattern, n: 200 << 20}
			r := NewReader(t.Context(), src, "", Text)
			synctest.Wait()
			held := 0
			for _, row := range r.queue {
				held += row.Size()
			}
			if len(r.queue) == 0 || held > QueueBytes {
				t.Errorf("rows of %d: %d rows of %d bytes are queued", len(pattern), len(r.queue), held)
			}
			if most := int64(QueueBytes + len(pattern) + 128<<10); src.given.Load() > most {
				t.Errorf("rows of %d: %d bytes read ahead", len(pattern), src.given.Load())
			}
			for range len(r.queue) {
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if r.head == len(r.queue) {
				t.Errorf("rows of %d: reading did not go on", len(pattern))
			}
			r.Close()
		})
	}
}

// Whoever pipes one row and waits gets it, and learns that there is no more now.
func TestTryNextDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, feed := io.Pipe()
		r := NewReader(t.Context(), src, "", Auto)
		try := func(want string) {
			t.Helper()
			row, err := r.TryNext()
			if row == nil && err == nil && want == "" {
				return
			}
			if err != nil || row == nil || row.Text != want {
				t.Fatalf("got %+v, %v, want %q", row, err, want)
			}
		}
		synctest.Wait()
		try("")
		fmt.Fprint(feed, "one\ntw")
		row, err := r.Next()
		if err != nil || row.Text != "one" {
			t.Fatal(row, err)
		}
		synctest.Wait()
		try("") // half a line is not ready
		fmt.Fprint(feed, "o\nthree\n")
		synctest.Wait()
		try("two")
		try("three")
		try("")
		feed.Close()
		synctest.Wait()
		if _, err := r.TryNext(); err != io.EOF {
			t.Fatalf("got %v, want EOF", err)
		}
		r.Close()
	})
}

// Rows that have arrived but are not parsed yet are ready: a window must not
// close for the reader's being slow.
func TestTryNextWaitsForWhatHasArrived(t *testing.T) {
	const rows = 2000
	src, feed := io.Pipe()
	r := NewReader(t.Context(), src, "", Text)
	defer r.Close()
	go fmt.Fprint(feed, strings.Repeat("word\n", rows)) // one Read's worth
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < rows; i++ {
		if row, err := r.TryNext(); row == nil {
			t.Fatalf("row %d: not ready, %v", i, err)
		}
	}
	feed.Close()
}

// A file is ready to its end.
func TestFileIsAlwaysReady(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	const rows = 50000
	if err := os.WriteFile(path, bytes.Repeat([]byte("some words here\n"), rows), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := NewReader(t.Context(), file, path, Auto)
	defer r.Close()
	for i := range rows {
		if row, err := r.TryNext(); row == nil {
			t.Fatalf("row %d: not ready, %v", i, err)
		}
	}
	if _, err := r.TryNext(); err != io.EOF {
		t.Fatal(err)
	}
}

// synctest fails a test that leaves a goroutine behind.
func TestNoGoroutineStays(t *testing.T) {
	stops := map[string]func(*Reader, context.CancelFunc, *io.PipeWriter){
		"Close":    func(r *Reader, _ context.CancelFunc, feed *io.PipeWriter) { r.Close(); feed.Close() },
		"cancel":   func(_ *Reader, cancel context.CancelFunc, feed *io.PipeWriter) { cancel(); feed.Close() },
		"full":     func(r *Reader, _ context.CancelFunc, _ *io.PipeWriter) { r.Close() },
		"mid-wait": func(r *Reader, cancel context.CancelFunc, feed *io.PipeWriter) { cancel(); r.Next(); feed.Close() },
	}
	for name, stop := range stops {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				src, feed := io.Pipe()
				var in io.Reader = src
				if name == "full" {
					in = &repeated{pattern: "x\n", n: 1 << 30}
				}
				r := NewReader(ctx, in, "", Text)
				synctest.Wait()
				stop(r, cancel, feed)
				if row, err := r.Next(); row != nil || !errors.Is(err, context.Canceled) {
					t.Errorf("after the end: %v, %v, want %v", row, err, context.Canceled)
				}
			})
		})
	}
}

func TestNextWakesWhenCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, feed := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		r := NewReader(ctx, src, "", Text)
		failed := make(chan error)
		go func() { _, err := r.Next(); failed <- err }()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		feed.Close()
	})
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("oh") }

func TestSourceErrorsEndTheStream(t *testing.T) {
	broken := errors.New("disk on fire")
	r := NewReader(t.Context(), io.MultiReader(strings.NewReader("a\nhalf"), iotest.ErrReader(broken)), "", Text)
	defer r.Close()
	if row, err := r.Next(); err != nil || row.Text != "a" {
		t.Fatal(row, err)
	}
	if _, err := r.Next(); err != broken {
		t.Fatalf("got %v, want %v", err, broken)
	}
	crashed := NewReader(t.Context(), panicking{}, "", Text)
	defer crashed.Close()
	if _, err := crashed.Next(); err == nil || !strings.HasPrefix(err.Error(), "bug: rows: oh") {
		t.Fatal(err)
	}
}

// A released row comes back with its slices and nothing else of its past.
func TestReleasedRowsAreReused(t *testing.T) {
	src, feed := io.Pipe()
	defer feed.Close()
	r := NewReader(t.Context(), src, "", JSONL)
	defer r.Close()
	var first *Row
	for i, c := range [][2]string{
		{`{"id":1,"ids":[1,2,3],"type_ids":[0,0,1]}`, `id=1 [1 2 3] [0 0 1]`},
		{`{"text":1}`, `id= error: "text": got a number, want a string`},
		{`{"id":2,"text":"a","text_pair":"b"}`, `id=2 "a"+"b"`},
		{`{"text":"c"}`, `id= "c"`},
		{`{"ids":[4]}`, `id= [4] []`},
	} {
		fmt.Fprintln(feed, c[0])
		row, err := r.Next()
		if err != nil || show(row) != c[1] || row.Line != i+1 {
			t.Fatalf("row %d: got %s, %v, want %s", i+1, show(row), err, c[1])
		}
		if first == nil {
			first = row
		}
		if row != first || cap(row.IDs) < 3 {
			t.Errorf("row %d: its memory is new", i+1)
		}
		r.Release(row)
	}
}

func FuzzRows(f *testing.F) {
	for _, s := range []string{"", "\n", bom, "a\nb", "{\"text\":\"\\ud83d\\ude00\"}\r\n{}", `{"ids":[1,2],"id":{"a":[]}}`, "{\"text\":\"a\",\"text\":2}\n\n[", "\xef\xbb{\"", `{"text":"\\\"","label":1,"score":2}`} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, object bool) {
		format := Text
		if object {
			format = JSONL
		}
		content := bytes.TrimPrefix(in, []byte(bom))
		want := bytes.Count(content, []byte("\n"))
		if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
			want++
		}
		all := readRows(t, string(in), "", format)
		if len(all) != want {
			t.Fatalf("%d rows of %d lines", len(all), want)
		}
		lines := bytes.Split(content, []byte("\n"))
		for i, row := range all {
			checkRow(t, row, bytes.TrimRight(lines[i], "\r"), format)
		}
	})
}
