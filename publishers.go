package ego

import (
	"context"
	"errors"
	"fmt"

	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/projection"
	"github.com/actorkeep/ego/publisher"
)

type (
	// EventPublisher hands events to a broker, see [publisher.EventPublisher].
	EventPublisher = publisher.EventPublisher
	// StatePublisher hands durable states to a broker, see [publisher.StatePublisher].
	StatePublisher = publisher.StatePublisher
)

// ErrPublisherNotRegistered reports a publisher that was not added.
var ErrPublisherNotRegistered = errors.New("ego: the publisher is not registered")

// AddEventPublishers has the events of the journal published, from where each publisher has come to under its ID; one that
// has published nothing yet starts where its options say, see [publisher.WithOptions]. It may be called before Start, which
// starts them, and while the engine runs, which starts them at once. Processes that add a publisher of one ID share its
// work. Stop closes the publishers; to start the engine again, add new ones.
//
// The error says all that is wrong with the publishers; then none is added. An ID is not empty, has at most 255 bytes, does
// not begin with "ego.", and is not that of another publisher or a projection. Publishers need an events store and an offset
// store that keeps dead letters: [ErrNoEventsStore], [ErrNoOffsetStore].
func (e *Engine) AddEventPublishers(publishers ...EventPublisher) error {
	list := make([]*publication, len(publishers))
	for i, p := range publishers {
		list[i] = eventPublication(p)
	}
	return e.addPublications(list)
}

// AddStatePublishers has the latest states of durable-state entities published, under the rules of
// [Engine.AddEventPublishers]. It needs a state store: [ErrNoStateStore].
func (e *Engine) AddStatePublishers(publishers ...StatePublisher) error {
	list := make([]*publication, len(publishers))
	for i, p := range publishers {
		list[i] = statePublication(p)
	}
	return e.addPublications(list)
}

// RemovePublishers ends publishers in this process and closes them: what they are at is finished and recorded. What they
// have published stays remembered under their IDs.
func (e *Engine) RemovePublishers(ctx context.Context, ids ...string) error {
	e.lifecycle.Lock()
	defer e.lifecycle.Unlock()
	var problems []error
	for _, id := range ids {
		p := e.publications.remove(id)
		if p == nil {
			problems = append(problems, publisherError(id, ErrPublisherNotRegistered))
			continue
		}
		if n := e.node.Load(); n != nil {
			problems = append(problems, n.unpublish(ctx, id))
		}
		problems = append(problems, p.closed(ctx))
	}
	return errors.Join(problems...)
}

// PublisherStatus returns the condition of a publisher, as [Engine.ProjectionStatus] does of a projection. It is backing off
// while its broker does not answer, and Err says why.
func (e *Engine) PublisherStatus(ctx context.Context, id string) (*projection.Status, error) {
	n, spec, err := e.publisher(id)
	if err != nil {
		return nil, err
	}
	status := n.consumers.group.Status(ctx, spec)
	return &status, nil
}

// PublisherLag returns how far a publisher is behind in every shard, whichever process runs it.
func (e *Engine) PublisherLag(ctx context.Context, id string) (map[uint32]projection.Lag, error) {
	n, spec, err := e.publisher(id)
	if err != nil {
		return nil, err
	}
	lag, err := n.consumers.group.Lag(ctx, spec)
	if err != nil {
		return nil, publisherError(id, err)
	}
	return lag, nil
}

// publisher returns the node and the description of a publisher.
func (e *Engine) publisher(id string) (*node, consumer.Spec, error) {
	n, err := e.running()
	if err != nil {
		return nil, consumer.Spec{}, err
	}
	if e.publications.get(id) == nil {
		return nil, consumer.Spec{}, publisherError(id, ErrPublisherNotRegistered)
	}
	spec, err := n.consumers.spec(id)
	if err != nil {
		return nil, consumer.Spec{}, publisherError(id, ErrPublisherNotRegistered)
	}
	return n, spec, nil
}

func publisherError(id string, err error) error {
	return fmt.Errorf("ego: publisher %q: %w", id, trimmedError{err})
}

// addPublications adds all publishers or none.
func (e *Engine) addPublications(list []*publication) error {
	e.lifecycle.Lock()
	defer e.lifecycle.Unlock()
	if err := e.checkPublications(list); err != nil {
		return err
	}
	if n := e.node.Load(); n != nil {
		if err := n.publishAll(context.Background(), list); err != nil {
			return err
		}
	}
	e.publications.add(list)
	return nil
}

// checkPublications returns all that is wrong with publishers that are to be added.
func (e *Engine) checkPublications(list []*publication) error {
	var problems []error
	names := make(map[string]bool)
	for _, p := range e.config.projections {
		names[p.name] = true
	}
	for _, p := range list {
		if p == nil {
			problems = append(problems, errors.New("ego: a publisher is nil"))
			continue
		}
		if err := checkConsumerName(p.id); err != nil {
			problems = append(problems, publisherError(p.id, err))
		}
		if names[p.id] || e.publications.get(p.id) != nil {
			problems = append(problems, publisherError(p.id, errors.New("there is a publisher or projection of that name already")))
		}
		names[p.id] = true
		if err := p.options.Validate(); err != nil {
			problems = append(problems, publisherError(p.id, err))
		}
		if err := p.checkStores(e.stores()); err != nil {
			problems = append(problems, publisherError(p.id, err))
		}
	}
	return errors.Join(problems...)
}
