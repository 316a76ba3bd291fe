package memory_test

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
)

// The engine makes these calls: ego.NewEngine("bank", memory.NewStore()).
func Example() {
	ctx := context.Background()
	store := memory.NewStore()
	if err := store.Connect(ctx); err != nil {
		panic(err)
	}
	payload, err := anypb.New(wrapperspb.Int64(100))
	if err != nil {
		panic(err)
	}
	deposited := &egopb.Event{PersistenceId: "account-1", SequenceNumber: 1, Kind: "account", Payload: payload}
	fmt.Println(store.WriteEvents(ctx, []*egopb.Event{deposited}))
	fmt.Println(store.WriteEvents(ctx, []*egopb.Event{deposited})) // a second writer of the same number

	page, err := store.GetShardEvents(ctx, persistence.ShardOf("account-1", store.ShardCount()), 0, 10)
	fmt.Println(len(page), page[0].GetPosition(), err)
	// Output:
	// <nil>
	// persistence: conflict on entity "account-1": writer tried number 1, highest stored is 1
	// 1 1 <nil>
}
