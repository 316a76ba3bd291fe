package testkit

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/testkit/internal/protodiff"
)

// ThenEvents fails the test unless the command succeeded and caused exactly these events, in this order.
func (s *Scenario) ThenEvents(events ...ego.Event) *Scenario {
	s.t.Helper()
	s.thenSettled("ThenEvents", func(o *outcome) error { return checkEvents(events, o) })
	return s
}

// ThenNoEvents fails the test unless the command caused no events: it changed nothing, or failed as a ThenError before
// this expects.
func (s *Scenario) ThenNoEvents() *Scenario {
	s.t.Helper()
	s.thenSettled("ThenNoEvents", func(o *outcome) error {
		if len(o.events) == 0 {
			return nil
		}
		return fmt.Errorf("want no events, got %d:%s", len(o.events), indent(list(o.events)))
	})
	return s
}

// ThenState fails the test unless this is the state after the command. A command that failed, as a ThenError before this
// expects, leaves the state as it was.
func (s *Scenario) ThenState(state ego.State) *Scenario {
	s.t.Helper()
	s.thenSettled("ThenState", func(*outcome) error { return s.checkState(state) })
	return s
}

// ThenError fails the test unless the command failed with an error that matches the target:
//
//   - an error matches as for [errors.Is];
//   - a *[ego.CommandError], which [ego.Reject] returns, matches a refusal with the same fields; fields of the target
//     that are empty match all;
//   - a *[ego.PanicError] matches a panic in the same way, by its Handler and Value;
//   - a pointer to a variable of an error's type matches as for [errors.As], and the variable is set;
//   - a string matches a message that contains it;
//   - nil matches success.
//
// The error is what the caller of [ego.Engine.SendCommand] gets: a [ego.CommandError] that unwraps to the handler's error.
func (s *Scenario) ThenError(target any) *Scenario {
	s.t.Helper()
	s.then("ThenError", func(o *outcome) error { return o.checkError(target) })
	return s
}

// ThenRejected fails the test unless the command was refused with a code: the one given to [ego.Reject], or one of
// [ego.CodeRejected], [ego.CodePanic] and [ego.CodeInvalid].
func (s *Scenario) ThenRejected(code string) *Scenario {
	s.t.Helper()
	s.then("ThenRejected", func(o *outcome) error { return o.checkCode(code) })
	return s
}

// checkEvents compares the events of a command with those that the test wants.
func checkEvents(want []proto.Message, o *outcome) error {
	var differences []protodiff.Difference
	for i := range max(len(want), len(o.events)) {
		at := fmt.Sprintf("event %d", i+1)
		switch {
		case i < len(want) && isNil(want[i]):
			return fmt.Errorf("the %s to compare with is nil", at)
		case i >= len(want):
			differences = append(differences, protodiff.Difference{Path: at, Want: "nothing", Got: protodiff.Format(o.events[i])})
		case i >= len(o.events):
			differences = append(differences, protodiff.Difference{Path: at, Want: protodiff.Format(want[i]), Got: "nothing"})
		default:
			differences = append(differences, within(at, protodiff.Compare(want[i], o.events[i]))...)
		}
	}
	if len(differences) == 0 {
		return nil
	}
	text := fmt.Sprintf("the events differ:%s", indent(protodiff.Text(differences, "want", "got")))
	if o.err != nil {
		text += fmt.Sprintf("\nthe command was refused: %s", o.err)
	}
	return errors.New(text)
}

// within moves differences to a place inside something.
func within(place string, differences []protodiff.Difference) []protodiff.Difference {
	for i := range differences {
		if path := differences[i].Path; path != "" {
			differences[i].Path = place + ", " + path
		} else {
			differences[i].Path = place
		}
	}
	return differences
}

// list writes events one below the other.
func list(events []proto.Message) string {
	lines := make([]string, len(events))
	for i, event := range events {
		lines[i] = fmt.Sprintf("event %d: %s", i+1, protodiff.Format(event))
	}
	return strings.Join(lines, "\n")
}
