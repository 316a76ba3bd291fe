package ego

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/persistence"
)

// Saga starts a saga and returns once that is durable. A saga that was started before stays as it is, finished or not: the
// call does nothing then. When the timeout has passed since the recorded start, whatever happened meanwhile, a saga that
// has not finished compensates; zero is no timeout.
//
// The kind of the saga is the registered kind that builds the same Go type, see [SagaKind], else the name of its type. A
// saga of a registered kind goes on after a restart by itself; any other once Saga is called for it again.
func (e *Engine) Saga(ctx context.Context, behavior SagaBehavior, timeout time.Duration) error {
	n, err := e.sagas()
	if err != nil {
		return err
	}
	id, err := sagaID(behavior)
	if err != nil {
		return err
	}
	if timeout < 0 {
		return fmt.Errorf("ego: saga %q: the timeout %v is below zero", id, timeout)
	}
	if err := n.sagas.begin(ctx, id, behavior, timeout); err != nil {
		return sagaError(id, err)
	}
	return nil
}

// begin starts a saga.
func (ss *sagas) begin(ctx context.Context, id string, b SagaBehavior, timeout time.Duration) error {
	n, pid := ss.node, saga.Prefix+id
	entry, err := ss.describe(ctx, id, b)
	if err != nil {
		return err
	}
	added := n.spawned.add(pid, entry)
	if known := n.spawned.get(pid); known != nil && known.kind != entry.kind {
		return fmt.Errorf("%w: live as %q, used as %q", ErrKindMismatch, known.kind, entry.kind)
	}
	var heads map[uint32]uint64
	if entry.saga.correlate == nil {
		if heads, err = n.events.ShardPositions(ctx); err != nil {
			return err
		}
	}
	for {
		err = ss.insist(ctx, pid, saga.NewStart(timeout, heads), n.config.recoveryTimeout)
		if !errors.Is(err, ErrEntityNotFound) || ctx.Err() != nil {
			break // else it met an activation from before the saga was remembered
		}
	}
	if err != nil && added && !errors.Is(err, ErrOutcomeUnknown) {
		n.spawned.remove(pid)
		err = errors.Join(err, n.host.Evict(ctx, pid))
	}
	if n.cluster != nil {
		n.cluster.handOver(ctx, pid)
	}
	return err
}

// describe finds the kind of a saga. One that is not registered is subscribed to events now.
func (ss *sagas) describe(ctx context.Context, id string, b SagaBehavior) (*spawn, error) {
	n := ss.node
	entry := &spawn{kind: typeName(b), behavior: b, config: n.config.entities, saga: new(sagaConfig)}
	kind, err := n.kinds.of(b, id)
	if err != nil {
		return nil, err
	}
	if kind != nil {
		if kind.saga == nil {
			return nil, fmt.Errorf("%w: kind %q is one of entities", ErrKindMismatch, kind.name)
		}
		entry.kind, entry.saga, entry.rebuilt = kind.name, kind.saga, true
		return entry, nil
	}
	if n.cluster != nil {
		return nil, fmt.Errorf("%w: %q, and another node could not run it", ErrKindNotRegistered, entry.kind)
	}
	return entry, ss.subscribe(ctx, entry.kind, entry.saga)
}

// SagaStatus returns what is stored of a saga. It reads the store and waits for nothing that the saga is at. An unknown
// saga is [ErrEntityNotFound]. The call ends with the first of the context and the timeout; zero is 5 seconds.
func (e *Engine) SagaStatus(ctx context.Context, sagaID string, timeout time.Duration) (*SagaInfo, error) {
	n, err := e.sagas()
	if err != nil {
		return nil, err
	}
	if err := checkSagaID(sagaID); err != nil {
		return nil, err
	}
	if timeout <= 0 {
		timeout = defaultCommandTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	info, err := n.sagas.info(ctx, sagaID)
	if err != nil {
		return nil, sagaError(sagaID, err)
	}
	return info, nil
}

// info reads a saga's stream.
func (ss *sagas) info(ctx context.Context, id string) (*SagaInfo, error) {
	latest, err := ss.node.events.GetLatestEvent(ctx, saga.Prefix+id)
	if err != nil {
		return nil, err
	}
	if latest == nil {
		return nil, ErrEntityNotFound
	}
	b, err := ss.behaviorOf(id, latest.GetKind())
	if err != nil {
		return nil, err
	}
	state, err := ss.fold(ctx, id, latest, b)
	if err != nil {
		return nil, err
	}
	return &SagaInfo{
		ID:       id,
		Kind:     latest.GetKind(),
		Status:   SagaStatus(state.Status),
		State:    proto.Clone(state.Message),
		Revision: latest.GetSequenceNumber(),
		Reason:   state.Reason,
	}, nil
}

// fold returns the state of a saga at a record of its stream.
func (ss *sagas) fold(ctx context.Context, id string, at *egopb.Event, b SagaBehavior) (*saga.State, error) {
	pid, kind := saga.Prefix+id, at.GetKind()
	machine := saga.NewMachine(saga.Config{ID: id, PersistenceID: pid, Kind: kind, Behavior: sagaBehavior{b}, Now: time.Now})
	folded, err := entity.StateAt(ctx, pid, kind, machine, at.GetSequenceNumber(), new(entity.Settings), ss.ports.Shared)
	if err != nil {
		return nil, err
	}
	return folded.(*saga.State), nil //nolint:forcetypeassert // a machine knows no other
}

// behaviorOf returns a behaviour for reading a saga.
func (ss *sagas) behaviorOf(id, kindName string) (SagaBehavior, error) {
	n := ss.node
	if kind, registered := n.kinds.byName[kindName]; registered && kind.saga != nil {
		built, err := kind.build(id)
		if err != nil {
			return nil, err
		}
		return built.(SagaBehavior), nil //nolint:forcetypeassert // see SagaKind
	}
	if entry := n.spawned.get(saga.Prefix + id); entry != nil && entry.saga != nil {
		return entry.behavior.(SagaBehavior), nil //nolint:forcetypeassert // see begin
	}
	return nil, fmt.Errorf("%w: %q", ErrKindNotRegistered, kindName)
}

// CancelSaga makes a saga compensate and returns once that is durable; the compensation itself goes on afterwards. It does
// nothing to a saga that compensates, has compensated or has failed. One that has completed is [ErrSagaFinished], and one
// that is not known is [ErrEntityNotFound].
func (e *Engine) CancelSaga(ctx context.Context, sagaID string) error {
	return e.tellSaga(ctx, sagaID, saga.NewCancel("it was canceled"))
}

// RetrySaga makes a saga go on that has failed to compensate, from the command that was refused, and returns once that is
// durable. It does nothing to a saga that runs or compensates. One that has completed or compensated is [ErrSagaFinished],
// and one that is not known is [ErrEntityNotFound].
func (e *Engine) RetrySaga(ctx context.Context, sagaID string) error {
	return e.tellSaga(ctx, sagaID, saga.NewRetry())
}

func (e *Engine) tellSaga(ctx context.Context, id string, input proto.Message) error {
	n, err := e.sagas()
	if err != nil {
		return err
	}
	if err := checkSagaID(id); err != nil {
		return err
	}
	err = n.sagas.bring(ctx, saga.Prefix+id, input, n.config.recoveryTimeout)
	if errors.Is(err, saga.ErrNotStarted) {
		err = ErrEntityNotFound
	}
	if err != nil {
		return sagaError(id, err)
	}
	return nil
}

// sagas returns the running node when it can run sagas.
func (e *Engine) sagas() (*node, error) {
	n, err := e.running()
	if err != nil {
		return nil, err
	}
	return n, e.stores().checkSagas()
}

// sagaID returns the id of a saga, or an error when it has none that a store can hold.
func sagaID(b SagaBehavior) (string, error) {
	id, err := behaviorID(b)
	if err != nil {
		return "", err
	}
	return id, checkSagaID(id)
}

func checkSagaID(id string) error {
	if id == "" {
		return ErrUndefinedEntityID
	}
	if err := persistence.CheckID(saga.Prefix + id); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidEntityID, err)
	}
	return nil
}

// sagaError is the error of a call about a saga.
func sagaError(id string, err error) error {
	var refusal *entity.Refusal
	if errors.As(err, &refusal) && !errors.Is(err, ErrRecovery) {
		err = refusal.Err
	}
	return failure(id, nil, err)
}
