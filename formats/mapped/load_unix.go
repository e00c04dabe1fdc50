//go:build linux || darwin

package mapped

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func load(f *os.File, size int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
}

func release(data []byte) error { return unix.Munmap(data) }

// isBadAddress reports what the system answers where a lost page is handed to
// it, as in writing mapped memory to a file: an error and no signal.
func isBadAddress(err error) bool { return errors.Is(err, unix.EFAULT) }
