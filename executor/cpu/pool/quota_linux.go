package pool

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// maxThreads stands for no limit.
const maxThreads = math.MaxInt32

// quotaThreads is the CPU quota of a control group in threads, rounded up.
// sys is /sys/fs/cgroup, groups the text of /proc/self/cgroup, whose lines are
// id:controllers:path. Version 2 has the id 0 and no controllers; in version 1
// the controller cpu has a folder of its own. Limits of the groups above count too.
func quotaThreads(sys fs.FS, groups string) int {
	threads := maxThreads
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		read, roots := quotaV2, []string{"."}
		if f[1] != "" {
			read, roots = quotaV1, []string{"cpu", "cpu,cpuacct"}
		}
		if f[1] != "" && !strings.Contains(","+f[1]+",", ",cpu,") {
			continue
		}
		for _, root := range roots {
			threads = min(threads, quotaOfPath(sys, root, f[2], read))
		}
	}
	return threads
}

// quotaOfPath is the smallest quota from root down to group. Inside a container
// the path may be one of the host, of which only the root is seen.
func quotaOfPath(sys fs.FS, root, group string, read func(fs.FS, string) int) int {
	threads := read(sys, root)
	for g := strings.Trim(path.Clean("/"+group), "/"); g != "" && g != "."; g = path.Dir(g) {
		threads = min(threads, read(sys, path.Join(root, g)))
	}
	return threads
}

func quotaV2(sys fs.FS, dir string) int {
	b, err := fs.ReadFile(sys, path.Join(dir, "cpu.max"))
	if f := strings.Fields(string(b)); err == nil && len(f) == 2 {
		return quota(f[0], f[1])
	}
	return maxThreads
}

func quotaV1(sys fs.FS, dir string) int {
	q, err := fs.ReadFile(sys, path.Join(dir, "cpu.cfs_quota_us"))
	p, err2 := fs.ReadFile(sys, path.Join(dir, "cpu.cfs_period_us"))
	if err != nil || err2 != nil {
		return maxThreads
	}
	return quota(strings.TrimSpace(string(q)), strings.TrimSpace(string(p)))
}

// quota is time per period, both in microseconds; "max" and -1 are no limit.
func quota(time, period string) int {
	t, err := strconv.ParseInt(time, 10, 64)
	p, err2 := strconv.ParseInt(period, 10, 64)
	if err != nil || err2 != nil || t <= 0 || p <= 0 {
		return maxThreads
	}
	return int(min((t-1)/p+1, maxThreads))
}
