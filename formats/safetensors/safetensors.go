// Package safetensors reads and writes named tensors as .safetensors files.
//
// A file is 8 bytes with the length of the header (little-endian), the header
// (one JSON object) and the tensors' bytes. What enters is hostile; what
// leaves has passed the guard of header.go: names are unique UTF-8, and the
// tensors cover the data exactly, each at a multiple of its element size, with
// shape × size equal to its bytes. File order and header bytes are kept, so
// that a file is written back byte for byte where nothing changed.
//
// It is the only user of github.com/nlpodyssey/safetensors, which makes the
// views. What that library accepts wrongly is the reason for the guard; that
// it keeps no order is the reason for the writer.
package safetensors

import (
	"fmt"
	"maps"
	"slices"

	lib "github.com/nlpodyssey/safetensors"

	"etc/fault"
	"etc/formats/mapped"
	"etc/ir/tensor"
)

// A File is the contents of one .safetensors file. Its tensors are views of
// the mapped file: whoever reads their Data does so under mapped.Guard, and
// not after Close.
type File struct {
	head     []byte // the length field and the header, verbatim
	names    []string
	layout   []string // the names as their data lies in the file
	tensors  map[string]tensor.Tensor
	metadata map[string]string
	source   *mapped.File // nil after Parse
}

// Open maps the file at path and reads its header. A damaged file is
// fault.Corrupt, a path that is not there fault.Usage.
func Open(path string) (*File, error) {
	source, err := mapped.Open(path)
	if err != nil {
		return nil, err
	}
	var f *File
	err = mapped.Guard(func() (err error) {
		f, err = Parse(source.Data)
		return err
	})
	if err != nil {
		source.Close()
		return nil, fault.Newf(fault.KindOf(err), "%s: %w", path, err)
	}
	f.source = source
	return f, nil
}

// Parse reads the bytes of a whole file; the tensors are views of data.
func Parse(data []byte) (*File, error) {
	h, err := readHeader(data)
	if err != nil {
		return nil, err
	}
	parsed, err := lib.Deserialize(data)
	if err != nil {
		return nil, fault.Newf(fault.Corrupt, "header: %w", err)
	}
	f := &File{
		head:     data[:h.size],
		tensors:  make(map[string]tensor.Tensor, len(h.entries)),
		metadata: h.metadata,
	}
	for _, e := range h.entries {
		view, ok := parsed.Tensor(e.name)
		if !ok {
			return nil, fault.Newf(fault.Corrupt, "header: tensor %s is read in two ways", quote(e.name))
		}
		f.names = append(f.names, e.name)
		f.tensors[e.name] = tensor.Tensor{DType: e.dtype, Shape: e.shape, Data: view.Data()}
	}
	for _, e := range byOffset(h.entries) {
		f.layout = append(f.layout, e.name)
	}
	return f, nil
}

// Names lists the tensors in the order of the header.
func (f *File) Names() []string { return slices.Clone(f.names) }

// Tensor is the tensor of that name; ok is false where there is none.
func (f *File) Tensor(name string) (t tensor.Tensor, ok bool) {
	t, ok = f.tensors[name]
	return t, ok
}

// Metadata is a copy of the header's "__metadata__"; nil where it has none.
func (f *File) Metadata() map[string]string { return maps.Clone(f.metadata) }

// Close gives the mapped file back.
func (f *File) Close() error {
	if f.source == nil {
		return nil
	}
	return f.source.Close()
}

// shown is how much of a hostile name or value an error repeats.
const shown = 80

// quote makes one short line of a name from the file.
func quote(s string) string {
	if len(s) > shown {
		return fmt.Sprintf("%q…", s[:shown])
	}
	return fmt.Sprintf("%q", s)
}
