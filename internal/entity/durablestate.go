package entity

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/envelope"
)

// DurableState is the behaviour of a durable-state entity.
type DurableState interface {
	InitialState() proto.Message
	HandleCommand(ctx context.Context, command proto.Message, priorState proto.Message, revision uint64) (proto.Message, error)
}

// NewDurableState returns a cold entity that keeps its latest state. Its commands are never batched: the store checks each
// revision.
func NewDurableState(id, kind string, behavior DurableState, settings *Settings, shared *Shared) *Entity {
	unbatched := *settings
	unbatched.BatchThreshold, unbatched.BatchFlushWindow = 0, 0
	return &Entity{
		id:       id,
		kind:     kind,
		model:    &durableState{id: id, kind: kind, behavior: behavior, settings: &unbatched, shared: shared},
		settings: &unbatched,
		shared:   shared,
		commands: window{size: settings.DedupWindow},
	}
}

// durableState keeps an entity as its latest state.
type durableState struct {
	id, kind string
	behavior DurableState
	settings *Settings
	shared   *Shared
	record   *egopb.DurableState // pending
}

// decide runs the command handler and packs the state it returns.
func (m *durableState) decide(r *Request, prior memory) (memory, error) {
	state, err := m.handleCommand(r.ctx, r.command, prior)
	if err != nil {
		return memory{}, refusalOf(err)
	}
	if IsNil(state) {
		return prior, nil
	}
	next := memory{state: state, revision: prior.revision + 1}
	record := &egopb.DurableState{
		PersistenceId: m.id,
		Revision:      next.revision,
		Kind:          m.kind,
		TimeUnixNano:  m.shared.Now().UnixNano(),
		WriterId:      m.shared.WriterID,
		SchemaVersion: m.settings.SchemaVersion,
	}
	if err := m.shared.Codec.PackState(r.ctx, record, state); err != nil {
		return memory{}, notPacked("state", state, err)
	}
	envelope.StampState(record, r.metadata)
	m.record = record
	return next, nil
}

func (m *durableState) pending() int {
	if m.record == nil {
		return 0
	}
	return 1
}

// store writes the pending state by compare-and-set on its revision.
func (m *durableState) store(ctx context.Context, commands *window) (err error) {
	record := m.record
	m.record = nil
	record.HandledCommands = commands.handled()
	ctx, cancel := context.WithTimeout(ctx, m.shared.WriteTimeout)
	defer cancel()
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("the store panicked: %v\n%s", value, debug.Stack())
		}
	}()
	return m.shared.States.WriteState(ctx, record)
}

func (m *durableState) discard() { m.record = nil }

// load reads the latest state.
func (m *durableState) load(ctx context.Context, commands *window) (latest memory, replayed uint64, err error) {
	latest, err = m.read(ctx, commands)
	return latest, 0, err
}

func (m *durableState) read(ctx context.Context, commands *window) (memory, error) {
	commands.forget()
	initial, err := m.initialState()
	if err != nil {
		return memory{}, err
	}
	record, err := m.shared.States.GetLatestState(ctx, m.id)
	if err != nil {
		return memory{}, err
	}
	if record == nil {
		return memory{state: initial}, nil
	}
	if err := CheckKind(record.GetKind(), m.kind); err != nil {
		return memory{}, err
	}
	if record.GetDeleted() {
		return memory{state: initial, revision: record.GetRevision()}, nil
	}
	if envelope.IsErasedState(record) {
		if err := m.shared.mayBegin(ctx, m.id); err != nil {
			return memory{}, err
		}
		return memory{state: initial, revision: record.GetRevision()}, nil
	}
	state, err := m.shared.Codec.OpenState(ctx, record)
	if err != nil {
		return memory{}, err
	}
	commands.restore(record.GetHandledCommands())
	return memory{state: state, revision: record.GetRevision()}, nil
}

func (m *durableState) stored(context.Context, memory, *window) {}

func (m *durableState) initialState() (state proto.Message, err error) {
	defer recoverPanic("InitialState", &err)
	if state = m.behavior.InitialState(); IsNil(state) {
		return nil, errors.New("InitialState returned no state")
	}
	return state, nil
}

func (m *durableState) handleCommand(ctx context.Context, command proto.Message, prior memory) (state proto.Message, err error) {
	defer recoverPanic("HandleCommand", &err)
	return m.behavior.HandleCommand(ctx, command, prior.state, prior.revision)
}
