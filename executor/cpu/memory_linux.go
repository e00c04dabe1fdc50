package cpu

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// available is the memory in bytes that this process may still take: the
// machine's, or what its cgroup leaves; 0 where neither is known.
func available() int64 {
	have := machineAvailable()
	for _, files := range [][2]string{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
	} {
		limit, ok1 := readNumber(files[0])
		used, ok2 := readNumber(files[1])
		if ok1 && ok2 && (have == 0 || limit-used < have) {
			have = max(1, limit-used)
		}
	}
	return have
}

func readNumber(path string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}

func machineAvailable() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kb int64
		if n, _ := fmt.Sscanf(s.Text(), "MemAvailable: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}
