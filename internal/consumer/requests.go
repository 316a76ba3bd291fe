package consumer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// requestsName is the consumer whose dead letters are requests about the dead letters of others: kind names the consumer,
// the persistence id the entity, the reason what to do. The process that owns the shard finds them, carries them out and
// deletes them; they survive whatever dies in between. The sequence number is the end that a life to forget has.
const requestsName = "ego.requests"

// ErrNoLetters reports a group without a dead-letter store.
var ErrNoLetters = errors.New("consumer: no dead-letter store")

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
// owner, or else the process that is.
func (g *Group) settleShard(ctx context.Context, spec Spec, shard uint32, what order) error {
	for {
		o := &order{action: what.action, ids: what.ids, end: what.end, done: make(chan error, 1)}
		if w := g.localWorker(spec.Name, shard); w != nil {
			w.submit(o)
		} else if ok, err := g.settleAsOwner(ctx, spec, shard, o); err != nil {
			return err
		} else if !ok {
			return g.request(ctx, spec.Name, shard, what)
		}
		select {
		case err := <-o.done:
			if !isEnd(err) {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := sleep(ctx, g.config.searchEvery(), nil); err != nil { // the shard changes hands
			return err
		}
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

// settleAsOwner carries out an order under a lease of its own, when the shard has no owner. It is false when there is one.
func (g *Group) settleAsOwner(ctx context.Context, spec Spec, shard uint32, o *order) (bool, error) {
	if !g.keep() {
		return false, ErrStopped
	}
	holds, err := g.keeper.acquire(ctx, spec.Name, g.config.Owner+"#letters", shard)
	if err != nil || len(holds) == 0 {
		return false, err
	}
	w := newWorker(&Consumer{group: g, spec: spec}, holds[0])
	defer g.keeper.release(w.hold)
	stop := context.AfterFunc(ctx, func() { w.hold.drop(context.Cause(ctx)) })
	defer stop()
	position, known, err := w.storedOffset()
	if err == nil && known {
		w.recorded.Store(position)
		err = w.settleLetters(o)
	}
	o.done <- err
	return true, nil
}

// request asks the owner of a shard in another process, and waits until it has obeyed.
func (g *Group) request(ctx context.Context, consumer string, shard uint32, what order) error {
	letters := make([]*egopb.DeadLetter, len(what.ids))
	for i, id := range what.ids {
		letters[i] = &egopb.DeadLetter{
			Consumer: requestsName,
			Event: &egopb.Event{
				PersistenceId: id, SequenceNumber: max(what.end, 1), Shard: shard, Kind: consumer,
				Position: uint64(time.Now().UnixNano()) + uint64(i), // tells it from all others
			},
			Reason:       string(what.action),
			TimeUnixNano: time.Now().UnixNano(),
		}
	}
	if err := g.fileRequests(ctx, shard, letters); err != nil {
		return err
	}
	for {
		open, err := g.openRequests(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(letters, func(l *egopb.DeadLetter) bool { return open[keyOf(l)] != nil }) {
			return nil
		}
		if err := sleep(ctx, g.config.searchEvery(), nil); err != nil {
			return err
		}
	}
}

// fileRequests stores requests, which takes a lease as all dead letters do.
func (g *Group) fileRequests(ctx context.Context, shard uint32, letters []*egopb.DeadLetter) error {
	for {
		holds, err := g.keeper.acquire(ctx, requestsName, g.config.Owner+"#letters", shard)
		if err != nil {
			return err
		}
		if len(holds) == 1 {
			err := g.config.call(ctx, func(ctx context.Context) error {
				return g.config.Letters.ParkEvents(ctx, holds[0].lease, letters)
			})
			g.keeper.release(holds[0])
			return err
		}
		if err := sleep(ctx, g.config.searchEvery(), nil); err != nil {
			return err
		}
	}
}

// A requestKey names a request.
type requestKey struct {
	shard    uint32
	position uint64
}

func keyOf(request *egopb.DeadLetter) requestKey {
	return requestKey{request.GetEvent().GetShard(), request.GetEvent().GetPosition()}
}

// openRequests returns the requests that nobody has carried out yet.
func (g *Group) openRequests(ctx context.Context) (open map[requestKey]*egopb.DeadLetter, err error) {
	err = g.config.call(ctx, func(ctx context.Context) error {
		open = make(map[requestKey]*egopb.DeadLetter)
		for request, err := range g.config.Letters.DeadLetters(ctx, requestsName) {
			if err != nil {
				return err
			}
			open[keyOf(request)] = request
		}
		return nil
	})
	return open, err
}

// serveRequests carries out the requests about shards that this process owns, until the group stops.
func (g *Group) serveRequests() {
	for sleep(g.ctx, g.config.rosterEvery(), nil) == nil {
		open, err := g.openRequests(g.ctx)
		if err != nil {
			continue // the next question follows soon; that the store is down is told elsewhere
		}
		for key, request := range open {
			w := g.localWorker(request.GetEvent().GetKind(), key.shard)
			if w != nil && g.begin(key) {
				g.wg.Go(func() { g.serve(w, request) })
			}
		}
	}
}

// begin reports whether a request is not being carried out yet.
func (g *Group) begin(key requestKey) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped || g.serving[key] {
		return false
	}
	g.serving[key] = true
	return true
}

// serve carries out a request and then deletes it. Otherwise it stays, for whoever owns the shard next.
func (g *Group) serve(w *worker, request *egopb.DeadLetter) {
	key := keyOf(request)
	defer func() {
		g.mu.Lock()
		delete(g.serving, key)
		g.mu.Unlock()
	}()
	o := &order{
		action: action(request.GetReason()),
		ids:    []string{request.GetEvent().GetPersistenceId()},
		end:    request.GetEvent().GetSequenceNumber(),
		done:   make(chan error, 1),
	}
	w.submit(o)
	err := <-o.done
	if err == nil {
		err = g.config.call(g.ctx, func(ctx context.Context) error {
			return g.config.Letters.DeleteDeadLetters(ctx, requestsName, key.shard, key.position)
		})
	}
	if err != nil && !isEnd(err) {
		g.config.Logger.LogAttrs(g.ctx, slog.LevelWarn, "dead letters were not settled as requested",
			slog.String("consumer", request.GetEvent().GetKind()), slog.Any("error", err))
	}
}
