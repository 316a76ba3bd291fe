package saga

import (
	"fmt"
	"strconv"

	"github.com/actorkeep/ego/egopb"
)

// act lets the behaviour decide and records what it decided. A behaviour that fails, panics or breaks its contract makes
// the saga compensate: it cannot be relied on to finish what it began. While the saga only waits for answers before it
// compensates, events are taken and everything else of an action is not.
func (s *step) act(handler string, decide func() (*Action, error), cause ...error) {
	if !s.state.Active() || s.state.planned {
		return
	}
	kept, issued := s.mark(), s.issued
	var action *Action
	err := call(handler, func() (err error) {
		action, err = decide()
		return err
	})
	if err == nil && action != nil {
		err = s.take(action)
	}
	if err != nil {
		s.back(kept)
		s.issued = issued
		s.handlerFailed(fmt.Sprintf("%s failed: %v", handler, err))
		return
	}
	if action != nil && action.Compensate {
		reason := handler + " asked for it"
		if len(cause) > 0 {
			reason = cause[0].Error()
		}
		s.compensate(reason)
	}
}

// handlerFailed makes the saga compensate. When it is about to, the state lacks what the handler was to take note of, and
// nobody but a person can tell what there is to take back.
func (s *step) handlerFailed(reason string) {
	if s.state.Draining() {
		s.note(&egopb.SagaFinished{Status: Failed, Reason: reason})
		return
	}
	s.compensate(reason)
}

// take records an action, all but its compensation.
func (s *step) take(action *Action) error {
	if err := action.check(); err != nil {
		return err
	}
	for _, event := range action.Events {
		if err := s.add(event); err != nil {
			return err
		}
	}
	if s.state.Status != Running {
		return nil
	}
	for i := range action.Commands {
		record, err := action.Commands[i].record(s.commandID(), s.machine.config.Now())
		if err != nil {
			return err
		}
		record.Trace = s.trace()
		s.issue(record)
	}
	s.setTimers(action.Timers)
	if action.Complete {
		s.complete()
	}
	return nil
}

func (s *step) setTimers(timers []Timer) {
	for _, timer := range timers {
		if timer.After > 0 {
			s.note(&egopb.SagaTimerSet{
				Name:        timer.Name,
				DueUnixNano: s.machine.config.Now().Add(timer.After).UnixNano(),
				Generation:  s.state.generation + 1,
			})
		} else if s.state.timer(timer.Name) != nil {
			s.note(&egopb.SagaTimerCanceled{Name: timer.Name})
		}
	}
}

// complete finishes the saga, or makes it finish once its commands are answered.
func (s *step) complete() {
	if len(s.state.Commands) > 0 {
		s.note(new(egopb.SagaCompleting))
		return
	}
	s.note(&egopb.SagaFinished{Status: Completed})
}

// settle goes on with what waited for the answers of commands.
func (s *step) settle() {
	if len(s.state.Commands) > 0 {
		return
	}
	switch {
	case s.state.Status == Running && s.state.completing:
		s.note(&egopb.SagaFinished{Status: Completed})
	case s.state.Draining():
		s.plan()
	}
}

// compensate begins the compensation. It waits for the answers of the commands under way: only then is it known what there
// is to take back.
func (s *step) compensate(reason string) {
	if s.state.Status != Running {
		return
	}
	s.note(&egopb.SagaCompensationBegun{Reason: reason})
	s.settle()
}

// plan asks the behaviour how to compensate, and begins.
func (s *step) plan() {
	var commands []Command
	err := call("Compensate", func() (err error) {
		commands, err = s.machine.config.Behavior.Compensate(s.ctx, s.state.Message)
		return err
	})
	planned := new(egopb.SagaCompensationPlanned)
	for i := range commands {
		if err == nil {
			err = commands[i].check()
		}
		if err != nil {
			break
		}
		var record *egopb.SagaCommand
		if record, err = commands[i].record(s.machine.config.ID+"/c/"+strconv.Itoa(i+1), s.machine.config.Now()); err == nil {
			record.Trace = s.trace()
			planned.Commands = append(planned.Commands, record)
		}
	}
	if err != nil {
		s.note(&egopb.SagaFinished{Status: Failed, Reason: fmt.Sprintf("Compensate failed: %v", err)})
		return
	}
	s.note(planned)
	s.compensateNext()
}

// compensateNext issues the next command of the plan, or finishes.
func (s *step) compensateNext() {
	if len(s.state.plan) > 0 {
		s.issue(s.state.plan[0])
		return
	}
	s.note(&egopb.SagaFinished{Status: Compensated})
}

func (s *step) issue(command *egopb.SagaCommand) {
	s.machine.issue(command)
	s.note(&egopb.SagaCommandIssued{Command: command})
}

// retry goes on with a compensation that has failed.
func (s *step) retry() error {
	switch s.state.Status {
	case Failed:
	case Completed, Compensated:
		return ErrFinished
	default:
		return nil // it is at work
	}
	s.note(&egopb.SagaResumed{Retried: true})
	if s.state.planned {
		s.compensateNext()
	} else {
		s.settle()
	}
	return nil
}
