package saga

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/projection"
)

// The inputs of a saga travel as commands to its entity. Each carries a message only because commands do.

// StartInput starts a saga. A saga that has started already stays as it is.
type StartInput struct {
	*egopb.SagaStarted
	Timeout   time.Duration // zero is none
	Positions map[uint32]uint64
}

// NewStart returns an input that starts a saga. The positions are the heads of the shards for a saga that sees every event.
func NewStart(timeout time.Duration, positions map[uint32]uint64) *StartInput {
	return &StartInput{SagaStarted: new(egopb.SagaStarted), Timeout: timeout, Positions: positions}
}

// EventInput offers an event to a saga.
type EventInput struct {
	*egopb.SagaEventReceived
	Stored  *egopb.Event
	Events  []*projection.Event // what the stored event opens to
	Start   bool                // starts the saga when it has not begun
	Kind    string              // of the saga
	Timeout time.Duration       // of a saga that it starts; zero is none
	Late    bool                // it was set aside, so later events of its shard may have come before it
}

// NewEvent returns an input that offers a stored event, which opens to one event or more.
func NewEvent(stored *egopb.Event, opened []*projection.Event, start bool) *EventInput {
	return &EventInput{
		SagaEventReceived: &egopb.SagaEventReceived{
			Shard:          stored.GetShard(),
			Position:       stored.GetPosition(),
			PersistenceId:  stored.GetPersistenceId(),
			SequenceNumber: stored.GetSequenceNumber(),
		},
		Stored: stored,
		Events: opened,
		Start:  start,
	}
}

// ResultInput brings the outcome of a command.
type ResultInput struct {
	*egopb.SagaCommandAnswered
	State   proto.Message // of the entity, when it succeeded
	Failure error
	Command *egopb.SagaCommand // that the outcome is of
	Checked bool               // the failure holds for all attempts, those of other processes too
}

// NewResult returns an input with the outcome of a command.
func NewResult(command *egopb.SagaCommand, state proto.Message, failure error) *ResultInput {
	answered := &egopb.SagaCommandAnswered{CommandId: command.GetCommandId()}
	r := &ResultInput{SagaCommandAnswered: answered, State: state, Failure: failure, Command: command}
	if failure != nil {
		r.Failed, r.Reason = true, failure.Error()
	}
	return r
}

// TimerInput says that a timer is due.
type TimerInput struct{ *egopb.SagaTimerFired }

// NewTimer returns an input for a timer of the store, by its name there.
func NewTimer(row string) *TimerInput {
	name, generation := parseRow(row)
	return &TimerInput{&egopb.SagaTimerFired{Name: name, Generation: generation}}
}

// CancelInput makes a saga compensate.
type CancelInput struct{ *egopb.SagaCompensationBegun }

// NewCancel returns an input that makes a saga compensate.
func NewCancel(reason string) *CancelInput {
	return &CancelInput{&egopb.SagaCompensationBegun{Reason: reason}}
}

// RetryInput tries a failed compensation again.
type RetryInput struct{ *egopb.SagaResumed }

// NewRetry returns an input that tries a failed compensation again.
func NewRetry() *RetryInput { return &RetryInput{&egopb.SagaResumed{Retried: true}} }

// NameOf names the sort of an input.
func NameOf(input proto.Message) string {
	switch input.(type) {
	case *StartInput:
		return "start"
	case *EventInput:
		return "event"
	case *ResultInput:
		return "result"
	case *TimerInput:
		return "timer"
	case *CancelInput:
		return "cancel"
	case *RetryInput:
		return "retry"
	default:
		return "input"
	}
}
