package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"etc/formats/mapped"
	"etc/ir/tensor"
)

// A Named is a tensor with its name.
type Named struct {
	Name   string
	Tensor tensor.Tensor
}

// Rewrite writes the file again with the data of some tensors replaced by
// that of others of the same dtype and shape. All other bytes, the header's
// among them, are those of the file.
func (f *File) Rewrite(w io.Writer, replace map[string]tensor.Tensor) error {
	for name, t := range replace {
		old, ok := f.tensors[name]
		if !ok || t.DType != old.DType || !slices.Equal(t.Shape, old.Shape) || len(t.Data) != len(old.Data) {
			panic(fmt.Sprintf("bug: safetensors: %v replaces %q, which is %v", t, name, old))
		}
	}
	return mapped.Guard(func() error {
		if _, err := w.Write(f.head); err != nil {
			return err
		}
		for _, name := range f.layout {
			t, ok := replace[name]
			if !ok {
				t = f.tensors[name]
			}
			if _, err := w.Write(t.Data); err != nil {
				return err
			}
		}
		return nil
	})
}

// Write makes a new file. The header lists the metadata, sorted, then the
// tensors in the order given, padded with spaces to a multiple of 8. The data
// lies by descending element size, so that every tensor is aligned to it. The
// same input gives the same bytes.
func Write(w io.Writer, tensors []Named, metadata map[string]string) error {
	layout := slices.SortedStableFunc(slices.Values(tensors), func(a, b Named) int {
		return cmp.Compare(b.Tensor.DType.Size(), a.Tensor.DType.Size())
	})
	if _, err := w.Write(newHead(tensors, layout, metadata)); err != nil {
		return err
	}
	return mapped.Guard(func() error {
		for _, t := range layout {
			if _, err := w.Write(t.Tensor.Data); err != nil {
				return err
			}
		}
		return nil
	})
}

// newHead makes the length field and the header of a new file.
func newHead(tensors, layout []Named, metadata map[string]string) []byte {
	begin := make(map[string]int, len(layout))
	at := 0
	for _, t := range layout {
		checkWritable(t)
		if _, twice := begin[t.Name]; twice {
			panic(fmt.Sprintf("bug: safetensors: two tensors %q", t.Name))
		}
		begin[t.Name] = at
		at += len(t.Tensor.Data)
	}
	b := make([]byte, lengthField, lengthField+128*(1+len(tensors)))
	b = append(b, '{')
	if metadata != nil {
		b = appendJSON(append(b, `"`+metadataKey+`":`...), metadata)
	}
	for _, t := range tensors {
		if len(b) > lengthField+1 {
			b = append(b, ',')
		}
		from := begin[t.Name]
		b = append(appendJSON(b, t.Name), ':')
		b = appendJSON(b, struct {
			DType   string `json:"dtype"`
			Shape   []int  `json:"shape"`
			Offsets [2]int `json:"data_offsets"`
		}{t.Tensor.DType.Code(), append([]int{}, t.Tensor.Shape...), [2]int{from, from + len(t.Tensor.Data)}})
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-lengthField))
	return b
}

// checkWritable panics where the guard would refuse what is about to be written.
func checkWritable(t Named) {
	n, ok := tensor.Elements(t.Tensor.Shape)
	switch {
	case t.Name == metadataKey || !utf8.ValidString(t.Name) || strings.ContainsRune(t.Name, utf8.RuneError):
		panic(fmt.Sprintf("bug: safetensors: tensor name %q", t.Name))
	case !ok || n*t.Tensor.DType.Size() != len(t.Tensor.Data) || len(t.Tensor.Shape) > maxRank:
		panic(fmt.Sprintf("bug: safetensors: %q is %v in %d bytes", t.Name, t.Tensor, len(t.Tensor.Data)))
	}
}

// appendJSON appends v as JSON with map keys sorted and <, >, & left as they are.
func appendJSON(b []byte, v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("bug: safetensors: " + err.Error())
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
