package consumer

import (
	"context"
	"errors"
	"slices"
)

// requestsName is the consumer whose dead letters are requests about the dead letters of others: kind names the consumer,
// the persistence id the entity, the reason what to do. The process that owns the shard finds them, carries them out and
// deletes them; they survive whatever dies in between. The sequence number is the end that a life to forget has.
const requestsName = "ego.requests"

var (
	// ErrNoLetters reports a group without a dead-letter store.
	ErrNoLetters = errors.New("consumer: no dead-letter store")

	// ErrNoAnswer reports that the owner of a shard, in another process, has not begun with what it was asked for, as a
	// handler keeps it busy or the process cannot do more than renew its leases. Nothing is asked of it any longer.
	ErrNoAnswer = errors.New("consumer: the owner of the shard does not answer")

	errElsewhere = errors.New("consumer: the shard has an owner elsewhere")
)

// RetryLetters offers the dead letters of a consumer again, those of the entities given or all, in order, and returns when
// that is done. One that fails goes back in its place, with those of its entity behind it, and is no error.
func (g *Group) RetryLetters(ctx context.Context, spec Spec, ids ...string) error {
	return g.settle(ctx, spec, order{action: retry, ids: ids})
}

// DiscardLetters deletes dead letters of a consumer, those of the entities given or all, and returns when that is done.
func (g *Group) DiscardLetters(ctx context.Context, spec Spec, ids ...string) error {
	return g.settle(ctx, spec, order{action: discard, ids: ids})
}

// ForgetLetters deletes the dead letters of an entity whose life ended with a number, and returns when that is done. It leaves
// those of its next life, and ends that a sink has failed at.
func (g *Group) ForgetLetters(ctx context.Context, spec Spec, id string, end uint64) error {
	return g.settle(ctx, spec, order{action: forget, ids: []string{id}, end: end})
}

func (g *Group) settle(ctx context.Context, spec Spec, what order) error {
	if g.config.Letters == nil {
		return ErrNoLetters
	}
	entities, err := g.parkedByShard(ctx, spec.Name, what.ids)
	if err != nil {
		return err
	}
	var problems []error
	for shard, ids := range entities {
		what.ids = ids
		if err := g.settleShard(ctx, spec.withDefaults(), shard, what); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// parkedByShard returns the entities that have dead letters, of those given or of all.
func (g *Group) parkedByShard(ctx context.Context, consumer string, ids []string) (map[uint32][]string, error) {
	entities := make(map[uint32][]string)
	for letter, err := range g.config.Letters.DeadLetters(ctx, consumer, ids...) {
		if err != nil {
			return nil, err
		}
		shard, id := letter.GetEvent().GetShard(), letter.GetEvent().GetPersistenceId()
		if !slices.Contains(entities[shard], id) {
			entities[shard] = append(entities[shard], id)
		}
	}
	return entities, nil
}

// settleShard has the owner of a shard carry out an action: the worker of this process, or this call when nobody is the
// owner, or else the process that is. That one may die and leave the shard to any of the others, so all three are tried
// again and again. It ends with [ErrNoAnswer] when an owner elsewhere is alive and does nothing.
func (g *Group) settleShard(ctx context.Context, spec Spec, shard uint32, what order) error {
	r := g.newRequest(spec.Name, shard, what)
	for {
		err := g.settleHere(ctx, spec, shard, what, r)
		if errors.Is(err, errElsewhere) {
			var done bool
			if done, err = r.ask(ctx); done || err != nil {
				return err
			}
		} else if !isEnd(err) { // else the shard changes hands
			return err
		}
		if err := sleep(ctx, g.config.searchEvery(), nil); err != nil {
			return err
		}
	}
}

// settleHere carries an action out in this process, and is errElsewhere when the owner of the shard is another one. A request
// that was filed before is withdrawn first, so that nobody obeys it later.
func (g *Group) settleHere(ctx context.Context, spec Spec, shard uint32, what order, r *request) error {
	o := &order{action: what.action, ids: what.ids, end: what.end, done: make(chan error, 1)}
	if w := g.localWorker(spec.Name, shard); w != nil {
		if err := r.withdraw(ctx); err != nil {
			return err
		}
		w.submit(o)
	} else if err := g.settleAsOwner(ctx, spec, shard, o, r); err != nil {
		return err
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *Group) localWorker(consumer string, shard uint32) *worker {
	c := g.Consumer(consumer)
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.workers[shard]
}

// settleAsOwner carries out an order under a lease of its own. It is errElsewhere when the shard has an owner.
func (g *Group) settleAsOwner(ctx context.Context, spec Spec, shard uint32, o *order, r *request) error {
	if !g.keep() {
		return ErrStopped
	}
	holds, err := g.keeper.acquire(ctx, spec.Name, g.config.Owner+"#letters", shard)
	if err != nil {
		return err
	}
	if len(holds) == 0 {
		return errElsewhere
	}
	w := newWorker(&Consumer{group: g, spec: spec}, holds[0])
	defer g.keeper.release(w.hold)
	if err := r.withdraw(ctx); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { w.hold.drop(context.Cause(ctx)) })
	defer stop()
	position, known, err := w.storedOffset()
	if err == nil && known {
		w.recorded.Store(position)
		err = w.settleLetters(o)
	}
	o.done <- err
	return nil
}
