package saga_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/projection"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a behaviour that decides what a test says. Its state keeps the notes of its events.
type scripted struct {
	start, event, result, failure, timeout func(state *testpb.Account) (*saga.Action, error)
	compensate                             func(state *testpb.Account) ([]saga.Command, error)
}

func (s *scripted) InitialState() proto.Message { return new(testpb.Account) }

func decided(decide func(*testpb.Account) (*saga.Action, error), state proto.Message) (*saga.Action, error) {
	if decide == nil {
		return nil, nil
	}
	return decide(state.(*testpb.Account))
}

func (s *scripted) Start(_ context.Context, state proto.Message) (*saga.Action, error) {
	return decided(s.start, state)
}

func (s *scripted) HandleEvent(_ context.Context, _ *projection.Event, state proto.Message) (*saga.Action, error) {
	return decided(s.event, state)
}

func (s *scripted) HandleResult(_ context.Context, _ string, _, state proto.Message) (*saga.Action, error) {
	return decided(s.result, state)
}

func (s *scripted) HandleError(_ context.Context, _ string, _ error, state proto.Message) (*saga.Action, error) {
	return decided(s.failure, state)
}

func (s *scripted) HandleTimeout(_ context.Context, _ string, state proto.Message) (*saga.Action, error) {
	return decided(s.timeout, state)
}

func (s *scripted) ApplyEvent(_ context.Context, event, state proto.Message) (proto.Message, error) {
	note := event.(*testpb.Deposited).GetNote()
	if note == "poison" {
		return nil, errors.New("as asked")
	}
	return &testpb.Account{Notes: append(slices.Clip(state.(*testpb.Account).GetNotes()), note)}, nil
}

func (s *scripted) Compensate(_ context.Context, state proto.Message) ([]saga.Command, error) {
	if s.compensate == nil {
		return nil, nil
	}
	return s.compensate(state.(*testpb.Account))
}

// rig is a machine with the stream it has made.
type rig struct {
	t        testing.TB
	behavior *scripted
	machine  *saga.Machine
	state    *saga.State
	stream   []proto.Message
	position uint64
}

func config(behavior saga.Behavior) saga.Config {
	return saga.Config{
		ID: "s", PersistenceID: saga.Prefix + "s", Kind: "k", Behavior: behavior,
		ResumeAfter: time.Minute, IdleWatch: time.Hour, Now: func() time.Time { return time.Unix(1000, 0) },
	}
}

func newRig(t testing.TB, behavior *scripted) *rig {
	t.Helper()
	r := &rig{t: t, behavior: behavior}
	r.recover()
	return r
}

// recover folds the stream again, in a new machine, and checks that it comes to the same.
func (r *rig) recover() {
	r.t.Helper()
	before := r.state
	r.machine = saga.NewMachine(config(r.behavior))
	state := r.machine.InitialState()
	for _, record := range r.stream {
		var err error
		state, err = r.machine.HandleEvent(context.Background(), proto.Clone(record), state)
		require.NoError(r.t, err)
	}
	r.state = state.(*saga.State)
	if before == nil {
		return
	}
	require.True(r.t, proto.Equal(before, r.state), "the user's state")
	require.Equal(r.t, before.Status, r.state.Status)
	require.Equal(r.t, before.Reason, r.state.Reason)
	require.Equal(r.t, ids(before), ids(r.state))
	require.Len(r.t, r.state.Timers, len(before.Timers))
}

func ids(s *saga.State) []string {
	var list []string
	for _, c := range s.Commands {
		list = append(list, c.GetCommandId())
	}
	return list
}

// input gives the machine an input and folds what it decides.
func (r *rig) input(input proto.Message) ([]proto.Message, error) {
	r.t.Helper()
	records, err := r.machine.HandleCommand(context.Background(), input, r.state)
	if err != nil {
		return nil, err
	}
	state := proto.Message(r.state)
	for _, record := range records {
		if state, err = r.machine.HandleEvent(context.Background(), record, state); err != nil {
			return nil, err
		}
	}
	r.machine.Armed()
	r.state = state.(*saga.State)
	r.stream = append(r.stream, records...)
	return records, nil
}

func (r *rig) must(input proto.Message) []proto.Message {
	r.t.Helper()
	records, err := r.input(input)
	require.NoError(r.t, err)
	return records
}

// offer offers the event at a position.
func (r *rig) offer(position uint64) []proto.Message {
	r.t.Helper()
	stored := &egopb.Event{PersistenceId: "a", SequenceNumber: position, Shard: 1, Position: position}
	return r.must(saga.NewEvent(stored, []*projection.Event{{Message: new(testpb.Deposited)}}, false))
}

// answer brings the outcome of the oldest unanswered command.
func (r *rig) answer(failure error) []proto.Message {
	r.t.Helper()
	require.NotEmpty(r.t, r.state.Commands)
	return r.must(saga.NewResult(r.state.Commands[0], new(testpb.Account), failure))
}

func send(n int) *saga.Action {
	action := new(saga.Action)
	for range n {
		action.Commands = append(action.Commands, saga.Command{EntityID: "a", Command: &testpb.Deposit{Amount: 1}})
	}
	return action
}

func sends(n int) func(*testpb.Account) (*saga.Action, error) {
	return func(*testpb.Account) (*saga.Action, error) { return send(n), nil }
}

func does(action *saga.Action) func(*testpb.Account) (*saga.Action, error) {
	return func(*testpb.Account) (*saga.Action, error) { return action, nil }
}

func takesBack(n int) func(*testpb.Account) ([]saga.Command, error) {
	return func(*testpb.Account) ([]saga.Command, error) { return send(n).Commands, nil }
}

func note(text string) proto.Message { return &testpb.Deposited{Note: text} }
