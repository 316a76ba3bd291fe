package ego_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
)

// reception is a counter that refuses cancellations while it is closed; 100 stands for one, as in the trip.
type reception struct {
	counter
	open *atomic.Bool
}

func (r *reception) HandleCommand(ctx context.Context, command ego.Command, state ego.State) ([]ego.Event, error) {
	if command.(*wrapperspb.Int64Value).GetValue() == 100 && !r.open.Load() {
		return nil, ego.Reject("closed", "the reception is closed")
	}
	return r.counter.HandleCommand(ctx, command, state)
}

// A saga that cannot take back what it did has failed, and waits for a person. Once the cause is mended, RetrySaga lets it go on
// from the command that was refused.
func ExampleEngine_RetrySaga() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	engine := sagaEngine(ctx, ego.SagaKind("trip", func(id string) ego.SagaBehavior { return &trip{id} }))
	defer engine.Stop(ctx) //nolint:errcheck // an example
	hotel := &reception{counter{"hotel"}, new(atomic.Bool)}
	_ = engine.Entity(ctx, hotel)
	_ = engine.Entity(ctx, &counter{"flight"})
	if err := engine.Saga(ctx, &trip{"trip-3"}, time.Hour); err != nil {
		fmt.Println(err)
	}
	ended(ctx, engine, "trip-3")
	for info, err := range engine.Sagas(ctx, ego.SagaFailed) { // what waits for a person
		fmt.Println(info.ID, info.Status, err)
	}

	hotel.open.Store(true)
	fmt.Println(engine.RetrySaga(ctx, "trip-3"))
	fmt.Println(ended(ctx, engine, "trip-3").Status)
	// Output:
	// trip-3 failed <nil>
	// <nil>
	// compensated
}

// What is stored of a saga that has finished is made unreadable. It never runs again.
func ExampleEngine_EraseSaga() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	engine := sagaEngine(ctx, ego.SagaKind("trip", func(id string) ego.SagaBehavior { return &trip{id} }))
	defer engine.Stop(ctx) //nolint:errcheck // an example
	_ = engine.Entity(ctx, &counter{"hotel"})
	_ = engine.Entity(ctx, &counter{"flight"})
	if err := engine.Saga(ctx, &trip{"trip-4"}, time.Hour); err != nil {
		fmt.Println(err)
	}
	fmt.Println(ended(ctx, engine, "trip-4").Status)

	fmt.Println(engine.EraseSaga(ctx, "trip-4"))
	_, err := engine.SagaStatus(ctx, "trip-4", time.Second)
	fmt.Println(errors.Is(err, ego.ErrErased))
	// Output:
	// compensated
	// <nil>
	// true
}
