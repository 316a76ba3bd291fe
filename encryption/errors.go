package encryption

import (
	"errors"
	"fmt"
)

var (
	// ErrErased reports an entity whose keys were destroyed. It is matched by every [ErasedError].
	ErrErased = errors.New("ego: the entity was erased")

	// ErrKeyConflict reports that another process added a data key first, or has replaced or destroyed the one that was to
	// be replaced. Nothing was written; read the keys again.
	ErrKeyConflict = errors.New("encryption: conflict with a concurrent writer of the key")

	// ErrUnknownKey reports a record sealed with a key that the key store does not have, or a data key wrapped with a
	// master key that the wrapper does not have.
	ErrUnknownKey = errors.New("encryption: the key is not known")

	// ErrDamaged reports a sealed value or a wrapped key that is not what was sealed, or not in the place that it was
	// sealed for.
	ErrDamaged = errors.New("encryption: the ciphertext is damaged or was sealed for another place")

	// ErrInvalidKey reports a data key that no key store may accept. Nothing was written.
	ErrInvalidKey = errors.New("encryption: invalid key")
)

// An ErasedError reports a record that cannot be read because its entity was erased. It matches [ErrErased].
type ErasedError struct {
	PersistenceID string
	Number        uint64 // of the record; zero for the entity itself
}

func (e *ErasedError) Error() string {
	if e.Number == 0 {
		return fmt.Sprintf("ego: the entity was erased: %q", e.PersistenceID)
	}
	return fmt.Sprintf("ego: the entity was erased: record %d of %q", e.Number, e.PersistenceID)
}

// Is reports whether target is [ErrErased].
func (e *ErasedError) Is(target error) bool { return target == ErrErased }
