package tokenizer

import (
	"bytes"
	"runtime"
	"testing"

	"etc/fault"
)

// TestMarshalIsCanonical: the same files give the same bytes, and bytes read come back.
func TestMarshalIsCanonical(t *testing.T) {
	for _, dir := range []string{tinyDir, gptDir} {
		tok := load(t, dir)
		first := tok.Marshal()
		if !bytes.Equal(first, load(t, dir).Marshal()) {
			t.Errorf("%s: two readings have different bytes", dir)
		}
		if !bytes.Equal(first, travelled(t, tok).Marshal()) {
			t.Errorf("%s: reading and writing changed the bytes", dir)
		}
	}
}

// smallForm is a BPE in the binary form, by hand from the comment of formatVersion.
func smallForm() []byte {
	b := []byte{1, 2}                   // version, BPE
	b = append(b, 0x80, 0x01)           // flags: type ids
	b = append(b, 0x80, 0x04)           // model_max_length 512
	b = append(b, 4)                    // unknown token: id 3
	b = append(b, 5, 1, 1, 2, 3, 0)     // five ids; the last has no token
	b = append(b, "abab<u>"...)         // a, b, ab, <u>
	b = append(b, make([]byte, 256)...) // bytes: none but
	b[len(b)-256+'a'], b[len(b)-256+'b'] = 1, 2
	b = append(b, 1, 0, 1, 2)             // one merge: a b to ab
	b = append(b, 1, 3, addedRStrip)      // <u> is added
	b = append(b, 2, 2, 3, 0, 0, 0, 0)    // single: <u> A
	return append(b, 2, 0, 0, 0, 1, 0, 1) // pair: A, B of type 1
}

func TestFormatAsDocumented(t *testing.T) {
	tok, err := Unmarshal(smallForm())
	if err != nil {
		t.Fatal(err)
	}
	var got Encoding
	pair := "b?"
	if err := tok.NewEncoder().Encode(&got, "ab<u> a", &pair, 0); err != nil {
		t.Fatal(err)
	}
	if s := words(tok, got.IDs); s != "ab <u> a b <u>" || tok.ModelMaxLength() != 512 || got.TypeIDs[2] != 0 || got.TypeIDs[3] != 1 {
		t.Errorf("%q, type ids %v, length %d", s, got.TypeIDs, tok.ModelMaxLength())
	}
	if !bytes.Equal(tok.Marshal(), smallForm()) {
		t.Error("Marshal gives other bytes")
	}
}

// TestUnmarshalRefuses cuts the form everywhere and breaks each kind of field.
func TestUnmarshalRefuses(t *testing.T) {
	whole := smallForm()
	for n := range whole {
		_, err := Unmarshal(whole[:n])
		wantFault(t, err, fault.Corrupt, "tokenizer section")
	}
	const bytesAt = 20 // where the 256 byte tokens begin
	end := len(whole)
	for _, c := range []struct {
		name string
		at   int
		to   byte
		kind fault.Kind
	}{
		{"version", 0, 2, fault.Corrupt},
		{"model 0", 1, 0, fault.Corrupt},
		{"model 3", 1, 3, fault.Corrupt},
		{"unknown flag", 3, 0x04, fault.Corrupt},
		{"number too long", 3, 0, fault.Corrupt},
		{"normalizer before BPE", 2, 0x81, fault.Unsupported},
		{"unknown token is a hole", 6, 5, fault.Corrupt},
		{"unknown token out of range", 6, 6, fault.Corrupt},
		{"more tokens than bytes", 7, 0x7f, fault.Corrupt},
		{"token not UTF-8", 13, 0xff, fault.Corrupt},
		{"byte is a hole", bytesAt + 'c', 5, fault.Corrupt},
		{"merge out of range", end - 20, 5, fault.Corrupt},
		{"merge of a hole", end - 19, 4, fault.Corrupt},
		{"merge to a hole", end - 18, 4, fault.Corrupt},
		{"added a hole", end - 16, 4, fault.Corrupt},
		{"added flags", end - 15, 0x20, fault.Corrupt},
		{"piece kind", end - 13, 3, fault.Corrupt},
		{"piece is a hole", end - 12, 4, fault.Corrupt},
		{"text with an id", end - 9, 1, fault.Corrupt},
		{"pair without B", end - 3, 0, fault.Unsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := smallForm()
			if b[c.at] == c.to {
				t.Fatal("nothing changes")
			}
			b[c.at] = c.to
			_, err := Unmarshal(b)
			wantFault(t, err, c.kind)
		})
	}
	_, err := Unmarshal(append(whole, 0))
	wantFault(t, err, fault.Corrupt, "1 bytes after the end")
	_, err = Unmarshal(nil)
	wantFault(t, err, fault.Corrupt)
}

func TestUnmarshalRefusesTwins(t *testing.T) {
	b := mustNew(t, asItIs([]byte(smallWordPiece))).Marshal()
	_, err := Unmarshal(bytes.Replace(b, []byte("[UNK]a"), []byte("aaaaaa"), 1))
	if err != nil {
		t.Fatal(err) // "aaaaa" and "a"
	}
	_, err = Unmarshal(bytes.Replace(b, []byte("[UNK]a[CLS]"), []byte("[CLS]a[CLS]"), 1))
	wantFault(t, err, fault.Corrupt, "[CLS]", "two ids")
}

// TestUnmarshalAllocatesLittle claims a million items in each count.
func TestUnmarshalAllocatesLittle(t *testing.T) {
	whole := smallForm()
	for name, at := range map[string]int{"tokens": 7, "merges": len(whole) - 21, "added": len(whole) - 17, "pieces": len(whole) - 14} {
		b := append(whole[:at:at], 0xff, 0xff, 0x3f)
		b = append(b, whole[at+1:]...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Unmarshal(b)
		runtime.ReadMemStats(&after)
		wantFault(t, err, fault.Corrupt, "1048575")
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<16 {
			t.Errorf("%s: %d bytes allocated", name, got)
		}
	}
}
