package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"etc/fault"
)

// unfinished knows the files and folders that are being written, so that a
// run which is cut short can remove them: a last step is either whole or not
// begun.
type unfinished struct {
	sync.Mutex
	paths []string
	over  bool
}

var errOver = errors.New("the run is over")

// add has begin make a file or folder, and remembers its path.
func (u *unfinished) add(path string, begin func() error) error {
	u.Lock()
	defer u.Unlock()
	if u.over {
		return errOver
	}
	err := begin()
	if err == nil {
		u.paths = append(u.paths, path)
	}
	return err
}

// settle runs the step that puts something in its place.
func (u *unfinished) settle(step func() error) error {
	u.Lock()
	defer u.Unlock()
	if u.over {
		return errOver
	}
	return step()
}

// stop lets nothing more begin or come to its place.
func (u *unfinished) stop() {
	u.Lock()
	defer u.Unlock()
	u.over = true
}

// discard stops, and removes what was not put in its place. A folder is
// renamed first, so that whoever still writes finds none.
func (u *unfinished) discard() {
	u.stop()
	u.Lock()
	defer u.Unlock()
	for _, path := range u.paths {
		gone := path + ".gone"
		if os.Rename(path, gone) == nil {
			os.RemoveAll(gone)
		}
	}
	u.paths = nil
}

// beside is a name for something that will be path once it is whole.
func beside(path string, try int) string {
	return fmt.Sprintf("%s.unfinished-%d-%d", path, os.Getpid(), try)
}

// begin makes something beside path by make, under a name that is free.
func (u *unfinished) begin(path string, make func(name string) error) (name string, err error) {
	for try := 0; ; try++ {
		name = beside(path, try)
		err := u.add(name, func() error { return make(name) })
		if !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}

// addForce adds --force to a command that writes a file.
func (p *program) addForce(c *cobra.Command) {
	c.Flags().BoolVar(&p.force, "force", false, "replace an existing output")
}

// checkOutput refuses an output that exists, unless --force, or whose folder
// does not. A device or a pipe is written to, not replaced.
func (p *program) checkOutput(path string) error {
	if path == "" || path == "-" {
		return fault.Newf(fault.Usage, "no output: -o PATH is wanted")
	}
	if isSpecial(path) {
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fault.Newf(fault.Usage, "%s is a folder, want a file to write", path)
	}
	if _, err := os.Lstat(path); err == nil && !p.force {
		return fault.Newf(fault.Usage, "%s exists", path).WithHint("--force replaces it")
	}
	return checkFolder(path)
}

func checkFolder(path string) error {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return fault.Newf(fault.Usage, "%s: its folder does not exist", path).WithHint("make it first, or write elsewhere")
	}
	return nil
}

// isSpecial reports whether path is a device, a pipe or a socket.
func isSpecial(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && !info.Mode().IsRegular()
}

// create writes path whole or not at all: beside its place, then renamed. A
// link is followed, so that what it points to is replaced.
func (p *program) create(path string, write func(*os.File) error) error {
	if isSpecial(path) {
		return createSpecial(path, write)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	var f *os.File
	name, err := p.unfinished.begin(path, func(name string) (err error) {
		f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if p, ok := errors.AsType[*fs.PathError](err); ok {
			p.Path = path // the name that the user knows
		}
		return err
	})
	if err != nil {
		return err
	}
	defer os.Remove(name) // finds nothing where all went well
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return p.unfinished.settle(func() error { return os.Rename(name, path) })
}

// createSpecial writes to a device or a pipe.
func createSpecial(path string, write func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// printJSON writes a record for scripts; docs/json.md lists its keys.
func (p *program) printJSON(record any) error {
	out := json.NewEncoder(p.out)
	out.SetEscapeHTML(false)
	return out.Encode(record)
}

// noDevice is the device of records that nothing ran for.
const noDevice = "none"
