package plan

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"

	"etc/fault"
)

// signContext is what is signed begins with, so that no signature of a plan
// is one of anything else.
const signContext = "etc plan v2\x00"

// signedMessage is what is signed of a header page: a digest of all of it but
// key, signature and its own digest. The page has the digests of all sections.
func signedMessage(h []byte) []byte {
	sum := sha256.Sum256(unsigned(h))
	return append([]byte(signContext), sum[:]...)
}

// unsigned is a header page without key, signature and digest.
func unsigned(h []byte) []byte {
	page := make([]byte, pageSize)
	copy(page, h[:signatureAt])
	return page
}

// sign puts key and signature into a header page, which has no digest yet.
func sign(h []byte, key ed25519.PrivateKey) {
	copy(h[keyAt:], key.Public().(ed25519.PublicKey))
	copy(h[signatureAt:], ed25519.Sign(key, signedMessage(h)))
}

// signer is the key that a header page is signed with, nil where it is not. A
// signature that is not right is fault.Corrupt.
func signer(h []byte) (ed25519.PublicKey, error) {
	key, signature := ed25519.PublicKey(h[keyAt:digestAt]), h[signatureAt:keyAt]
	if allZero(key) {
		if !allZero(signature) { // which some signatures are right for: the key is of small order
			return nil, fault.Newf(fault.Corrupt, "the plan has a signature and no key")
		}
		return nil, nil
	}
	if !ed25519.Verify(key, signedMessage(h), signature) {
		return nil, fault.Newf(fault.Corrupt, "the plan's signature is not that of the key it names")
	}
	return append(ed25519.PublicKey{}, key...), nil
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// trusted refuses a plan signed by another key than the one trusted, or by
// none. Without a trusted key any plan will do.
func trusted(by, trust ed25519.PublicKey) error {
	switch {
	case trust == nil:
		return nil
	case by == nil:
		return fault.Newf(fault.Corrupt, "the plan is not signed, want one signed by %s", Fingerprint(trust)).
			WithHint("etc compile --sign-key FILE signs")
	case !trust.Equal(by):
		return fault.Newf(fault.Corrupt, "the plan is signed by %s, want %s", Fingerprint(by), Fingerprint(trust))
	}
	return nil
}

// Fingerprint names a key: the SHA-256 of its PKIX form, as `openssl pkey
// -pubout -outform DER | sha256sum` prints it.
func Fingerprint(key ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic("bug: plan: " + err.Error())
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// ParseSignKey reads a private key as `openssl genpkey -algorithm ed25519`
// writes it: PKCS #8 in PEM. Anything else is fault.Usage.
func ParseSignKey(file []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(file)
	if block != nil && block.Type == "PRIVATE KEY" {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if key, ok := parsed.(ed25519.PrivateKey); ok && err == nil {
			return key, nil
		}
	}
	return nil, fault.Newf(fault.Usage, "not a private ed25519 key in PEM, PKCS #8").
		WithHint("openssl genpkey -algorithm ed25519 -out key.pem makes one")
}

// ParseTrustKey reads a public key as `openssl pkey -pubout` writes it: PKIX
// in PEM. Anything else is fault.Usage.
func ParseTrustKey(file []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(file)
	if block != nil && block.Type == "PUBLIC KEY" {
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if key, ok := parsed.(ed25519.PublicKey); ok && err == nil {
			return key, nil
		}
	}
	return nil, fault.Newf(fault.Usage, "not a public ed25519 key in PEM, PKIX").
		WithHint("openssl pkey -in key.pem -pubout -out public.pem makes one of a private key")
}
