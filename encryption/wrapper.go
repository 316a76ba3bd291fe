package encryption

import (
	"context"
	"errors"
	"fmt"
)

// A KeyName says which data key is wrapped. A wrapper must make an unwrapping under another name fail; a KMS takes it as
// its encryption context.
type KeyName struct {
	PersistenceID string
	KeyID         string
}

// A Wrapper seals data keys with a master key. [LocalWrapper] has master keys of its own; an implementation for a KMS calls
// its encrypt and decrypt operations. It must be safe for concurrent use; ego bounds every call by a context.
type Wrapper interface {
	// MasterKeyID names the master key that Wrap uses. It is stored with what was wrapped, and it is not empty.
	MasterKeyID() string

	// Wrap seals a data key of 32 bytes with the master key that MasterKeyID names. It does not keep the key.
	Wrap(ctx context.Context, name KeyName, key []byte) (wrapped []byte, err error)

	// Unwrap opens what Wrap has sealed with a master key, which may be a former one. A master key that is not known is
	// [ErrUnknownKey]; what cannot be opened with it is [ErrDamaged].
	Unwrap(ctx context.Context, name KeyName, masterKeyID string, wrapped []byte) (key []byte, err error)
}

// A MasterKey is a key of a [LocalWrapper].
type MasterKey struct {
	ID     string // not empty, and never used for another secret
	Secret []byte // 32 bytes from a good source
}

// LocalWrapper wraps with AES-256-GCM and master keys in the memory of the process, under a message key of its own for each
// wrapping. Make one with [NewLocalWrapper].
type LocalWrapper struct {
	current string
	secrets map[string][]byte
}

var _ Wrapper = (*LocalWrapper)(nil)

// NewLocalWrapper returns a wrapper that wraps with one master key and unwraps with that and the former ones. It keeps
// copies of the secrets. The error joins all that is wrong with the keys and matches [ErrInvalidKey].
func NewLocalWrapper(current MasterKey, former ...MasterKey) (*LocalWrapper, error) {
	w := &LocalWrapper{current: current.ID, secrets: make(map[string][]byte, 1+len(former))}
	var problems []error
	for _, key := range append([]MasterKey{current}, former...) {
		switch {
		case key.ID == "":
			problems = append(problems, fmt.Errorf("%w: a master key has no id", ErrInvalidKey))
		case len(key.Secret) != secretSize:
			problems = append(problems, fmt.Errorf("%w: master key %q has %d bytes, want %d", ErrInvalidKey, key.ID, len(key.Secret), secretSize))
		case w.secrets[key.ID] != nil:
			problems = append(problems, fmt.Errorf("%w: two master keys are called %q", ErrInvalidKey, key.ID))
		default:
			w.secrets[key.ID] = append([]byte(nil), key.Secret...)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return w, nil
}

// MasterKeyID implements [Wrapper].
func (w *LocalWrapper) MasterKeyID() string { return w.current }

// Wrap implements [Wrapper].
func (w *LocalWrapper) Wrap(_ context.Context, name KeyName, key []byte) ([]byte, error) {
	s := newSalt()
	aead, err := messageKey(w.secrets[w.current], s, purposeWrap)
	if err != nil {
		return nil, err
	}
	return appendSealed(nil, aead, s, key, name.associated(w.current)), nil
}

// Unwrap implements [Wrapper].
func (w *LocalWrapper) Unwrap(_ context.Context, name KeyName, masterKeyID string, wrapped []byte) ([]byte, error) {
	secret := w.secrets[masterKeyID]
	if secret == nil {
		return nil, fmt.Errorf("%w: master key %q", ErrUnknownKey, masterKeyID)
	}
	s, rest, err := splitSealed(wrapped)
	if err != nil {
		return nil, err
	}
	aead, err := messageKey(secret, s, purposeWrap)
	if err != nil {
		return nil, err
	}
	return openSealed(nil, aead, rest, name.associated(masterKeyID))
}

func (n KeyName) associated(masterKeyID string) []byte {
	record := Record{PersistenceID: n.PersistenceID, Name: masterKeyID}
	return record.appendTo(nil, n.KeyID)
}
