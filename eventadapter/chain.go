package eventadapter

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// A Chain is adapters in the order in which they apply. A nil chain has none. It is safe for concurrent use.
type Chain struct {
	links []link
	from  map[protoreflect.FullName]bool // types that some adapter takes
	all   bool                           // some adapter takes all types
}

type link struct {
	adapter EventAdapter
	step    Step
}

// NewChain returns the chain of adapters, or all that is wrong with it.
func NewChain(adapters ...EventAdapter) (*Chain, error) {
	c := &Chain{from: make(map[protoreflect.FullName]bool)}
	var problems []error
	for i, a := range adapters {
		if a == nil {
			problems = append(problems, fmt.Errorf("eventadapter: adapter %d is nil", i+1))
			continue
		}
		step := a.Step()
		if step.Name == "" {
			step.Name = fmt.Sprintf("%T", a)
		}
		c.links = append(c.links, link{a, step})
		c.from[step.From] = true
		c.all = c.all || step.From == ""
	}
	if problems = append(problems, c.check()...); len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return c, nil
}

// Takes reports whether any adapter may take an event of a type, named by its type url. It allocates nothing.
func (c *Chain) Takes(typeURL string) bool {
	return c != nil && len(c.links) > 0 && (c.all || c.from[nameOf(typeURL)])
}

// Apply returns what becomes of an event. The error is an [Error].
func (c *Chain) Apply(ctx context.Context, event *Event) ([]*Event, error) {
	events := []*Event{event}
	if c == nil {
		return events, nil
	}
	for i := range c.links {
		next, err := c.links[i].apply(ctx, events)
		if err != nil {
			return nil, err
		}
		events = next
	}
	return events, nil
}

// apply returns the events after one adapter.
func (l *link) apply(ctx context.Context, events []*Event) ([]*Event, error) {
	var next []*Event // nil while it would equal events
	for i, event := range events {
		if !l.step.takes(event) {
			if next != nil {
				next = append(next, event)
			}
			continue
		}
		made, err := l.adapt(ctx, event)
		if err != nil {
			return nil, &Error{Adapter: l.step.Name, PersistenceID: event.PersistenceID, SequenceNumber: event.SequenceNumber, Type: event.name, Err: err}
		}
		if next == nil {
			next = append(make([]*Event, 0, len(events)+len(made)), events[:i]...)
		}
		next = append(next, made...)
	}
	if next == nil {
		return events, nil
	}
	return next, nil
}

// adapt calls the adapter and makes its panic an error.
func (l *link) adapt(ctx context.Context, event *Event) (made []*Event, err error) {
	defer func() {
		if value := recover(); value != nil {
			made, err = nil, &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	if made, err = l.adapter.Adapt(ctx, event); err != nil {
		return nil, err
	}
	for i, m := range made {
		if m == nil {
			return nil, errNoMessage
		}
		if l.step.Versions != nil && m.name == event.name && m.Version == event.Version {
			made[i] = m.WithVersion(l.step.Versions.Last + 1)
		}
	}
	return made, nil
}

// An Error reports an adapter that failed on an event.
type Error struct {
	Adapter        string
	PersistenceID  string
	SequenceNumber uint64
	Type           protoreflect.FullName
	Err            error // what the adapter returned, or a [PanicError]
}

func (e *Error) Error() string {
	return fmt.Sprintf("eventadapter: %s failed on event %d of entity %q, a %s: %s", e.Adapter, e.SequenceNumber, e.PersistenceID, e.Type, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// A PanicError reports an adapter that panicked.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // the stack of the panic
}

func (e *PanicError) Error() string { return fmt.Sprintf("it panicked: %v", e.Value) }

// Unwrap returns the value of the panic when it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
