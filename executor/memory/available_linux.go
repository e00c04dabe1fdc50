// Package memory says how much memory a process may still take.
package memory

import (
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// Available is the bytes of memory that this process may still take:
// the machine's, or what its control groups leave; 0 where none is known.
func Available() int64 {
	groups, _ := os.ReadFile("/proc/self/cgroup")
	have := min(groupMemory(os.DirFS("/sys/fs/cgroup"), string(groups)), machineMemory(os.DirFS("/proc")))
	if have == math.MaxInt64 {
		return 0
	}
	return max(1, have)
}

// machineMemory is MemAvailable, which counts caches that can be dropped.
func machineMemory(proc fs.FS) int64 {
	if kb, ok := field(proc, "meminfo", "MemAvailable:"); ok {
		return kb << 10
	}
	return math.MaxInt64
}

// groupMemory is the least that a control group of this process leaves.
// groups is the text of /proc/self/cgroup, lines of id:controllers:path; a
// line without controllers is version 2. Limits of the groups above count
// too, and inside a container, where the path may be the host's, the root is
// what is seen.
func groupMemory(sys fs.FS, groups string) int64 {
	left := int64(math.MaxInt64)
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		files := groupFiles{"", "memory.max", "memory.current", "active_file", "inactive_file"}
		if f[1] != "" {
			if !strings.Contains(","+f[1]+",", ",memory,") {
				continue
			}
			files = groupFiles{"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file", "total_inactive_file"}
		}
		for g := path.Clean("/" + f[2]); ; g = path.Dir(g) {
			left = min(left, files.left(sys, path.Join(files.root, g)))
			if g == "/" {
				break
			}
		}
	}
	return left
}

// groupFiles are the names of one version of control groups.
type groupFiles struct{ root, limit, used, active, inactive string }

// left is the limit less what is used; the cache of files can be dropped.
func (n groupFiles) left(sys fs.FS, dir string) int64 {
	dir = strings.TrimPrefix(dir, "/")
	limit, ok := number(sys, path.Join(dir, n.limit))
	used, ok2 := number(sys, path.Join(dir, n.used))
	if !ok || !ok2 {
		return math.MaxInt64
	}
	stat := path.Join(dir, "memory.stat")
	active, _ := field(sys, stat, n.active)
	inactive, _ := field(sys, stat, n.inactive)
	return max(0, limit-max(0, used-active-inactive))
}

// number is the content of a file; that of a limit may be "max".
func number(sys fs.FS, name string) (int64, bool) {
	b, err := fs.ReadFile(sys, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}

// field is the number after key on a line of its own.
func field(sys fs.FS, name, key string) (int64, bool) {
	b, err := fs.ReadFile(sys, name)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == key {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
