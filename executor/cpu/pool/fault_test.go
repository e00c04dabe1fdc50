//go:build unix

package pool

import (
	"syscall"
	"testing"
	"unsafe"
)

// unreadable is the address of a page that may not be read.
func unreadable(t *testing.T) *byte {
	t.Helper()
	b, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	p := unsafe.SliceData(b)
	if err := syscall.Mprotect(b, syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(b) })
	return p
}
