package encryption

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"
)

// AESEncryptor seals with AES-256-GCM and a data key per entity, see the package documentation. Make one with
// [NewAESEncryptor]. It is safe for concurrent use and owns no goroutine.
type AESEncryptor struct {
	config
	invalid error // what is wrong with the configuration
	keys    KeyStore
	cache   *keyCache
	scratch sync.Pool // *[]byte, for associated data
}

var _ Encryptor = (*AESEncryptor)(nil)

// NewAESEncryptor returns an encryptor with the keys of a key store. What is wrong with the arguments is reported by
// [AESEncryptor.Check], which an engine calls when it starts.
func NewAESEncryptor(keys KeyStore, opts ...Option) *AESEncryptor {
	e := &AESEncryptor{config: newConfig(opts), keys: keys}
	e.invalid = e.validate()
	if keys == nil {
		e.invalid = errors.Join(e.invalid, errors.New("encryption: the key store is nil"))
	}
	e.cache = newKeyCache(e.cacheSize)
	e.scratch.New = func() any { return new([]byte) }
	return e
}

// KeyStore returns the key store.
func (e *AESEncryptor) KeyStore() KeyStore { return e.keys }

// Wrapped reports whether new data keys are wrapped with a master key.
func (e *AESEncryptor) Wrapped() bool { return e.wrapper != nil }

// Check implements [Encryptor]. It reads from the key store, and wraps and unwraps a key that is then thrown away.
func (e *AESEncryptor) Check(ctx context.Context) error {
	if e.invalid != nil {
		return e.invalid
	}
	ctx, cancel := context.WithTimeout(ctx, e.keyTimeout)
	defer cancel()
	if _, err := e.keys.PendingErasures(ctx, "", 1); err != nil {
		return fmt.Errorf("encryption: the key store does not answer: %w", err)
	}
	if e.wrapper == nil {
		return nil
	}
	if e.wrapper.MasterKeyID() == "" {
		return errors.New("encryption: the master key has no id")
	}
	key := newDataKey("check", newKeyID(), 1, time.Now())
	if err := e.wrap(ctx, key, newSecret()); err != nil {
		return err
	}
	_, err := unwrapped(ctx, e.wrapper, key)
	return err
}

// Seal implements [Encryptor]. It reads the key store only when the entity's keys are not in the cache, and writes to it
// only for the first record of an entity.
func (e *AESEncryptor) Seal(ctx context.Context, record *Record, dst, plaintext []byte) (sealed []byte, keyID string, err error) {
	ring, err := e.keyring(ctx, record.PersistenceID)
	if err != nil {
		return dst, "", err
	}
	if ring.life.Phase != Alive {
		return dst, "", &ErasedError{PersistenceID: record.PersistenceID, Number: record.Number}
	}
	if e.openOnly {
		return dst, "", nil
	}
	key := ring.newest()
	if key == nil {
		if key, err = e.firstKey(ctx, ring); err != nil {
			return dst, "", err
		}
	}
	ctx, cancel := e.bounded(ctx, key)
	defer cancel()
	s, err := key.forSealing(ctx, &e.config)
	if err != nil {
		return dst, "", err
	}
	keyID = key.stored.GetKeyId()
	associated := e.associated(record, keyID)
	sealed = appendSealed(dst, s.aead, s.salt, plaintext, *associated)
	e.scratch.Put(associated)
	return sealed, keyID, nil
}

// Open implements [Encryptor].
func (e *AESEncryptor) Open(ctx context.Context, record *Record, keyID string, dst, sealed []byte) ([]byte, error) {
	ring, err := e.keyring(ctx, record.PersistenceID)
	if err != nil {
		return dst, err
	}
	key := ring.find(keyID)
	if key == nil && ring.life.Phase == Alive {
		if ring, err = e.read(ctx, record.PersistenceID); err != nil { // another process may have added it since
			return dst, err
		}
		key = ring.find(keyID)
	}
	if ring.life.Phase != Alive || key != nil && key.stored.GetDestroyed() {
		return dst, &ErasedError{PersistenceID: record.PersistenceID, Number: record.Number}
	}
	if key == nil {
		return dst, fmt.Errorf("%w: data key %q of %q", ErrUnknownKey, keyID, record.PersistenceID)
	}
	of, rest, err := splitSealed(sealed)
	if err != nil {
		return dst, err
	}
	ctx, cancel := e.bounded(ctx, key)
	defer cancel()
	aead, err := key.forOpening(ctx, &e.config, of)
	if err != nil {
		return dst, err
	}
	associated := e.associated(record, keyID)
	defer e.scratch.Put(associated)
	plaintext, err := openSealed(dst, aead, rest, *associated)
	if err != nil {
		return dst, err
	}
	return plaintext, nil
}

// bounded bounds a call that may have to unwrap a key, and costs nothing for another.
func (e *AESEncryptor) bounded(ctx context.Context, key *dataKey) (context.Context, context.CancelFunc) {
	if key.secret.Load() != nil {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, e.keyTimeout)
}

func (e *AESEncryptor) associated(record *Record, keyID string) *[]byte {
	b := e.scratch.Get().(*[]byte)
	*b = record.appendTo((*b)[:0], keyID)
	return b
}

// keyring returns the keys of an entity, from the cache while they are fresh.
func (e *AESEncryptor) keyring(ctx context.Context, persistenceID string) (*keyring, error) {
	if ring, _ := e.cache.get(persistenceID); ring != nil && time.Now().Before(ring.expires) {
		return ring, nil
	}
	return e.read(ctx, persistenceID)
}

// read reads the keys of an entity. Their time begins with the read, so that no later erasure can be missed for longer.
func (e *AESEncryptor) read(ctx context.Context, persistenceID string) (*keyring, error) {
	if e.invalid != nil {
		return nil, e.invalid
	}
	older, changes := e.cache.get(persistenceID)
	expires := time.Now().Add(e.cacheTime)
	ctx, cancel := context.WithTimeout(ctx, e.keyTimeout)
	defer cancel()
	stored, life, err := e.keys.DataKeys(ctx, persistenceID)
	if err != nil {
		return nil, fmt.Errorf("encryption: the keys of %q cannot be read: %w", persistenceID, err)
	}
	ring := newKeyring(persistenceID, stored, life, expires, older)
	e.cache.put(ring, changes)
	return ring, nil
}

// firstKey makes the first key of an entity, or finds the one that another process has just made.
func (e *AESEncryptor) firstKey(ctx context.Context, ring *keyring) (*dataKey, error) {
	ring, err := e.addKey(ctx, ring)
	if err != nil {
		return nil, err
	}
	key := ring.newest()
	if key == nil {
		return nil, &ErasedError{PersistenceID: ring.persistenceID}
	}
	return key, nil
}

// addKey adds a key to those of a keyring and returns what there is then. Losing to another process is no error.
func (e *AESEncryptor) addKey(ctx context.Context, ring *keyring) (*keyring, error) {
	bounded, cancel := context.WithTimeout(ctx, e.keyTimeout)
	defer cancel()
	key := newDataKey(ring.persistenceID, newKeyID(), ring.next(), time.Now())
	if err := e.wrap(bounded, key, newSecret()); err != nil {
		return nil, err
	}
	err := e.keys.AddDataKey(bounded, key)
	e.cache.forget(ring.persistenceID)
	if err != nil && !errors.Is(err, ErrKeyConflict) {
		return nil, fmt.Errorf("encryption: no key can be added for %q: %w", ring.persistenceID, err)
	}
	return e.read(ctx, ring.persistenceID)
}

// newKeyID returns an id that no other key has: 96 random bits.
func newKeyID() string {
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}
