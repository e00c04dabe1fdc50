// Package mapped opens files as read-only memory.
//
// A path comes in, its bytes come out without having been read: pages arrive
// when they are touched. The price is that a file which shrinks meanwhile
// answers with a memory fault; Guard turns that fault into an error.
package mapped

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"unsafe"

	"etc/fault"
)

// A File is the contents of a file. Data must not be written, nor used after Close.
type File struct {
	Data []byte
	path string
}

// Open maps a regular file. A path that is not there, or that is a folder or
// a device, is fault.Usage.
func Open(path string) (*File, error) {
	// Stat before open: opening a named pipe would wait for its writer.
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.Newf(fault.Usage, "%s: no such file", path)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fault.Newf(fault.Usage, "%s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// The size is taken again from the opened file: the path may have changed hands.
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	size := info.Size()
	if size > math.MaxInt {
		return nil, fault.Newf(fault.Corrupt, "%s: %d bytes are more than this machine can address", path, size)
	}
	if size == 0 {
		return &File{path: path}, nil // an empty mapping is refused by the system
	}
	data, err := load(f, int(size))
	if err != nil {
		return nil, &fs.PathError{Op: "map", Path: path, Err: err}
	}
	m := &File{Data: data, path: path}
	regions.add(m)
	return m, nil
}

// Close gives the memory back. A second Close does nothing.
func (f *File) Close() error {
	if f.Data == nil {
		return nil
	}
	regions.remove(f)
	data := f.Data
	f.Data = nil
	return release(data)
}

// regions holds the open files by the address of their first byte, so that a
// fault in mapped memory is told from a wild pointer of our own.
var regions = regionSet{files: map[uintptr]*File{}}

type regionSet struct {
	sync.Mutex
	files map[uintptr]*File
}

func start(f *File) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(f.Data))) }

func (r *regionSet) add(f *File) {
	r.Lock()
	defer r.Unlock()
	r.files[start(f)] = f
}

func (r *regionSet) remove(f *File) {
	r.Lock()
	defer r.Unlock()
	delete(r.files, start(f))
}

// find is the file that address lies in, or nil.
func (r *regionSet) find(address uintptr) *File {
	r.Lock()
	defer r.Unlock()
	for first, f := range r.files {
		if address >= first && address-first < uintptr(len(f.Data)) {
			return f
		}
	}
	return nil
}

// Guard runs read, which touches mapped files, and returns its error. Where a
// page of an open File is gone, it returns fault.Corrupt instead; any other
// panic goes on. It covers only the goroutine that calls it: each worker that
// touches mapped memory needs a Guard of its own.
//
// A file cut within its last page is not noticed: the system reads zeros there.
func Guard(read func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		// Only a fault away from address zero carries an address.
		if at, ok := p.(interface{ Addr() uintptr }); ok {
			if f := regions.find(at.Addr()); f != nil {
				err = fault.Newf(fault.Corrupt, "%s: file shrank while it was read", f.path)
				return
			}
		}
		panic(p)
	}()
	if err = read(); isBadAddress(err) {
		return fault.Newf(fault.Corrupt, "file shrank while it was read: %w", err)
	}
	return err
}
