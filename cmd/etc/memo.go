package main

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
	"sync"
	"time"
)

// A memo keeps what took long to find out, across runs: a file for each answer,
// named by the digest of all that the answer depends on, this program included.
// It is as good as none where it cannot be read or written. Deleting it
// changes nothing but time. A nil memo knows nothing.
type memo struct {
	folder       string
	program      [sha256.Size]byte
	known, found int // answers
}

// memoLimit bounds a memo, in bytes: statistics of a model of 12 layers and
// width 768 take half a GiB.
const memoLimit = 4 << 30

// leastFile is what a file counts for at least, so that there are never too
// many to look through.
const leastFile = 64 << 10

// openMemo opens that of a name in the cache folder, and drops what was not
// used for longest where it is too large.
func openMemo(name string) *memo {
	program, err := ownDigest()
	if err != nil || cacheFolder() == "" {
		return nil
	}
	m := &memo{folder: filepath.Join(cacheFolder(), name), program: program}
	m.trim(memoLimit)
	return m
}

// ownDigest is that of the running program's file: other code may have other
// answers, even of the same version.
var ownDigest = sync.OnceValues(func() (sum [sha256.Size]byte, err error) {
	path, err := os.Executable()
	if err != nil {
		return sum, err
	}
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
})

// A question is the digest of all that an answer depends on.
type question [sha256.Size]byte

// ask makes a question of its parts.
func (m *memo) ask(parts ...string) question {
	h := sha256.New()
	if m != nil {
		h.Write(m.program[:])
	}
	for _, part := range parts {
		fmt.Fprintf(h, "%d %s\n", len(part), part)
	}
	return question(h.Sum(nil))
}

func (m *memo) path(q question) string {
	name := hex.EncodeToString(q[:])
	return filepath.Join(m.folder, name[:2], name)
}

// sum begins the digest that stands before an answer: of the question and of
// the answer.
func (q question) sum() hash.Hash {
	h := sha256.New()
	h.Write(q[:])
	return h
}

// load has read take the answer to q, size bytes, and tells whether there was
// one. What is not whole, or to another question, is none.
func (m *memo) load(q question, read func(from io.Reader, size int64) error) bool {
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
	os.Chtimes(f.Name(), now, now) // used: trim
	m.known++
	return true
}

// store keeps what write writes as the answer to q, whole or not at all.
func (m *memo) store(q question, write func(to io.Writer) error) {
	if m == nil {
		return
	}
	m.found++
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

// recall gives answer, a pointer, the one to q, or has find set it and keeps
// that.
func (m *memo) recall(q question, answer any, find func() error) error {
	known := m.load(q, func(from io.Reader, _ int64) error {
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
	m.store(q, func(to io.Writer) error { return json.NewEncoder(to).Encode(answer) })
	return nil
}

// trim drops files, those unused for longest first, until no more than limit
// bytes are left.
func (m *memo) trim(limit int64) {
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
