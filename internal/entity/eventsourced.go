package entity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/persistence"
)

// EventSourced is the behaviour of an event-sourced entity.
type EventSourced interface {
	InitialState() proto.Message
	HandleCommand(ctx context.Context, command proto.Message, priorState proto.Message) ([]proto.Message, error)
	HandleEvent(ctx context.Context, event proto.Message, priorState proto.Message) (proto.Message, error)
}

// NewEventSourced returns a cold entity that keeps its events in the journal.
func NewEventSourced(id, kind string, behavior EventSourced, settings *Settings, shared *Shared) *Entity {
	return &Entity{
		id:       id,
		kind:     kind,
		model:    &eventSourced{id: id, kind: kind, behavior: behavior, settings: settings, shared: shared},
		settings: settings,
		shared:   shared,
		commands: window{size: settings.DedupWindow},
	}
}

// eventSourced keeps an entity as its events.
type eventSourced struct {
	id, kind string
	behavior EventSourced
	settings *Settings
	shared   *Shared
	records  []*egopb.Event  // pending
	opened   []proto.Message // of one stored event; used by replay

	snapshotted uint64 // number of the newest snapshot that was offered or recovered from
}

// decide runs the command handler, folds its events into a candidate and packs them.
func (m *eventSourced) decide(r *Request, prior memory) (memory, error) {
	events, err := m.handleCommand(r.ctx, r.command, prior.state)
	if err != nil {
		return memory{}, refusalOf(err)
	}
	kept := len(m.records)
	next := prior
	for _, event := range events {
		if next, err = m.fold(r.ctx, event, next); err == nil {
			err = m.record(r, event, next.revision)
		}
		if err != nil {
			m.release(kept)
			return memory{}, err
		}
	}
	return next, nil
}

// record packs an event and adds it to what is pending.
func (m *eventSourced) record(r *Request, event proto.Message, number uint64) error {
	record := envelope.NewRecord()
	m.records = append(m.records, record)
	record.PersistenceId = m.id
	record.SequenceNumber = number
	if err := m.shared.Codec.PackEvent(r.ctx, record, event); err != nil {
		return notPacked("event", event, err)
	}
	record.Kind = m.kind
	record.SchemaVersion = m.settings.EventVersion
	record.TimeUnixNano = m.shared.Now().UnixNano()
	record.WriterId = m.shared.WriterID
	envelope.Stamp(record, r.metadata)
	return nil
}

func (m *eventSourced) pending() int { return len(m.records) }

func (m *eventSourced) store(ctx context.Context, _ *window) error {
	err := m.shared.Journal.Append(ctx, m.records)
	if err != nil && !persistence.NotWritten(err) {
		m.records = nil // a store that does not answer may still be reading them
		return err
	}
	m.release(0)
	return err
}

func (m *eventSourced) discard() { m.release(0) }

// release gives back the pending records from an index on.
func (m *eventSourced) release(from int) {
	for i := from; i < len(m.records); i++ {
		envelope.ReleaseRecord(m.records[i])
		m.records[i] = nil
	}
	m.records = m.records[:from]
}

// replay folds the events after m up to and including a number. It fails, rather than answer with a wrong state, when the
// journal does not lead there without a gap, or when events of it were erased. An erasure begins another life, to which
// nothing before it matters.
func (m *eventSourced) replay(ctx context.Context, from memory, to uint64, commands *window) (memory, error) {
	for {
		replayed, err := m.replayOnce(ctx, from, to, commands)
		if !errors.Is(err, errWrittenMeanwhile) {
			return replayed, err
		}
	}
}

func (m *eventSourced) replayOnce(ctx context.Context, from memory, to uint64, commands *window) (memory, error) {
	current := from
	var broken error // why the state cannot be known, until an erasure
	ended := false   // the last event was an erasure
	for event, err := range m.shared.Events.ReplayEvents(ctx, m.id, from.revision+1, to) {
		if err != nil {
			return memory{}, err
		}
		if err := CheckKind(event.GetKind(), m.kind); err != nil {
			return memory{}, err
		}
		number := event.GetSequenceNumber()
		if ended = envelope.IsErasure(event); ended {
			if current, err = m.begin(number, commands); err != nil {
				return memory{}, err
			}
			broken = nil
			continue
		}
		if broken == nil && number != current.revision+1 {
			broken = fmt.Errorf("the journal continues with event %d after event %d: the events between were deleted", number, current.revision)
		}
		if broken != nil {
			continue
		}
		next, err := m.apply(ctx, event, current)
		if errors.Is(err, encryption.ErrErased) {
			broken = err
			continue
		}
		if err != nil {
			return memory{}, err
		}
		current = next
		commands.add(event.GetCommandId(), number)
	}
	switch {
	case broken != nil:
		return memory{}, broken
	case ended:
		if err := m.shared.mayBegin(ctx, m.id); err != nil {
			return memory{}, err
		}
	case current.revision == from.revision:
		return current, m.checkNothingAfter(ctx, from.revision, to)
	}
	return current, nil
}

// begin returns the memory of a life that begins after the erasure with a number.
func (m *eventSourced) begin(number uint64, commands *window) (memory, error) {
	commands.forget()
	initial, err := m.initialState()
	return memory{state: initial, revision: number}, err
}

// errWrittenMeanwhile reports that there are events now where a moment ago were none.
var errWrittenMeanwhile = errors.New("the journal has grown meanwhile")

// checkNothingAfter returns an error when the journal has events above a number, up to another, that replay did not get:
// they were deleted, and the state cannot be known.
func (m *eventSourced) checkNothingAfter(ctx context.Context, number, to uint64) error {
	if number >= to {
		return nil
	}
	latest, err := m.shared.Events.GetLatestEvent(ctx, m.id)
	if err != nil {
		return err
	}
	switch highest := latest.GetSequenceNumber(); {
	case highest == number:
		return nil
	case highest < number:
		return fmt.Errorf("%w: it holds %d events, the journal %d", errAhead, number, highest)
	case envelope.IsErasure(latest):
		return &encryption.ErasedError{PersistenceID: m.id}
	}
	for _, err := range m.shared.Events.ReplayEvents(ctx, m.id, number+1, number+1) {
		return cmp.Or(err, errWrittenMeanwhile) // by another writer, between the two questions
	}
	return fmt.Errorf("the events %d to %d were deleted", number+1, min(to, latest.GetSequenceNumber()))
}

// apply opens a stored event and folds what it became, at one revision.
func (m *eventSourced) apply(ctx context.Context, event *egopb.Event, prior memory) (memory, error) {
	messages, err := m.shared.Codec.OpenMessages(ctx, event, m.opened[:0])
	if err != nil {
		return memory{}, err
	}
	m.opened = messages
	next := prior
	for i, message := range messages {
		messages[i] = nil
		if next, err = m.fold(ctx, message, next); err != nil {
			return memory{}, fmt.Errorf("event %d: %w", event.GetSequenceNumber(), err)
		}
	}
	next.revision = event.GetSequenceNumber()
	return next, nil
}

// fold returns the memory after an event.
func (m *eventSourced) fold(ctx context.Context, event proto.Message, prior memory) (memory, error) {
	if IsNil(event) {
		return memory{}, invalid("HandleCommand returned a nil event")
	}
	state, err := m.handleEvent(ctx, event, prior.state)
	if err != nil {
		refusal := refusalOf(fmt.Errorf("HandleEvent refused %s: %w", event.ProtoReflect().Descriptor().FullName(), err))
		refusal.tainted = true
		return memory{}, refusal
	}
	if IsNil(state) {
		return memory{}, invalid("HandleEvent returned no state for %s", event.ProtoReflect().Descriptor().FullName())
	}
	return memory{state: state, revision: prior.revision + 1}, nil
}

func (m *eventSourced) initialState() (state proto.Message, err error) {
	defer recoverPanic("InitialState", &err)
	if state = m.behavior.InitialState(); IsNil(state) {
		return nil, errors.New("InitialState returned no state")
	}
	return state, nil
}

func (m *eventSourced) handleCommand(ctx context.Context, command, state proto.Message) (events []proto.Message, err error) {
	defer recoverPanic("HandleCommand", &err)
	return m.behavior.HandleCommand(ctx, command, state)
}

func (m *eventSourced) handleEvent(ctx context.Context, event, state proto.Message) (next proto.Message, err error) {
	defer recoverPanic("HandleEvent", &err)
	return m.behavior.HandleEvent(ctx, event, state)
}

// recoverPanic is deferred around a handler and turns its panic into an error.
func recoverPanic(handler string, err *error) {
	if value := recover(); value != nil {
		*err = &PanicError{Handler: handler, Value: value, Stack: debug.Stack()}
	}
}

// refusalOf returns the refusal that a handler's error means.
func refusalOf(err error) *Refusal {
	refusal := &Refusal{Err: err}
	if _, ok := errors.AsType[*PanicError](err); ok {
		refusal.Code, refusal.tainted = CodePanic, true
	}
	return refusal
}

// CheckKind returns an error when a record of one kind is used as another. A record without a kind fits all.
func CheckKind(stored, used string) error {
	if stored == "" || stored == used {
		return nil
	}
	return fmt.Errorf("%w: stored as %q, used as %q", ErrKindMismatch, stored, used)
}
