package offsetstore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence/memory"
)

// Two workers share the shards of a consumer by leases. One that was away for too long can do no harm: its commit carries the
// epoch of a lease that somebody else has since taken over, and is refused.
func ExampleOffsetStore() {
	ctx := context.Background()
	var store offsetstore.OffsetStore = memory.NewStore() // every ego store is one
	if err := store.Connect(ctx); err != nil {
		panic(err)
	}

	anna, err := store.AcquireLeases(ctx, "balances", "anna", []uint32{0, 1}, time.Minute)
	fmt.Println("anna has", len(anna), "shards", err)
	ben, err := store.AcquireLeases(ctx, "balances", "ben", []uint32{0, 1}, time.Minute)
	fmt.Println("ben has", len(ben), err)
	fmt.Println("anna commits:", store.CommitOffset(ctx, anna[0], 17))

	// Anna gives shard 0 back; if she had died, her leases would expire.
	if err := store.ReleaseLeases(ctx, anna[:1]); err != nil {
		panic(err)
	}
	ben, err = store.AcquireLeases(ctx, "balances", "ben", []uint32{0, 1}, time.Minute)
	fmt.Println("ben has", len(ben), "under a later epoch:", ben[0].Epoch > anna[0].Epoch, err)
	offsets, err := store.Offsets(ctx, "balances")
	fmt.Println("ben goes on after position", offsets[0].GetPosition(), err)

	err = store.CommitOffset(ctx, anna[0], 18)
	fmt.Println(errors.Is(err, offsetstore.ErrStaleLease))
	if stale, ok := errors.AsType[*offsetstore.StaleLeaseError](err); ok {
		fmt.Println("epoch", stale.Epoch, "of shard", stale.Shard, "is over")
	}
	// Output:
	// anna has 2 shards <nil>
	// ben has 0 <nil>
	// anna commits: <nil>
	// ben has 1 under a later epoch: true <nil>
	// ben goes on after position 17 <nil>
	// true
	// epoch 1 of shard 0 is over
}
