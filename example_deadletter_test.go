package ego_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/projection"
)

// startTotals starts an engine with counters and the read model of a handler, which parks what it cannot handle.
func startTotals(ctx context.Context, handle projection.HandlerFunc) *ego.Engine {
	engine := ego.NewEngine("counters", memory.NewStore(),
		ego.WithKinds(ego.EventSourcedKind("counter", newCounter)),
		ego.WithProjection("totals", &projection.Options{
			Handler:  handle,
			Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park)),
		}))
	if err := errors.Join(engine.Start(ctx), engine.StartProjection(ctx, "totals")); err != nil {
		panic(err)
	}
	return engine
}

// add makes a counter live, adds to it and returns its revision.
func add(ctx context.Context, engine *ego.Engine, id string, n int64) uint64 {
	if err := engine.Entity(ctx, newCounter(id)); err != nil {
		panic(err)
	}
	_, revision, err := engine.SendCommand(ctx, id, wrapperspb.Int64(n), time.Second)
	if err != nil {
		panic(err)
	}
	return revision
}

// A projection reads the events of the journal into a read model. WaitForProjection lets a caller read their own writes.
func ExampleWithProjection() {
	ctx := context.Background()
	var total atomic.Int64
	engine := startTotals(ctx, func(_ context.Context, event *projection.Event) error {
		total.Add(event.Message.(*wrapperspb.Int64Value).GetValue())
		return nil
	})
	defer engine.Stop(ctx) //nolint:errcheck // an example

	add(ctx, engine, "visits", 2)
	revision := add(ctx, engine, "visits", 3)
	err := engine.WaitForProjection(ctx, "totals", "visits", revision)
	fmt.Println("total", total.Load(), err)
	// Output: total 5 <nil>
}

// A dead letter is an event that the handler failed on. Those of its entity that follow wait behind it, all others go on. Once
// the cause is mended, they are retried in order; or they are discarded.
func ExampleEngine_RetryDeadLetters() {
	ctx := context.Background()
	var mended atomic.Bool
	engine := startTotals(ctx, func(_ context.Context, event *projection.Event) error {
		if event.Message.(*wrapperspb.Int64Value).GetValue() > 100 && !mended.Load() {
			return errors.New("the column is too small")
		}
		fmt.Println("handled", event.PersistenceID, event.SequenceNumber)
		return nil
	})
	defer engine.Stop(ctx) //nolint:errcheck // an example

	add(ctx, engine, "a", 1000)
	revision := add(ctx, engine, "a", 1)
	err := engine.WaitForProjection(ctx, "totals", "a", revision)
	fmt.Println("parked:", errors.Is(err, ego.ErrProjectionParked))
	for letter, err := range engine.DeadLetters(ctx, "totals") {
		fmt.Printf("letter %s %d %q %v\n", letter.PersistenceID, letter.SequenceNumber, letter.Reason, err)
	}

	mended.Store(true)
	fmt.Println("retried:", engine.RetryDeadLetters(ctx, "totals", "a")) // without an id, all
	fmt.Println("discarded:", engine.DiscardDeadLetters(ctx, "totals"))  // none is left
	// Output:
	// parked: true
	// letter a 1 "the column is too small" <nil>
	// letter a 2 "" <nil>
	// handled a 1
	// handled a 2
	// retried: <nil>
	// discarded: <nil>
}
