package entity

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/envelope"
)

// admit returns nil when the entity may be used, and lets go of what is known of a former life. An entity that was erased
// is [encryption.ErrErased], or begins another life.
func (e *Entity) admit(ctx context.Context) error {
	life, err := e.shared.Codec.LifeOf(ctx, e.id)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRecovery, err)
	}
	if e.live && (life.Phase != encryption.Alive || life.Erasures != e.erasures) {
		e.failGroup(&encryption.ErasedError{PersistenceID: e.id}) // decided and not stored
		e.goCold()
	}
	e.erasures = life.Erasures
	switch {
	case life.Phase == encryption.Alive:
		return nil
	case life.Phase == encryption.Erased && e.shared.StartAnew:
		if err := e.shared.Codec.Revive(ctx, e.id); err != nil {
			return fmt.Errorf("%w: %w", ErrRecovery, err)
		}
		return nil
	}
	return &encryption.ErasedError{PersistenceID: e.id}
}

// mayBegin returns nil when an entity, of which an erasure is the last that is stored, may begin another life.
func (s *Shared) mayBegin(ctx context.Context, id string) error {
	switch {
	case !s.StartAnew:
		return &encryption.ErasedError{PersistenceID: id}
	case s.Finished == nil:
		return nil
	}
	return s.Finished(ctx, id)
}

// notPacked says why a message was not packed: the handler that made it is to blame, unless it is its key that is missing.
func notPacked(what string, message proto.Message, err error) error {
	if errors.Is(err, encryption.ErrErased) {
		return err
	}
	if _, ok := errors.AsType[*envelope.KeyError](err); ok {
		return fmt.Errorf("%w: %w", ErrWriteFailed, err)
	}
	return invalid("%s %s cannot be stored: %w", what, message.ProtoReflect().Descriptor().FullName(), err)
}
