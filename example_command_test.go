package ego_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// What an error says decides what the caller does: here the store takes the event, and its answer is lost. Whether the command
// took effect is not known, so it is sent again under its id, and takes effect once.
func ExampleWithCommandID_outcomeUnknown() {
	ctx := context.Background()
	faults := persistencetest.NewFaults()
	faults.On("WriteEvents").First(1).FailAfterCommit(errors.New("connection reset"))
	engine := ego.NewEngine("counters", faults.Backend(memory.NewStore()), ego.WithKinds(ego.EventSourcedKind("counter", newCounter)))
	if err := errors.Join(engine.Start(ctx), engine.Entity(ctx, newCounter("visits"))); err != nil {
		panic(err)
	}
	defer engine.Stop(ctx) //nolint:errcheck // an example

	named := ego.WithCommandID(ctx, "order-17")
	for range 3 {
		state, revision, err := engine.SendCommand(named, "visits", wrapperspb.Int64(5), time.Second)
		switch {
		case err == nil:
			fmt.Println(state, "revision", revision)
			return
		case errors.Is(err, ego.ErrOutcomeUnknown): // without an id, EntityState would have to tell
			fmt.Println("it may have taken effect")
		case errors.Is(err, ego.ErrConflict), errors.Is(err, ego.ErrWriteFailed):
			fmt.Println("nothing has happened")
		default: // a refusal, for example, which stays one
			fmt.Println(err)
			return
		}
	}
	// Output:
	// it may have taken effect
	// value:5 revision 1
}

// EntityState asks for the state without a command.
func ExampleEngine_EntityState() {
	ctx := context.Background()
	engine := startCounters(ctx)
	defer engine.Stop(ctx) //nolint:errcheck // an example
	if _, _, err := engine.SendCommand(ctx, "visits", wrapperspb.Int64(5), time.Second); err != nil {
		panic(err)
	}

	fmt.Println(engine.EntityState(ctx, "visits", time.Second))
	fmt.Println(engine.EntityExists(ctx, "nobody"))
	_, _, err := engine.EntityState(ctx, "nobody", time.Second)
	fmt.Println(errors.Is(err, ego.ErrEntityNotFound))
	// Output:
	// value:5 1 <nil>
	// false <nil>
	// true
}

// What is said about a command is stored with its events, and seen by whoever reads them.
func ExampleWithMetadata() {
	ctx := context.Background()
	engine := startCounters(ctx)
	defer engine.Stop(ctx) //nolint:errcheck // an example

	named := ego.WithMetadata(ego.WithCommandID(ctx, "order-17"), map[string]string{"tenant": "acme"})
	if _, _, err := engine.SendCommand(named, "visits", wrapperspb.Int64(5), time.Second); err != nil {
		panic(err)
	}
	for event, err := range engine.History(ctx, "visits", 1, 1) {
		fmt.Println(event.Kind, event.Metadata.CommandID, event.Metadata.Values, err)
	}
	// Output: counter order-17 map[tenant:acme] <nil>
}

// Every third event a snapshot is written, beside the commands. A recovery begins with the newest and replays what follows.
func ExampleWithSnapshotInterval() {
	ctx := context.Background()
	store := memory.NewStore() // keeps events and snapshots
	engine := ego.NewEngine("counters", store, ego.WithSnapshotInterval(3), ego.WithKinds(ego.EventSourcedKind("counter", newCounter)))
	if err := errors.Join(engine.Start(ctx), engine.Entity(ctx, newCounter("visits"))); err != nil {
		panic(err)
	}
	for range 4 {
		if _, _, err := engine.SendCommand(ctx, "visits", wrapperspb.Int64(1), time.Second); err != nil {
			panic(err)
		}
	}
	if err := engine.Stop(ctx); err != nil { // waits for snapshots that are being written
		panic(err)
	}

	if err := store.Connect(ctx); err != nil {
		panic(err)
	}
	snapshot, err := store.GetLatestSnapshot(ctx, "visits")
	fmt.Println(snapshot.GetSequenceNumber(), err)
	// Output: 3 <nil>
}
