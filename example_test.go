package ego_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/eventadapter"
	"github.com/actorkeep/ego/persistence/memory"
)

// counter counts: its commands and events are the numbers to add, its state is their sum.
type counter struct{ id string }

func newCounter(id string) ego.EventSourcedBehavior { return &counter{id: id} }

func (c *counter) ID() string              { return c.id }
func (c *counter) InitialState() ego.State { return wrapperspb.Int64(0) }

func (c *counter) HandleCommand(_ context.Context, command ego.Command, _ ego.State) ([]ego.Event, error) {
	add := command.(*wrapperspb.Int64Value)
	if add.GetValue() < 0 {
		return nil, ego.Reject("negative", "cannot add %d", add.GetValue())
	}
	return []ego.Event{add}, nil
}

func (c *counter) HandleEvent(_ context.Context, event ego.Event, prior ego.State) (ego.State, error) {
	return wrapperspb.Int64(prior.(*wrapperspb.Int64Value).GetValue() + event.(*wrapperspb.Int64Value).GetValue()), nil
}

// startCounters starts an engine with one counter.
func startCounters(ctx context.Context, opts ...ego.Option) *ego.Engine {
	opts = append(opts, ego.WithKinds(ego.EventSourcedKind("counter", newCounter)))
	engine := ego.NewEngine("example", memory.NewStore(), opts...)
	if err := errors.Join(engine.Start(ctx), engine.Entity(ctx, newCounter("visits"))); err != nil {
		panic(err)
	}
	return engine
}

func ExampleAsk() {
	ctx := context.Background()
	engine := startCounters(ctx)
	defer engine.Stop(ctx) //nolint:errcheck // an example

	for range 3 {
		sum, revision, err := ego.Ask[*wrapperspb.Int64Value](ctx, engine, "visits", wrapperspb.Int64(5), time.Second)
		fmt.Println(sum.GetValue(), revision, err)
	}
	// Output:
	// 5 1 <nil>
	// 10 2 <nil>
	// 15 3 <nil>
}

func ExampleReject() {
	ctx := context.Background()
	engine := startCounters(ctx)
	defer engine.Stop(ctx) //nolint:errcheck // an example

	_, _, err := engine.SendCommand(ctx, "visits", wrapperspb.Int64(-1), time.Second)
	if refusal, ok := errors.AsType[*ego.CommandError](err); ok {
		fmt.Println(refusal.Code, refusal.Message)
	}
	// Output: negative cannot add -1
}

func ExampleWithCommandID() {
	ctx := context.Background()
	engine := startCounters(ctx)
	defer engine.Stop(ctx) //nolint:errcheck // an example

	named := ego.WithCommandID(ctx, "order-17")
	for range 2 { // the second is answered from the dedup window
		state, revision, err := engine.SendCommand(named, "visits", wrapperspb.Int64(1), time.Second)
		fmt.Println(state, revision, err)
	}
	_, events, _ := engine.EntityState(ctx, "visits", time.Second)
	fmt.Println("events:", events)
	// Output:
	// value:1 1 <nil>
	// value:1 1 <nil>
	// events: 1
}

func ExampleEngine_History() {
	ctx := context.Background()
	engine := startCounters(ctx, ego.WithSnapshotInterval(2))
	defer engine.Stop(ctx) //nolint:errcheck // an example
	for i := range int64(3) {
		if _, _, err := engine.SendCommand(ctx, "visits", wrapperspb.Int64(i+1), time.Second); err != nil {
			panic(err)
		}
	}

	for event, err := range engine.History(ctx, "visits", 2, 3) {
		fmt.Println(event.SequenceNumber, event.Message.(*wrapperspb.Int64Value).GetValue(), err)
	}
	state, err := engine.StateAt(ctx, newCounter("visits"), 2)
	fmt.Println(state.(*wrapperspb.Int64Value).GetValue(), err)
	// Output:
	// 2 2 <nil>
	// 3 3 <nil>
	// 3 <nil>
}

func ExampleWithEncryption() {
	ctx := context.Background()
	// In a service the secret comes from its configuration, or a wrapper of your own asks a KMS; and the keys are in a durable
	// store, such as the one of the events.
	masterKeys, err := encryption.NewLocalWrapper(encryption.MasterKey{ID: "2026", Secret: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := encryption.NewMemoryKeyStore()
	engine := startCounters(ctx, ego.WithEncryption(encryption.NewAESEncryptor(keys, encryption.WithWrapper(masterKeys))))
	defer engine.Stop(ctx) //nolint:errcheck // an example

	sum, revision, err := ego.Ask[*wrapperspb.Int64Value](ctx, engine, "visits", wrapperspb.Int64(5), time.Second)
	fmt.Println(sum.GetValue(), revision, err)
	stored, _, err := keys.DataKeys(ctx, "visits")
	fmt.Println(len(stored), "key wrapped with", stored[0].GetMasterKeyId(), err)
	// Output:
	// 5 1 <nil>
	// 1 key wrapped with 2026 <nil>
}

func ExampleEngine_EraseEntity() {
	ctx := context.Background()
	engine := startCounters(ctx,
		ego.WithEncryption(encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())),
		ego.WithErasurePolicy(ego.ErasurePolicy{OnErased: func(_ context.Context, entityID string) error {
			fmt.Println("forget", entityID) // in caches, files, other services; it comes again if the erasure is cut off
			return nil
		}}))
	defer engine.Stop(ctx) //nolint:errcheck // an example
	_, revision, err := engine.SendCommand(ctx, "visits", wrapperspb.Int64(5), time.Second)
	fmt.Println(revision, err)

	fmt.Println("erased:", engine.EraseEntity(ctx, "visits"))
	_, _, err = engine.SendCommand(ctx, "visits", wrapperspb.Int64(1), time.Second)
	fmt.Println(errors.Is(err, ego.ErrErased))
	// Output:
	// 1 <nil>
	// forget visits
	// erased: <nil>
	// true
}

// Counters once counted in dozens, with another type of event. What is stored stays; whoever reads it sees what it means today.
func ExampleWithEventAdapters() {
	ctx := context.Background()
	store := memory.NewStore()
	dozens, err := anypb.New(wrapperspb.Int32(2)) // written by a former release
	if err != nil {
		panic(err)
	}
	old := &egopb.Event{PersistenceId: "visits", SequenceNumber: 1, Kind: "counter", Payload: dozens}
	if err := errors.Join(store.Connect(ctx), store.WriteEvents(ctx, []*egopb.Event{old})); err != nil {
		panic(err)
	}

	engine := ego.NewEngine("counters", store,
		ego.WithKinds(ego.EventSourcedKind("counter", newCounter)),
		ego.WithEventAdapters(eventadapter.Upcast(func(dozens *wrapperspb.Int32Value) (*wrapperspb.Int64Value, error) {
			return wrapperspb.Int64(12 * int64(dozens.GetValue())), nil
		})))
	if err := engine.Start(ctx); err != nil {
		panic(err)
	}
	defer engine.Stop(ctx) //nolint:errcheck // an example
	fmt.Println(engine.SendCommand(ctx, "visits", wrapperspb.Int64(1), time.Second))
	// Output: value:25 2 <nil>
}
