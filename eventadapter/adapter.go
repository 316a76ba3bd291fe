package eventadapter

import (
	"context"
	"fmt"
	"math"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// An EventAdapter is one step from an older shape of events to a newer one. The functions of this package make the usual
// ones. Its methods are called by any number of goroutines.
type EventAdapter interface {
	// Step says what the adapter takes and makes. It always returns the same.
	Step() Step

	// Adapt returns what becomes of an event that the step takes: one event, none, or several. It must depend on nothing
	// but the event, as it is called anew whenever the event is read.
	Adapt(ctx context.Context, event *Event) ([]*Event, error)
}

// A Step says what an adapter takes and makes.
type Step struct {
	Name     string                  // for errors
	From     protoreflect.FullName   // the type that it takes; empty for all
	Versions *Range                  // the schema versions that it takes; nil for all
	To       []protoreflect.FullName // the types that it makes; nil when that is not known
	Drops    bool                    // it makes nothing
	Err      error                   // why the adapter cannot be used
}

// A Range is a range of schema versions, both ends inclusive.
type Range struct{ First, Last uint32 }

// takes reports whether a step takes an event.
func (s *Step) takes(event *Event) bool {
	return (s.From == "" || s.From == event.name) && s.versions().contains(event.Version)
}

func (s *Step) versions() Range {
	if s.Versions == nil {
		return Range{0, math.MaxUint32}
	}
	return *s.Versions
}

func (r Range) contains(version uint32) bool { return r.First <= version && version <= r.Last }
func (r Range) covers(other Range) bool      { return r.First <= other.First && other.Last <= r.Last }
func (r Range) meets(other Range) bool       { return r.First <= other.Last && other.First <= r.Last }

// An Option restricts an adapter.
type Option interface{ apply(s *Step) }

type optionFunc func(s *Step)

func (f optionFunc) apply(s *Step) { f(s) }

// Versions makes an adapter take only events with schema versions from first to last, both inclusive. [NewChain] refuses
// first > last, and a last version that no version follows.
func Versions(first, last uint32) Option {
	return optionFunc(func(s *Step) {
		s.Versions = &Range{first, last}
		if first > last || last == math.MaxUint32 {
			s.Err = fmt.Errorf("versions %d to %d are no range", first, last)
		}
	})
}

// adapter is an EventAdapter made of a step and a function.
type adapter struct {
	step  Step
	adapt func(ctx context.Context, event *Event) ([]*Event, error)
}

func newAdapter(step Step, opts []Option, adapt func(ctx context.Context, event *Event) ([]*Event, error)) EventAdapter {
	for _, opt := range opts {
		if opt != nil {
			opt.apply(&step)
		}
	}
	return &adapter{step: step, adapt: adapt}
}

// Step implements [EventAdapter].
func (a *adapter) Step() Step { return a.step }

// Adapt implements [EventAdapter].
func (a *adapter) Adapt(ctx context.Context, event *Event) ([]*Event, error) {
	return a.adapt(ctx, event)
}
