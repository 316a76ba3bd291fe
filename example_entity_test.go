package ego_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/persistence/memory"
)

// flag is a switch: its commands and its state say whether it is on.
type flag struct{ id string }

func newFlag(id string) ego.DurableStateBehavior { return &flag{id: id} }

func (f *flag) ID() string              { return f.id }
func (f *flag) InitialState() ego.State { return wrapperspb.Bool(false) }

func (f *flag) HandleCommand(_ context.Context, command ego.Command, prior ego.State, _ uint64) (ego.State, error) {
	next := command.(*wrapperspb.BoolValue)
	if next.GetValue() == prior.(*wrapperspb.BoolValue).GetValue() {
		return nil, nil // nothing changes, and nothing is written
	}
	return next, nil
}

func ExampleEngine_DurableStateEntity() {
	ctx := context.Background()
	engine := ego.NewEngine("flags", memory.NewStore(), ego.WithKinds(ego.DurableStateKind("flag", newFlag)))
	if err := errors.Join(engine.Start(ctx), engine.DurableStateEntity(ctx, newFlag("beta"))); err != nil {
		panic(err)
	}
	defer engine.Stop(ctx) //nolint:errcheck // an example

	for _, on := range []bool{true, true, false} {
		state, revision, err := ego.Ask[*wrapperspb.BoolValue](ctx, engine, "beta", wrapperspb.Bool(on), time.Second)
		fmt.Println(state.GetValue(), revision, err)
	}
	// Output:
	// true 1 <nil>
	// true 1 <nil>
	// false 2 <nil>
}

// A snapshot is taken every three events; the events before the newest go, all but one.
func ExampleWithRetentionPolicy() {
	ctx := context.Background()
	kind := ego.EventSourcedKind("counter", newCounter,
		ego.WithSnapshotInterval(3),
		ego.WithRetentionPolicy(ego.RetentionPolicy{DeleteEventsOnSnapshot: true, EventsRetentionCount: 1}))
	store := memory.NewStore()
	engine := ego.NewEngine("counters", store, ego.WithKinds(kind))
	if err := errors.Join(engine.Start(ctx), engine.Entity(ctx, newCounter("visits"))); err != nil {
		panic(err)
	}
	for range 7 {
		if _, _, err := engine.SendCommand(ctx, "visits", wrapperspb.Int64(1), time.Second); err != nil {
			panic(err)
		}
	}
	if err := engine.Stop(ctx); err != nil { // snapshots are written beside the commands; Stop waits for them
		panic(err)
	}

	if err := store.Connect(ctx); err != nil {
		panic(err)
	}
	for event, err := range store.ReplayEvents(ctx, "visits", 1, 7) {
		fmt.Println(event.GetSequenceNumber(), err)
	}
	// Output:
	// 6 <nil>
	// 7 <nil>
}

// Commands that wait for the same entity are written together: 64 at most, and none waits for more to come.
func ExampleWithBatchThreshold() {
	ctx := context.Background()
	engine := ego.NewEngine("counters", memory.NewStore(),
		ego.WithKinds(ego.EventSourcedKind("counter", newCounter, ego.WithBatchThreshold(64))))
	if err := errors.Join(engine.Start(ctx), engine.Entity(ctx, newCounter("visits"))); err != nil {
		panic(err)
	}
	defer engine.Stop(ctx) //nolint:errcheck // an example

	var senders sync.WaitGroup
	for range 100 {
		senders.Go(func() { _, _, _ = engine.SendCommand(ctx, "visits", wrapperspb.Int64(1), time.Second) })
	}
	senders.Wait()
	fmt.Println(engine.EntityState(ctx, "visits", time.Second))
	// Output: value:100 100 <nil>
}

// An entity that nobody asks for a while leaves the memory, and comes back by the next command.
func ExampleWithPassivateAfter() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	engine := startCounters(ctx, ego.WithPassivateAfter(10*time.Millisecond)) // minutes, rather
	defer engine.Stop(ctx)                                                    //nolint:errcheck // an example
	fmt.Println(engine.SendCommand(ctx, "visits", wrapperspb.Int64(1), time.Second))

	for live := uint64(1); live > 0; {
		topology, err := engine.Topology(ctx)
		if err != nil {
			panic(err)
		}
		live = topology.Members[0].Entities
	}
	fmt.Println(engine.SendCommand(ctx, "visits", wrapperspb.Int64(1), time.Second))
	// Output:
	// value:1 1 <nil>
	// value:2 2 <nil>
}

func ExampleEngine_Subscribe() {
	ctx := context.Background()
	engine := startCounters(ctx)
	defer engine.Stop(ctx) //nolint:errcheck // an example
	for i := range int64(2) {
		if _, _, err := engine.SendCommand(ctx, "visits", wrapperspb.Int64(i+1), time.Second); err != nil {
			panic(err)
		}
	}

	for event, err := range engine.Subscribe(ctx, ego.FromStart(), ego.ForEntity("visits")) {
		if err != nil {
			panic(err)
		}
		fmt.Println(event.SequenceNumber, event.Message)
		if event.SequenceNumber == 2 {
			break // else it waits for the next
		}
	}
	// Output:
	// 1 value:1
	// 2 value:2
}

func ExampleEngine_Health() {
	ctx := context.Background()
	engine := startCounters(ctx)
	fmt.Println(engine.Health(ctx))
	if err := engine.Stop(ctx); err != nil {
		panic(err)
	}
	fmt.Println(errors.Is(engine.Health(ctx), ego.ErrEngineNotStarted))
	// Output:
	// <nil>
	// true
}

func ExampleWithTelemetry() {
	ctx := context.Background()
	reader := sdkmetric.NewManualReader() // a service gives an exporter's
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer meters.Shutdown(ctx) //nolint:errcheck // an example
	engine := startCounters(ctx, ego.WithTelemetry(&ego.Telemetry{MeterProvider: meters}))
	defer engine.Stop(ctx) //nolint:errcheck // an example
	if _, _, err := engine.SendCommand(ctx, "visits", wrapperspb.Int64(1), time.Second); err != nil {
		panic(err)
	}

	var measured metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &measured); err != nil {
		panic(err)
	}
	for _, scope := range measured.ScopeMetrics {
		for _, metric := range scope.Metrics {
			if metric.Name == "ego.journal.write.events" {
				fmt.Println(metric.Name, metric.Data.(metricdata.Histogram[int64]).DataPoints[0].Sum)
			}
		}
	}
	// Output: ego.journal.write.events 1
}

func ExampleWithLogger() {
	ctx := context.Background()
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn}))
	engine := startCounters(ctx, ego.WithLogger(logger))
	defer engine.Stop(ctx) //nolint:errcheck // an example
	_, _, err := engine.SendCommand(ctx, "visits", wrapperspb.Int64(-1), time.Second)
	fmt.Println(err) // a refusal is the caller's business: nothing is logged
	// Output: ego: entity "visits" refused command google.protobuf.Int64Value: cannot add -1 [negative]
}
