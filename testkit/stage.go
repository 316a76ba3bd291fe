package testkit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/testkit/internal/protodiff"
)

// behavior is what the behaviours of all kinds of entities have in common.
type behavior interface {
	ID() string
	InitialState() ego.State
}

// stage is what scenarios for all kinds of entities stand on: it knows where a scenario is, and ends the test when a step
// of it fails.
type stage struct {
	t       testing.TB
	entity  behavior
	id      string
	ctx     context.Context //nolint:containedctx // a scenario is one chain of calls
	state   proto.Message   // the very message that the behaviour returned, as in a live entity
	outcome *outcome        // of the latest command; nil when there is none since the latest arrangement
	failed  bool            // for a TB whose Fatalf returns
}

// outcome is what became of a command.
type outcome struct {
	command  string          // full name of its message
	at       string          // the line of its When
	events   []proto.Message // of an event-sourced entity
	state    proto.Message   // of a durable-state entity, nil when the command did not change it
	same     bool            // that state is no other than before
	err      error
	expected bool // the scenario has asked for the error
}

func newStage(t testing.TB, b behavior) stage {
	return stage{t: t, entity: b, ctx: context.Background()}
}

// end is called when the test ends.
func (s *stage) end() {
	s.t.Helper()
	if err := s.unexpected(); err != nil && !s.failed && !s.t.Failed() {
		s.t.Errorf("the scenario ended: %s", err)
	}
}

// open looks at the behaviour before the first step.
func (s *stage) open() error {
	if isNilBehavior(s.entity) {
		return errors.New("the behaviour is nil")
	}
	if err := s.identify(); err != nil {
		return err
	}
	initial, err := s.initialState()
	s.state = initial
	return err
}

// identify learns the id of the entity, or checks that it is still the same.
func (s *stage) identify() error {
	var id string
	err := protect("ID", func() error {
		id = s.entity.ID()
		return nil
	})
	if err != nil {
		return errors.New(explain(err))
	}
	if s.id == "" {
		s.id = id
		return checkID(id)
	}
	if s.id != id {
		return fmt.Errorf("the id of the behaviour was %q and is now %q; it must never change", s.id, id)
	}
	return nil
}

// initialState returns the initial state of the behaviour, which must be the same whenever it is asked for.
func (s *stage) initialState() (proto.Message, error) {
	var first, again proto.Message
	err := protect("InitialState", func() error {
		first = s.entity.InitialState()
		return nil
	})
	if err != nil {
		return nil, errors.New(explain(err))
	}
	if isNil(first) {
		return nil, errors.New("InitialState returned no state")
	}
	if _, err := roundTrip(first); err != nil {
		return nil, fmt.Errorf("the initial state %w", err)
	}
	before := proto.Clone(first)
	err = protect("InitialState", func() error {
		again = s.entity.InitialState()
		return nil
	})
	if err != nil {
		return nil, errors.New(explain(err))
	}
	if !proto.Equal(before, again) {
		return nil, fmt.Errorf("InitialState is not repeatable:%s", diff(before, again, "first", "again"))
	}
	return first, nil
}

// step runs one step of the scenario. A failure ends the test.
func (s *stage) step(name string, run func() error) {
	s.t.Helper()
	if s.failed {
		return
	}
	if err := run(); err != nil {
		s.failed = true
		s.t.Fatalf("%s: %s", name, err)
	}
}

// arrange begins a step that comes before a command, or is one. It is an error when the command before it failed and the
// scenario has not asked for that.
func (s *stage) arrange() error {
	if err := s.unexpected(); err != nil {
		return err
	}
	s.outcome = nil
	return nil
}

// unexpected returns an error when the latest command failed and the scenario has not asked for that.
func (s *stage) unexpected() error {
	if o := s.outcome; o != nil && o.err != nil && !o.expected {
		return fmt.Errorf("the command %s of %s failed and no ThenError expects it: %s", o.command, o.at, explain(o.err))
	}
	return nil
}

// then runs a step that looks at the outcome of the latest command.
func (s *stage) then(name string, check func(o *outcome) error) {
	s.t.Helper()
	if s.outcome == nil {
		s.step(name, func() error { return errors.New("there is no When before it") })
		return
	}
	s.step(name+" after "+s.outcome.command, func() error { return check(s.outcome) })
}

// thenSettled is then for steps that make sense only if the command succeeded, or failed as expected.
func (s *stage) thenSettled(name string, check func(o *outcome) error) {
	s.t.Helper()
	s.then(name, func(o *outcome) error {
		if o.err != nil && !o.expected {
			return fmt.Errorf("the command failed (if it should, say so with ThenError first): %s", explain(o.err))
		}
		return check(o)
	})
}

// checkState compares the state with what the test wants.
func (s *stage) checkState(want proto.Message) error {
	if isNil(want) {
		return errors.New("the state to compare with is nil")
	}
	if !proto.Equal(want, s.state) {
		return fmt.Errorf("the state differs:%s", diff(want, s.state, "want", "got"))
	}
	return nil
}

// setContext sets the context of the commands to come.
func (s *stage) setContext(ctx context.Context) error {
	if ctx == nil {
		return errors.New("the context is nil")
	}
	s.ctx = ctx
	return nil
}

// caller returns the line that called the function that calls it.
func caller() string {
	const skipped = 2 // caller and the function that wants to know
	_, file, line, _ := runtime.Caller(skipped)
	return filepath.Base(file) + ":" + strconv.Itoa(line)
}

// diff says on lines of their own how two messages differ.
func diff(want, got proto.Message, wantLabel, gotLabel string) string {
	return indent(protodiff.Text(protodiff.Compare(want, got), wantLabel, gotLabel))
}

func nameOf(message proto.Message) string {
	return string(message.ProtoReflect().Descriptor().FullName())
}

func isNil(message proto.Message) bool {
	return message == nil || !message.ProtoReflect().IsValid()
}

func isNilBehavior(b behavior) bool {
	if b == nil {
		return true
	}
	value := reflect.ValueOf(b)
	return value.Kind() == reflect.Pointer && value.IsNil()
}
