package prune

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"testing"

	"etc/fault"
)

func TestBitsRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	for _, n := range []int{1, 7, 8, 9, 64, 1000, 4097} {
		for _, share := range []float64{0.01, 0.5, 1} {
			marks := make([]bool, n)
			for i := range marks {
				marks[i] = rng.Float64() < share
			}
			marks[n-1] = true // at least one
			back, err := decodeBits(encodeBits(marks), n)
			if err != nil || !slices.Equal(back, marks) {
				t.Errorf("%d marks came back as others, error %v", n, err)
			}
		}
	}
	for _, none := range [][]bool{nil, {}, make([]bool, 100)} {
		if s := encodeBits(none); s != "" {
			t.Errorf("no marks are %q", s)
		}
	}
	if back, err := decodeBits("", 5); back != nil || err != nil {
		t.Errorf("nothing is %v, %v", back, err)
	}
}

// TestBitsAreAsDocumented: the first in the lowest bit, deflated, in base64.
func TestBitsAreAsDocumented(t *testing.T) {
	deflated, err := base64.StdEncoding.DecodeString(encodeBits([]bool{0: true, 3: true, 9: true, 10: false}))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(flate.NewReader(bytes.NewReader(deflated))); err != nil || !bytes.Equal(b.Bytes(), []byte{1 | 1<<3, 1 << 1}) {
		t.Errorf("%v, %v", b.Bytes(), err)
	}
}

func packedBits(packed []byte) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	w.Write(packed)
	w.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func TestForgedBitsAreRefused(t *testing.T) {
	good := packedBits([]byte{1, 2, 3})
	if _, err := decodeBits(good, 24); err != nil {
		t.Fatal(err)
	}
	whole, _ := base64.StdEncoding.DecodeString(good)
	for name, s := range map[string]string{
		"no base64":      "!" + good,
		"no deflate":     base64.StdEncoding.EncodeToString([]byte{0xff, 0xff, 0xff}),
		"cut short":      base64.StdEncoding.EncodeToString(whole[:len(whole)-3]),
		"too few":        packedBits([]byte{1, 2}),
		"too many":       packedBits([]byte{1, 2, 3, 4}),
		"a deflate bomb": packedBits(make([]byte, 1<<24)),
		"none":           packedBits(nil),
	} {
		if marks, err := decodeBits(s, 24); marks != nil || err == nil || fault.KindOf(err) != fault.Corrupt {
			t.Errorf("%s: %v, %v", name, marks, err)
		}
	}
	if marks, err := decodeBits(packedBits([]byte{1, 2, 3, 0}), 21); marks != nil || fault.KindOf(err) != fault.Corrupt {
		t.Errorf("a byte beyond the last, which is not whole: %v, %v", marks, err)
	}
	if marks, err := decodeBits(packedBits([]byte{1, 2, 1 << 5}), 21); marks != nil || fault.KindOf(err) != fault.Corrupt {
		t.Errorf("a bit beyond the last: %v, %v", marks, err)
	}
}
