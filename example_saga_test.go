package ego_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/projection"
)

// trip books a hotel and a flight. Its state is a text: what is booked so far.
type trip struct{ id string }

func (t *trip) ID() string              { return t.id }
func (t *trip) InitialState() ego.State { return wrapperspb.String("") }

// Start books the hotel, and gives the whole trip a minute to decide.
func (t *trip) Start(context.Context, ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{
		Commands: []ego.SagaCommand{{EntityID: "hotel", Command: wrapperspb.Int64(1)}},
		Timers:   []ego.SagaTimer{{Name: "decide", After: time.Minute}},
	}, nil
}

// HandleResult notes what is booked. After the hotel comes the flight, after the flight the end.
func (t *trip) HandleResult(_ context.Context, entityID string, _, _ ego.State) (*ego.SagaAction, error) {
	action := &ego.SagaAction{Events: []ego.Event{wrapperspb.String(entityID)}}
	if entityID == "hotel" {
		action.Commands = []ego.SagaCommand{{EntityID: "flight", Command: wrapperspb.Int64(-1), Timeout: time.Second}}
	} else {
		action.Complete = true
	}
	return action, nil
}

// HandleError is called for a refusal: there is no flight, so the trip is off.
func (t *trip) HandleError(_ context.Context, entityID string, err error, _ ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Compensate: true}, nil
}

// HandleTimeout is called when it takes too long.
func (t *trip) HandleTimeout(context.Context, string, ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Compensate: true}, nil
}

func (t *trip) HandleEvent(context.Context, ego.Event, ego.State) (*ego.SagaAction, error) {
	return nil, nil
}

func (t *trip) ApplyEvent(_ context.Context, event ego.Event, state ego.State) (ego.State, error) {
	return wrapperspb.String(state.(*wrapperspb.StringValue).GetValue() + event.(*wrapperspb.StringValue).GetValue()), nil
}

// Compensate cancels what is booked; 100 stands for that.
func (t *trip) Compensate(_ context.Context, state ego.State) ([]ego.SagaCommand, error) {
	if state.(*wrapperspb.StringValue).GetValue() != "hotel" {
		return nil, nil
	}
	return []ego.SagaCommand{{EntityID: "hotel", Command: wrapperspb.Int64(100)}}, nil
}

// sagaEngine starts an engine with counters and a kind of sagas.
func sagaEngine(ctx context.Context, kind ego.Kind) *ego.Engine {
	store := memory.NewStore()
	_ = store.Connect(ctx)
	counters := ego.EventSourcedKind("counter", func(id string) ego.EventSourcedBehavior { return &counter{id} })
	engine := ego.NewEngine("example", store, ego.WithKinds(counters, kind))
	if err := engine.Start(ctx); err != nil {
		panic(err)
	}
	return engine
}

// ended waits until a saga has finished.
func ended(ctx context.Context, engine *ego.Engine, id string) *ego.SagaInfo {
	for {
		info, err := engine.SagaStatus(ctx, id, time.Second)
		if err == nil && info.Status != ego.SagaRunning && info.Status != ego.SagaCompensating {
			return info
		}
		<-time.After(time.Millisecond)
	}
}

// The flight refuses, so the saga cancels the hotel: every decision is stored before it takes effect, and survives a crash.
func ExampleEngine_Saga() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	engine := sagaEngine(ctx, ego.SagaKind("trip", func(id string) ego.SagaBehavior { return &trip{id} }))
	defer engine.Stop(ctx) //nolint:errcheck // an example
	_ = engine.Entity(ctx, &counter{"hotel"})
	_ = engine.Entity(ctx, &counter{"flight"})

	if err := engine.Saga(ctx, &trip{"trip-1"}, time.Hour); err != nil { // an hour for everything
		fmt.Println(err)
	}
	info := ended(ctx, engine, "trip-1")
	fmt.Println(info.Status, info.Reason)
	hotel, revision, _ := engine.EntityState(ctx, "hotel", time.Second)
	fmt.Println("hotel:", hotel.(*wrapperspb.Int64Value).GetValue(), "revision:", revision)
	// Output:
	// compensated ego: entity "flight" refused command google.protobuf.Int64Value: cannot add -1 [negative]
	// hotel: 101 revision: 2
}

// reservation is a trip that has a hotel and waits for somebody to decide.
type reservation struct{ trip }

func (r *reservation) HandleResult(_ context.Context, entityID string, _, _ ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Events: []ego.Event{wrapperspb.String(entityID)}}, nil
}

// A saga that is canceled takes back what it did.
func ExampleEngine_CancelSaga() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	engine := sagaEngine(ctx, ego.SagaKind("reservation", func(id string) ego.SagaBehavior { return &reservation{trip{id}} }))
	defer engine.Stop(ctx) //nolint:errcheck // an example
	_ = engine.Entity(ctx, &counter{"hotel"})
	if err := engine.Saga(ctx, &reservation{trip{"trip-2"}}, time.Hour); err != nil {
		fmt.Println(err)
	}
	for booked := ""; booked == ""; {
		info, err := engine.SagaStatus(ctx, "trip-2", time.Second)
		if err != nil {
			panic(err)
		}
		booked = info.State.(*wrapperspb.StringValue).GetValue()
	}
	for info, err := range engine.Sagas(ctx, ego.SagaRunning) {
		fmt.Println(info.ID, info.Kind, info.Status, err)
	}

	fmt.Println(engine.CancelSaga(ctx, "trip-2"))
	fmt.Println(ended(ctx, engine, "trip-2").Status)
	fmt.Println(engine.EntityState(ctx, "hotel", time.Second))
	// Output:
	// trip-2 reservation running <nil>
	// <nil>
	// compensated
	// value:101 2 <nil>
}

// doubling is a saga that an event starts: it adds once more what was added to a counter, and ends with the event of that.
type doubling struct{ trip }

func (d *doubling) Start(context.Context, ego.State) (*ego.SagaAction, error) { return nil, nil }

// HandleEvent also sees what its own command caused: that carries the id of the saga as correlation id.
func (d *doubling) HandleEvent(ctx context.Context, event ego.Event, _ ego.State) (*ego.SagaAction, error) {
	if ego.CommandMetadata(ctx).CorrelationID == d.id {
		return &ego.SagaAction{Complete: true}, nil
	}
	return &ego.SagaAction{Commands: []ego.SagaCommand{{EntityID: "double", Command: event}}}, nil
}

func (d *doubling) HandleResult(context.Context, string, ego.State, ego.State) (*ego.SagaAction, error) {
	return nil, nil
}

// A saga kind with CorrelateBy starts a saga for an event, here one for each addition to one counter.
func ExampleCorrelateBy() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	engine := sagaEngine(ctx, ego.SagaKind("doubling", func(id string) ego.SagaBehavior { return &doubling{trip{id}} },
		ego.CorrelateBy(func(event *projection.Event) (sagaID string, ok bool) {
			return fmt.Sprint("double-", event.SequenceNumber), event.PersistenceID == "single"
		})))
	defer engine.Stop(ctx) //nolint:errcheck // an example
	_ = engine.Entity(ctx, &counter{"single"})
	_ = engine.Entity(ctx, &counter{"double"})
	for i := range int64(3) {
		_, _, _ = engine.SendCommand(ctx, "single", wrapperspb.Int64(i+1), time.Second)
	}
	for i := range 3 {
		fmt.Println(ended(ctx, engine, fmt.Sprint("double-", i+1)).Status)
	}
	double, _, _ := engine.EntityState(ctx, "double", time.Second)
	fmt.Println(double.(*wrapperspb.Int64Value).GetValue())
	// Output:
	// completed
	// completed
	// completed
	// 6
}

// A scheduled command is sent at its time by whichever process that shares the store is up then.
func ExampleEngine_ScheduleCommand() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	engine := sagaEngine(ctx, ego.SagaKind("trip", func(id string) ego.SagaBehavior { return &trip{id} }))
	defer engine.Stop(ctx) //nolint:errcheck // an example
	_ = engine.Entity(ctx, &counter{"alarm"})

	soon := time.Now().Add(10 * time.Millisecond)
	if _, err := engine.ScheduleCommand(ctx, "alarm", wrapperspb.Int64(7), soon); err != nil {
		fmt.Println(err)
	}
	later, _ := engine.ScheduleCommand(ctx, "alarm", wrapperspb.Int64(1000), soon.Add(time.Hour))
	_ = engine.CancelScheduledCommand(ctx, "alarm", later)
	for {
		if state, revision, err := engine.EntityState(ctx, "alarm", time.Second); err == nil && revision == 1 {
			fmt.Println(state.(*wrapperspb.Int64Value).GetValue())
			return
		}
		<-time.After(time.Millisecond)
	}
	// Output: 7
}
