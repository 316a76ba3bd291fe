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
)

// A worker reads one shard for a consumer, for as long as it holds the lease.
type worker struct {
	consumer *Consumer
	group    *Group
	spec     *Spec
	hold     *hold
	shard    uint32
	ear      *ear // its position is how far the worker has read
	loaded   atomic.Bool
	counts   counts

	recorded atomic.Uint64 // the offset
	oldest   atomic.Int64  // when the first event was written that was read and is not done; zero when there is none
	parks    atomic.Bool   // parked is not empty

	// What follows is of the goroutine that runs the worker.
	more    bool       // there may be more to read
	mark    uint64     // everything up to it is done
	saving  chan error // the outcome of the commit in flight; nil while there is none
	saved   time.Time  // when the last one began
	window  *window    // nil unless entities are handled side by side
	halting chan struct{}

	drainOnce, haltOnce sync.Once
	drain               chan struct{} // closed to end after the events that handlers are at
	done                chan struct{}

	mu       sync.Mutex
	failed   error // why the worker does not go on
	troubles map[any]trouble
	parked   map[string]bool // entities whose events wait in the dead-letter store
	orders   []*order
	ended    bool // no more orders are taken
}

func newWorker(c *Consumer, h *hold) *worker {
	w := &worker{
		consumer: c,
		group:    c.group,
		spec:     &c.spec,
		hold:     h,
		shard:    h.lease.Shard,
		ear:      newEar(c.spec.PullInterval),
		halting:  make(chan struct{}),
		drain:    make(chan struct{}),
		done:     make(chan struct{}),
		troubles: make(map[any]trouble),
		parked:   make(map[string]bool),
	}
	if c.spec.Parallelism > 1 {
		w.window = newWindow(w)
	}
	return w
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

// haltSoon has lanes end after the events that they are at, because another has failed.
func (w *worker) haltSoon() { w.haltOnce.Do(func() { close(w.halting) }) }

// interrupted returns why handlers must not be called any more: the worker was asked to end, or has failed, or its lease is
// over.
func (w *worker) interrupted() error {
	if w.hold.ctx.Err() != nil {
		return context.Cause(w.hold.ctx)
	}
	select {
	case <-w.drain:
		return errDrained
	case <-w.halting:
		return errHalted
	default:
		return nil
	}
}

// run works until the worker is drained or loses its lease. A worker that has failed keeps its lease meanwhile, so that the
// failure stays where it can be seen.
func (w *worker) run() {
	defer w.end()
	err := w.work()
	if isEnd(err) {
		return
	}
	w.fail(err)
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
	return errors.Is(err, errDrained) || errors.Is(err, errHalted) || errors.Is(err, errLost) || errors.Is(err, errForced) ||
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
	return w.windUp(w.loop())
}

// loop reads and has handled what it reads, and records beside that how far the handlers have come.
func (w *worker) loop() error {
	w.more = true
	for {
		if w.ordered() {
			if err := w.quiet(); err != nil {
				return err
			}
			if err := w.obey(); err != nil {
				return err
			}
		}
		if err := w.progress(); err != nil {
			return err
		}
		step := w.await
		if w.more && w.hasRoom() {
			step = w.page
		}
		if err := step(); err != nil {
			return err
		}
	}
}

// await waits until there is something to do.
func (w *worker) await() error {
	var changed <-chan struct{}
	var due <-chan time.Time
	if w.window != nil {
		changed = w.window.changed
	}
	if wait := w.untilDue(); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-w.ear.wake:
		w.more = true
	case err := <-w.saving:
		w.saving = nil
		return err
	case <-changed:
	case <-due:
	case <-w.drain:
		return errDrained
	case <-w.hold.ctx.Done():
		return context.Cause(w.hold.ctx)
	}
	return nil
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
	w.mark, w.saved = position, time.Now()
	w.recorded.Store(position)
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

// page reads the next events and has them handled.
func (w *worker) page() error {
	if err := w.interrupted(); err != nil {
		return err
	}
	var page []*egopb.Event
	after := w.ear.position.Load()
	err := w.persist("read events", func(ctx context.Context) (err error) {
		page, err = w.spec.Feed.source.Read(ctx, w.shard, after, w.spec.BatchSize)
		return err
	})
	if err != nil {
		return err
	}
	w.more = len(page) == w.spec.BatchSize
	sound := w.sound(after, page)
	if sound > 0 {
		after = page[sound-1].GetPosition()
		w.ear.position.Store(after)
		if err := w.deliver(page[:sound]); err != nil {
			return err
		}
	}
	if sound < len(page) {
		return &GapError{Consumer: w.spec.Name, Shard: w.shard, After: after, Found: page[sound].GetPosition()}
	}
	return nil
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

func (w *worker) log(level slog.Level, message string, err error, attrs ...slog.Attr) {
	attrs = append(attrs, slog.String("consumer", w.spec.Name), slog.Uint64("shard", uint64(w.shard)), slog.Any("error", err))
	w.group.config.Logger.LogAttrs(context.Background(), level, message, attrs...) //nolint:sloglint // constants of the callers
}

// logEvent warns of an event that was not handled.
func (w *worker) logEvent(message string, it *item, err error) {
	stored := it.record.Stored
	w.log(slog.LevelWarn, message, err, slog.String("entity", it.entity()), slog.String("kind", stored.GetKind()),
		slog.Uint64("number", stored.GetSequenceNumber()))
}
