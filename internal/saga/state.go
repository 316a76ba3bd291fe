package saga

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
)

// The statuses of a saga.
const (
	Unknown      = egopb.SagaStatus_SAGA_STATUS_UNSPECIFIED // it has not begun
	Running      = egopb.SagaStatus_SAGA_STATUS_RUNNING
	Completed    = egopb.SagaStatus_SAGA_STATUS_COMPLETED
	Compensating = egopb.SagaStatus_SAGA_STATUS_COMPENSATING
	Compensated  = egopb.SagaStatus_SAGA_STATUS_COMPENSATED
	Failed       = egopb.SagaStatus_SAGA_STATUS_FAILED
)

// State is the fold of a saga's stream. It is never modified: a record makes a new one. As a message it is the user's own
// state.
type State struct {
	proto.Message // the user's state

	Status   egopb.SagaStatus
	Reason   string
	Deadline int64                // Unix nanoseconds; zero is never
	Commands []*egopb.SagaCommand // unanswered
	Timers   []*egopb.SagaTimerSet

	records    uint64                // of ego's own in the stream; event adapters may change the number of others
	generation uint64                // of the newest timer
	completing bool                  // it completes once no command is unanswered
	planned    bool                  // the plan is known
	plan       []*egopb.SagaCommand  // of the compensation; what is left of it
	positions  []*egopb.SagaPosition // handled, by shard
	fresh      []string              // commands of the newest step, so that only the process that took it has sent them
}

// Active reports whether the saga has work to do, or waits for some.
func (s *State) Active() bool { return s.Status == Running || s.Status == Compensating }

// Draining reports whether the saga only waits for the answers of commands before it compensates.
func (s *State) Draining() bool { return s.Status == Compensating && !s.planned }

// position returns the highest position of a shard that was handled.
func (s *State) position(shard uint32) uint64 { return positionOf(s.positions, shard) }

func positionOf(positions []*egopb.SagaPosition, shard uint32) uint64 {
	for _, p := range positions {
		if p.GetShard() == shard {
			return p.GetPosition()
		}
	}
	return 0
}

// raise returns the positions with that of one shard raised.
func raise(positions []*egopb.SagaPosition, shard uint32, position uint64) []*egopb.SagaPosition {
	raised := slices.Clone(positions)
	for i, p := range raised {
		if p.GetShard() == shard {
			raised[i] = &egopb.SagaPosition{Shard: shard, Position: max(position, p.GetPosition())}
			return raised
		}
	}
	return append(raised, &egopb.SagaPosition{Shard: shard, Position: position})
}

// command returns the unanswered command of an id, nil when there is none.
func (s *State) command(id string) *egopb.SagaCommand {
	for _, c := range s.Commands {
		if c.GetCommandId() == id {
			return c
		}
	}
	return nil
}

// inDoubt reports whether an unanswered command may have been sent by another process than the one that has issued it: one
// that has taken a step since.
func (s *State) inDoubt(commandID string) bool {
	return s.Waits(commandID) && !slices.Contains(s.fresh, commandID)
}

// Waits reports whether a command is unanswered.
func (s *State) Waits(commandID string) bool { return s.command(commandID) != nil }

// timer returns the timer of a name, nil when it is not set.
func (s *State) timer(name string) *egopb.SagaTimerSet {
	for _, t := range s.Timers {
		if t.GetName() == name {
			return t
		}
	}
	return nil
}

// apply returns the state after a record, or after an event of the saga's own.
func apply(ctx context.Context, behavior Behavior, record proto.Message, prior *State) (*State, error) {
	next := *prior
	if next.takeInput(record) || next.takeDecision(record) {
		next.records++
		return &next, nil
	}
	user, err := applyEvent(ctx, behavior, record, prior.Message)
	if err != nil {
		return nil, err
	}
	next.Message = user
	return &next, nil
}

// takeInput takes a record of what a step was taken for. It is false for any other.
func (s *State) takeInput(record proto.Message) bool {
	switch r := record.(type) {
	case *egopb.SagaStarted:
		s.Status, s.Deadline, s.positions = Running, r.GetDeadlineUnixNano(), r.GetPositions()
	case *egopb.SagaEventReceived:
		s.positions = raise(s.positions, r.GetShard(), r.GetPosition())
	case *egopb.SagaEventsPassed:
		for _, p := range r.GetPositions() {
			s.positions = raise(s.positions, p.GetShard(), p.GetPosition())
		}
	case *egopb.SagaCommandAnswered:
		s.answered(r)
	case *egopb.SagaTimerFired:
		s.fired(r)
	case *egopb.SagaResumed:
		if r.GetRetried() {
			s.Status = Compensating
		}
	default:
		return false
	}
	s.fresh = nil
	return true
}

// takeDecision takes a record of what a step decided. It is false for an event of the behaviour's own.
func (s *State) takeDecision(record proto.Message) bool {
	switch r := record.(type) {
	case *egopb.SagaCommandIssued:
		s.Commands = append(slices.Clip(s.Commands), r.GetCommand())
		s.fresh = append(slices.Clip(s.fresh), r.GetCommand().GetCommandId())
	case *egopb.SagaTimerSet:
		s.generation = r.GetGeneration()
		s.Timers = append(without(s.Timers, r.GetName()), r)
	case *egopb.SagaTimerCanceled:
		s.Timers = without(s.Timers, r.GetName())
	case *egopb.SagaCompleting:
		s.completing = true
	case *egopb.SagaCompensationBegun:
		s.Status, s.Reason, s.Timers, s.completing, s.fresh = Compensating, r.GetReason(), nil, false, nil
	case *egopb.SagaCompensationPlanned:
		s.planned, s.plan = true, r.GetCommands()
	case *egopb.SagaFinished:
		s.finished(r)
	default:
		return false
	}
	return true
}

func applyEvent(ctx context.Context, behavior Behavior, event, state proto.Message) (next proto.Message, err error) {
	name := event.ProtoReflect().Descriptor().FullName()
	err = call("ApplyEvent", func() (err error) {
		next, err = behavior.ApplyEvent(ctx, event, state)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ApplyEvent refused %s: %w", name, err)
	}
	if entity.IsNil(next) {
		return nil, fmt.Errorf("%w: ApplyEvent returned no state for %s", errInvalid, name)
	}
	return next, nil
}

func (s *State) answered(r *egopb.SagaCommandAnswered) {
	id := r.GetCommandId()
	s.Commands = slices.DeleteFunc(slices.Clone(s.Commands), func(c *egopb.SagaCommand) bool { return c.GetCommandId() == id })
	if len(s.plan) > 0 && s.plan[0].GetCommandId() == id && !r.GetFailed() {
		s.plan = s.plan[1:]
	}
}

func (s *State) fired(r *egopb.SagaTimerFired) {
	if set := s.timer(r.GetName()); set.GetGeneration() == r.GetGeneration() {
		s.Timers = without(s.Timers, r.GetName())
	}
}

func (s *State) finished(r *egopb.SagaFinished) {
	s.Status, s.Timers, s.completing = r.GetStatus(), nil, false
	if r.GetReason() != "" {
		s.Reason = r.GetReason()
	}
}

func without(timers []*egopb.SagaTimerSet, name string) []*egopb.SagaTimerSet {
	return slices.DeleteFunc(slices.Clone(timers), func(t *egopb.SagaTimerSet) bool { return t.GetName() == name })
}
