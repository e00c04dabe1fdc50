package pool

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// DefaultThreads is how many threads this process may keep busy: the smaller
// of its CPU affinity and its control group's quota, rounded up, at least 1.
func DefaultThreads() int {
	threads := maxThreads
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) == nil {
		threads = set.Count()
	}
	groups, _ := os.ReadFile("/proc/self/cgroup")
	return max(1, min(threads, quotaThreads(groupFiles(), string(groups))))
}

func groupFiles() fs.FS { return os.DirFS("/sys/fs/cgroup") }
