package entity

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// ErrRevisionNotFound reports a revision that an entity has not reached, or whose events were deleted.
var ErrRevisionNotFound = errors.New("ego: the revision is not known")

// StateAt folds the journal of an entity up to and including a revision.
func StateAt(ctx context.Context, id, kind string, behavior EventSourced, revision uint64, shared *Shared) (proto.Message, error) {
	m := &eventSourced{id: id, kind: kind, behavior: behavior, shared: shared}
	initial, err := m.initialState()
	if err != nil {
		return nil, err
	}
	if revision == 0 {
		return initial, nil
	}
	reached, err := m.replay(ctx, memory{state: initial}, revision, new(window))
	if err != nil {
		return nil, err
	}
	if reached.revision != revision {
		return nil, fmt.Errorf("%w: revision %d was asked for, the entity is at %d", ErrRevisionNotFound, revision, reached.revision)
	}
	return reached.state, nil
}
