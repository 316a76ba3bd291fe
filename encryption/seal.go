package encryption

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// A sealed value is version, salt, nonce, ciphertext and tag. The version is also the first byte of a protobuf tag with the
// field number zero, which no message has.
const (
	formatVersion = 0x01
	saltSize      = 16
	secretSize    = 32
	headerSize    = 1 + saltSize
	gcmOverhead   = 12 + 16 // nonce and tag

	// Overhead is how much longer a sealed value is than its plaintext, in bytes.
	Overhead = headerSize + gcmOverhead
)

// The purposes that keys are derived for. They are part of the format.
const (
	purposeRecord = "ego sealed record v1"
	purposeWrap   = "ego wrapped data key v1"
)

type salt [saltSize]byte

func newSalt() (s salt) {
	_, _ = rand.Read(s[:]) // never fails
	return s
}

// newSecret returns 256 random bits.
func newSecret() []byte {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	return secret
}

// messageKey derives the AEAD of a salt from a secret. Its nonces are random and its own.
func messageKey(secret []byte, s salt, purpose string) (cipher.AEAD, error) {
	if len(secret) != secretSize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrInvalidKey, len(secret), secretSize)
	}
	derived, err := hkdf.Key(sha256.New, secret, s[:], purpose, secretSize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// appendSealed appends a sealed value.
func appendSealed(dst []byte, aead cipher.AEAD, s salt, plaintext, associated []byte) []byte {
	dst = append(dst, formatVersion)
	dst = append(dst, s[:]...)
	return aead.Seal(dst, nil, plaintext, associated) //nolint:gosec // it makes a random nonce itself
}

// splitSealed returns the salt of a sealed value and the rest.
func splitSealed(sealed []byte) (s salt, rest []byte, err error) {
	switch {
	case len(sealed) < Overhead:
		return s, nil, fmt.Errorf("%w: it has %d bytes, a sealed value at least %d", ErrDamaged, len(sealed), Overhead)
	case sealed[0] != formatVersion:
		return s, nil, fmt.Errorf("%w: format %#x is not known", ErrDamaged, sealed[0])
	}
	copy(s[:], sealed[1:headerSize])
	return s, sealed[headerSize:], nil
}

// openSealed appends the plaintext of the rest of a sealed value.
func openSealed(dst []byte, aead cipher.AEAD, rest, associated []byte) ([]byte, error) {
	plaintext, err := aead.Open(dst, nil, rest, associated)
	if err != nil {
		return nil, ErrDamaged
	}
	return plaintext, nil
}
