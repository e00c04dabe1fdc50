//go:build !linux && !darwin

package mapped

import (
	"io"
	"os"
)

// load reads the file into memory of our own, which cannot shrink.
func load(f *os.File, size int) ([]byte, error) {
	data := make([]byte, size)
	_, err := io.ReadFull(f, data)
	return data, err
}

func release([]byte) error { return nil }

func isBadAddress(error) bool { return false }
