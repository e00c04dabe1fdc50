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
