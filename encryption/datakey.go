package encryption

import (
	"bytes"
	"context"
	"crypto/cipher"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/actorkeep/ego/egopb"
)

// maxOpeners bounds how many message keys of one data key are kept for opening.
const maxOpeners = 16

// dataKey is a data key in the cache. It is safe for concurrent use.
type dataKey struct {
	stored *egopb.DataKey

	secret atomic.Pointer[[]byte] // nil until it is unwrapped
	sealer atomic.Pointer[sealer]

	mu      sync.Mutex
	openers map[salt]cipher.AEAD
}

// A sealer is the message key that this process seals with.
type sealer struct {
	salt salt
	aead cipher.AEAD
	left atomic.Int64 // messages that it may still seal
}

// same reports whether a key of the store is the one that is cached.
func (k *dataKey) same(stored *egopb.DataKey) bool {
	return k.stored.GetKeyId() == stored.GetKeyId() && !stored.GetDestroyed() && bytes.Equal(k.stored.GetWrapped(), stored.GetWrapped())
}

// unwrap returns the secret.
func (k *dataKey) unwrap(ctx context.Context, wrapper Wrapper) ([]byte, error) {
	if secret := k.secret.Load(); secret != nil {
		return *secret, nil
	}
	secret, err := unwrapped(ctx, wrapper, k.stored)
	if err != nil {
		return nil, err
	}
	k.secret.Store(&secret)
	return secret, nil
}

// unwrapped opens the wrapping of a stored key.
func unwrapped(ctx context.Context, wrapper Wrapper, key *egopb.DataKey) (secret []byte, err error) {
	master := key.GetMasterKeyId()
	switch {
	case master == "":
		secret = bytes.Clone(key.GetWrapped())
	case wrapper == nil:
		return nil, fmt.Errorf("%w: the data key of %q is wrapped with master key %q and there is no wrapper", ErrUnknownKey, key.GetPersistenceId(), master)
	default:
		secret, err = wrapper.Unwrap(ctx, nameOf(key), master, key.GetWrapped())
	}
	if err == nil && len(secret) != secretSize {
		err = fmt.Errorf("%w: it has %d bytes", ErrDamaged, len(secret))
	}
	if err != nil {
		return nil, fmt.Errorf("encryption: data key %s of %q: %w", key.GetKeyId(), key.GetPersistenceId(), err)
	}
	return secret, nil
}

func nameOf(key *egopb.DataKey) KeyName {
	return KeyName{PersistenceID: key.GetPersistenceId(), KeyID: key.GetKeyId()}
}

// forSealing returns a message key that may seal one more message.
func (k *dataKey) forSealing(ctx context.Context, c *config) (*sealer, error) {
	for {
		if s := k.sealer.Load(); s != nil && s.left.Add(-1) >= 0 {
			return s, nil
		}
		if err := k.renew(ctx, c); err != nil {
			return nil, err
		}
	}
}

// renew takes a new message key, unless another goroutine has.
func (k *dataKey) renew(ctx context.Context, c *config) error {
	secret, err := k.unwrap(ctx, c.wrapper)
	if err != nil {
		return err
	}
	next := &sealer{salt: newSalt()}
	next.left.Store(c.messageLimit)
	if next.aead, err = messageKey(secret, next.salt, purposeRecord); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.sealer.Load(); s != nil && s.left.Load() > 0 {
		return nil
	}
	k.sealer.Store(next)
	return nil
}

// forOpening returns the message key of a salt.
func (k *dataKey) forOpening(ctx context.Context, c *config, of salt) (cipher.AEAD, error) {
	if s := k.sealer.Load(); s != nil && s.salt == of {
		return s.aead, nil
	}
	k.mu.Lock()
	aead := k.openers[of]
	k.mu.Unlock()
	if aead != nil {
		return aead, nil
	}
	secret, err := k.unwrap(ctx, c.wrapper)
	if err != nil {
		return nil, err
	}
	if aead, err = messageKey(secret, of, purposeRecord); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.openers == nil {
		k.openers = make(map[salt]cipher.AEAD)
	}
	for other := range k.openers {
		if len(k.openers) < maxOpeners {
			break
		}
		delete(k.openers, other)
	}
	k.openers[of] = aead
	return aead, nil
}
