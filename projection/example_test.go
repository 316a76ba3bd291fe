package projection_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/projection"
)

// cart adds up what is put into it: its commands and events are prices in cents.
type cart struct{ id string }

func newCart(id string) ego.EventSourcedBehavior { return &cart{id} }

func (c *cart) ID() string              { return c.id }
func (c *cart) InitialState() ego.State { return wrapperspb.Int64(0) }

func (c *cart) HandleCommand(_ context.Context, command ego.Command, _ ego.State) ([]ego.Event, error) {
	return []ego.Event{command}, nil
}

func (c *cart) HandleEvent(_ context.Context, event ego.Event, prior ego.State) (ego.State, error) {
	return wrapperspb.Int64(cents(prior) + cents(event)), nil
}

func cents(message any) int64 { return message.(*wrapperspb.Int64Value).GetValue() }

// run starts an engine with a projection of the name "sales".
func run(ctx context.Context, options *projection.Options) *ego.Engine {
	engine := ego.NewEngine("shop", memory.NewStore(),
		ego.WithKinds(ego.EventSourcedKind("cart", newCart)),
		ego.WithProjection("sales", options))
	if err := errors.Join(engine.Start(ctx), engine.StartProjection(ctx, "sales")); err != nil {
		panic(err)
	}
	return engine
}

// put puts something into a cart and returns the revision of the cart.
func put(ctx context.Context, engine *ego.Engine, id string, price int64) uint64 {
	if err := engine.Entity(ctx, newCart(id)); err != nil {
		panic(err)
	}
	_, revision, err := engine.SendCommand(ctx, id, wrapperspb.Int64(price), time.Second)
	if err != nil {
		panic(err)
	}
	return revision
}

// A handler sees the events one by one, those of an entity in order. WaitForProjection lets a caller read their own writes.
func ExampleHandler() {
	ctx := context.Background()
	engine := run(ctx, &projection.Options{
		Handler: projection.HandlerFunc(func(_ context.Context, event *projection.Event) error {
			fmt.Println(event.PersistenceID, event.SequenceNumber, cents(event.Message))
			return nil
		}),
	})
	defer engine.Stop(ctx) //nolint:errcheck // an example

	put(ctx, engine, "anna", 250)
	revision := put(ctx, engine, "anna", 100)
	fmt.Println(engine.WaitForProjection(ctx, "sales", "anna", revision))
	// Output:
	// anna 1 250
	// anna 2 100
	// <nil>
}

// batches is a handler that writes many events at once.
type batches struct{}

func (batches) HandleBatch(_ context.Context, events []*projection.Event) error {
	sum := int64(0)
	for _, event := range events {
		sum += cents(event.Message)
	}
	fmt.Println("one write for", len(events), "events of", sum, "cents")
	return nil
}

// Handle gets the events of a batch that failed, one by one.
func (b batches) Handle(ctx context.Context, event *projection.Event) error {
	return b.HandleBatch(ctx, []*projection.Event{event})
}

func ExampleBatchHandler() {
	ctx := context.Background()
	engine := run(ctx, &projection.Options{Handler: batches{}, BatchSize: 100})
	defer engine.Stop(ctx) //nolint:errcheck // an example
	_ = engine.StopProjection(ctx, "sales")
	for range 4 {
		put(ctx, engine, "anna", 50)
	}
	_ = engine.StartProjection(ctx, "sales")
	_ = engine.WaitForProjection(ctx, "sales", "anna", 4)
	// Output:
	// one write for 4 events of 200 cents
}

// An event that cannot be handled is set aside, with those that follow it in its entity. Once the reason is gone they are
// tried again in order.
func ExamplePark() {
	ctx := context.Background()
	mended := make(chan struct{})
	engine := run(ctx, &projection.Options{
		Handler: projection.HandlerFunc(func(_ context.Context, event *projection.Event) error {
			select {
			case <-mended:
			default:
				if cents(event.Message) > 1000 {
					return errors.New("too expensive")
				}
			}
			fmt.Println("handled", event.PersistenceID, event.SequenceNumber)
			return nil
		}),
		Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park)),
	})
	defer engine.Stop(ctx) //nolint:errcheck // an example

	put(ctx, engine, "anna", 5000)
	err := engine.WaitForProjection(ctx, "sales", "anna", put(ctx, engine, "anna", 10))
	fmt.Println(errors.Is(err, ego.ErrProjectionParked))
	_ = engine.WaitForProjection(ctx, "sales", "ben", put(ctx, engine, "ben", 10))
	for letter, err := range engine.DeadLetters(ctx, "sales") {
		fmt.Printf("parked %s %d %q %v\n", letter.PersistenceID, letter.SequenceNumber, letter.Reason, err)
	}

	close(mended)
	fmt.Println(engine.RetryDeadLetters(ctx, "sales", "anna"))
	// Output:
	// true
	// handled ben 1
	// parked anna 1 "too expensive" <nil>
	// parked anna 2 "" <nil>
	// handled anna 1
	// handled anna 2
	// <nil>
}

// With Parallelism a slow entity holds up nobody but itself.
func ExampleOptions_parallelism() {
	ctx := context.Background()
	slow := make(chan struct{})
	engine := run(ctx, &projection.Options{
		Handler: projection.HandlerFunc(func(_ context.Context, event *projection.Event) error {
			if event.PersistenceID == "slow" {
				<-slow
			}
			fmt.Println(event.PersistenceID)
			if event.PersistenceID == "quick" {
				close(slow)
			}
			return nil
		}),
		Parallelism: 8,
	})
	defer engine.Stop(ctx) //nolint:errcheck // an example

	revision := put(ctx, engine, "slow", 1)
	put(ctx, engine, "quick", 1)
	_ = engine.WaitForProjection(ctx, "sales", "slow", revision)
	// Output:
	// quick
	// slow
}
