package ego

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/actorkeep/ego/internal/consumer"
)

// publications are the publishers that were added to an engine.
type publications struct {
	mu   sync.Mutex
	list []*publication // in the order in which they were added
}

// get returns the publisher of an ID, nil when there is none.
func (ps *publications) get(id string) *publication {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.list {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (ps *publications) all() []*publication {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return slices.Clone(ps.list)
}

func (ps *publications) add(list []*publication) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.list = append(ps.list, list...)
}

// remove forgets the publisher of an ID and returns it, nil when there is none.
func (ps *publications) remove(id string) *publication {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for i, p := range ps.list {
		if p.id == id {
			ps.list = slices.Delete(ps.list, i, i+1)
			return p
		}
	}
	return nil
}

// closeAll closes and forgets all publishers.
func (ps *publications) closeAll(ctx context.Context) error {
	ps.mu.Lock()
	list := ps.list
	ps.list = nil
	ps.mu.Unlock()
	problems := make([]error, len(list))
	var closing sync.WaitGroup
	for i, p := range list {
		closing.Go(func() { problems[i] = p.closed(ctx) })
	}
	closing.Wait()
	return errors.Join(problems...)
}

// publish runs a publisher.
func (n *node) publish(ctx context.Context, p *publication) error {
	if n.consumers == nil {
		return ErrNoOffsetStore
	}
	spec := p.spec(n)
	if _, err := n.consumers.group.Start(ctx, spec); err != nil {
		if errors.Is(err, consumer.ErrStopped) {
			err = ErrEngineNotStarted
		}
		return err
	}
	n.consumers.added(spec)
	return nil
}

// publishAll runs publishers, or none when one cannot be run.
func (n *node) publishAll(ctx context.Context, list []*publication) error {
	for i, p := range list {
		if err := n.publish(ctx, p); err != nil {
			problems := []error{publisherError(p.id, err)}
			for _, running := range list[:i] {
				problems = append(problems, n.unpublish(ctx, running.id))
			}
			return errors.Join(problems...)
		}
	}
	return nil
}

// unpublish ends a publisher.
func (n *node) unpublish(ctx context.Context, id string) error {
	n.consumers.removed(id)
	if err := n.consumers.group.StopConsumer(ctx, id); err != nil {
		return publisherError(id, err)
	}
	return nil
}
