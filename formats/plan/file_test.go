package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"etc/fault"
)

// repaired puts right digests into a file whose bytes were changed, as far as
// its header leads to sections.
func repaired(file []byte) []byte {
	if len(file) < pageSize {
		return file
	}
	for i := range sectionCount {
		e := file[tableAt+i*entrySize:]
		start, size := binary.LittleEndian.Uint64(e[entryStart:]), binary.LittleEndian.Uint64(e[entryBytes:])
		if start > uint64(len(file)) || size > uint64(len(file))-start {
			continue
		}
		var sums []byte
		for content := file[start : start+size]; len(content) > 0; content = content[min(len(content), chunkSize):] {
			sum := sha256.Sum256(content[:min(len(content), chunkSize)])
			sums = append(sums, sum[:]...)
		}
		sum := sha256.Sum256(sums)
		copy(e[entrySum:], sum[:])
	}
	sum := sha256.Sum256(file[:digestAt])
	copy(file[digestAt:], sum[:])
	return file
}

func refused(t *testing.T, what string, kind fault.Kind, err error) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("%s: error %v, want one of kind %d", what, err, kind)
	}
}

func TestPlanIsReadAsWritten(t *testing.T) {
	p := mini()
	got, err := Decode(Encode(p))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, p) {
		t.Errorf("read %+v\nwrote %+v", got, p)
	}
}

func TestPlanWithEmptySectionsIsReadAsWritten(t *testing.T) {
	p := mini()
	p.Programs[0].Graph, p.Tokenizer, p.Model.Padding = "", []byte{}, []int{9}
	got, err := Decode(Encode(p))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, p) {
		t.Errorf("read %+v\nwrote %+v", got, p)
	}
}

// TestNoPaddingIsNoPadding: an empty list says nothing that a plan of a lower
// version does not, so a file with one is forged.
func TestNoPaddingIsNoPadding(t *testing.T) {
	p := mini()
	var b bytes.Buffer
	o := WriteOptions{minor: paddingMinor}
	if err := writeSections(&b, o, [][]byte{written(o.minor, p.walkModel), written(o.minor, p.walkGraphs), p.Tokenizer, p.Data, written(o.minor, p.Provenance.walk), p.Code}); err != nil {
		t.Fatal(err)
	}
	_, err := Decode(b.Bytes())
	refused(t, "empty padding", fault.Corrupt, err)
	if err != nil && !strings.Contains(err.Error(), "format 2.2, but the plan is of 2.0") {
		t.Error(err)
	}
}

// TestUnpadded: padding counts within a row, not at its end, and never for all of it.
func TestUnpadded(t *testing.T) {
	for _, c := range []struct {
		padding []int
		ids     []int32
		want    int
	}{
		{nil, []int32{1, 0, 0}, 3}, {nil, nil, 0}, {[]int{0}, nil, 0}, {[]int{0}, []int32{1, 2}, 2}, {[]int{0}, []int32{1, 2, 0, 0}, 2},
		{[]int{0}, []int32{0, 0, 1, 0, 2, 0}, 5}, {[]int{0}, []int32{0, 0, 0}, 1}, {[]int{0}, []int32{0}, 1}, {[]int{7}, []int32{1, 0}, 2},
	} {
		m := Model{Padding: c.padding}
		if got := m.Unpadded(c.ids); got != c.want {
			t.Errorf("%v without %v: %d tokens, want %d", c.ids, c.padding, got, c.want)
		}
	}
}

func TestEveryOperatorIsInTheTestPlan(t *testing.T) {
	there := map[Op]bool{}
	for _, s := range mini().Programs[0].Steps {
		there[s.Op] = true
	}
	for _, o := range Ops() {
		if !there[o] {
			t.Errorf("%v is not", o)
		}
	}
}

func TestSamePlanGivesSameBytes(t *testing.T) {
	if a, b := Encode(mini()), Encode(mini()); !bytes.Equal(a, b) {
		t.Error("two files differ")
	}
}

// TestDigestsAreThoseOfTheFormat holds the writer against digests computed
// here, in one thread, of a section of several chunks.
func TestDigestsAreThoseOfTheFormat(t *testing.T) {
	p := mini()
	p.Tokenizer = bytes.Repeat([]byte("0123456789"), 850_000)
	file := Encode(p)
	if !bytes.Equal(file, repaired(bytes.Clone(file))) {
		t.Error("digests differ")
	}
	if len(file)%pageSize != 0 {
		t.Errorf("file of %d bytes, want whole pages", len(file))
	}
}

func TestEveryChangedBitIsRefused(t *testing.T) {
	file := Encode(mini())
	for i := range len(file) * 8 {
		file[i/8] ^= 1 << (i % 8)
		if _, err := Decode(file); err == nil || fault.KindOf(err) != fault.Corrupt {
			t.Fatalf("bit %d of byte %d changed: error %v, want one of kind Corrupt", i%8, i/8, err)
		}
		file[i/8] ^= 1 << (i % 8)
	}
	if _, err := Decode(file); err != nil {
		t.Fatal(err)
	}
}

func TestEveryLengthButTheRightOneIsRefused(t *testing.T) {
	file := Encode(mini())
	for n := range len(file) {
		if n > 2*pageSize && n%97 != 0 && n%pageSize > 1 {
			continue
		}
		if _, err := Decode(file[:n]); fault.KindOf(err) != fault.Corrupt {
			t.Fatalf("cut to %d bytes: error %v", n, err)
		}
	}
	for _, more := range []int{1, 63, pageSize, 2 * pageSize} {
		_, err := Decode(append(bytes.Clone(file), make([]byte, more)...))
		refused(t, fmt.Sprint(more, " bytes more"), fault.Corrupt, err)
	}
}

func TestOtherVersionsAreUnfit(t *testing.T) {
	for _, v := range []struct {
		major, minor uint16
		says         string
	}{{Major + 1, 0, "upgrade etc"}, {Major, Minor + 1, "upgrade etc"}, {Major - 1, 7, "compile the model again"}, {1 << 15, 0, "upgrade etc"}} {
		file := Encode(mini())
		binary.LittleEndian.PutUint16(file[majorAt:], v.major)
		binary.LittleEndian.PutUint16(file[minorAt:], v.minor)
		_, err := Decode(file)
		refused(t, "version without its digest", fault.Corrupt, err)
		_, err = Decode(repaired(file))
		refused(t, fmt.Sprint("version ", v), fault.Unfit, err)
		if err != nil && !strings.Contains(err.Error(), v.says) {
			t.Errorf("version %v: %q does not say %q", v, err, v.says)
		}
	}
	p := mini()
	p.Programs[0].Target = "tpu:f16"
	_, err := Decode(Encode(p))
	refused(t, "target", fault.Unfit, err)
}

// TestForgedHeadersAreRefused changes fields of the header and repairs the digests.
func TestForgedHeadersAreRefused(t *testing.T) {
	entry := func(section, field int) int { return tableAt + (section-1)*entrySize + field }
	for _, f := range []struct {
		name  string
		at    int
		width int
		value uint64
	}{
		{"no sections", countAt, 4, 0},
		{"one section fewer", countAt, 4, sectionCount - 1},
		{"one section more", countAt, 4, sectionCount + 1},
		{"very many sections", countAt, 4, 1<<32 - 1},
		{"file size", sizeAt, 8, 1},
		{"reserved", sizeAt + 8, 8, 1},
		{"unknown kind", entry(graphSection, entryKind), 4, 9},
		{"kind twice", entry(graphSection, entryKind), 4, modelSection},
		{"reserved of an entry", entry(graphSection, entryKind+4), 4, 1},
		{"start in the header", entry(modelSection, entryStart), 8, 0},
		{"start past the file", entry(modelSection, entryStart), 8, 1 << 63},
		{"start of another", entry(graphSection, entryStart), 8, pageSize},
		{"size past the file", entry(weightsSection, entryBytes), 8, 1 << 40},
		{"size past everything", entry(weightsSection, entryBytes), 8, 1<<64 - 1},
		{"size one less than the text", entry(graphSection, entryBytes), 8, uint64(len(written(0, mini().walkGraphs))) - 1},
		{"size of more pages", entry(provenanceSection, entryBytes), 8, pageSize + 1},
		{"size one more than the record", entry(provenanceSection, entryBytes), 8, uint64(len(written(0, mini().Provenance.walk))) + 1},
		{"reserved after the size", entry(graphSection, entryBytes+8), 8, 1},
		{"an entry more", tableAt + sectionCount*entrySize, 4, sectionCount + 1},
		{"the last unused byte", signatureAt - 1, 1, 1},
		{"a byte of a signature", signatureAt, 1, 1},
		{"a byte of a key", digestAt - 1, 1, 1},
	} {
		file := Encode(mini())
		for i := range f.width {
			file[f.at+i] = byte(f.value >> (8 * i))
		}
		_, err := Decode(repaired(file))
		refused(t, f.name, fault.Corrupt, err)
	}
}

// TestSizesThatWrapAroundAreRefused gives two sections sizes whose sum is
// right in 64 bits, in a header that is otherwise as it should be.
func TestSizesThatWrapAroundAreRefused(t *testing.T) {
	file := Encode(mini())
	sections, _, err := parseHeader(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrap := range [][2]int{{math.MinInt, math.MinInt}, {1 << 62, -1 << 62}, {-pageSize, pageSize}} {
		forged := slices.Clone(sections)
		forged[tokenizerSection-1].size += wrap[0]
		forged[weightsSection-1].size += wrap[1]
		if got := arrange(forged); got != len(file) {
			t.Fatalf("sizes do not wrap around: %d", got)
		}
		_, err := Decode(append(seal(header(0, forged, len(file))), file[pageSize:]...))
		refused(t, fmt.Sprint("sizes changed by ", wrap), fault.Corrupt, err)
	}
}

func TestBooleansHaveTwoValues(t *testing.T) {
	for value := range 256 {
		var b bool
		err := read(0, []byte{byte(value)}, func(c *codec) { c.bool(&b) })
		if value > 1 {
			refused(t, fmt.Sprint("boolean ", value), fault.Corrupt, err)
		} else if err != nil || b != (value == 1) {
			t.Errorf("boolean %d: %v, %v", value, b, err)
		}
	}
}

func TestSectionsAreReadToTheirEnd(t *testing.T) {
	for _, walk := range []struct {
		name string
		b    []byte
		read func([]byte) error
	}{
		{"model", written(0, mini().walkModel), func(b []byte) error { return read(0, b, new(Plan).walkModel) }},
		{"model with padding", written(paddingMinor, miniPadded().walkModel), func(b []byte) error { return read(paddingMinor, b, new(Plan).walkModel) }},
		{"provenance", written(0, mini().Provenance.walk), func(b []byte) error { return read(0, b, new(Provenance).walk) }},
	} {
		if err := walk.read(walk.b); err != nil {
			t.Errorf("%s: %v", walk.name, err)
		}
		for n := range walk.b {
			refused(t, fmt.Sprint(walk.name, " cut to ", n), fault.Corrupt, walk.read(walk.b[:n]))
		}
		refused(t, walk.name+" with a byte more", fault.Corrupt, walk.read(append(walk.b, 0)))
	}
}

func TestOpenNamesThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.etp")
	_, err := Open(path, OpenOptions{})
	refused(t, "missing file", fault.Usage, err)
	file := Encode(mini())
	for _, f := range []struct {
		content []byte
		kind    fault.Kind
	}{{nil, fault.Corrupt}, {[]byte("hello"), fault.Corrupt}, {file[:len(file)-1], fault.Corrupt}} {
		if err := os.WriteFile(path, f.content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path, OpenOptions{})
		refused(t, "damaged file", f.kind, err)
		if err != nil && (!strings.HasPrefix(err.Error(), path+": ") || strings.Count(err.Error(), path) != 1) {
			t.Errorf("%q does not begin with the path, once", err)
		}
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.Plan, mini()) || !bytes.Equal(f.Bytes(), file) {
		t.Error("the plan opened is not the one written")
	}
	if want := hex.EncodeToString(file[digestAt:pageSize]); f.ID() != want {
		t.Errorf("ID %s, want %s", f.ID(), want)
	}
	if &f.Plan.Data[0] != &f.Bytes()[binary.LittleEndian.Uint64(file[tableAt+(weightsSection-1)*entrySize+entryStart:])] {
		t.Error("weights are no view of the file")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestEachProgramHasAGraph: no text without a program, and none missing.
func TestEachProgramHasAGraph(t *testing.T) {
	for n := range 4 {
		p := mixed()
		texts := make([]string, n)
		graphs := written(0, func(c *codec) { list(c, &texts, c.string) })
		var b bytes.Buffer
		if err := writeSections(&b, WriteOptions{}, [][]byte{written(0, p.walkModel), graphs, nil, p.Data, written(0, p.Provenance.walk), p.Code}); err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b.Bytes()); n != len(p.Programs) {
			refused(t, fmt.Sprint(n, " graphs"), fault.Corrupt, err)
		} else if err != nil {
			t.Error(err)
		}
	}
}
