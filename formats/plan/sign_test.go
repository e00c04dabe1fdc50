package plan

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etc/fault"
)

// A key as openssl genpkey -algorithm ed25519 made it, the public one of it by
// openssl pkey -pubout, and what openssl pkey -pubout -outform DER | sha256sum
// said of it. It signs nothing but tests.
const (
	signKey = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIHSd4IXhr7xMb//7NSSugj2DFDTwMMO18f+oByES26cw
-----END PRIVATE KEY-----`
	trustKey = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAgacBR/vG0S4X+AbS1KOuq05XnXD00Reqq4t3iOa2/m4=
-----END PUBLIC KEY-----`
	fingerprint = "b912cc6275d22a73399d02db4d947c6cae45a24adc33ce2a682c8ac8a3c57feb"
)

func testKeys(t *testing.T) (ed25519.PrivateKey, ed25519.PublicKey) {
	t.Helper()
	private, err := ParseSignKey([]byte(signKey))
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParseTrustKey([]byte(trustKey))
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func signed(t *testing.T, p *Plan, key ed25519.PrivateKey) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, p, WriteOptions{SignKey: key}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func otherKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, 32)) }

// TestSignatureIsThatOfTheFormat computes the message from docs/plan-format.md.
func TestSignatureIsThatOfTheFormat(t *testing.T) {
	private, public := testKeys(t)
	file := signed(t, mini(), private)
	if !bytes.Equal(file[4032:4064], public) {
		t.Error("the key is not where it should be")
	}
	page := bytes.Clone(file[:4096])
	clear(page[3968:])
	sum := sha256.Sum256(page)
	if !ed25519.Verify(public, append([]byte("etc plan v2\x00"), sum[:]...), file[3968:4032]) {
		t.Error("the signature is not one of the message")
	}
	if !bytes.Equal(file[4096:], Encode(mini())[4096:]) {
		t.Error("a signature changes more than the header")
	}
}

func TestOnlyTheTrustedKeyIsTaken(t *testing.T) {
	private, public := testKeys(t)
	other := otherKey()
	path := filepath.Join(t.TempDir(), "a.etp")
	for _, c := range []struct {
		what  string
		file  []byte
		trust ed25519.PublicKey
		says  string // empty: it opens
	}{
		{"signed, no key wanted", signed(t, mini(), private), nil, ""},
		{"unsigned, no key wanted", Encode(mini()), nil, ""},
		{"signed by the key", signed(t, mini(), private), public, ""},
		{"unsigned", Encode(mini()), public, "not signed"},
		{"signed by another key", signed(t, mini(), other), public, "signed by"},
		{"signed, another key wanted", signed(t, mini(), private), other.Public().(ed25519.PublicKey), "signed by"},
	} {
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path, OpenOptions{Trust: c.trust})
		if c.says != "" {
			refused(t, c.what, fault.Corrupt, err)
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %q does not say %q", c.what, err, c.says)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if isSigned := !bytes.Equal(c.file, Encode(mini())); isSigned != (f.Signer() != nil) || isSigned && !f.Signer().Equal(public) {
			t.Errorf("%s: signer %x", c.what, f.Signer())
		}
		if !bytes.Equal(f.UnsignedHeader(), Encode(mini())[:pageSize]) {
			t.Errorf("%s: another header without the signature", c.what)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestChangedSignedPlansAreRefused: who changes a signed plan can repair its
// digests but not its signature, with a trusted key or without.
func TestChangedSignedPlansAreRefused(t *testing.T) {
	private, public := testKeys(t)
	file := signed(t, mixed(), private)
	for at := 0; at < len(file); at++ {
		if at > pageSize && at%509 != 0 || at >= tableAt+sectionCount*entrySize && at < signatureAt {
			continue
		}
		changed := bytes.Clone(file)
		changed[at] ^= 1
		for _, trust := range []ed25519.PublicKey{nil, public} {
			_, _, err := decodeTrusted(repaired(changed), trust)
			if bytes.Equal(changed, file) { // it was a digest
				continue
			}
			if kind := fault.KindOf(err); kind != fault.Corrupt && kind != fault.Unfit {
				t.Fatalf("byte %d changed: error %v", at, err)
			}
		}
	}
}

// TestSignaturesDoNotMove from one plan to another, nor do keys.
func TestSignaturesDoNotMove(t *testing.T) {
	private, public := testKeys(t)
	from, other := signed(t, mini(), private), signed(t, mini(), otherKey())
	for _, c := range []struct {
		what   string
		change func(file []byte)
	}{
		{"signature of another plan", func(f []byte) { copy(f[signatureAt:digestAt], from[signatureAt:digestAt]) }},
		{"key without a signature", func(f []byte) { copy(f[keyAt:digestAt], public) }},
		{"signature without a key", func(f []byte) { copy(f[signatureAt:keyAt], from[signatureAt:keyAt]) }},
		{"signature of another key", func(f []byte) {
			copy(f[signatureAt:keyAt], other[signatureAt:keyAt])
			copy(f[keyAt:digestAt], public)
		}},
	} {
		file := Encode(mixed())
		c.change(file)
		for _, trust := range []ed25519.PublicKey{nil, public} {
			_, _, err := decodeTrusted(repaired(file), trust)
			refused(t, c.what, fault.Corrupt, err)
		}
	}
	stripped := bytes.Clone(from)
	clear(stripped[signatureAt:digestAt])
	_, _, err := decodeTrusted(repaired(stripped), public)
	refused(t, "signature taken off", fault.Corrupt, err)
}

// TestTrustComesFirst: of a plan that is not signed nothing is read, so what
// is wrong with its sections is not what is told.
func TestTrustComesFirst(t *testing.T) {
	_, public := testKeys(t)
	var b bytes.Buffer
	if err := writeSections(&b, WriteOptions{}, [][]byte{{1, 2, 3}, nil, nil, nil, nil, nil}); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	file[pageSize]++ // and its digest is wrong
	_, _, err := decodeTrusted(file, public)
	refused(t, "garbage", fault.Corrupt, err)
	if err != nil && !strings.Contains(err.Error(), "not signed") {
		t.Errorf("%q does not say that it is not signed", err)
	}
}

func TestKeysAreRead(t *testing.T) {
	private, public := testKeys(t)
	if !public.Equal(private.Public()) {
		t.Error("the two keys are not of one pair")
	}
	if got := Fingerprint(public); got != fingerprint {
		t.Errorf("fingerprint %s, want %s", got, fingerprint)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	wrongType := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	for _, text := range []string{"", "key", trustKey, wrongType, signKey[:40], strings.Replace(signKey, "MC4C", "MC4D", 1)} {
		_, err := ParseSignKey([]byte(text))
		refused(t, "private key "+text, fault.Usage, err)
	}
	for _, text := range []string{"", "key", signKey, wrongType, trustKey[:40]} {
		_, err := ParseTrustKey([]byte(text))
		refused(t, "public key "+text, fault.Usage, err)
	}
}
