package benchmark

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	goakt "github.com/tochemey/goakt/v3/actor"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
)

// question is told to a bare actor, which answers on its channel.
type question struct {
	emptypb.Empty
	answer chan struct{}
}

// bareActor is the least that an entity could be.
type bareActor struct{}

func (*bareActor) PreStart(*goakt.Context) error { return nil }
func (*bareActor) PostStop(*goakt.Context) error { return nil }

func (*bareActor) Receive(ctx *goakt.ReceiveContext) {
	if q, ok := ctx.Message().(*question); ok {
		q.answer <- struct{}{}
	}
}

func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("account-%d", i)
	}
	return list
}

func startEngine(b *testing.B, store persistence.EventsStore) *ego.Engine {
	b.Helper()
	engine := ego.NewEngine("benchmark", store)
	require.NoError(b, engine.Start(context.Background()))
	b.Cleanup(func() { require.NoError(b, engine.Stop(context.Background())) })
	return engine
}

// BenchmarkCommand compares a GoAkt Tell with a reply (bare) with a command on the memory store (ego).
func BenchmarkCommand(b *testing.B) {
	for _, entities := range []int{1, 1000} {
		for _, senders := range []int{1, 64} {
			name := fmt.Sprintf("entities=%d/senders=%d", entities, senders)
			b.Run("path=bare/"+name, func(b *testing.B) { benchmarkBare(b, entities, senders) })
			b.Run("path=ego/"+name, func(b *testing.B) {
				benchmarkCommands(b, memory.NewStore(), entities, senders)
			})
		}
	}
}

func benchmarkBare(b *testing.B, entities, senders int) {
	engine := startEngine(b, memory.NewStore())
	actors := make([]*goakt.PID, entities)
	for i, id := range ids(entities) {
		pid, err := engine.ActorSystem().Spawn(context.Background(), id, new(bareActor), goakt.WithLongLived())
		require.NoError(b, err)
		actors[i] = pid
	}
	run(b, senders, func(i int) func() error {
		q := &question{answer: make(chan struct{}, 1)}
		return func() error {
			i++
			err := goakt.Tell(context.Background(), actors[i%entities], q)
			<-q.answer
			return err
		}
	})
}

func benchmarkCommands(b *testing.B, store persistence.EventsStore, entities, senders int) {
	engine := startEngine(b, store)
	accounts := ids(entities)
	for _, id := range accounts {
		require.NoError(b, engine.Entity(context.Background(), testaccount.New(id)))
	}
	run(b, senders, func(i int) func() error {
		command := &testpb.Deposit{Amount: 1}
		return func() error {
			i++
			_, _, err := engine.SendCommand(context.Background(), accounts[i%entities], command, time.Minute)
			return err
		}
	})
}

// run calls what each sender does b.N times in all.
func run(b *testing.B, senders int, sender func(first int) func() error) {
	b.Helper()
	b.ReportAllocs()
	if senders == 1 {
		send := sender(0)
		for b.Loop() {
			if err := send(); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	var count, failed atomic.Int64
	b.ResetTimer()
	done := make(chan struct{})
	for i := range senders {
		go func() {
			defer func() { done <- struct{}{} }()
			send := sender(i * 7919)
			for count.Add(1) <= int64(b.N) {
				if send() != nil {
					failed.Add(1)
				}
			}
		}()
	}
	for range senders {
		<-done
	}
	if n := failed.Load(); n > 0 {
		b.Fatalf("%d of %d failed", n, b.N)
	}
}
