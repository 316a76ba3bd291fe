package ego

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/projection"
)

// StartProjection runs a registered projection in this process, until [Engine.StopProjection] or [Engine.Stop]. Processes
// that run a projection of one name share its shards. It returns before the first event is handled; a projection that
// starts from now handles every event that is committed after StartProjection returned. Starting one that runs does nothing.
// The error is [ErrProjectionNotRegistered], [ErrEngineNotStarted], or one of the context or the store.
func (e *Engine) StartProjection(ctx context.Context, name string) error {
	n, spec, err := e.projection(name)
	if err != nil {
		return err
	}
	if _, err := n.consumers.group.Start(ctx, spec); err != nil {
		if errors.Is(err, consumer.ErrStopped) {
			err = ErrEngineNotStarted
		}
		return projectionError(name, err)
	}
	return nil
}

// StopProjection ends a projection in this process: handlers finish the event, or batch, that they are at, offsets are
// recorded, and the shards are free for other processes. When the context ends first, handlers are canceled and
// StopProjection returns the error of the context. Stopping one that does not run does nothing.
func (e *Engine) StopProjection(ctx context.Context, name string) error {
	n, _, err := e.projection(name)
	if err != nil {
		return err
	}
	if err := n.consumers.group.StopConsumer(ctx, name); err != nil {
		return projectionError(name, err)
	}
	return nil
}

// IsProjectionRunning reports whether this process runs a projection and none of its shards has failed.
func (e *Engine) IsProjectionRunning(_ context.Context, name string) (bool, error) {
	n, _, err := e.consumer(name)
	if err != nil {
		return false, err
	}
	running := n.consumers.group.Consumer(name)
	return running != nil && running.Status().State != projection.Failed, nil
}

// ProjectionStatus returns the condition of a projection: how the shards fare that this process owns, and how far those of
// other processes have come. When the store does not answer, it tells what this process knows, and the store's error as the
// Err of the status. Like [Engine.ProjectionLag], [Engine.WaitForProjection] and all about dead letters, it takes a
// [SagaSubscription] as well.
func (e *Engine) ProjectionStatus(ctx context.Context, name string) (*projection.Status, error) {
	n, spec, err := e.consumer(name)
	if err != nil {
		return nil, err
	}
	status := n.consumers.group.Status(ctx, spec)
	return &status, nil
}

// RebuildProjection makes a projection handle again, in each shard, all events from the first one that is not older than a
// time; from its first event when the time is zero. It takes effect in one step, in all shards and whichever process owns
// them, or, after an error, not at all. Dead letters of events that are handled again are forgotten. Clearing the read model
// is the caller's: stop the projection first, clear, rebuild, start it again. To go on serving the old read model meanwhile,
// register the new one under a new name, and switch over when [Engine.ProjectionLag] is zero.
func (e *Engine) RebuildProjection(ctx context.Context, name string, from time.Time) error {
	n, spec, err := e.projection(name)
	if err != nil {
		return err
	}
	if err := n.consumers.group.Rebuild(ctx, spec, from); err != nil {
		return projectionError(name, err)
	}
	return nil
}

// ProjectionLag returns how far a projection is behind in every shard, whichever process runs it, and if none does.
func (e *Engine) ProjectionLag(ctx context.Context, name string) (map[uint32]projection.Lag, error) {
	n, spec, err := e.consumer(name)
	if err != nil {
		return nil, err
	}
	lag, err := n.consumers.group.Lag(ctx, spec)
	if err != nil {
		return nil, projectionError(name, err)
	}
	return lag, nil
}

// WaitForProjection returns once a projection, in this process or another, has handled an entity's events up to a revision,
// such as the one that [Engine.SendCommand] returned: who reads its read model afterwards reads their own writes. An event
// that is skipped or that the filter leaves out counts as handled. [ErrProjectionParked] reports that one of them is set
// aside, [ErrRevisionNotFound] that the entity has not come to the revision.
func (e *Engine) WaitForProjection(ctx context.Context, name, entityID string, revision uint64) error {
	n, _, err := e.consumer(name)
	if err != nil {
		return err
	}
	if err := checkEntityID(entityID); err != nil {
		return failure(entityID, nil, err)
	}
	if revision == 0 {
		return nil
	}
	shard, position, err := n.place(ctx, entityID, revision)
	if err == nil {
		err = n.consumers.group.WaitFor(ctx, name, shard, position)
	}
	if err == nil {
		err = n.checkParked(ctx, name, entityID, position)
	}
	if err != nil {
		return projectionError(name, failure(entityID, nil, err))
	}
	return nil
}

// place returns where an event stands. One that was deleted is said to stand where the newest of its entity does.
func (n *node) place(ctx context.Context, id string, revision uint64) (shard uint32, position uint64, err error) {
	for event, err := range n.events.ReplayEvents(ctx, id, revision, revision) {
		if err != nil {
			return 0, 0, err
		}
		return event.GetShard(), event.GetPosition(), nil
	}
	latest, err := n.events.GetLatestEvent(ctx, id)
	switch {
	case err != nil:
		return 0, 0, err
	case latest.GetSequenceNumber() < revision:
		return 0, 0, ErrRevisionNotFound
	default:
		return persistence.ShardOf(id, n.events.ShardCount()), latest.GetPosition(), nil
	}
}

// checkParked returns ErrProjectionParked when an event of the entity up to a position is set aside.
func (n *node) checkParked(ctx context.Context, name, id string, position uint64) error {
	if n.letters == nil {
		return nil
	}
	for letter, err := range n.letters.DeadLetters(ctx, name, id) {
		if err != nil {
			return err
		}
		if letter.GetEvent().GetPosition() <= position {
			return fmt.Errorf("%w: event %d: %s", ErrProjectionParked, letter.GetEvent().GetSequenceNumber(), letter.GetReason())
		}
	}
	return nil
}

// projection returns the node and the description of a registered projection, or of a publisher, for what a subscription of
// sagas must be kept from: it runs with its engine, and its sagas know what they have handled.
func (e *Engine) projection(name string) (*node, consumer.Spec, error) {
	n, spec, err := e.consumer(name)
	if err == nil && n.consumers.offers(name) {
		err = fmt.Errorf("%w: sagas are subscribed while the engine runs, and never anew", ErrProjectionNotRegistered)
		return nil, consumer.Spec{}, projectionError(name, err)
	}
	return n, spec, err
}

// consumer returns the node and the description of a registered projection, a publisher or a subscription of sagas.
func (e *Engine) consumer(name string) (*node, consumer.Spec, error) {
	n, err := e.running()
	if err != nil {
		return nil, consumer.Spec{}, err
	}
	spec, err := n.consumers.spec(name)
	if err != nil {
		return nil, consumer.Spec{}, projectionError(name, err)
	}
	return n, spec, nil
}

func projectionError(name string, err error) error {
	return fmt.Errorf("ego: projection %q: %w", name, trimmedError{err})
}

// trimmedError is an error that stands behind the name of this package already.
type trimmedError struct{ err error }

func (e trimmedError) Error() string { return trimmed(e.err) }
func (e trimmedError) Unwrap() error { return e.err }
