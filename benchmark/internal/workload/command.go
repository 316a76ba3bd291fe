package workload

import (
	"context"
	"fmt"
	"strconv"
	"time"

	goakt "github.com/tochemey/goakt/v3/actor"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
)

// IDs returns the ids of accounts.
func IDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = "account-" + strconv.Itoa(i)
	}
	return ids
}

// apart is how far the first entities of two senders are apart, so that senders do not walk in step.
const apart = 7919

func start(store persistence.EventsStore, opts ...ego.Option) (*ego.Engine, error) {
	engine := ego.NewEngine("benchmark", store, opts...)
	return engine, engine.Start(context.Background())
}

// question is told to a bare actor, which answers on its channel.
type question struct {
	emptypb.Empty
	answer chan struct{}
}

// A BareActor is the least that an entity could be.
type BareActor struct{}

// PreStart does nothing.
func (*BareActor) PreStart(*goakt.Context) error { return nil }

// PostStop does nothing.
func (*BareActor) PostStop(*goakt.Context) error { return nil }

// Receive answers.
func (*BareActor) Receive(ctx *goakt.ReceiveContext) {
	if q, ok := ctx.Message().(*question); ok {
		q.answer <- struct{}{}
	}
}

// Actors are bare GoAkt actors. Their operation is a Tell whose answer comes by a channel.
type Actors struct {
	engine *ego.Engine
	pids   []*goakt.PID
}

// StartActors starts n actors in the actor system of an engine.
func StartActors(n int) (*Actors, error) {
	engine, err := start(memory.NewStore())
	if err != nil {
		return nil, err
	}
	a := &Actors{engine: engine, pids: make([]*goakt.PID, n)}
	for i, id := range IDs(n) {
		if a.pids[i], err = engine.ActorSystem().Spawn(context.Background(), id, new(BareActor), goakt.WithLongLived()); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Sender implements [Side].
func (a *Actors) Sender(i int) func() (int, error) {
	q := &question{answer: make(chan struct{}, 1)}
	next := i * apart
	return func() (int, error) {
		next++
		if err := goakt.Tell(context.Background(), a.pids[next%len(a.pids)], q); err != nil {
			return 0, err
		}
		<-q.answer
		return 1, nil
	}
}

// Close implements [Side].
func (a *Actors) Close() error { return a.engine.Stop(context.Background()) }

// Commands are deposits to accounts of an engine.
type Commands struct {
	engine *ego.Engine
	ids    []string
	closer func() error
}

// StartCommands starts an engine and makes n accounts live. Close calls closer after the engine has stopped.
func StartCommands(store persistence.EventsStore, n int, closer func() error, opts ...ego.SpawnOption) (*Commands, error) {
	engine, err := start(store)
	if err != nil {
		return nil, err
	}
	c := &Commands{engine: engine, ids: IDs(n), closer: closer}
	for _, id := range c.ids {
		if err := engine.Entity(context.Background(), testaccount.New(id), opts...); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Sender implements [Side].
func (c *Commands) Sender(i int) func() (int, error) {
	command := &testpb.Deposit{Amount: 1}
	next := i * apart
	return func() (int, error) {
		next++
		if _, _, err := c.engine.SendCommand(context.Background(), c.ids[next%len(c.ids)], command, time.Minute); err != nil {
			return 0, err
		}
		return 1, nil
	}
}

// Verify returns an error unless the accounts have exactly so many events and the money of as many deposits.
func (c *Commands) Verify(commands int) error {
	events, money := uint64(0), int64(0)
	for _, id := range c.ids {
		state, revision, err := c.engine.EntityState(context.Background(), id, time.Minute)
		if err != nil {
			return err
		}
		account, ok := state.(*testpb.Account)
		if !ok {
			return fmt.Errorf("the state of %s is a %T", id, state)
		}
		events, money = events+revision, money+account.GetBalance()
	}
	if events != uint64(max(commands, 0)) || money != int64(commands) {
		return fmt.Errorf("%d commands were answered, but there are %d events and %d in the accounts", commands, events, money)
	}
	return nil
}

// Close implements [Side].
func (c *Commands) Close() error {
	stop := func() error { return c.engine.Stop(context.Background()) }
	if c.closer == nil {
		return stop()
	}
	return closeAll(stop, c.closer)
}
