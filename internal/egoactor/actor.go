package egoactor

import (
	goakt "github.com/tochemey/goakt/v3/actor"
	"google.golang.org/protobuf/types/known/emptypb"
)

// wakeUp is the only message that an entity's actor is told.
var wakeUp = new(emptypb.Empty) //nolint:gochecknoglobals // immutable

// entityActor lends a goroutine to a cell.
type entityActor struct {
	cell *Cell
}

var _ goakt.Actor = (*entityActor)(nil)

// PreStart does nothing: the entity recovers with its first request, so that a failure is answered and tried again.
func (a *entityActor) PreStart(*goakt.Context) error { return nil }

// Receive drains the queue of the cell.
func (a *entityActor) Receive(ctx *goakt.ReceiveContext) {
	if ctx.Message() == wakeUp {
		_ = growStack(0)
		a.cell.run()
	}
}

// PostStop does nothing: it may run beside Receive, and a cell has nothing to flush once it is closed.
func (a *entityActor) PostStop(*goakt.Context) error { return nil }
