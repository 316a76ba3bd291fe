package entity

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/envelope"
)

// ErrRevisionNotFound reports a revision that an entity has not reached, or whose events were deleted.
var ErrRevisionNotFound = errors.New("ego: the revision is not known")

// StateAt returns the state of an entity at a revision, from the newest usable snapshot below it and the events between.
func StateAt(ctx context.Context, id, kind string, behavior EventSourced, revision uint64, settings *Settings, shared *Shared) (proto.Message, error) {
	m := &eventSourced{id: id, kind: kind, behavior: behavior, settings: settings, shared: shared}
	latest, err := shared.Events.GetLatestEvent(ctx, id)
	if err != nil {
		return nil, err
	}
	if envelope.IsErasure(latest) && revision < latest.GetSequenceNumber() { // whatever snapshot there may still be
		return nil, &encryption.ErasedError{PersistenceID: id}
	}
	reached, err := m.recover(ctx, revision, new(window))
	if err != nil {
		return nil, err
	}
	if reached.revision != revision {
		return nil, fmt.Errorf("%w: revision %d was asked for, the entity is at %d", ErrRevisionNotFound, revision, reached.revision)
	}
	return reached.state, nil
}
