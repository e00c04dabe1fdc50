// Package memo keeps what took long to find out, across runs: a file for each
// answer, named by the digest of all that the answer depends on. What is
// damaged, or stands in the place of another, counts as absent. Deleting a
// folder of answers changes nothing but time.
package memo

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

// A Memo is a folder of answers. It is as good as none where it cannot be read
// or written; a nil Memo knows nothing. Goroutines and processes may share one.
type Memo struct {
	folder       string
	known, found atomic.Int64
}

// leastFile is what a file counts for at least, so that there are never too
// many to look through.
const leastFile = 64 << 10

// Open opens the memo of a folder, which need not be there yet; nil for none.
func Open(folder string) *Memo {
	if folder == "" {
		return nil
	}
	return &Memo{folder: folder}
}

// Folder is where the answers are.
func (m *Memo) Folder() string { return m.folder }

// Counts are how many answers were known, and how many were not and are kept.
func (m *Memo) Counts() (known, found int64) { return m.known.Load(), m.found.Load() }

// A Question is the digest of all that an answer depends on.
type Question [sha256.Size]byte

// Ask makes a question of its parts.
func Ask(parts ...string) Question {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d %s\n", len(part), part)
	}
	return Question(h.Sum(nil))
}

func (q Question) String() string { return hex.EncodeToString(q[:]) }

func (m *Memo) path(q Question) string {
	name := q.String()
	return filepath.Join(m.folder, name[:2], name)
}

// sum begins the digest that stands before an answer: of the question and of
// the answer.
func (q Question) sum() hash.Hash {
	h := sha256.New()
	h.Write(q[:])
	return h
}

// Load has read take the answer to q, size bytes, and tells whether there was
// one. What is not whole, or to another question, is none.
func (m *Memo) Load(q Question, read func(from io.Reader, size int64) error) bool {
	if m == nil {
		return false
	}
	f, err := os.Open(m.path(q))
	if err != nil {
		return false
	}
	defer f.Close()
	var want [sha256.Size]byte
	if _, err := io.ReadFull(f, want[:]); err != nil {
		return false
	}
	h := q.sum()
	size, err := io.Copy(h, f)
	if err != nil || !bytes.Equal(h.Sum(nil), want[:]) {
		return false
	}
	if _, err := f.Seek(sha256.Size, io.SeekStart); err != nil || read(f, size) != nil {
		return false
	}
	now := time.Now()
	os.Chtimes(f.Name(), now, now) // used: Trim
	m.known.Add(1)
	return true
}

// Store keeps what write writes as the answer to q, whole or not at all.
func (m *Memo) Store(q Question, write func(to io.Writer) error) {
	if m == nil {
		return
	}
	m.found.Add(1)
	path := m.path(q)
	if os.MkdirAll(filepath.Dir(path), 0o777) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".unfinished-*")
	if err != nil {
		return
	}
	defer os.Remove(f.Name()) // finds nothing where all went well
	h := q.sum()
	_, err = f.Write(make([]byte, sha256.Size))
	if err == nil {
		err = write(io.MultiWriter(f, h))
	}
	if err == nil {
		_, err = f.WriteAt(h.Sum(nil), 0)
	}
	if f.Close() == nil && err == nil {
		os.Rename(f.Name(), path)
	}
}

// Recall gives answer, a pointer, the one to q, or has find set it and keeps
// that.
func (m *Memo) Recall(q Question, answer any, find func() error) error {
	known := m.Load(q, func(from io.Reader, _ int64) error {
		text, err := io.ReadAll(from)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, answer)
	})
	if known {
		return nil
	}
	if err := find(); err != nil {
		return err
	}
	m.Store(q, func(to io.Writer) error { return json.NewEncoder(to).Encode(answer) })
	return nil
}

// Trim drops files, those unused for longest first, until no more than limit
// bytes are left.
func (m *Memo) Trim(limit int64) {
	type file struct {
		path string
		size int64
		used time.Time
	}
	var files []file
	total := int64(0)
	filepath.WalkDir(m.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			f := file{path, max(leastFile, info.Size()), info.ModTime()}
			files = append(files, f)
			total += f.size
		}
		return nil
	})
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path)) })
	for _, f := range files {
		if total <= limit {
			return
		}
		if os.Remove(f.path) == nil {
			total -= f.size
		}
	}
}
