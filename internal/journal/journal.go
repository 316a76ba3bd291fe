package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// A Journal appends events to a store, many appends in one write. Its methods may be called concurrently.
type Journal struct {
	config   Config
	clock    clock
	tickets  sync.Pool // of *ticket; not shared between journals
	direct   direct
	troubled atomic.Bool // failing is not empty

	mu       sync.Mutex
	busy     bool  // a writer exists: an appender, or the background writer
	gathered queue // waits for the next writes
	waiting  queue // waits for room among the gathered
	flight   flight
	watchdog *time.Timer // set while it is armed
	failing  failure
	stopped  bool
	ended    chan struct{} // closed once stopped and no longer busy

	goroutines sync.WaitGroup // background writer and watchdog; joined only after ended

	batch batch // used by the writer alone
}

// New returns a journal that writes to config.Store. It panics without a store.
func New(config Config) *Journal {
	if config.Store == nil {
		panic("journal: no store")
	}
	config = config.withDefaults()
	j := &Journal{
		config:  config,
		clock:   newClock(),
		tickets: sync.Pool{New: newTicket},
		ended:   make(chan struct{}),
	}
	j.direct.init()
	return j
}

// Append stores the events of one appender, all or none, and returns nil once they are durable. They may belong to
// several entities; of each they must be in order and continue its stored ones. An entity must have at most one append
// under way per activation. No events are no append.
//
// The error is one of these, and of all but the last [persistence.NotWritten] is true:
//
//   - a [persistence.ConflictError] or [persistence.InvalidRecordError] about one of the entities,
//   - an error that matches ctx.Err(), when ctx ended before the store was called,
//   - [ErrStopped], or [ErrStuck],
//   - what the store said, when it proves that nothing was written,
//   - [ErrOutcomeUnknown].
//
// Once the store has been called Append does not return before it has the answer, whatever becomes of ctx: within the
// write timeout for a store that obeys its context, and within a second more for most appends otherwise (see the package
// documentation).
func (j *Journal) Append(ctx context.Context, events []*egopb.Event) error {
	if len(events) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return withdrawn(ctx)
	}
	bytes, now := sizeOf(events), j.clock.now()
	if s := j.direct.enter(now); s != nil {
		return j.writeDirect(s, events, bytes, now)
	}

	j.mu.Lock()
	if err := j.refusal(); err != nil {
		j.mu.Unlock()
		return err
	}
	if !j.busy {
		j.busy = true
		j.flight.begin(now, nil)
		j.mu.Unlock()
		return j.writeInline(events, bytes, now)
	}
	t := j.enqueue(events, bytes, now)
	j.mu.Unlock()
	return j.wait(ctx, t)
}

// refusal returns why the journal takes no appends now. The lock is held.
func (j *Journal) refusal() error {
	switch {
	case j.stopped:
		return ErrStopped
	case j.flight.stuck:
		return errStuckWaiting
	default:
		return nil
	}
}

// enqueue lets an append gather, or wait for room. The lock is held, and a writer exists.
func (j *Journal) enqueue(events []*egopb.Event, bytes int, now time.Duration) *ticket {
	t := j.tickets.Get().(*ticket) //nolint:forcetypeassert // see New
	t.events, t.bytes = events, bytes
	if j.waiting.appends == 0 && j.hasRoom(t) {
		j.gathered.pushBack(t)
	} else {
		j.waiting.pushBack(t)
	}
	j.armWatchdog(now)
	return t
}

// admit moves appends from the waiting to the gathered while there is room. The lock is held.
func (j *Journal) admit() {
	for t := j.waiting.head; t != nil && j.hasRoom(t); t = j.waiting.head {
		j.waiting.remove(t)
		j.gathered.pushBack(t)
	}
}

// hasRoom reports whether an append may gather. The first always may, however large.
func (j *Journal) hasRoom(t *ticket) bool {
	q := &j.gathered
	return q.appends == 0 ||
		q.events+len(t.events) <= j.config.MaxPendingEvents && q.bytes+t.bytes <= j.config.MaxPendingBytes
}

// wait returns the answer of a ticket, or withdraws it when ctx ends first.
func (j *Journal) wait(ctx context.Context, t *ticket) error {
	var err error
	select {
	case err = <-t.done:
	case <-ctx.Done():
		if j.withdraw(t) {
			j.release(t)
			return withdrawn(ctx)
		}
		err = <-t.done
	}
	switch {
	case errors.Is(err, errStuckWriting):
		return err // the writer still knows the ticket, so it is not used again
	case errors.Is(err, errWithdrawn):
		err = withdrawn(ctx)
	}
	j.release(t)
	return err
}

// withdraw takes a ticket out of its queue. One that is in a write is only marked, for the case that the write is refused
// and the ticket would be written again.
func (j *Journal) withdraw(t *ticket) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t.queue == nil {
		t.canceled = true
		return false
	}
	t.queue.remove(t)
	j.admit()
	return true
}

// release makes a ticket that nobody else knows ready for its next use.
func (j *Journal) release(t *ticket) {
	t.events, t.bytes, t.canceled = nil, 0, false
	j.tickets.Put(t)
}

// Stop refuses new appends and those that wait for room, and returns when all that has gathered is written, or with the
// error of ctx when that ends first. It may be called again, and more than once at a time.
func (j *Journal) Stop(ctx context.Context) error {
	j.direct.close()
	j.mu.Lock()
	if !j.stopped {
		j.stopped = true
		j.waiting.answerAll(ErrStopped)
		if !j.busy {
			j.finish()
		}
	}
	j.mu.Unlock()

	select {
	case <-j.ended:
		j.goroutines.Wait()
	case <-ctx.Done():
		return fmt.Errorf("journal: stopped before its last write ended: %w", ctx.Err())
	}
	if err := j.direct.wait(ctx); err != nil {
		return fmt.Errorf("journal: stopped before its last write ended: %w", err)
	}
	return nil
}

// idle gives up being the writer, as nothing is gathered. The lock is held.
func (j *Journal) idle() {
	j.busy = false
	if j.stopped {
		j.finish()
	}
}

// finish marks the end of the last write. The lock is held.
func (j *Journal) finish() {
	j.disarmWatchdog()
	close(j.ended)
}
