package plan

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"

	"etc/fault"
)

// The version of the format that Open reads. Write writes the lowest minor that
// has what a plan needs. docs/plan-format.md says what raises which number.
const (
	Major = 2
	Minor = paddingMinor
)

// What the minor versions added.
const (
	integersMinor = 1 // targets of integers
	paddingMinor  = 2 // Padding of a model
)

// pageSize is the size of the header and the alignment of sections: the
// smallest page that a file is mapped in.
const pageSize = 4096

// magic begins every plan. Its first byte is no text, and its line ends show
// a transfer that changed them, as in PNG.
const magic = "\x89ETP\r\n\x1a\n"

// The sections of a plan: each is there, in this order.
const (
	modelSection = iota + 1
	graphSection
	tokenizerSection
	weightsSection
	provenanceSection
	codeSection
	sectionCount = iota
)

var sectionNames = []string{modelSection: "model", graphSection: "graph", tokenizerSection: "tokenizer",
	weightsSection: "weights", provenanceSection: "provenance", codeSection: "code"}

// maxSection bounds what is copied out of the map, in bytes; 0: it is viewed.
var maxSection = []int{modelSection: 64 << 20, graphSection: 64 << 20, tokenizerSection: 0,
	weightsSection: 0, provenanceSection: 1 << 20, codeSection: 0}

// Places of the header's fields. All other bytes of its page are zero.
const (
	majorAt     = 8
	minorAt     = 10
	countAt     = 12
	sizeAt      = 16
	tableAt     = 64
	entrySize   = 64
	digestAt    = pageSize - sha256.Size
	keyAt       = digestAt - ed25519.PublicKeySize
	signatureAt = keyAt - ed25519.SignatureSize
	entryKind   = 0
	entryStart  = 8
	entryBytes  = 16
	entrySum    = 32
)

// A section is one row of the header's table.
type section struct {
	kind        int
	start, size int
	digest      [sha256.Size]byte
}

func pageAlign(n int) int { return (n + pageSize - 1) &^ (pageSize - 1) }

// arrange gives sections of these sizes their places, one after another, and
// returns the size of the file.
func arrange(sections []section) int {
	end := pageSize
	for i := range sections {
		sections[i].start = end
		end = pageAlign(end + sections[i].size)
	}
	return end
}

// header is the header page of an unsigned file, without its digest.
func header(minor uint16, sections []section, fileSize int) []byte {
	h := make([]byte, pageSize)
	copy(h, magic)
	binary.LittleEndian.PutUint16(h[majorAt:], Major)
	binary.LittleEndian.PutUint16(h[minorAt:], minor)
	binary.LittleEndian.PutUint32(h[countAt:], uint32(len(sections)))
	binary.LittleEndian.PutUint64(h[sizeAt:], uint64(fileSize))
	for i, s := range sections {
		e := h[tableAt+i*entrySize:]
		binary.LittleEndian.PutUint32(e[entryKind:], uint32(s.kind))
		binary.LittleEndian.PutUint64(e[entryStart:], uint64(s.start))
		binary.LittleEndian.PutUint64(e[entryBytes:], uint64(s.size))
		copy(e[entrySum:], s.digest[:])
	}
	return h
}

// seal puts the digest of a header page in its place.
func seal(h []byte) []byte {
	sum := sha256.Sum256(h[:digestAt])
	copy(h[digestAt:], sum[:])
	return h
}

// parseHeader reads the table of sections of a file and checks all that the
// header says, but for the sections' digests. It returns who signed it.
func parseHeader(file []byte) ([]section, ed25519.PublicKey, error) {
	if !bytes.HasPrefix(file, []byte(magic)) {
		return nil, nil, fault.Newf(fault.Corrupt, "not a plan: begins with %q, want %q", file[:min(len(file), len(magic))], magic)
	}
	if len(file) < pageSize {
		return nil, nil, fault.Newf(fault.Corrupt, "%d bytes, too short for a plan's header of %d", len(file), pageSize)
	}
	h := file[:pageSize]
	if sum := sha256.Sum256(h[:digestAt]); !bytes.Equal(sum[:], h[digestAt:]) {
		return nil, nil, fault.Newf(fault.Corrupt, "header does not have its digest: the plan is damaged")
	}
	if err := checkVersion(h); err != nil {
		return nil, nil, err
	}
	if n := binary.LittleEndian.Uint32(h[countAt:]); n != sectionCount {
		return nil, nil, fault.Newf(fault.Corrupt, "header: %d sections, want %d", n, sectionCount)
	}
	sections := make([]section, sectionCount)
	for i := range sections {
		if err := sections[i].parse(h[tableAt+i*entrySize:], i+1, len(file)); err != nil {
			return nil, nil, err
		}
	}
	size := arrange(sections)
	if size != len(file) {
		return nil, nil, fault.Newf(fault.Corrupt, "%d bytes, want %d by the header's sections", len(file), size)
	}
	// Apart from its signature, a header is determined by version, kinds, sizes
	// and digests. Writing it again checks every other byte of it.
	if !bytes.Equal(unsigned(h), header(minorOf(h), sections, size)) {
		return nil, nil, fault.Newf(fault.Corrupt, "header: sections are not where their sizes put them, or unused bytes are not zero")
	}
	by, err := signer(h)
	if err != nil {
		return nil, nil, err
	}
	return sections, by, nil
}

// parse reads what determines a section: kind, size and digest.
func (s *section) parse(entry []byte, kind, fileSize int) error {
	if k := binary.LittleEndian.Uint32(entry[entryKind:]); k != uint32(kind) {
		return fault.Newf(fault.Corrupt, "header: section of kind %d in place %d, want the %s section", k, kind, sectionNames[kind])
	}
	size := binary.LittleEndian.Uint64(entry[entryBytes:])
	if size > uint64(fileSize) {
		return fault.Newf(fault.Corrupt, "header: %s section of %d bytes in a file of %d", sectionNames[kind], size, fileSize)
	}
	if limit := maxSection[kind]; limit > 0 && size > uint64(limit) {
		return fault.Newf(fault.Corrupt, "header: %s section of %d bytes, want at most %d", sectionNames[kind], size, limit)
	}
	s.kind, s.size = kind, int(size)
	copy(s.digest[:], entry[entrySum:])
	return nil
}

func minorOf(h []byte) uint16 { return binary.LittleEndian.Uint16(h[minorAt:]) }

// checkVersion runs on a header with a right digest, so another version is
// a plan of another etc, not damage.
func checkVersion(h []byte) error {
	major, minor := binary.LittleEndian.Uint16(h[majorAt:]), minorOf(h)
	switch {
	case major > Major || major == Major && minor > Minor:
		return fault.Newf(fault.Unfit, "plan format %d.%d is newer than this program, which reads up to %d.%d", major, minor, Major, Minor).
			WithHint("upgrade etc, or compile the model again with this one")
	case major < Major:
		return fault.Newf(fault.Unfit, "plan format %d.%d is no longer read by this program, which reads %d.0 to %d.%d", major, minor, Major, Major, Minor).
			WithHint("compile the model again")
	}
	return nil
}
