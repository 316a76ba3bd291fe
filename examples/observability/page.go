package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/projection"
)

// A page counts its visits. Its command, event and state are a number.
type page string

func (p page) ID() string            { return string(p) }
func (page) InitialState() ego.State { return wrapperspb.Int64(0) }

func (page) HandleCommand(_ context.Context, command ego.Command, _ ego.State) ([]ego.Event, error) {
	visits, ok := command.(*wrapperspb.Int64Value)
	if !ok || visits.GetValue() <= 0 {
		return nil, ego.Reject("invalid", "cannot count %v", command)
	}
	return []ego.Event{visits}, nil
}

func (page) HandleEvent(_ context.Context, event ego.Event, prior ego.State) (ego.State, error) {
	visits, ok := event.(*wrapperspb.Int64Value)
	if !ok {
		return nil, fmt.Errorf("unknown event %T", event)
	}
	return wrapperspb.Int64(prior.(*wrapperspb.Int64Value).GetValue() + visits.GetValue()), nil //nolint:forcetypeassert // see InitialState
}

// totals is the read model.
type totals struct{ visits atomic.Int64 }

func (t *totals) Handle(_ context.Context, event *projection.Event) error {
	if visits, ok := event.Message.(*wrapperspb.Int64Value); ok {
		t.visits.Add(visits.GetValue())
	}
	return nil
}
