package saga

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
)

// A step is a decision in the making: the records so far and the state after each.
type step struct {
	machine *Machine
	ctx     context.Context //nolint:containedctx // a step is one call
	prior   *State
	state   *State
	records []proto.Message
	states  []*State
	issued  int // commands
	folded  int // records that the entity has folded since
	rearm   bool
}

// add adds a record. Only a record of the user's can fail.
func (s *step) add(record proto.Message) error {
	next, err := apply(s.ctx, s.machine.config.Behavior, record, s.state)
	if err != nil {
		return err
	}
	s.records, s.states, s.state = append(s.records, record), append(s.states, next), next
	return nil
}

// note adds a record of ego's own.
func (s *step) note(record proto.Message) { _ = s.add(record) }

// mark remembers where a step is, to go back there.
func (s *step) mark() int { return len(s.records) }

func (s *step) back(to int) {
	s.records, s.states = s.records[:to], s.states[:to]
	s.state = s.prior
	if to > 0 {
		s.state = s.states[to-1]
	}
}

// start begins the saga.
func (s *step) start(in *StartInput) error {
	if s.state.Status != Unknown {
		return nil
	}
	s.begin(in.Timeout, in.Positions)
	return nil
}

func (s *step) begin(timeout time.Duration, heads map[uint32]uint64) {
	now := s.machine.config.Now()
	started := &egopb.SagaStarted{TimeUnixNano: now.UnixNano()}
	if timeout > 0 {
		started.DeadlineUnixNano = now.Add(timeout).UnixNano()
	}
	for shard, position := range heads {
		started.Positions = append(started.Positions, &egopb.SagaPosition{Shard: shard, Position: position})
	}
	s.note(started)
	s.act("Start", func() (*Action, error) { return s.machine.config.Behavior.Start(s.ctx, s.state.Message) })
}

// event offers an event. One that leads to nothing is not recorded by itself: the next record says that it was offered,
// whatever that is, so a state in the stream is always that of a saga that has seen exactly the events up to its positions.
func (s *step) event(in *EventInput) error {
	shard, position := in.GetShard(), in.GetPosition()
	switch {
	case s.state.Status == Unknown && !in.Start:
		return ErrNotStarted
	case s.state.Status == Unknown:
		s.begin(in.Timeout, nil)
	case s.state.Status != Running:
		return nil
	case position <= max(s.state.position(shard), positionOf(s.machine.offered, shard)):
		if !in.Late {
			return nil
		}
		if done, err := s.machine.dealtWith(s.ctx, shard, position); done || err != nil {
			return err
		}
	}
	if s.state.Status != Running {
		return nil // its start has finished it
	}
	kept := s.mark()
	s.passed(shard)
	s.note(in.SagaEventReceived)
	received := s.mark()
	for _, event := range in.Events {
		s.act("HandleEvent", func() (*Action, error) {
			return s.machine.config.Behavior.HandleEvent(s.ctx, event, s.state.Message)
		})
	}
	if s.mark() == received && kept == 0 { // nothing came of it
		s.back(0)
		s.machine.offered = raise(s.machine.offered, shard, position)
	}
	return nil
}

// passed records which events were offered before, but for those of a shard whose position is recorded anyway.
func (s *step) passed(but uint32) {
	var passed []*egopb.SagaPosition
	for _, p := range s.machine.offered {
		if p.GetShard() != but && p.GetPosition() > s.state.position(p.GetShard()) {
			passed = append(passed, p)
		}
	}
	if len(passed) > 0 {
		s.note(&egopb.SagaEventsPassed{Positions: passed})
	}
}

// noShard is a shard that no event is in.
const noShard = 1<<32 - 1

// result takes the outcome of a command.
func (s *step) result(in *ResultInput) {
	command := s.state.command(in.GetCommandId())
	if command == nil {
		return // known already
	}
	s.passed(noShard)
	compensating := s.state.planned
	s.note(in.SagaCommandAnswered)
	switch {
	case compensating && in.Failure != nil:
		s.note(&egopb.SagaFinished{Status: Failed, Reason: in.GetReason()})
	case compensating:
		s.compensateNext()
	case s.state.Status != Running && s.state.Status != Compensating:
	case in.Failure != nil:
		s.act("HandleError", func() (*Action, error) {
			return s.machine.config.Behavior.HandleError(s.ctx, command.GetEntityId(), in.Failure, s.state.Message)
		}, in.Failure)
	default:
		s.act("HandleResult", func() (*Action, error) {
			return s.machine.config.Behavior.HandleResult(s.ctx, command.GetEntityId(), in.State, s.state.Message)
		})
	}
	s.settle()
}

// timer takes a timer that is due. When there is nothing to do for it, the saga records that it was resumed: a process that
// is not up to date cannot, and so never mistakes a timer for one that is not set.
func (s *step) timer(in *TimerInput) {
	if !s.state.Active() {
		return
	}
	s.passed(noShard)
	name, generation := in.GetName(), in.GetGeneration()
	switch set := s.state.timer(name); {
	case generation > 0 && set.GetGeneration() == generation:
		s.note(in.SagaTimerFired)
		s.act("HandleTimeout", func() (*Action, error) {
			return s.machine.config.Behavior.HandleTimeout(s.ctx, name, s.state.Message)
		})
		s.settle()
	case generation == 0 && name == deadline && s.state.Status == Running:
		s.compensate("the saga timed out")
	default:
		s.rearm = generation == 0 && name == watchdog
		s.note(new(egopb.SagaResumed))
		s.settle()
	}
}

// cancel makes the saga compensate.
func (s *step) cancel(in *CancelInput) error {
	switch s.state.Status {
	case Running:
		s.passed(noShard)
		s.compensate(in.GetReason())
		return nil
	case Completed:
		return ErrFinished
	default:
		return nil
	}
}

// commandID returns the id of the next command of the step: the saga, the number of the step's first record among those of
// ego's own, and the command's number in the step.
func (s *step) commandID() string {
	s.issued++
	return s.machine.config.ID + "/" + strconv.FormatUint(s.prior.records+1, 10) + "/" + strconv.Itoa(s.issued)
}

// trace returns the trace context of the step.
func (s *step) trace() *egopb.TraceContext {
	if s.machine.config.Trace == nil {
		return nil
	}
	return s.machine.config.Trace(s.ctx)
}

// arm returns the timers that must be in the store before the step is.
func (s *step) arm() []*egopb.Timer {
	m, state := s.machine, s.state
	if !state.Active() {
		return nil
	}
	var rows []*egopb.Timer
	now := m.config.Now()
	until := m.watchUntil(state, now)
	late := len(state.Commands) > 0 && m.armed.Sub(now) < m.config.ResumeAfter/2
	if m.armed.IsZero() || until.Before(m.armed) || late || s.rearm || s.prior.Status == Failed {
		rows = append(rows, m.row(watchdog, until.UnixNano()))
	}
	if s.prior.Status == Unknown {
		if state.Deadline > 0 {
			rows = append(rows, m.row(deadline, state.Deadline))
		}
		if m.config.Indexed {
			rows = append(rows, &egopb.Timer{
				Owner: IndexOwner(m.config.Kind), Name: m.config.ID, Kind: IndexKind, DueUnixNano: never,
			})
		}
	}
	for _, t := range state.Timers {
		if t.GetGeneration() > s.prior.generation {
			rows = append(rows, m.row(userRow(t.GetName(), t.GetGeneration()), t.GetDueUnixNano()))
		}
	}
	for _, row := range rows {
		row.Trace = s.trace()
	}
	return rows
}
