package testkit

import (
	"errors"
	"fmt"
	"strings"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/testkit/internal/protodiff"
)

// ThenCommands fails the test unless the saga sends exactly these commands, in this order. A timeout or a retry policy is
// compared when the command to compare with has one.
func (s *SagaScenario) ThenCommands(commands ...ego.SagaCommand) *SagaScenario {
	s.t.Helper()
	s.thenSettled("ThenCommands", func(*outcome) error { return checkCommands(commands, s.decided().Commands) })
	return s
}

// ThenNoCommands fails the test unless the saga sends no command.
func (s *SagaScenario) ThenNoCommands() *SagaScenario {
	s.t.Helper()
	s.thenSettled("ThenNoCommands", func(*outcome) error { return checkCommands(nil, s.decided().Commands) })
	return s
}

// ThenEvents fails the test unless the saga decided on exactly these events of its own, in this order.
func (s *SagaScenario) ThenEvents(events ...ego.Event) *SagaScenario {
	s.t.Helper()
	s.thenSettled("ThenEvents", func(o *outcome) error { return checkEvents(events, o) })
	return s
}

// ThenState fails the test unless this is the state of the saga now.
func (s *SagaScenario) ThenState(state ego.State) *SagaScenario {
	s.t.Helper()
	s.thenSettled("ThenState", func(*outcome) error { return s.checkState(state) })
	return s
}

// ThenTimers fails the test unless the saga sets exactly these timers, in this order.
func (s *SagaScenario) ThenTimers(timers ...ego.SagaTimer) *SagaScenario {
	s.t.Helper()
	s.thenSettled("ThenTimers", func(*outcome) error {
		got := s.decided().Timers
		if len(got) != len(timers) {
			return fmt.Errorf("want the timers %v, got %v", timers, got)
		}
		for i := range timers {
			if got[i] != timers[i] {
				return fmt.Errorf("want the timers %v, got %v", timers, got)
			}
		}
		return nil
	})
	return s
}

// ThenNothing fails the test unless the saga decided to do nothing at all.
func (s *SagaScenario) ThenNothing() *SagaScenario {
	s.t.Helper()
	s.thenSettled("ThenNothing", func(*outcome) error {
		a := s.decided()
		if len(a.Commands)+len(a.Events)+len(a.Timers) > 0 || a.Complete || a.Compensate {
			return fmt.Errorf("want nothing, got %s", describe(a))
		}
		return nil
	})
	return s
}

// ThenCompleted fails the test unless the saga completes, once its commands are answered.
func (s *SagaScenario) ThenCompleted() *SagaScenario {
	s.t.Helper()
	s.thenSettled("ThenCompleted", func(*outcome) error {
		if !s.decided().Complete {
			return fmt.Errorf("want it to complete, got %s", describe(s.decided()))
		}
		return nil
	})
	return s
}

// ThenCompensated fails the test unless the saga compensates and, when commands are given, with exactly these, in this order.
func (s *SagaScenario) ThenCompensated(commands ...ego.SagaCommand) *SagaScenario {
	s.t.Helper()
	s.thenSettled("ThenCompensated", func(*outcome) error {
		if !s.decided().Compensate {
			return fmt.Errorf("want it to compensate, got %s", describe(s.decided()))
		}
		if len(commands) == 0 {
			return nil
		}
		return checkCommands(commands, s.plan)
	})
	return s
}

// ThenError fails the test unless the handler failed with an error that matches the target, which is compared as
// [Scenario.ThenError] does. In an engine, such a saga compensates.
func (s *SagaScenario) ThenError(target any) *SagaScenario {
	s.t.Helper()
	s.then("ThenError", func(o *outcome) error { return o.checkError(target) })
	return s
}

// decided returns the action of the latest When, an empty one when there was none.
func (s *SagaScenario) decided() *ego.SagaAction {
	if s.action == nil {
		return new(ego.SagaAction)
	}
	return s.action
}

func checkCommands(want, got []ego.SagaCommand) error {
	var differences []protodiff.Difference
	for i := range max(len(want), len(got)) {
		at := fmt.Sprintf("command %d", i+1)
		switch {
		case i >= len(want):
			differences = append(differences, protodiff.Difference{Path: at, Want: "nothing", Got: commandText(got[i])})
		case isNil(want[i].Command):
			return fmt.Errorf("the %s to compare with is nil", at)
		case i >= len(got):
			differences = append(differences, protodiff.Difference{Path: at, Want: commandText(want[i]), Got: "nothing"})
		default:
			differences = append(differences, compareCommands(at, want[i], got[i])...)
		}
	}
	if len(differences) == 0 {
		return nil
	}
	return errors.New("the commands differ:" + indent(protodiff.Text(differences, "want", "got")))
}

func compareCommands(at string, want, got ego.SagaCommand) []protodiff.Difference {
	var differences []protodiff.Difference
	if want.EntityID != got.EntityID {
		differences = append(differences, protodiff.Difference{Path: at + ", entity", Want: want.EntityID, Got: got.EntityID})
	}
	if want.Timeout > 0 && want.Timeout != got.Timeout {
		differences = append(differences, protodiff.Difference{Path: at + ", timeout", Want: want.Timeout.String(), Got: got.Timeout.String()})
	}
	if want.Retry != nil && (got.Retry == nil || *want.Retry != *got.Retry) {
		differences = append(differences, protodiff.Difference{Path: at + ", retry", Want: fmt.Sprintf("%+v", want.Retry), Got: fmt.Sprintf("%+v", got.Retry)})
	}
	return append(differences, within(at, protodiff.Compare(want.Command, got.Command))...)
}

func commandText(c ego.SagaCommand) string { return c.EntityID + " ← " + protodiff.Format(c.Command) }

// describe says in short what an action does.
func describe(a *ego.SagaAction) string {
	var parts []string
	for _, c := range a.Commands {
		parts = append(parts, commandText(c))
	}
	for _, event := range a.Events {
		parts = append(parts, protodiff.Format(event))
	}
	for _, timer := range a.Timers {
		parts = append(parts, fmt.Sprintf("timer %s after %v", timer.Name, timer.After))
	}
	if a.Complete {
		parts = append(parts, "completion")
	}
	if a.Compensate {
		parts = append(parts, "compensation")
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
