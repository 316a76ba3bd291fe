package ego_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/publisher"
)

// printer publishes to the standard output.
type printer struct {
	last string // what is waited for
	done chan struct{}
	once sync.Once
}

func (p *printer) ID() string                  { return "printer" }
func (p *printer) Close(context.Context) error { return nil }

func (p *printer) Publish(_ context.Context, event *egopb.Event) error {
	m, err := publisher.JSON().EncodeEvent(event)
	if err != nil {
		return err
	}
	return p.print(m)
}

func (p *printer) print(m *publisher.Message) error {
	fmt.Println(m.ID, m.Type)
	if m.ID == p.last {
		p.once.Do(func() { close(p.done) })
	}
	return nil
}

// A publisher is given the events of the journal, each once the one before it of its entity was taken.
func ExampleEngine_AddEventPublishers() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	engine := ego.NewEngine("counters", memory.NewStore())
	p := &printer{last: "a/3", done: make(chan struct{})}
	if err := engine.AddEventPublishers(p); err != nil {
		panic(err)
	}
	if err := engine.Start(ctx); err != nil {
		panic(err)
	}
	if err := engine.Entity(ctx, newCounter("a")); err != nil {
		panic(err)
	}
	for range 3 {
		if _, _, err := engine.SendCommand(ctx, "a", wrapperspb.Int64(2), time.Second); err != nil {
			panic(err)
		}
	}
	<-p.done
	if err := engine.Stop(ctx); err != nil { // closes the publisher
		panic(err)
	}
	// Output:
	// a/1 google.protobuf.Int64Value
	// a/2 google.protobuf.Int64Value
	// a/3 google.protobuf.Int64Value
}

// tally is a durable state: a sum.
type tally struct{ id string }

func (t *tally) ID() string              { return t.id }
func (t *tally) InitialState() ego.State { return wrapperspb.Int64(0) }

func (t *tally) HandleCommand(_ context.Context, command ego.Command, prior ego.State, _ uint64) (ego.State, error) {
	return wrapperspb.Int64(prior.(*wrapperspb.Int64Value).GetValue() + command.(*wrapperspb.Int64Value).GetValue()), nil
}

// statePrinter publishes states.
type statePrinter struct{ *printer }

func (p statePrinter) Publish(_ context.Context, state *egopb.DurableState) error {
	m, err := publisher.JSON().EncodeState(state)
	if err != nil {
		return err
	}
	return p.print(m)
}

// A publisher of states is given the latest state of each entity that has changed. Here it starts late, and the states that were
// replaced before are left out.
func ExampleEngine_AddStatePublishers() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store := memory.NewStore()
	engine := ego.NewEngine("tallies", store, ego.WithStateStore(store))
	if err := engine.Start(ctx); err != nil {
		panic(err)
	}
	if err := engine.DurableStateEntity(ctx, &tally{"a"}); err != nil {
		panic(err)
	}
	for range 3 {
		if _, _, err := engine.SendCommand(ctx, "a", wrapperspb.Int64(2), time.Second); err != nil {
			panic(err)
		}
	}
	p := &printer{last: "a/3", done: make(chan struct{})}
	if err := engine.AddStatePublishers(statePrinter{p}); err != nil {
		panic(err)
	}
	<-p.done
	if err := engine.Stop(ctx); err != nil {
		panic(err)
	}
	// Output: a/3 google.protobuf.Int64Value
}
