package entity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/snapshot"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/persistence"
)

// Appender makes events durable: all of a call or none. It returns once they are. What it reports follows the rules of
// [persistence.NotWritten]. It does not keep the events.
type Appender interface {
	Append(ctx context.Context, events []*egopb.Event) error
}

// Shared is what the entities of an engine have in common.
type Shared struct {
	Journal       Appender
	Events        persistence.EventsStore
	SnapshotStore persistence.SnapshotStore // nil: no snapshots
	Snapshots     Snapshots                 // nil: no snapshots are taken
	States        persistence.StateStore
	Codec         *envelope.Codec
	WriterID      string // names this run of the engine in what it writes
	Logger        *slog.Logger
	Telemetry     *telemetry.Recorder // nil: nothing is recorded
	Now           func() time.Time
	Verify        bool // answers that write nothing are given only if the memory is what the store holds

	// MemoryTime bounds how long the store may have had no say in the memory of an entity when an answer that writes
	// nothing is given from it. Zero trusts it for ever.
	MemoryTime time.Duration

	// Finished returns an error unless the erasure of an entity, which has ended, is finished, so that another life may
	// begin. Nil lets it begin at once.
	Finished func(ctx context.Context, id string) error

	WriteTimeout    time.Duration // bounds one write of a state
	RecoveryTimeout time.Duration // bounds one attempt to recover an entity
	StartAnew       bool          // an entity that was erased begins another life; else its commands are refused
}

// Settings are what can be chosen per kind or per entity.
type Settings struct {
	BatchThreshold   int           // events that are written at once; at most one command's when below two
	BatchFlushWindow time.Duration // how long events may wait for others
	DedupWindow      int           // command ids remembered
	SnapshotInterval uint64        // events between two snapshots; zero takes none
	SchemaVersion    uint32        // of the states in snapshots; one of another version is not used
	EventVersion     uint32        // of the events, for adapters
	Retention        snapshot.Retention
	Directive        Directive // after a handler that panicked or broke its contract
}

// A Directive says what becomes of an entity whose handler panicked or broke its contract.
type Directive int

// The directives. The zero value is Restart.
const (
	Restart Directive = iota // recover before the next command
	Resume                   // go on with the state in memory
	Stop                     // let go of the entity
)

// memory is what an entity knows of itself. The state is never modified in place.
type memory struct {
	state    proto.Message
	revision uint64
}

// A model is how an entity keeps its state: as events or as the latest state.
type model interface {
	// load reads the memory back and remembers the commands that it finds. It returns how many events it replayed.
	load(ctx context.Context, commands *window) (m memory, replayed uint64, err error)
	// decide runs a command against m and returns what comes after it. What is to be stored is added to what is pending.
	decide(r *Request, m memory) (memory, error)
	// pending counts what waits to be stored.
	pending() int
	// store makes what is pending durable, all or nothing. Nothing is pending afterwards, whatever the outcome.
	store(ctx context.Context, commands *window) error
	// latest returns the revision that the store holds, and whether it is the end of an erased entity.
	latest(ctx context.Context) (revision uint64, erased bool, err error)
	// stored is told of the memory that has become durable, once its commands are answered.
	stored(ctx context.Context, durable memory, commands *window)
	// discard forgets what is pending.
	discard()
}

// An Entity handles the commands of one entity, one at a time. It is not safe for concurrent use.
type Entity struct {
	id, kind string
	model    model
	settings *Settings
	shared   *Shared

	live      bool      // memory is what the store holds
	erasures  uint64    // how often the entity had been erased when it was recovered
	stopped   bool      // to be let go
	confirmed time.Time // when the store had the last say in the memory
	committed memory    // durable
	candidate memory    // committed and what is pending
	commands  window

	rest       *Request   // not yet begun
	group      []*Request // decided, waiting for the store
	groupSince time.Time
	recovery   backoff
}

// Process handles a queue of requests in order. When it leaves decided requests waiting for others to be written with, it
// returns how long they may wait; call it again by then, with or without requests.
func (e *Entity) Process(ctx context.Context, requests *Request) (wait time.Duration) {
	e.rest = requests
	for e.rest != nil {
		r := e.rest
		e.rest, r.Next = r.Next, nil
		if err := e.handle(ctx, r); err != nil {
			e.failRest(err)
		}
	}
	return e.flushWhenDue(ctx)
}

// handle takes a request through decision and, when it fills the group, the store. It returns an error when the entity
// cannot be recovered, and so no other request can be handled now either.
func (e *Entity) handle(ctx context.Context, r *Request) error {
	if r.Abandoned() {
		return nil
	}
	if e.shared.Codec.Guards() {
		if err := e.admit(ctx); err != nil {
			r.Fail(err)
			return err
		}
	}
	if err := e.ensureLive(ctx); err != nil {
		r.Fail(err)
		return err
	}
	if !r.take() {
		return nil
	}
	e.decide(r)
	e.join(r)
	if e.full() {
		e.flush(ctx)
	}
	return nil
}

// full reports whether the group must not wait for others.
func (e *Entity) full() bool {
	return e.model.pending() >= e.settings.BatchThreshold || e.settings.BatchThreshold <= 1 || !e.live
}

// ensureLive recovers a cold entity. After a failure it waits before it tries again, longer each time.
func (e *Entity) ensureLive(ctx context.Context) error {
	if e.live {
		return nil
	}
	if err := e.recovery.wait(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrRecovery, err)
	}
	ctx, cancel := context.WithTimeout(ctx, e.shared.RecoveryTimeout)
	defer cancel()
	started, confirmed := time.Now(), e.shared.Now()
	m, replayed, err := e.model.load(ctx, &e.commands)
	e.shared.Telemetry.Recovered(e.kind, replayed, time.Since(started), err)
	if errors.Is(err, encryption.ErrErased) {
		e.commands.forget()
		return err
	}
	if err != nil {
		e.recovery.failed()
		e.commands.forget()
		return fmt.Errorf("%w: %w", ErrRecovery, err)
	}
	e.recovery.succeeded()
	e.committed, e.candidate, e.live, e.confirmed = m, m, true, confirmed
	return nil
}

// decide finds the outcome that the request will have once everything pending is durable.
func (e *Entity) decide(r *Request) {
	r.revision = e.candidate.revision
	if recorded, repeat := e.commands.revision(r.commandID()); repeat {
		r.revision = recorded
	} else if r.command != nil {
		next, err := e.model.decide(r, e.candidate)
		if err != nil {
			r.revision, r.err = 0, err
			e.distrust(err)
			return
		}
		if next.revision != e.candidate.revision {
			e.commands.add(r.commandID(), next.revision)
		}
		e.candidate = next
		r.revision = next.revision
	}
	r.state = proto.Clone(e.candidate.state) // now, before any handler sees the state again
}

// distrust lets go of the memory when what a command failed of says so.
func (e *Entity) distrust(err error) {
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.tainted {
		e.taint()
	}
	if errors.Is(err, encryption.ErrErased) {
		e.live = false
	}
}

// taint follows the directive after a handler that cannot be trusted. What is pending is sound and will be written.
func (e *Entity) taint() {
	e.live = e.settings.Directive == Resume
	e.stopped = e.settings.Directive == Stop
}

// Stopped reports whether the directive wants the entity let go.
func (e *Entity) Stopped() bool { return e.stopped }

// join lets a decided request wait for the store, behind those that it may depend on.
func (e *Entity) join(r *Request) {
	if len(e.group) == 0 && e.settings.BatchFlushWindow > 0 {
		e.groupSince = e.shared.Now()
	}
	e.group = append(e.group, r)
}

// flushWhenDue writes the group unless it may wait for others, and then returns how long.
func (e *Entity) flushWhenDue(ctx context.Context) time.Duration {
	if len(e.group) == 0 {
		return 0
	}
	if e.model.pending() > 0 && e.settings.BatchFlushWindow > 0 {
		if left := e.settings.BatchFlushWindow - e.shared.Now().Sub(e.groupSince); left > 0 {
			return left
		}
	}
	e.flush(ctx)
	return 0
}

// Flush writes what waits for others, now.
func (e *Entity) Flush(ctx context.Context) { e.flush(ctx) }

// Revision is the revision of the memory, zero for a cold entity. It is for an owner at rest.
func (e *Entity) Revision() uint64 { return e.committed.revision }

// Committed returns the state that is durable, and false when the entity is cold. Like Revision, it is for an owner at rest.
func (e *Entity) Committed() (state proto.Message, live bool) { return e.committed.state, e.live }

// flush makes everything pending durable and answers the group.
func (e *Entity) flush(ctx context.Context) {
	if e.model.pending() == 0 {
		e.answer(ctx)
		return
	}
	began := e.shared.Now()
	if err := e.model.store(ctx, &e.commands); err != nil {
		err = e.writeError(ctx, err)
		e.goCold()
		e.failGroup(err)
		return
	}
	e.confirmed = began
	live := e.live
	e.deliver()
	if live {
		e.model.stored(ctx, e.committed, &e.commands)
	}
}

// deliver answers the group from memory that is durable.
func (e *Entity) deliver() {
	e.committed = e.candidate
	for i, r := range e.group {
		e.group[i] = nil
		r.deliver()
	}
	e.group = e.group[:0]
	if !e.live {
		e.goCold()
	}
}

func (e *Entity) failGroup(err error) {
	for i, r := range e.group {
		e.group[i] = nil
		r.fail(err)
	}
	e.group = e.group[:0]
}

func (e *Entity) failRest(err error) {
	rest := e.rest
	e.rest = nil
	FailAll(rest, err)
}

// goCold forgets everything; the next request recovers it from the store.
func (e *Entity) goCold() {
	e.model.discard()
	e.live = false
	e.committed, e.candidate = memory{}, memory{}
	e.commands.forget()
}

// Abort answers every request that waits in the entity with err and goes cold. It is for a caller that found the entity
// broken by a panic of its own.
func (e *Entity) Abort(err error) {
	e.goCold()
	e.failGroup(err)
	e.failRest(err)
}

// writeError says what a failed write means for its commands. Of a writer that was overtaken it says by what: the end of
// an erased entity is no conflict that goes away.
func (e *Entity) writeError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, persistence.ErrConflict):
		if e.ended(ctx) {
			return &encryption.ErasedError{PersistenceID: e.id}
		}
		return err
	case persistence.NotWritten(err):
		return fmt.Errorf("%w: %w", ErrWriteFailed, err)
	default:
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
}

// FailAll answers a queue of requests with err.
func FailAll(r *Request, err error) {
	for r != nil {
		next := r.Next
		r.Next = nil
		r.Fail(err)
		r = next
	}
}
