package consumer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/projection"
)

// A worker reads one shard for a consumer, for as long as it holds the lease.
type worker struct {
	consumer *Consumer
	group    *Group
	spec     *Spec
	hold     *hold
	shard    uint32
	ear      *ear // its position is how far the worker has come
	loaded   atomic.Bool
	counts   counts

	drainOnce sync.Once
	drain     chan struct{} // closed to end after the events that handlers are at
	done      chan struct{}

	mu     sync.Mutex
	state  projection.State
	err    error
	parked map[string]bool // entities whose events wait in the dead-letter store
	orders []*order
	ended  bool // no more orders are taken
}

func newWorker(c *Consumer, h *hold) *worker {
	return &worker{
		consumer: c,
		group:    c.group,
		spec:     &c.spec,
		hold:     h,
		shard:    h.lease.Shard,
		ear:      newEar(c.spec.PullInterval),
		drain:    make(chan struct{}),
		done:     make(chan struct{}),
		state:    projection.Running,
		parked:   make(map[string]bool),
	}
}

func (w *worker) drainSoon() { w.drainOnce.Do(func() { close(w.drain) }) }

func (w *worker) draining() bool {
	select {
	case <-w.drain:
		return true
	default:
		return false
	}
}

// interrupted returns why the worker must not go on: it was asked to end, or its lease is over.
func (w *worker) interrupted() error {
	if w.hold.ctx.Err() != nil {
		return context.Cause(w.hold.ctx)
	}
	if w.draining() {
		return errDrained
	}
	return nil
}

// run works until the worker is drained or loses its lease. A worker that has failed keeps its lease meanwhile, so that the
// failure stays where it can be seen.
func (w *worker) run() {
	defer w.end()
	err := w.work()
	if isEnd(err) {
		return
	}
	w.setState(projection.Failed, err)
	w.log(slog.LevelError, "a shard of a consumer stopped", err)
	for err := error(nil); err == nil; err = w.obey() { // dead letters can be settled all the same
		select {
		case <-w.ear.wake:
		case <-w.drain:
			return
		case <-w.hold.ctx.Done():
			return
		}
	}
}

// isEnd reports whether an error is one of the ways in which a worker ends without having failed.
func isEnd(err error) bool {
	return errors.Is(err, errDrained) || errors.Is(err, errLost) || errors.Is(err, errForced) ||
		errors.Is(err, offsetstore.ErrStaleLease)
}

// end gives the lease back; when it is another's already, the store passes over that.
func (w *worker) end() {
	if w.loaded.Load() {
		w.spec.Feed.remove(w.shard, w.ear)
	}
	w.refuseOrders()
	w.group.keeper.release(w.hold)
	close(w.done)
	w.consumer.gone(w)
	w.consumer.advanced()
}

func (w *worker) work() error {
	if err := w.load(); err != nil {
		return err
	}
	for {
		if err := w.obey(); err != nil {
			return err
		}
		full, err := w.page()
		if err != nil {
			return err
		}
		if full {
			continue
		}
		select {
		case <-w.ear.wake:
		case <-w.drain:
			return errDrained
		case <-w.hold.ctx.Done():
			return context.Cause(w.hold.ctx)
		}
	}
}

// load finds out where to go on.
func (w *worker) load() error {
	position, known, err := w.storedOffset()
	if err != nil {
		return err
	}
	if err := w.loadParked(); err != nil {
		return err
	}
	if !known {
		if position, err = w.startPosition(); err != nil {
			return err
		}
		if err := w.commit(position); err != nil {
			return err
		}
	}
	w.ear.position.Store(position)
	w.loaded.Store(true)
	w.spec.Feed.add(w.shard, w.ear)
	return nil
}

// storedOffset returns the offset of the shard, if there is one.
func (w *worker) storedOffset() (position uint64, known bool, err error) {
	err = w.persist("read the offset", func(ctx context.Context) error {
		offsets, err := w.group.offsets(ctx, w.spec.Name)
		position, known = offsets[w.shard].GetPosition(), offsets[w.shard] != nil
		return err
	})
	return position, known, err
}

// page reads the next events and has them handled. It reports whether there are likely more.
func (w *worker) page() (full bool, err error) {
	if err := w.interrupted(); err != nil {
		return false, err
	}
	var page []*egopb.Event
	after := w.ear.position.Load()
	err = w.persist("read events", func(ctx context.Context) (err error) {
		page, err = w.spec.Feed.source.Read(ctx, w.shard, after, w.spec.BatchSize)
		return err
	})
	if err != nil || len(page) == 0 {
		return false, err
	}
	sound := w.sound(after, page)
	if sound > 0 {
		if err := w.deliver(page[:sound]); err != nil {
			return false, err
		}
	}
	if sound < len(page) {
		return false, w.gap(w.ear.position.Load(), page[sound].GetPosition())
	}
	return len(page) == w.spec.BatchSize, nil
}

// sound returns how many records from the first keep the order that the source promises.
func (w *worker) sound(after uint64, page []*egopb.Event) int {
	gapless := w.spec.Feed.source.Gapless()
	for i, record := range page {
		position := record.GetPosition()
		if position <= after || gapless && position != after+1 {
			return i
		}
		after = position
	}
	return len(page)
}

func (w *worker) gap(after, found uint64) error {
	return &GapError{Consumer: w.spec.Name, Shard: w.shard, After: after, Found: found}
}

// commit records that everything up to a position is done.
func (w *worker) commit(position uint64) error {
	err := w.persist("commit the offset", func(ctx context.Context) error {
		return w.group.config.Offsets.CommitOffset(ctx, w.hold.lease, position)
	})
	if err == nil {
		w.advance(position)
	}
	return err
}

// advance takes a position that is recorded.
func (w *worker) advance(position uint64) {
	w.ear.position.Store(position)
	w.consumer.advanced()
}

// persist calls a store until it succeeds. Errors back off, for as long as it takes. It returns an error only when the
// worker is to end, or when the store says that the lease is another's.
func (w *worker) persist(what string, call func(ctx context.Context) error) error {
	var delay backoff
	for {
		err := w.group.config.call(w.hold.ctx, call)
		switch {
		case err == nil:
			w.setState(projection.Running, nil)
			return nil
		case errors.Is(err, offsetstore.ErrStaleLease):
			return err
		case w.hold.ctx.Err() != nil:
			return context.Cause(w.hold.ctx)
		case errors.Is(err, persistence.ErrInvalidArgument):
			return w.hold.stale() // the offset was moved from under the lease; what is true is read anew
		}
		if err := w.backOff(what, &delay, err); err != nil {
			return err
		}
	}
}

// backOff waits after an error that is not the fault of an event.
func (w *worker) backOff(what string, delay *backoff, err error) error {
	w.setState(projection.BackingOff, err)
	w.log(slog.LevelWarn, "a consumer waits and tries again", err, slog.String("to", what))
	return w.pause(delay.next())
}

func (w *worker) pause(d time.Duration) error { return sleep(w.hold.ctx, d, w.drain) }

func (w *worker) setState(state projection.State, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state, w.err = state, err
}

func (w *worker) status() projection.ShardStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return projection.ShardStatus{
		Shard:    w.shard,
		Owner:    w.hold.lease.Owner,
		Local:    true,
		State:    w.state,
		Err:      w.err,
		Position: w.ear.position.Load(),
		Epoch:    w.hold.lease.Epoch,
	}
}

func (w *worker) log(level slog.Level, message string, err error, attrs ...slog.Attr) {
	attrs = append(attrs, slog.String("consumer", w.spec.Name), slog.Uint64("shard", uint64(w.shard)), slog.Any("error", err))
	w.group.config.Logger.LogAttrs(context.Background(), level, message, attrs...) //nolint:sloglint // constants of the callers
}
