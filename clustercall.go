package ego

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/cluster"
	"github.com/actorkeep/ego/internal/egoactor"
)

// request sends a command, or a question for the state when it is nil, to the node that owns the entity.
func (c *clustered) request(ctx context.Context, id string, command Command, timeout time.Duration) (State, uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, gaveUp(ctx, false)
	}
	if timeout == 0 {
		timeout = defaultCommandTimeout
	}
	metadata := metadataOf(ctx)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var state State
	var revision uint64
	reply, err := c.node.Do(ctx, &cluster.Call{
		EntityID:   id,
		Repeatable: command == nil || metadata != nil && metadata.CommandID != "",
		Local: func(ctx context.Context) (err error) {
			state, revision, err = c.requestHere(ctx, id, command, c.fresh.kind(id))
			return err
		},
		Request: func() (*egopb.ClusterRequest, error) { return c.newRequest(id, command, metadata) },
	})
	if err != nil {
		return nil, 0, callError(ctx, err)
	}
	if reply != nil {
		state, revision, err = openReply(id, command, reply)
	}
	if err == nil && revision > 0 {
		c.fresh.forget(id)
	}
	return state, revision, err
}

// newRequest puts what travels with a command into a request.
func (c *clustered) newRequest(id string, command Command, metadata *Metadata) (*egopb.ClusterRequest, error) {
	r := &egopb.ClusterRequest{Operation: egopb.ClusterOperation_CLUSTER_OPERATION_STATE, EntityId: id, Kind: c.fresh.kind(id)}
	if command != nil {
		packed, err := anypb.New(command)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalidCommand, err)
		}
		r.Operation, r.Command = egopb.ClusterOperation_CLUSTER_OPERATION_COMMAND, packed
	}
	if metadata == nil {
		return r, nil
	}
	r.CommandId, r.CorrelationId, r.CausationId = metadata.CommandID, metadata.CorrelationID, metadata.CausationID
	r.Tags, r.Metadata = metadata.Tags, metadata.Values
	if metadata.TraceParent != "" {
		r.Trace = &egopb.TraceContext{Traceparent: metadata.TraceParent, Tracestate: metadata.TraceState}
	}
	return r, nil
}

// callError says what became of a call that has no reply.
func callError(ctx context.Context, err error) error {
	var gave *cluster.GaveUpError
	var doubt *cluster.InDoubtError
	switch {
	case errors.As(err, &gave):
		if !gave.MayTakeEffect && errors.Is(gave.Last, ErrConflict) {
			return gave.Last
		}
		err = gaveUp(ctx, gave.MayTakeEffect)
		if gave.Last != nil {
			err = fmt.Errorf("%w: %w", err, gave.Last)
		}
		return err
	case errors.As(err, &doubt):
		return fmt.Errorf("%w: its node is gone: %w", ErrOutcomeUnknown, doubt.Err)
	case errors.Is(err, cluster.ErrOverloaded):
		return fmt.Errorf("%w: %w", ErrOverloaded, err)
	case errors.Is(err, cluster.ErrTooLarge):
		return fmt.Errorf("%w: %w", ErrInvalidCommand, err)
	}
	return err
}

// requestHere sends a request to an entity of this node. An entity that no store knows is brought to life as the kind that
// its caller has named, if any.
func (c *clustered) requestHere(ctx context.Context, id string, command Command, kind string) (State, uint64, error) {
	state, revision, err := c.send(ctx, id, command)
	if errors.Is(err, ErrEntityNotFound) && kind != "" {
		if err = c.activate(ctx, id, kind); err == nil {
			state, revision, err = c.send(ctx, id, command)
		}
	}
	return state, revision, again(err)
}

func (c *clustered) send(ctx context.Context, id string, command Command) (State, uint64, error) {
	deadline, _ := ctx.Deadline()
	return c.local.request(ctx, id, command, max(time.Until(deadline), 1))
}

// activate brings an entity to life as a registered kind.
func (c *clustered) activate(ctx context.Context, id, kind string) error {
	registered, ok := c.local.kinds.byName[kind]
	if !ok {
		return fmt.Errorf("%w: %q", ErrKindNotRegistered, kind)
	}
	built, err := registered.build(id)
	if err != nil {
		return err
	}
	return c.local.spawn(ctx, id, built, nil)
}

// spawn brings an entity to life on the node that owns it.
func (c *clustered) spawn(ctx context.Context, id string, b behavior, opts []SpawnOption) error {
	if len(opts) > 0 {
		return fmt.Errorf("%w: options do not travel in a cluster, give them to the kind", ErrInvalidBehavior)
	}
	entry, err := c.local.describe(id, b, nil)
	if err != nil {
		return err
	}
	if !entry.rebuilt {
		return fmt.Errorf("%w: %q, and another node could not build it", ErrKindNotRegistered, entry.kind)
	}
	revision, err := c.repeatable(ctx, id, egopb.ClusterOperation_CLUSTER_OPERATION_ACTIVATE, entry.kind,
		func(ctx context.Context) error { return c.activate(ctx, id, entry.kind) })
	if err == nil && revision == 0 {
		c.fresh.remember(id, entry.kind)
	}
	return err
}

// erase erases an entity on the node that owns it, where it may be live.
func (c *clustered) erase(ctx context.Context, id string) error {
	_, err := c.repeatable(ctx, id, egopb.ClusterOperation_CLUSTER_OPERATION_ERASE, c.fresh.kind(id),
		func(ctx context.Context) error { return c.local.erase(ctx, id) })
	c.fresh.forget(id)
	return err
}

// repeatable asks the node that owns an entity for something that may be done twice.
func (c *clustered) repeatable(ctx context.Context, id string, operation egopb.ClusterOperation, kind string,
	local func(ctx context.Context) error,
) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.local.config.recoveryTimeout)
	defer cancel()
	reply, err := c.node.Do(ctx, &cluster.Call{
		EntityID:   id,
		Repeatable: true,
		Local:      func(ctx context.Context) error { return again(local(ctx)) },
		Request: func() (*egopb.ClusterRequest, error) {
			return &egopb.ClusterRequest{Operation: operation, EntityId: id, Kind: kind}, nil
		},
	})
	if err != nil {
		return 0, callError(ctx, err)
	}
	if failed := reply.GetFailure(); failed != nil {
		return 0, openFailure(id, nil, failed)
	}
	return reply.GetRevision(), nil
}

// again marks an error of a call that had no effect and may succeed soon, here or elsewhere.
func again(err error) error {
	if errors.Is(err, ErrConflict) || errors.Is(err, egoactor.ErrStopped) {
		return fmt.Errorf("%w: %w", cluster.ErrAgain, err)
	}
	return err
}

// serve answers a request of another node and records it.
func (c *clustered) serve(ctx context.Context, r *egopb.ClusterRequest) (*egopb.ClusterReply, error) {
	ctx, ended := c.local.record.Serve(ctx, r)
	reply, err := c.answer(ctx, r)
	ended(reply, err)
	return reply, err
}

func (c *clustered) answer(ctx context.Context, r *egopb.ClusterRequest) (*egopb.ClusterReply, error) {
	var state State
	var revision uint64
	var command Command
	var err error
	switch r.GetOperation() {
	case egopb.ClusterOperation_CLUSTER_OPERATION_ACTIVATE:
		if err = c.activate(ctx, r.GetEntityId(), r.GetKind()); err == nil {
			_, revision, err = c.send(ctx, r.GetEntityId(), nil)
		}
		err = again(err)
	case egopb.ClusterOperation_CLUSTER_OPERATION_ERASE:
		err = again(c.local.erase(ctx, r.GetEntityId()))
	case egopb.ClusterOperation_CLUSTER_OPERATION_SAGA:
		err = c.serveSaga(ctx, r)
	case egopb.ClusterOperation_CLUSTER_OPERATION_COMMAND:
		if command, err = r.GetCommand().UnmarshalNew(); err != nil {
			err = fmt.Errorf("%w: %w", ErrInvalidCommand, err)
			break
		}
		fallthrough
	case egopb.ClusterOperation_CLUSTER_OPERATION_STATE:
		state, revision, err = c.requestHere(travelled(ctx, r), r.GetEntityId(), command, r.GetKind())
	default:
		err = fmt.Errorf("ego: this node does not know operation %v", r.GetOperation())
	}
	if errors.Is(err, egoactor.ErrStopped) {
		return &egopb.ClusterReply{Moved: true}, nil
	}
	return newReply(r.GetEntityId(), command, state, revision, err), err
}

// travelled returns a context with what travelled with a command, besides its trace.
func travelled(ctx context.Context, r *egopb.ClusterRequest) context.Context {
	metadata := Metadata{
		CommandID:     r.GetCommandId(),
		CorrelationID: r.GetCorrelationId(),
		CausationID:   r.GetCausationId(),
		Tags:          r.GetTags(),
		Values:        maps.Clone(r.GetMetadata()),
	}
	return context.WithValue(ctx, metadataKey{}, &metadata)
}

// fresh remembers the kinds of entities that were brought to life through this node and may not be in a store yet, so that
// they can be brought to life elsewhere when their node dies before their first event.
type fresh struct {
	mu   sync.RWMutex
	byID map[string]string
}

func (f *fresh) kind(id string) string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.byID[id]
}

func (f *fresh) remember(id, kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byID == nil {
		f.byID = make(map[string]string)
	}
	f.byID[id] = kind
}

func (f *fresh) forget(id string) {
	if f.kind(id) == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byID, id)
}
