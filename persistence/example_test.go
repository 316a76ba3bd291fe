package persistence_test

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
)

// event returns an event of a counter. The engine makes them of what behaviours return.
func event(id string, number uint64) *egopb.Event {
	payload, err := anypb.New(wrapperspb.Int64(1))
	if err != nil {
		panic(err)
	}
	return &egopb.Event{PersistenceId: id, SequenceNumber: number, Kind: "counter", Payload: payload}
}

// A store takes the events of many entities at once, all or none, and one writer per number. Within a shard the events have
// positions without gaps, so a reader knows that it has missed nothing.
func ExampleEventsStore() {
	ctx := context.Background()
	var store persistence.EventsStore = memory.NewStore(memory.WithShards(1))
	if err := store.Connect(ctx); err != nil {
		panic(err)
	}

	fmt.Println(store.WriteEvents(ctx, []*egopb.Event{event("a", 1), event("b", 1), event("a", 2)}))
	err := store.WriteEvents(ctx, []*egopb.Event{event("b", 2), event("a", 2)}) // of a writer that is behind
	if conflict, ok := errors.AsType[*persistence.ConflictError](err); ok {
		fmt.Println(conflict.PersistenceID, "is at", conflict.Actual, "and nothing was written:", persistence.NotWritten(err))
	}

	events, err := store.GetShardEvents(ctx, persistence.ShardOf("a", store.ShardCount()), 0, 100)
	for _, e := range events {
		fmt.Println("position", e.GetPosition(), e.GetPersistenceId(), e.GetSequenceNumber(), err)
	}
	// Output:
	// <nil>
	// a is at 2 and nothing was written: true
	// position 1 a 1 <nil>
	// position 2 b 1 <nil>
	// position 3 a 2 <nil>
}
