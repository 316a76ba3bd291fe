package encryption

import (
	"context"
	"fmt"

	"github.com/actorkeep/ego/egopb"
)

// A KeyStore keeps wrapped data keys and remembers which entities were erased. Every ego store is one; package
// persistencetest has its conformance suite.
//
// A key store must make every write durable before it returns, obey contexts, accept concurrent calls, keep and share no
// memory with its callers, and give each write the effect of a transaction, between processes as well. What it has
// destroyed must not come back by any of its calls, nor by a dump. A store that can also remove the traces from its files is
// a persistence.Scrubber; one that cannot says for how long they stay.
type KeyStore interface {
	Erasures

	// DataKeys returns the keys of an entity by ascending version, the destroyed ones included, and what the entity is,
	// both from the same moment.
	DataKeys(ctx context.Context, persistenceID string) ([]*egopb.DataKey, Life, error)

	// AddDataKey stores a key. Its version must follow the highest one of its entity, counted from one, and its id must be
	// new to the entity, else it is [ErrKeyConflict]. For an entity that is not [Alive] it is [ErrErased]. A key that
	// [CheckDataKey] refuses is [ErrInvalidKey].
	AddDataKey(ctx context.Context, key *egopb.DataKey) error

	// ReplaceDataKey stores a key in another wrapping in place of the one of the same version and id, which must still be
	// wrapped with the master key formerMasterKeyID and not be destroyed, else it is [ErrKeyConflict].
	ReplaceDataKey(ctx context.Context, key *egopb.DataKey, formerMasterKeyID string) error

	// ListDataKeys returns at most limit keys after the key of an entity with a version, ordered by the bytes of entity ids
	// and then by version, without the destroyed ones. An empty id and zero begin at the first.
	ListDataKeys(ctx context.Context, afterPersistenceID string, afterVersion uint64, limit int) ([]*egopb.DataKey, error)
}

// CheckDataKey returns [ErrInvalidKey] for a key that a store must refuse to add or replace.
func CheckDataKey(key *egopb.DataKey) error {
	switch {
	case key == nil:
		return fmt.Errorf("%w: it is nil", ErrInvalidKey)
	case key.GetPersistenceId() == "":
		return fmt.Errorf("%w: its entity is empty", ErrInvalidKey)
	case key.GetKeyId() == "":
		return fmt.Errorf("%w: its id is empty", ErrInvalidKey)
	case key.GetVersion() == 0 || key.GetVersion() > 1<<31:
		return fmt.Errorf("%w: version %d is out of range", ErrInvalidKey, key.GetVersion())
	case len(key.GetWrapped()) == 0 || key.GetDestroyed():
		return fmt.Errorf("%w: there is no key in it", ErrInvalidKey)
	}
	return nil
}

// CheckLimit returns an error for a limit below one.
func CheckLimit(limit int) error {
	if limit < 1 {
		return fmt.Errorf("%w: limit %d is below one", ErrInvalidKey, limit)
	}
	return nil
}
