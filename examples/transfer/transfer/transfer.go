// Package transfer is a saga that moves money between two accounts: it debits the one, credits the other, and gives back what
// it debited when the credit is refused. Neither a crash nor a refusal makes or loses money.
package transfer

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/bank/bankpb"
	"github.com/actorkeep/ego/examples/transfer/transferpb"
)

// Kind is the name under which transfers are stored.
const Kind = "transfer"

// hold is the timer that a transfer waits for before it begins.
const hold = "hold"

// Saga is the behaviour of a transfer.
type Saga struct {
	id      string
	request *transferpb.Requested // nil when it was rebuilt: the stream knows it
	after   time.Duration
}

var (
	_ ego.SagaStarter = (*Saga)(nil)
	_ ego.SagaTimeout = (*Saga)(nil)
)

// New returns the behaviour of a transfer that has begun, for [ego.SagaKind].
func New(id string) ego.SagaBehavior { return &Saga{id: id} }

// Request returns a transfer to begin with [ego.Engine.Saga], some time after that.
func Request(id, from, to string, amount int64, after time.Duration) *Saga {
	return &Saga{id: id, request: &transferpb.Requested{From: from, To: to, Amount: amount}, after: after}
}

// ID returns the identity of the transfer.
func (s *Saga) ID() string { return s.id }

// InitialState returns a transfer that has not begun.
func (s *Saga) InitialState() ego.State { return new(transferpb.Transfer) }

// Start makes the request part of the saga's own stream, and debits the payer now or later.
func (s *Saga) Start(context.Context, ego.State) (*ego.SagaAction, error) {
	if s.request == nil {
		return nil, fmt.Errorf("transfer %s was started without a request", s.id)
	}
	action := &ego.SagaAction{Events: []ego.Event{s.request}}
	if s.after > 0 {
		action.Timers = []ego.SagaTimer{{Name: hold, After: s.after}}
	} else {
		action.Commands = []ego.SagaCommand{s.debit(s.request.GetFrom(), s.request.GetAmount())}
	}
	return action, nil
}

// HandleTimeout debits the payer.
func (s *Saga) HandleTimeout(_ context.Context, _ string, state ego.State) (*ego.SagaAction, error) {
	t := state.(*transferpb.Transfer)
	return &ego.SagaAction{Commands: []ego.SagaCommand{s.debit(t.GetFrom(), t.GetAmount())}}, nil
}

// HandleEvent has nothing to do: the answers of the accounts say all.
func (s *Saga) HandleEvent(context.Context, ego.Event, ego.State) (*ego.SagaAction, error) {
	return nil, nil //nolint:nilnil // no action
}

// HandleResult credits the payee once the payer has paid, and is done after that.
func (s *Saga) HandleResult(_ context.Context, _ string, _, state ego.State) (*ego.SagaAction, error) {
	t := state.(*transferpb.Transfer)
	if !t.GetDebited() {
		return &ego.SagaAction{
			Events:   []ego.Event{new(transferpb.Debited)},
			Commands: []ego.SagaCommand{s.credit(t.GetTo(), t.GetAmount())},
		}, nil
	}
	return &ego.SagaAction{Events: []ego.Event{new(transferpb.Credited)}, Complete: true}, nil
}

// HandleError takes everything back.
func (s *Saga) HandleError(context.Context, string, error, ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Compensate: true}, nil
}

// ApplyEvent returns the transfer after an event.
func (s *Saga) ApplyEvent(_ context.Context, event ego.Event, prior ego.State) (ego.State, error) {
	next := proto.CloneOf(prior.(*transferpb.Transfer))
	switch e := event.(type) {
	case *transferpb.Requested:
		next.From, next.To, next.Amount = e.GetFrom(), e.GetTo(), e.GetAmount()
	case *transferpb.Debited:
		next.Debited = true
	case *transferpb.Credited:
		next.Credited = true
	default:
		return nil, fmt.Errorf("unknown event %T", event)
	}
	return next, nil
}

// Compensate gives back what was taken.
func (s *Saga) Compensate(_ context.Context, state ego.State) ([]ego.SagaCommand, error) {
	t := state.(*transferpb.Transfer)
	var commands []ego.SagaCommand
	if t.GetCredited() {
		commands = append(commands, s.debit(t.GetTo(), t.GetAmount()))
	}
	if t.GetDebited() {
		commands = append(commands, s.credit(t.GetFrom(), t.GetAmount()))
	}
	return commands, nil
}

func (s *Saga) debit(account string, amount int64) ego.SagaCommand {
	return ego.SagaCommand{EntityID: account, Command: &bankpb.Debit{Amount: amount, Transfer: s.id}}
}

func (s *Saga) credit(account string, amount int64) ego.SagaCommand {
	return ego.SagaCommand{EntityID: account, Command: &bankpb.Credit{Amount: amount, Transfer: s.id}}
}
