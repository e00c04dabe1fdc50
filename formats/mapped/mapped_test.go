//go:build linux || darwin

package mapped

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"etc/fault"
)

// pages is long enough that cutting the file loses whole pages on every platform.
const pages = 1 << 18

func open(t *testing.T) (*File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(strings.Repeat("x", pages)), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, path
}

func TestOpenReadsTheFile(t *testing.T) {
	f, _ := open(t)
	if got := string(f.Data); got != strings.Repeat("x", pages) {
		t.Errorf("%d bytes differ from the file", len(got))
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil || f.Data != nil {
		t.Errorf("closing twice: %v", err)
	}
	if len(regions.files) != 0 {
		t.Errorf("%d regions after Close, want none", len(regions.files))
	}
}

func TestRegionsEndWithTheirFile(t *testing.T) {
	f, _ := open(t)
	first, end := start(f), start(f)+pages
	for address, want := range map[uintptr]*File{first - 1: nil, first: f, end - 1: f, end: nil} {
		if got := regions.find(address); got != want {
			t.Errorf("address %#x of %#x to %#x lies in %p, want %p", address, first, end, got, want)
		}
	}
}

func TestOpenOfWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, filepath.Join(dir, "absent")} {
		if _, err := Open(path); fault.KindOf(err) != fault.Usage {
			t.Errorf("Open(%s) = %v, want a usage fault", path, err)
		}
	}
}

func TestOpenEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil || len(f.Data) != 0 {
		t.Fatalf("Open = %v, %v", f, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestGuardOfShrunkFile(t *testing.T) {
	f, path := open(t)
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	var sum byte
	err := Guard(func() error {
		for _, b := range f.Data {
			sum += b
		}
		return nil
	})
	if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), "file shrank while it was read") {
		t.Errorf("Guard = %v (sum %d)", err, sum)
	}
}

func TestGuardOfShrunkFileWritten(t *testing.T) {
	f, path := open(t)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	err = Guard(func() error {
		_, err := out.Write(f.Data)
		return err
	})
	if fault.KindOf(err) != fault.Corrupt {
		t.Errorf("Guard = %v, want a corrupt fault", err)
	}
}

func TestGuardLetsOtherPanicsThrough(t *testing.T) {
	f, _ := open(t)
	gone := f.Data
	f.Close()
	var absent *int
	for name, read := range map[string]func() error{
		"bug":         func() error { panic("bug: mapped: test") },
		"nil":         func() error { *absent++; return nil },
		"after close": func() error { gone[0]++; return nil },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: Guard swallowed the panic", name)
				}
			}()
			t.Errorf("%s: Guard = %v", name, Guard(read))
		}()
	}
}

func TestGuardReturnsTheError(t *testing.T) {
	want := errors.New("own error")
	if err := Guard(func() error { return want }); err != want {
		t.Errorf("Guard = %v, want %v", err, want)
	}
}
