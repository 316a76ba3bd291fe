package ego

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/egoactor"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/persistence"
)

// Entity makes an event-sourced entity live, or finds it live, and returns once it has recovered. An entity that is live
// as another kind is [ErrKindMismatch]; one that is live as the same kind keeps the behaviour and the options it has.
//
// The kind of the behaviour is the registered kind that builds the same Go type, else the name of its type. Only an entity
// of a registered kind comes back to life in another run of the program without another call to Entity.
func (e *Engine) Entity(ctx context.Context, behavior EventSourcedBehavior, opts ...SpawnOption) error {
	n, err := e.running()
	if err != nil {
		return err
	}
	if n.events == nil {
		return ErrNoEventsStore
	}
	return n.spawnEntity(ctx, behavior, opts)
}

// DurableStateEntity makes a durable-state entity live, or finds it live, under the same rules as [Engine.Entity]. It needs
// a state store, see [WithStateStore]; without one it is [ErrNoStateStore].
func (e *Engine) DurableStateEntity(ctx context.Context, behavior DurableStateBehavior, opts ...SpawnOption) error {
	n, err := e.running()
	if err != nil {
		return err
	}
	if n.states == nil {
		return ErrNoStateStore
	}
	return n.spawnEntity(ctx, behavior, opts)
}

func (n *node) spawnEntity(ctx context.Context, b behavior, opts []SpawnOption) error {
	id, err := behaviorID(b)
	if err != nil {
		return err
	}
	if n.cluster != nil {
		err = n.cluster.spawn(ctx, id, b, opts)
	} else {
		err = n.spawn(ctx, id, b, opts)
	}
	if err != nil {
		return failure(id, nil, err)
	}
	return nil
}

// behaviorID returns the id of a behaviour, or an error when it has none that a store can hold.
func behaviorID(b behavior) (id string, err error) {
	if isNil(b) {
		return "", fmt.Errorf("%w: it is nil", ErrInvalidBehavior)
	}
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("%w: ID of %T panicked: %v", ErrInvalidBehavior, b, value)
		}
	}()
	id = b.ID()
	return id, checkEntityID(id)
}

// checkEntityID returns an error for an id that no store can hold.
func checkEntityID(id string) error {
	if id == "" {
		return ErrUndefinedEntityID
	}
	if err := persistence.CheckID(id); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidEntityID, err)
	}
	if strings.HasPrefix(id, saga.Prefix) {
		return fmt.Errorf("%w: %q begins the ids of sagas", ErrInvalidEntityID, saga.Prefix)
	}
	return nil
}

// spawn remembers what an entity is and makes it recover.
func (n *node) spawn(ctx context.Context, id string, b behavior, opts []SpawnOption) error {
	entry, err := n.describe(id, b, opts)
	if err != nil {
		return err
	}
	if cell := n.host.Cell(id); cell != nil {
		if kind, live := cell.Live(); live && kind != entry.kind {
			return fmt.Errorf("%w: live as %q, used as %q", ErrKindMismatch, kind, entry.kind)
		}
	}
	added := n.spawned.add(id, entry)
	if known := n.spawned.get(id); known != nil && known.kind != entry.kind {
		return fmt.Errorf("%w: live as %q, used as %q", ErrKindMismatch, known.kind, entry.kind)
	}
	err = n.enliven(ctx, id)
	if err != nil && added {
		n.spawned.remove(id)
		err = errors.Join(err, n.host.Evict(ctx, id)) // it must not stay live as what it is not
	}
	return err
}

// enliven waits until a remembered entity has recovered. It asks again when it meets an activation from before the entity
// was remembered.
func (n *node) enliven(ctx context.Context, id string) error {
	for {
		_, _, err := n.request(ctx, id, nil, n.config.recoveryTimeout)
		if !errors.Is(err, ErrEntityNotFound) {
			return err
		}
	}
}

// describe finds the kind and the settings of a behaviour.
func (n *node) describe(id string, b behavior, opts []SpawnOption) (*spawn, error) {
	entry := &spawn{kind: typeName(b), behavior: b}
	base := n.config.entities
	kind, err := n.kinds.of(b, id)
	if err != nil {
		return nil, err
	}
	if kind != nil && kind.saga != nil {
		return nil, fmt.Errorf("%w: kind %q is one of sagas", ErrKindMismatch, kind.name)
	}
	if kind != nil {
		entry.kind, entry.rebuilt = kind.name, len(opts) == 0
		if base, err = base.with(kind.options); err != nil {
			return nil, err
		}
	}
	entry.config, err = base.with(opts)
	return entry, err
}

// activation finds out what an entity is: what Entity was told, else what the store says.
func (n *node) activation(ctx context.Context, id string) (egoactor.Activation, error) {
	if entry := n.spawned.get(id); entry != nil {
		return n.activate(id, entry), nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.config.writeTimeout)
	defer cancel()
	kind, err := n.storedKind(ctx, id)
	if err != nil {
		return egoactor.Activation{}, err
	}
	built, err := kind.build(strings.TrimPrefix(id, saga.Prefix))
	if err != nil {
		return egoactor.Activation{}, err
	}
	config, err := n.config.entities.with(kind.options)
	if err != nil {
		return egoactor.Activation{}, err
	}
	return n.activate(id, &spawn{kind: kind.name, behavior: built, config: config, saga: kind.saga}), nil
}

func (n *node) activate(id string, entry *spawn) egoactor.Activation {
	activation := egoactor.Activation{Kind: entry.kind, PassivateAfter: entry.config.passivateAfter}
	settings := &entry.config.settings
	if b, ok := entry.behavior.(SagaBehavior); ok && entry.saga != nil {
		return n.activateSaga(id, entry, b)
	}
	switch b := entry.behavior.(type) {
	case EventSourcedBehavior:
		activation.Core = entity.NewEventSourced(id, entry.kind, b, settings, n.shared)
	case DurableStateBehavior:
		activation.Core = entity.NewDurableState(id, entry.kind, b, settings, n.shared)
	}
	return activation
}

// storedKind returns the registered kind of an entity that a store knows.
func (n *node) storedKind(ctx context.Context, id string) (*Kind, error) {
	name, durable, err := n.lookUp(ctx, id)
	if err != nil {
		return nil, err
	}
	kind, registered := n.kinds.byName[name]
	switch {
	case !registered:
		return nil, fmt.Errorf("%w: %q", ErrKindNotRegistered, name)
	case (kind.saga != nil) != strings.HasPrefix(id, saga.Prefix):
		return nil, fmt.Errorf("%w: kind %q is registered as the other of saga and entity", ErrKindMismatch, name)
	case kind.durable != durable:
		return nil, fmt.Errorf("%w: kind %q is registered as the other of event-sourced and durable state", ErrKindMismatch, name)
	}
	return kind, nil
}

// lookUp returns the kind of an entity that a store knows, and whether it keeps durable state. An entity that none knows is
// [ErrEntityNotFound], one that was erased for ever [ErrErased].
func (n *node) lookUp(ctx context.Context, id string) (kind string, durable bool, err error) {
	if n.events != nil {
		latest, err := n.events.GetLatestEvent(ctx, id)
		if err != nil {
			return "", false, fmt.Errorf("%w: %w", ErrRecovery, err)
		}
		if latest != nil {
			return latest.GetKind(), false, n.checkErased(id, envelope.IsErasure(latest))
		}
	}
	if n.states != nil {
		latest, err := n.states.GetLatestState(ctx, id)
		if err != nil {
			return "", false, fmt.Errorf("%w: %w", ErrRecovery, err)
		}
		if latest != nil {
			return latest.GetKind(), true, n.checkErased(id, envelope.IsErasedState(latest))
		}
	}
	return "", false, ErrEntityNotFound
}

// kindOf returns the kind of an entity for the log, empty when nobody knows it.
func (n *node) kindOf(ctx context.Context, id string) string {
	if entry := n.spawned.get(id); entry != nil {
		return entry.kind
	}
	kind, _, err := n.lookUp(ctx, id)
	if err != nil && !errors.Is(err, ErrErased) {
		return ""
	}
	return kind
}

// checkErased returns [ErrErased] for an entity of which the last that is stored is its end, unless it may start anew.
func (n *node) checkErased(id string, ended bool) error {
	if ended && !n.config.erasure.StartAnew {
		return &encryption.ErasedError{PersistenceID: id}
	}
	return nil
}

// EntityExists reports whether an entity is live in this engine, or in its cluster, or known to a store, and was not erased for ever.
func (e *Engine) EntityExists(ctx context.Context, entityID string) (bool, error) {
	n, err := e.running()
	if err != nil {
		return false, err
	}
	if err := checkEntityID(entityID); err != nil {
		return false, err
	}
	if n.spawned.get(entityID) != nil {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.config.writeTimeout)
	defer cancel()
	_, _, err = n.lookUp(ctx, entityID)
	if errors.Is(err, ErrEntityNotFound) && n.cluster != nil {
		_, _, err = n.cluster.request(ctx, entityID, nil, n.config.writeTimeout) // it may be live and have no events yet
	}
	if errors.Is(err, ErrEntityNotFound) || errors.Is(err, ErrErased) {
		return false, nil
	}
	if err != nil {
		return false, failure(entityID, nil, err)
	}
	return true, nil
}
