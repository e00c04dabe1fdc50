package pool

import (
	"runtime"
	"testing"
	"testing/fstest"
)

func TestQuota(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for _, c := range []struct {
		name   string
		files  fstest.MapFS
		groups string
		want   int
	}{
		{"none", fstest.MapFS{}, "0::/\n", maxThreads},
		{"v2", fstest.MapFS{"cpu.max": file("150000 100000\n")}, "0::/\n", 2},
		{"v2 max", fstest.MapFS{"a/b/cpu.max": file("max 100000\n")}, "0::/a/b\n", maxThreads},
		{"v2 exact", fstest.MapFS{"a/b/cpu.max": file("300000 100000\n")}, "0::/a/b\n", 3},
		{"v2 parent", fstest.MapFS{"a/cpu.max": file("50000 100000\n"), "a/b/cpu.max": file("300000 100000\n")}, "0::/a/b\n", 1},
		{"v1", fstest.MapFS{"cpu/x/cpu.cfs_quota_us": file("250000\n"), "cpu/x/cpu.cfs_period_us": file("100000\n")}, "5:memory:/y\n4:cpu,cpuacct:/x\n", 3},
		{"v1 none", fstest.MapFS{"cpu/cpu.cfs_quota_us": file("-1\n"), "cpu/cpu.cfs_period_us": file("100000\n")}, "4:cpu:/x\n", maxThreads},
		{"v1 host path", fstest.MapFS{"cpu,cpuacct/cpu.cfs_quota_us": file("100001\n"), "cpu,cpuacct/cpu.cfs_period_us": file("100000\n")}, "4:cpu,cpuacct:/docker/1\n", 2},
		{"odd paths", fstest.MapFS{"cpu.max": file("100000 100000\n")}, "0::/../..//a\nnonsense\n", 1},
		{"odd contents", fstest.MapFS{"cpu.max": file("1e5 0\n")}, "0::/\n", maxThreads},
	} {
		if got := quotaThreads(c.files, c.groups); got != c.want {
			t.Errorf("%s: %d threads, want %d", c.name, got, c.want)
		}
	}
	if n := DefaultThreads(); n < 1 || n > runtime.NumCPU() {
		t.Errorf("DefaultThreads() = %d on %d CPUs", n, runtime.NumCPU())
	}
}
