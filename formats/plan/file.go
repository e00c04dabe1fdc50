package plan

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"etc/fault"
	"etc/formats/mapped"
)

// WriteOptions are how a plan is written.
type WriteOptions struct {
	SignKey ed25519.PrivateKey // nil: the file is not signed
	minor   uint16             // of the format; Write sets it
}

// Write writes p, which has passed Check. The same plan and options give the
// same bytes.
func Write(w io.Writer, p *Plan, o WriteOptions) error {
	o.minor = p.minor()
	return writeSections(w, o, [][]byte{
		written(o.minor, p.walkModel), written(o.minor, p.walkGraphs), p.Tokenizer, p.Data, written(o.minor, p.Provenance.walk), p.Code,
	})
}

// writeSections writes a file of the sections with these contents.
func writeSections(w io.Writer, o WriteOptions, contents [][]byte) error {
	sums, err := digests(contents)
	if err != nil {
		return err
	}
	sections := make([]section, sectionCount)
	for i, c := range contents {
		sections[i] = section{kind: i + 1, size: len(c), digest: sums[i]}
	}
	size := arrange(sections)
	h := header(o.minor, sections, size)
	if o.SignKey != nil {
		sign(h, o.SignKey)
	}
	if _, err := w.Write(seal(h)); err != nil {
		return err
	}
	padding := make([]byte, pageSize)
	for _, c := range contents {
		if _, err := w.Write(c); err != nil {
			return err
		}
		if _, err := w.Write(padding[:pageAlign(len(c))-len(c)]); err != nil {
			return err
		}
	}
	return nil
}

// Encode is the file that Write writes, not signed.
func Encode(p *Plan) []byte {
	var b bytes.Buffer
	if err := Write(&b, p, WriteOptions{}); err != nil {
		panic(fmt.Sprintf("bug: plan: writing to memory: %v", err))
	}
	return b.Bytes()
}

// Decode reads a whole file and checks it. The plan's weights, code and
// tokenizer are views of file. A file that is damaged or forged is fault.Corrupt, one
// that this program is too old or too new for fault.Unfit.
func Decode(file []byte) (*Plan, error) {
	p, _, err := decodeTrusted(file, nil)
	return p, err
}

// decodeTrusted is Decode of a file that must be signed by trust, unless that
// is nil. It returns who signed it.
func decodeTrusted(file []byte, trust ed25519.PublicKey) (*Plan, ed25519.PublicKey, error) {
	sections, by, err := parseHeader(file)
	if err == nil {
		err = trusted(by, trust)
	}
	var p *Plan
	if err == nil {
		p, err = decode(file, sections)
	}
	if err == nil {
		err = Check(p)
	}
	if err == nil && minorOf(file) != p.minor() {
		err = refuse("header: format %d.%d, but the plan is of %d.%d", Major, minorOf(file), Major, p.minor())
	}
	if err != nil {
		return nil, nil, err
	}
	return p, by, nil
}

// decode refuses damage, Check what was meant.
func decode(file []byte, sections []section) (*Plan, error) {
	contents, err := verified(file, sections)
	if err != nil {
		return nil, err
	}
	content := func(kind int) []byte { return contents[kind-1] }
	p := &Plan{Tokenizer: content(tokenizerSection), Data: content(weightsSection), Code: content(codeSection)}
	for _, s := range []struct {
		kind int
		walk func(*codec)
	}{{modelSection, p.walkModel}, {graphSection, p.walkGraphs}, {provenanceSection, p.Provenance.walk}} {
		if err := read(minorOf(file), content(s.kind), s.walk); err != nil {
			return nil, prefix(sectionNames[s.kind]+" section", err)
		}
	}
	return p, nil
}

// verified is the content of each section, once every byte of file is known
// to be the one that was written.
func verified(file []byte, sections []section) ([][]byte, error) {
	var contents [][]byte
	for _, s := range sections {
		end := s.start + s.size
		contents = append(contents, file[s.start:end:end])
		for _, b := range file[end:pageAlign(end)] {
			if b != 0 {
				return nil, fault.Newf(fault.Corrupt, "padding after the %s section is not zero: the plan is damaged", sectionNames[s.kind])
			}
		}
	}
	sums, err := digests(contents)
	if err != nil {
		return nil, err
	}
	for i, s := range sections {
		if sums[i] != s.digest {
			return nil, fault.Newf(fault.Corrupt, "%s section does not have its digest: the plan is damaged", sectionNames[s.kind])
		}
	}
	return contents, nil
}

// A File is an open plan. Its Plan's Data, Code and Tokenizer are views of
// the mapped file: whoever reads them does so under mapped.Guard, and not after
// Close.
type File struct {
	Plan   *Plan
	id     string
	by     ed25519.PublicKey
	mapped *mapped.File
}

// OpenOptions are what a plan must be.
type OpenOptions struct {
	// Trust is the key that must have signed the plan; nil: any plan will do. A
	// plan of somebody else is fault.Corrupt before anything but its header is read.
	Trust ed25519.PublicKey
}

// Open maps the plan at path and checks it as Decode does. A path that is
// not there is fault.Usage.
func Open(path string, o OpenOptions) (*File, error) {
	m, err := mapped.Open(path)
	if err != nil {
		return nil, err
	}
	f := &File{mapped: m}
	err = mapped.Guard(func() (err error) {
		if f.Plan, f.by, err = decodeTrusted(m.Data, o.Trust); err == nil {
			f.id = hex.EncodeToString(m.Data[digestAt:pageSize])
		}
		return err
	})
	if err != nil {
		m.Close() // the fault is what matters
		return nil, prefix(path, err)
	}
	return f, nil
}

// Bytes is the whole file, a view of the map.
func (f *File) Bytes() []byte { return f.mapped.Data }

// ID is the digest in the file's header, in hexadecimal. As the header holds
// the digests of all sections, it stands for the whole file.
func (f *File) ID() string { return f.id }

// Signer is the key that the file is signed with, nil where it is not signed.
func (f *File) Signer() ed25519.PublicKey { return f.by }

// UnsignedHeader is the header page as it would be were the file not signed.
// All else of a file is the same, signed or not.
func (f *File) UnsignedHeader() []byte { return seal(unsigned(f.mapped.Data)) }

// Close gives the mapped file back.
func (f *File) Close() error { return f.mapped.Close() }

// prefix puts a name in front of the text of a fault that does not have it.
func prefix(name string, err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && !strings.HasPrefix(f.Text, name+": ") {
		f.Text = name + ": " + f.Text
		return f
	}
	return err
}
