package nvrtc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"etc/fault"
)

// Options say where to look first, and where to keep code.
type Options struct {
	Helper  string // path of etc-nvrtc
	Library string // path of NVRTC's library
	Cache   string // folder of the cache; empty: none
	// Context ends helpers, and what they compile ends with its error; nil:
	// nothing does.
	Context context.Context
}

// Timeout is how long a helper may take for one kernel. The largest takes two
// seconds on a quiet core.
const Timeout = 5 * time.Minute

const helperName = "etc-nvrtc"

// Find looks for the helper at its path in o, in ETC_NVRTC, beside the running
// program and on PATH; for the library at its path in o, in ETC_NVRTC_LIB,
// beside the helper, in Python wheels, in CUDA_HOME and where systems have it;
// and asks it for its version. What is not there is fault.Unavailable.
func Find(o Options) (*Compiler, error) {
	helper, err := findHelper(o.Helper)
	if err != nil {
		return nil, err
	}
	library, err := findLibrary(o.Library, filepath.Dir(helper))
	if err != nil {
		return nil, err
	}
	c := &Compiler{helper: helper, library: library, build: buildOf(library), cache: cacheIn(o.Cache), timeout: Timeout, context: o.Context}
	if c.context == nil {
		c.context = context.Background()
	}
	w := &worker{compiler: c}
	defer w.stop()
	a, err := w.ask(&request{})
	if err != nil && c.context.Err() != nil {
		return nil, c.context.Err()
	}
	if err != nil {
		return nil, fault.Newf(fault.Unavailable, "NVRTC: %w", err).WithHint(installHint)
	}
	if c.version = a.Version; c.version == "" {
		return nil, fault.Newf(fault.Unavailable, "NVRTC: %s does not answer with a version", helper).WithHint(installHint)
	}
	return c, nil
}

// installHint is the one command that brings both.
const installHint = "make nvrtc installs helper and library; --source-only makes a plan without"

func findHelper(path string) (string, error) {
	for _, named := range []struct{ path, by string }{{path, "the path given"}, {os.Getenv("ETC_NVRTC"), "ETC_NVRTC"}} {
		if named.path == "" {
			continue
		}
		if !isFile(named.path) {
			return "", fault.Newf(fault.Unavailable, "%s of %s: no such program", named.path, named.by).WithHint(installHint)
		}
		return named.path, nil
	}
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), helperName); isFile(beside) {
			return beside, nil
		}
	}
	if found, err := exec.LookPath(helperName); err == nil {
		return found, nil
	}
	return "", fault.Newf(fault.Unavailable, "kernels for GPUs are compiled by %s, which is neither beside this program nor on PATH", helperName).WithHint(installHint)
}

func findLibrary(path, besideHelper string) (string, error) {
	for _, named := range []struct{ path, by string }{{path, "the path given"}, {os.Getenv("ETC_NVRTC_LIB"), "ETC_NVRTC_LIB"}} {
		if named.path == "" {
			continue
		}
		if !isFile(named.path) {
			return "", fault.Newf(fault.Unavailable, "%s of %s: no such library", named.path, named.by).WithHint(installHint)
		}
		return named.path, nil
	}
	for _, folder := range libraryFolders(besideHelper) {
		if found := newest(filepath.Join(folder, "libnvrtc.so.1[2-9]")); found != "" {
			return found, nil
		}
	}
	return "", fault.Newf(fault.Unavailable, "NVRTC's library, libnvrtc.so, is not beside %s, in a Python wheel, in CUDA_HOME or in the system's places", helperName).WithHint(installHint)
}

// libraryFolders are the folders to look in, in their order; they may be patterns.
func libraryFolders(besideHelper string) []string {
	folders := []string{besideHelper, filepath.Join(besideHelper, "nvrtc")}
	for _, site := range sitePackages() {
		folders = append(folders, filepath.Join(site, "nvidia", "cuda_nvrtc", "lib"), filepath.Join(site, "nvidia", "cu13", "lib"))
	}
	if home := os.Getenv("CUDA_HOME"); home != "" {
		folders = append(folders, filepath.Join(home, "lib64"), filepath.Join(home, "targets", "x86_64-linux", "lib"))
	}
	return append(folders, "/usr/local/cuda/lib64", "/usr/local/cuda-1*/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib")
}

// sitePackages are the folders of Python's packages, found without running
// Python: of the virtual environment, of the python3 on PATH, the user's and
// the system's.
func sitePackages() []string {
	var prefixes []string
	if env := os.Getenv("VIRTUAL_ENV"); env != "" {
		prefixes = append(prefixes, env)
	}
	if python, err := exec.LookPath("python3"); err == nil {
		if real, err := filepath.EvalSymlinks(python); err == nil {
			prefixes = append(prefixes, filepath.Dir(filepath.Dir(real)))
		}
		prefixes = append(prefixes, filepath.Dir(filepath.Dir(python)))
	}
	if home, err := os.UserHomeDir(); err == nil {
		prefixes = append(prefixes, filepath.Join(home, ".local"))
	}
	var sites []string
	for _, p := range append(prefixes, "/usr/local", "/usr") {
		for _, lib := range []string{"lib", "lib64"} {
			found, _ := filepath.Glob(filepath.Join(p, lib, "python3*", "*-packages"))
			sites = append(sites, found...)
		}
	}
	return sites
}

// newest is the last of the files that a pattern fits, "" where there is none.
func newest(pattern string) string {
	found, _ := filepath.Glob(pattern)
	sort.Strings(found)
	for i := len(found) - 1; i >= 0; i-- {
		if isFile(found[i]) && !strings.Contains(filepath.Base(found[i]), "alt") {
			return found[i]
		}
	}
	return ""
}

// buildOf is the size and time of the library's file: of one version, which is
// all that it tells, there are several builds.
func buildOf(library string) string {
	info, err := os.Stat(library)
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
