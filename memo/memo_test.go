package memo

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// keepAnswer stores one answer of so many bytes.
func keepAnswer(m *Memo, q Question, size int) []byte {
	answer := bytes.Repeat([]byte{7}, size)
	m.Store(q, func(to io.Writer) error { _, err := to.Write(answer); return err })
	return answer
}

// answerTo is what a memo knows of a question, or nil.
func answerTo(m *Memo, q Question) (answer []byte) {
	m.Load(q, func(from io.Reader, size int64) (err error) {
		answer, err = io.ReadAll(from)
		if int64(len(answer)) != size {
			err = errors.New("another size")
		}
		return err
	})
	return answer
}

// files are those of a memo.
func files(t *testing.T, m *Memo) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(m.folder, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestMemo: an answer comes back whole, to its own question; one that was
// changed, cut off or put in the place of another is none, and is replaced.
func TestMemo(t *testing.T) {
	m := Open(filepath.Join(t.TempDir(), "test"))
	one, two := Ask("a", "bc"), Ask("ab", "c")
	if one == two {
		t.Fatal("different questions have one digest")
	}
	want := keepAnswer(m, one, 100)
	if !bytes.Equal(answerTo(m, one), want) || answerTo(m, two) != nil {
		t.Fatal("an answer was lost, or is that to another question")
	}
	path := files(t, m)[0]
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{"empty": nil, "cut in the sum": file[:31], "cut": file[:len(file)-1], "longer": append(bytes.Clone(file), 7)}
	for _, at := range []int{0, 31, 32, len(file) - 1} {
		changed := bytes.Clone(file)
		changed[at] ^= 1
		damaged["changed "+string(rune('0'+at%10))] = changed
	}
	for what, bad := range damaged {
		if err := os.WriteFile(path, bad, 0o666); err != nil {
			t.Fatal(err)
		}
		if answerTo(m, one) != nil {
			t.Errorf("%s: taken", what)
		}
		keepAnswer(m, one, 100)
		if !bytes.Equal(answerTo(m, one), want) {
			t.Errorf("%s: not replaced", what)
		}
	}
	if err := os.MkdirAll(filepath.Dir(m.path(two)), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path(two), file, 0o666); err != nil {
		t.Fatal(err)
	}
	if answerTo(m, two) != nil {
		t.Error("the answer to another question was taken")
	}
	m.Store(two, func(io.Writer) error { return errors.New("full") })
	if answerTo(m, two) != nil || len(files(t, m)) != 2 {
		t.Errorf("half an answer was left: %q", files(t, m))
	}
	var none *Memo
	keepAnswer(none, one, 1)
	if answerTo(none, one) != nil {
		t.Error("no memo knows something")
	}
}

// TestMemoIsBounded: what was not used for longest goes first, and small files
// count too.
func TestMemoIsBounded(t *testing.T) {
	m := Open(t.TempDir())
	questions := []Question{Ask("0"), Ask("1"), Ask("2"), Ask("3")}
	for i, q := range questions {
		keepAnswer(m, q, 1000*(1+i))
		old := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(m.path(q), old, old); err != nil {
			t.Fatal(err)
		}
	}
	answerTo(m, questions[0])
	m.Trim(leastFile * 5 / 2)
	for i, want := range []bool{true, false, false, true} {
		if got := answerTo(m, questions[i]) != nil; got != want {
			t.Errorf("answer %d is there: %v", i, got)
		}
	}
}
