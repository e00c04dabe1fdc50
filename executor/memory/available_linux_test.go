package memory

import (
	"math"
	"testing"
	"testing/fstest"
)

func TestGroupMemory(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for _, c := range []struct {
		name   string
		files  fstest.MapFS
		groups string
		want   int64
	}{
		{"none", fstest.MapFS{}, "0::/\n", math.MaxInt64},
		{"v2 root", fstest.MapFS{"memory.max": file("1000\n"), "memory.current": file("400\n")}, "0::/\n", 600},
		{"v2 no limit", fstest.MapFS{"a/memory.max": file("max\n"), "a/memory.current": file("400\n")}, "0::/a\n", math.MaxInt64},
		{"v2 cache", fstest.MapFS{"memory.max": file("1000\n"), "memory.current": file("990\n"), "memory.stat": file("anon 90\nactive_file 300\ninactive_file 600\n")}, "0::/\n", 910},
		{"v2 parent", fstest.MapFS{
			"a/memory.max": file("1000\n"), "a/memory.current": file("800\n"),
			"a/b/memory.max": file("5000\n"), "a/b/memory.current": file("100\n"),
		}, "0::/a/b\n", 200},
		{"v2 over", fstest.MapFS{"memory.max": file("1000\n"), "memory.current": file("1400\n")}, "0::/\n", 0},
		{"v2 path of the host", fstest.MapFS{"memory.max": file("1000\n"), "memory.current": file("1\n")}, "0::/docker/1\n", 999},
		{"v1", fstest.MapFS{
			"memory/x/memory.limit_in_bytes": file("1000\n"), "memory/x/memory.usage_in_bytes": file("900\n"),
			"memory/x/memory.stat": file("total_inactive_file 200\ntotal_active_file 100\n"),
		}, "4:cpu,cpuacct:/y\n5:memory:/x\n", 400},
		{"odd", fstest.MapFS{"memory.max": file("1e3\n"), "memory.current": file("1\n")}, "0::/../..//a\nnonsense\n", math.MaxInt64},
	} {
		if got := groupMemory(c.files, c.groups); got != c.want {
			t.Errorf("%s: %d bytes left, want %d", c.name, got, c.want)
		}
	}
	if got := machineMemory(fstest.MapFS{"meminfo": file("MemTotal: 9 kB\nMemAvailable:    8 kB\n")}); got != 8<<10 {
		t.Errorf("machine has %d bytes, want %d", got, 8<<10)
	}
	if Available() < 1<<20 {
		t.Errorf("%d bytes available here", Available())
	}
}
