package encryption

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
)

// wrap puts a secret into a key, wrapped if there is a wrapper.
func (e *AESEncryptor) wrap(ctx context.Context, key *egopb.DataKey, secret []byte) error {
	if e.wrapper == nil {
		key.Wrapped = secret
		return nil
	}
	return wrapWith(ctx, e.wrapper, key, secret)
}

func wrapWith(ctx context.Context, wrapper Wrapper, key *egopb.DataKey, secret []byte) (err error) {
	key.MasterKeyId = wrapper.MasterKeyID()
	if key.Wrapped, err = wrapper.Wrap(ctx, nameOf(key), secret); err != nil {
		return fmt.Errorf("encryption: data key %s of %q cannot be wrapped with master key %q: %w",
			key.GetKeyId(), key.GetPersistenceId(), key.GetMasterKeyId(), err)
	}
	return nil
}

// RotateDataKey makes a new data key for an entity. This process seals with it from now on, others once their cache time is
// over. What was sealed before stays readable. An erased entity is [ErrErased].
func (e *AESEncryptor) RotateDataKey(ctx context.Context, persistenceID string) error {
	ring, err := e.read(ctx, persistenceID)
	if err != nil {
		return err
	}
	if ring.life.Phase != Alive {
		return &ErasedError{PersistenceID: persistenceID}
	}
	_, err = e.addKey(ctx, ring)
	return err
}

// BeginErasure implements [Erasures]. This process cannot open or seal anything of the entity afterwards, others can until
// their cache time is over.
func (e *AESEncryptor) BeginErasure(ctx context.Context, persistenceID string) error {
	return e.change(ctx, persistenceID, KeyStore.BeginErasure)
}

// FinishErasure implements [Erasures].
func (e *AESEncryptor) FinishErasure(ctx context.Context, persistenceID string) error {
	return e.change(ctx, persistenceID, KeyStore.FinishErasure)
}

// Revive implements [Erasures].
func (e *AESEncryptor) Revive(ctx context.Context, persistenceID string) error {
	return e.change(ctx, persistenceID, KeyStore.Revive)
}

// change writes to the key store and forgets what was read before, whether the write succeeded or not.
func (e *AESEncryptor) change(ctx context.Context, persistenceID string, write func(KeyStore, context.Context, string) error) error {
	if e.invalid != nil {
		return e.invalid
	}
	defer e.cache.forget(persistenceID)
	return write(e.keys, ctx, persistenceID)
}

// LifeOf implements [Erasures]. It may be as old as the cache time.
func (e *AESEncryptor) LifeOf(ctx context.Context, persistenceID string) (Life, error) {
	ring, err := e.keyring(ctx, persistenceID)
	if err != nil {
		return Life{}, err
	}
	return ring.life, nil
}

// PendingErasures implements [Erasures].
func (e *AESEncryptor) PendingErasures(ctx context.Context, after string, limit int) ([]string, error) {
	if e.invalid != nil {
		return nil, e.invalid
	}
	return e.keys.PendingErasures(ctx, after, limit)
}

// rewrapPage is how many keys are read at once.
const rewrapPage = 256

// RewrapKeys wraps all data keys of a key store with the wrapper's current master key, those that are not wrapped at all
// included, and returns how many it has changed. It needs no engine, and engines may run meanwhile. When it fails or is
// cut off, what was done stays done: call it again, and it goes on with the rest. When it returns nil, no data key
// needs another master key any more, provided that every process wraps with the current one already.
func RewrapKeys(ctx context.Context, keys KeyStore, wrapper Wrapper) (changed int, err error) {
	current := wrapper.MasterKeyID()
	var id string
	var version uint64
	for {
		page, err := keys.ListDataKeys(ctx, id, version, rewrapPage)
		if err != nil {
			return changed, fmt.Errorf("encryption: the keys cannot be listed: %w", err)
		}
		for _, key := range page {
			id, version = key.GetPersistenceId(), key.GetVersion()
			if key.GetMasterKeyId() == current {
				continue
			}
			done, err := rewrap(ctx, keys, wrapper, key)
			if err != nil {
				return changed, err
			}
			if done {
				changed++
			}
		}
		if len(page) < rewrapPage {
			return changed, nil
		}
	}
}

// rewrap wraps one key anew. It is false when another process has done so, or has destroyed the key.
func rewrap(ctx context.Context, keys KeyStore, wrapper Wrapper, key *egopb.DataKey) (bool, error) {
	secret, err := unwrapped(ctx, wrapper, key)
	if err != nil {
		return false, err
	}
	next := proto.CloneOf(key)
	if err := wrapWith(ctx, wrapper, next, secret); err != nil {
		return false, err
	}
	err = keys.ReplaceDataKey(ctx, next, key.GetMasterKeyId())
	if errors.Is(err, ErrKeyConflict) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("encryption: data key %s of %q cannot be stored: %w", key.GetKeyId(), key.GetPersistenceId(), err)
	}
	return true, nil
}
