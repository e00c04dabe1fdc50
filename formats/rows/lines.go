package rows

import (
	"bufio"
	"bytes"
	"io"
)

const bom = "\xef\xbb\xbf"

// lines cuts a stream at line feeds, holding at most MaxLine bytes and a
// read buffer.
type lines struct {
	in   *bufio.Reader
	long []byte // a line that does not fit into the read buffer
}

func newLines(src io.Reader) *lines {
	const readBuffer = 64 << 10 // a Linux pipe's capacity
	return &lines{in: bufio.NewReaderSize(src, readBuffer)}
}

// start drops a byte-order mark and tells the first byte after it, 0 for an
// empty stream. It waits for no more bytes than that takes.
func (l *lines) start() (first byte) {
	peek, _ := l.in.Peek(1)
	if len(peek) == 1 && peek[0] == bom[0] {
		if peek, _ = l.in.Peek(len(bom)); string(peek) == bom {
			l.in.Discard(len(bom))
			peek, _ = l.in.Peek(1)
		}
	}
	if len(peek) == 0 {
		return 0 // an error of the source comes again from next
	}
	return peek[0]
}

// next gives the next line, without its line feed and the carriage returns
// before it, until the next call. A line over MaxLine is skipped: ok is false.
// The error is that of the source, io.EOF after the last line.
func (l *lines) next() (line []byte, ok bool, err error) {
	const lineEnd = len("\r\n")
	l.long = l.long[:0]
	part, err := l.in.ReadSlice('\n')
	if err == nil {
		return trimLineEnd(part), true, nil
	}
	length := len(part)
	for {
		if length <= MaxLine+lineEnd {
			l.long = append(l.long, part...)
		}
		if err != bufio.ErrBufferFull {
			break
		}
		part, err = l.in.ReadSlice('\n')
		length += len(part)
	}
	if err != nil && (err != io.EOF || length == 0) {
		return nil, false, err
	}
	line = trimLineEnd(l.long)
	if length > MaxLine+lineEnd || len(line) > MaxLine {
		return nil, false, nil
	}
	return line, true, nil
}

func trimLineEnd(line []byte) []byte {
	return bytes.TrimRight(bytes.TrimSuffix(line, []byte("\n")), "\r")
}
