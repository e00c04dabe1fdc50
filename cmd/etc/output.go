package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
	if path == "" || path == stdio {
		return fault.Newf(fault.Usage, "no output: -o PATH is wanted")
	}
	if isSpecial(path) {
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fault.Newf(fault.Usage, "%s is a folder, want a file to write", path)
	}
	if _, err := os.Lstat(path); err == nil && !p.force {
		return outputExists(path)
	}
	_, err := placeOf(path)
	return err
}

func outputExists(path string) error {
	return fault.Newf(fault.Usage, "%s exists", path).WithHint("--force replaces it")
}

// placeOf is the absolute path of what is written for path: links are followed,
// one that points to nothing too. The folder it lies in must be there.
func placeOf(path string) (string, error) {
	at := path
	for range mostLinks {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Abs(real)
		}
		folder, name := filepath.Split(at)
		if folder == "" {
			folder = "."
		}
		folder, err := filepath.EvalSymlinks(folder)
		if info, statErr := os.Stat(folder); err != nil || statErr != nil || !info.IsDir() {
			return "", fault.Newf(fault.Usage, "%s: its folder does not exist", path).WithHint("make it first, or write elsewhere")
		}
		at = filepath.Join(folder, name)
		to, err := os.Readlink(at)
		if err != nil { // nothing there, or what cannot be looked at
			return filepath.Abs(at)
		}
		if at = to; !filepath.IsAbs(to) {
			at = folder + string(filepath.Separator) + to
		}
	}
	return "", fault.Newf(fault.Usage, "%s: too many links from one to the next", path)
}

// mostLinks is how many links a place may be away, as on Linux.
const mostLinks = 40

// placeOfFolder is placeOf for a folder, whose path may end in a separator.
func placeOfFolder(path string) (string, error) {
	for len(path) > 1 && os.IsPathSeparator(path[len(path)-1]) {
		path = path[:len(path)-1]
	}
	return placeOf(path)
}

// An outFlag is a flag that names what is written, and its path.
type outFlag struct{ flag, path string }

// checkApart refuses outputs of one run at one place, of which the last would
// be left, and those inside what becomes a file, the first of them.
func checkApart(file outFlag, others ...outFlag) error {
	all := append([]outFlag{file}, others...)
	places := make([]string, len(all))
	for i, o := range all {
		if o.path == "" || o.path == stdio || isSpecial(o.path) {
			continue
		}
		place, err := placeOfFolder(o.path)
		if err != nil { // its folder is not there
			if place, err = filepath.Abs(o.path); err != nil {
				return err
			}
		}
		places[i] = place
		for j, before := range places[:i] {
			if before == place || j == 0 && before != "" && strings.HasPrefix(place, before+string(filepath.Separator)) {
				return fault.Newf(fault.Usage, "%s %s and %s %s: want two places", all[j].flag, all[j].path, o.flag, o.path)
			}
		}
	}
	return nil
}

// isSpecial reports whether path is a device, a pipe or a socket.
func isSpecial(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && !info.Mode().IsRegular()
}

// create writes path whole or not at all: beside its place, then brought there.
// A link is followed, so that what it points to is replaced; what is replaced
// leaves its permissions.
func (p *program) create(path string, write func(*os.File) error) error {
	if isSpecial(path) {
		return createSpecial(path, write)
	}
	place, err := placeOf(path)
	if err != nil {
		return err
	}
	var f *os.File
	name, err := p.unfinished.begin(place, func(name string) (err error) {
		f, err = openNew(name, place)
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
	return p.unfinished.settle(func() error { return p.put(name, place, path) })
}

// openNew makes a file with the permissions of the one that it will replace.
func openNew(name, replaced string) (*os.File, error) {
	info, err := os.Stat(replaced)
	if err != nil || !info.Mode().IsRegular() {
		return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	}
	mode := info.Mode().Perm()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil { // what the umask took
		f.Close()
		return nil, errors.Join(err, os.Remove(name))
	}
	return f, nil
}

// put brings the file called name to its place: without --force only where
// still nothing is, which a link tells in one step where the system has them.
func (p *program) put(name, place, path string) error {
	if p.force {
		return os.Rename(name, place)
	}
	err := os.Link(name, place)
	if err == nil {
		return os.Remove(name)
	}
	if _, there := os.Lstat(place); errors.Is(err, fs.ErrExist) || there == nil {
		return fault.Newf(fault.Usage, "%s: something was put there meanwhile", path).WithHint("--force replaces it")
	}
	return os.Rename(name, place)
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
