package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"etc/fault"
)

// TestUnfinished: what is begun goes unless it is settled, and nothing begins
// or settles once the run is over.
func TestUnfinished(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "out")
	var u unfinished
	mkdir := func(name string) error { return os.Mkdir(name, 0o777) }
	done, err := u.begin(path, mkdir)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.settle(func() error { return os.Rename(done, path) }); err != nil {
		t.Fatal(err)
	}
	open, err := u.begin(path, mkdir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(open, "part"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	u.discard()
	if _, err := u.begin(path, mkdir); !errors.Is(err, errOver) {
		t.Errorf("begin after the end: %v", err)
	}
	if err := u.settle(func() error { t.Error("settled after the end"); return nil }); !errors.Is(err, errOver) {
		t.Errorf("settle after the end: %v", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 || entries[0].Name() != "out" {
		t.Errorf("left: %v, %v; want out alone", entries, err)
	}
}

// TestCreateLeavesNothing: a file whose writing fails is not there.
func TestCreateLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	p := &program{}
	broken := errors.New("broken")
	if err := p.create(filepath.Join(folder, "out"), func(f *os.File) error { f.WriteString("half"); return broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) > 0 {
		t.Errorf("left: %v", entries)
	}
}

// TestCreatePermissions: what replaces a file has its permissions, from the start.
func TestCreatePermissions(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, 0o640, 0o666, 0o444} {
		path := filepath.Join(t.TempDir(), "out")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		p := &program{force: true}
		err := p.create(path, func(f *os.File) error {
			info, err := f.Stat()
			if err == nil && info.Mode() != mode {
				t.Errorf("%v while it is written, want %v", info.Mode(), mode)
			}
			return err
		})
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || info.Mode() != mode {
			t.Errorf("%v %v %v, want %v", info.Mode(), err, statErr, mode)
		}
	}
}

// TestCreateLooksAgain: without --force, what came to the place while the file
// was written stays, whatever it is.
func TestCreateLooksAgain(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"file":   func(path string) error { return os.WriteFile(path, []byte("theirs"), 0o666) },
		"folder": func(path string) error { return os.Mkdir(path, 0o777) },
		"link":   func(path string) error { return os.Symlink("nowhere", path) },
	} {
		path := filepath.Join(t.TempDir(), "out")
		err := (&program{}).create(path, func(f *os.File) error { return put(path) })
		if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "meanwhile") {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := os.ReadFile(path); err == nil && string(text) != "theirs" {
			t.Errorf("%s: became %q", name, text)
		}
		if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
			t.Errorf("%s: left %v", name, entries)
		}
	}
	path := filepath.Join(t.TempDir(), "out")
	p := &program{force: true}
	if err := p.create(path, func(f *os.File) error { return os.WriteFile(path, nil, 0o666) }); err != nil {
		t.Errorf("with --force: %v", err)
	}
}

// TestPlaceOf: links are followed, in folders and at the end, to what is there
// and to what is not.
func TestPlaceOf(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, name := range []string{"real/in", "other"} {
		if err := os.MkdirAll(name, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("file", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{
		"folder": "real/in", "one": "two", "two": "real/new", "real/in/up": "../new", "round": "round", "absent": "none/x", "full": filepath.Join(dir, "file"),
	} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"new": "new", "./real/../new": "new", "file": "file", "full": "file", "folder": "real/in", "folder/../new": "real/new", "folder/new": "real/in/new",
		"one": "real/new", "folder/up": "real/new", ".": "", "other/..": "",
		"none/new": "!", "file/new": "!", "file/": "!", "new/": "!", "absent": "!", "round": "!",
	} {
		got, err := placeOf(path)
		if want == "!" {
			if fault.KindOf(err) != fault.Usage {
				t.Errorf("%s: %s %v, want a usage fault", path, got, err)
			}
		} else if err != nil || got != filepath.Join(dir, want) {
			t.Errorf("%s: %s %v, want %s", path, got, err, want)
		}
	}
	if got, err := placeOfFolder("new//"); err != nil || got != filepath.Join(dir, "new") {
		t.Errorf("new//: %s %v", got, err)
	}
}

// TestInterruptDoesNotWait: a command that does not look at its context holds
// the program for the grace at most, and not beyond a second signal.
func TestInterruptDoesNotWait(t *testing.T) {
	never, again := make(chan error), make(chan os.Signal, 1)
	p := &program{err: io.Discard}
	start := time.Now()
	if code := p.interrupted(os.Interrupt, never, again); code != exitInterrupt {
		t.Errorf("exit %d", code)
	}
	if took := time.Since(start); took < grace || took > grace+5*time.Second {
		t.Errorf("took %v, want the grace of %v", took, grace)
	}
	again <- os.Interrupt
	start = time.Now()
	if code := p.interrupted(syscall.SIGTERM, never, again); code != exitTerminate {
		t.Errorf("exit %d", code)
	}
	if took := time.Since(start); took > grace/2 {
		t.Errorf("second signal: took %v", took)
	}
	ended := make(chan error, 1)
	ended <- nil
	if code := p.interrupted(os.Interrupt, ended, nil); code != 0 {
		t.Errorf("exit %d of a command that was done", code)
	}
}

// TestReport: every error is one or two lines.
func TestReport(t *testing.T) {
	boom := fault.Go(func() error { panic("bug: boom") }).Wait()
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{nil, 0, ""},
		{fault.Newf(fault.Usage, "a\x1b[31m").WithHint("b"), 2, "etc: a\uFFFD[31m\nb\n"},
		{io.ErrUnexpectedEOF, 1, "etc: unexpected EOF\n"},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.EPIPE}, 1, ""},
		{boom, 1, "etc: internal error: bug: boom\nthis may be a fault of etc itself; with --verbose it tells more\n"},
	} {
		var b bytes.Buffer
		if code := report(&b, c.err, false); code != c.code || b.String() != c.want {
			t.Errorf("%v: exit %d, %q; want %d, %q", c.err, code, b.String(), c.code, c.want)
		}
	}
	var b bytes.Buffer
	if report(&b, boom, true); !strings.Contains(b.String(), "goroutine") {
		t.Errorf("--verbose: %q, want the stack", b.String())
	}
}

// TestProgress: percent and time left, as lines or as a bar, and nothing more
// often than is of use.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	start := time.Now().Add(-time.Minute)
	g := &progress{out: &b, stage: "judging", start: start, shown: start}
	g.set(1, 4)
	g.set(2, 4)
	if got, want := b.String(), "judging: 25%, 3m0s left\n"; got != want {
		t.Errorf("lines %q, want %q", got, want)
	}
	b.Reset()
	g = &progress{out: &b, stage: "judging", start: start, shown: start, bar: true}
	g.set(2, 4)
	if want := "\r\x1b[K[===============               ] judging: 50%, 1m0s left"; b.String() != want {
		t.Errorf("bar %q, want %q", b.String(), want)
	}
	b.Reset()
	p := &program{err: &b, progress: g}
	p.note("a note")
	if got, want := b.String(), "\r\x1b[Ka note\n"; got != want {
		t.Errorf("note over a bar %q, want %q", got, want)
	}
	p.quiet = true
	if p.newProgress("judging") != nil {
		t.Error("--quiet shows progress")
	}
	p.progress.clear()
	(*progress)(nil).set(1, 2)
}
