package checkpoint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"etc/fault"
	"etc/ir/tensor"
)

// sideFiles match what travels with the weights: configuration, tokenizer and
// descriptions, in the folder and in the modules of sentence-transformers.
var sideFiles = []string{"*.json", "*.txt", "*.model", "*.md", "LICENSE*"}

const moduleFolders = "[0-9]_*"

// Write makes the model folder dir, which transformers loads as it loaded the
// one of c: the same weight files with the same names, order, dtypes and
// metadata, the replaced tensors in their places, the small files beside them
// byte for byte, and the files of extra, by plain name, over those of the same
// name. The folder is written beside its place and renamed when
// whole. An existing dir is fault.Usage; with force it is replaced where it is
// empty or a model folder, can be renamed, and is not the one that is read.
func (c *Checkpoint) Write(dir string, force bool, extra map[string][]byte) error {
	dir = filepath.Clean(dir)
	if err := c.CheckPlace(dir, force); err != nil {
		return err
	}
	temp, err := makeTemp(dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) // finds nothing where all went well
	if err := c.WriteInto(temp, extra); err != nil {
		return err
	}
	return Replace(dir, temp)
}

// WriteInto writes what Write writes into an existing, empty folder: for a
// caller that makes and renames it, and removes it when interrupted.
func (c *Checkpoint) WriteInto(dir string, extra map[string][]byte) error {
	if err := c.CheckFinite(slices.Sorted(maps.Keys(c.replaced))); err != nil {
		return err
	}
	for name := range extra {
		if !isPlainName(name) {
			panic(fmt.Sprintf("bug: checkpoint: extra file %q", name))
		}
	}
	if err := c.copySideFiles(dir); err != nil {
		return err
	}
	if c.index != nil {
		if err := os.WriteFile(filepath.Join(dir, indexFile), c.index, 0o666); err != nil {
			return err
		}
	}
	for _, s := range c.shards {
		if err := s.writeTo(filepath.Join(dir, s.name), c.replaced); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if err := os.WriteFile(filepath.Join(dir, name), extra[name], 0o666); err != nil {
			return err
		}
	}
	return nil
}

// writeTo writes one weight file with those of the replaced tensors that are in it.
func (s shard) writeTo(path string, replaced map[string]tensor.Tensor) error {
	ours := map[string]tensor.Tensor{}
	for name, t := range replaced {
		if _, ok := s.Tensor(name); ok {
			ours[name] = t
		}
	}
	return create(path, func(w io.Writer) error { return s.Rewrite(w, ours) })
}

// create makes a file of what write writes.
func create(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewWriterSize(f, 1<<20) // most tensors are small
	if err := write(b); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// copySideFiles copies the small files byte for byte, except the indices of
// weight files.
func (c *Checkpoint) copySideFiles(dir string) error {
	names, err := listSideFiles(c.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".index.json") {
			continue
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return err
		}
		from, err := os.Open(filepath.Join(c.Dir, name))
		if err != nil {
			return err
		}
		err = create(to, func(w io.Writer) error {
			_, err := io.Copy(w, from)
			return err
		})
		from.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// listSideFiles lists the regular side files of dir and its module folders.
func listSideFiles(dir string) (names []string, err error) {
	folders := []string{"."}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if ok, _ := filepath.Match(moduleFolders, e.Name()); ok && isFolder(filepath.Join(dir, e.Name())) {
			folders = append(folders, e.Name())
		}
	}
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name := filepath.Join(folder, e.Name())
			if isSideFile(e.Name()) && isRegular(filepath.Join(dir, name)) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

func isSideFile(name string) bool {
	return slices.ContainsFunc(sideFiles, func(pattern string) bool {
		ok, _ := filepath.Match(pattern, name)
		return ok
	})
}

// isRegular and isFolder follow links: the cache of huggingface_hub is made of them.
func isRegular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// CheckPlace refuses to write where something would be lost or Replace would
// fail: see Write.
func (c *Checkpoint) CheckPlace(dir string, force bool) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return CheckReplaceable(dir)
	}
	if err != nil {
		return err
	}
	if !force {
		return fault.Newf(fault.Usage, "%s: exists already", dir).WithHint("remove it, or replace it with --force")
	}
	if !info.IsDir() {
		return fault.Newf(fault.Usage, "%s: is a file, want a folder to write", dir)
	}
	inside, err := holds(info, c.Dir)
	if err != nil {
		return err
	}
	if inside {
		return fault.Newf(fault.Usage, "%s: holds the checkpoint that is read, want another folder to write", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 && !exists(filepath.Join(dir, configFile)) {
		return fault.Newf(fault.Usage, "%s: is no model folder (it has no %s), and so not replaced", dir, configFile)
	}
	return CheckReplaceable(dir)
}

// CheckReplaceable refuses a folder that cannot give way to another in one step:
// a mount point, one that overlayfs would have to copy, one that this process
// runs in or below. Where there is none it tries whether one can be made.
func CheckReplaceable(dir string) error {
	refuse := func(format string, args ...any) error {
		return fault.Newf(fault.Usage, "%s cannot be replaced: %w", dir, fmt.Errorf(format, args...)).
			WithHint("write to a new folder inside it, or elsewhere")
	}
	info, err := os.Stat(dir)
	there := err == nil && info.IsDir()
	if there {
		inside, err := holds(info, ".")
		if err != nil {
			return err
		}
		if inside {
			return refuse("the command runs in it")
		}
	}
	temp, err := makeTemp(dir)
	if !there {
		if err == nil {
			err = os.Remove(temp)
		}
		return err
	}
	if err != nil {
		return refuse("%w", err)
	}
	defer os.RemoveAll(temp)
	// A folder never takes the place of one with something in it, so this
	// changes nothing; but what stands in the way of any renaming is told first.
	if err := os.Mkdir(filepath.Join(temp, "full"), 0o777); err != nil {
		return err
	}
	switch err := syscall.Rename(dir, temp); { // os.Rename does not ask the system here
	case err == nil:
		return errors.Join(refuse("its file system does not rename as POSIX says"), os.Rename(temp, dir))
	case !errors.Is(err, fs.ErrExist):
		return refuse("%w", err)
	}
	return nil
}

// holds reports whether folder is source or one of the folders it lies in.
func holds(folder os.FileInfo, source string) (bool, error) {
	at, err := filepath.Abs(source)
	if err != nil {
		return false, err
	}
	if at, err = filepath.EvalSymlinks(at); err != nil {
		return false, err
	}
	for {
		info, err := os.Stat(at)
		if err != nil {
			return false, err
		}
		if os.SameFile(info, folder) {
			return true, nil
		}
		up := filepath.Dir(at)
		if up == at {
			return false, nil
		}
		at = up
	}
}

// makeTemp makes a new folder beside dir with the permissions a new dir would
// have, which os.MkdirTemp would not give.
func makeTemp(dir string) (string, error) {
	for i := 0; ; i++ {
		temp := fmt.Sprintf("%s.unfinished-%d-%d", dir, os.Getpid(), i)
		switch err := os.Mkdir(temp, 0o777); {
		case errors.Is(err, fs.ErrExist):
			continue
		case errors.Is(err, fs.ErrNotExist):
			return "", fault.Newf(fault.Usage, "%s: no such folder to write in", filepath.Dir(dir))
		default:
			return temp, err
		}
	}
}

// Replace renames temp, which WriteInto filled, to dir, which CheckPlace has
// passed; what was there goes once the new one stands, which has its permissions.
func Replace(dir, temp string) error {
	old := temp + ".old"
	if info, err := os.Lstat(dir); err == nil {
		if err := os.Chmod(temp, info.Mode().Perm()); err != nil {
			return err
		}
	}
	switch err := os.Rename(dir, old); {
	case errors.Is(err, fs.ErrNotExist):
		return os.Rename(temp, dir)
	case err != nil:
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.RemoveAll(old)
}
