package ego_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
)

func TestPassivation(t *testing.T) {
	t.Parallel()

	t.Run("LetsGoAndComesBack", func(t *testing.T) { // G1
		t.Parallel()
		engine := startEngine(t, newStore(t), ego.WithPassivateAfter(10*time.Millisecond))
		before := len(engine.ActorSystem().Actors())
		for _, id := range ids(20) {
			open(t, engine, id)
			deposit(t, engine, id, 1)
		}
		require.Eventually(t, func() bool { return len(engine.ActorSystem().Actors()) == before }, patience, time.Millisecond)
		for _, id := range ids(20) {
			require.EqualValues(t, 2, deposit(t, engine, id, 1).GetBalance())
		}
	})
	t.Run("OfAnEntityWithoutEventsForgetsNothing", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t), ego.WithPassivateAfter(10*time.Millisecond))
		before := len(engine.ActorSystem().Actors())
		open(t, engine, "a")
		require.Eventually(t, func() bool { return len(engine.ActorSystem().Actors()) == before }, patience, time.Millisecond)
		require.EqualValues(t, 1, deposit(t, engine, "a", 1).GetBalance())
	})
	t.Run("RacesWithCommands", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t), ego.WithPassivateAfter(time.Millisecond))
		accounts := ids(4)
		for _, id := range accounts {
			open(t, engine, id)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var mu sync.Mutex
		sent := map[string]int64{}
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				pause := time.NewTicker(time.Duration(i+1) * 2 * time.Millisecond) // about as long as an entity lives
				defer pause.Stop()
				for ctx.Err() == nil {
					id := accounts[i%len(accounts)]
					if _, _, err := engine.SendCommand(t.Context(), id, &testpb.Deposit{Amount: 1}, patience); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					sent[id]++
					mu.Unlock()
					<-pause.C
				}
			})
		}
		group.Wait()
		for _, id := range accounts {
			state, _, err := engine.EntityState(t.Context(), id, patience)
			require.NoError(t, err)
			require.Equal(t, sent[id], state.(*testpb.Account).GetBalance())
		}
	})
	t.Run("ZeroKeepsEntitiesLive", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t), ego.WithPassivateAfter(5*time.Millisecond))
		before := len(engine.ActorSystem().Actors())
		require.NoError(t, engine.Entity(t.Context(), testaccount.New("stays"), ego.WithPassivateAfter(0)))
		open(t, engine, "goes")
		require.Eventually(t, func() bool { return len(engine.ActorSystem().Actors()) == before+1 }, patience, time.Millisecond)
	})
}

func TestSupervisorDirective(t *testing.T) {
	t.Parallel()
	for directive, balance := range map[ego.SupervisorDirective]int64{
		ego.RestartDirective: 6, // the state of the store
		ego.StopDirective:    6,
		ego.ResumeDirective:  0, // the state that the handler has spoilt
	} {
		store := newStore(t)
		engine := startEngine(t, store)
		require.NoError(t, engine.Entity(t.Context(), testaccount.New("a"), ego.WithSupervisorDirective(directive)))
		deposit(t, engine, "a", 5)
		_, _, err := engine.SendCommand(t.Context(), "a", &testpb.Misbehave{How: "panic"}, patience)
		require.ErrorContains(t, err, "panicked")
		require.Equal(t, balance, deposit(t, engine, "a", 1).GetBalance(), "directive %d", directive)
	}
	engine := startEngine(t, newStore(t))
	require.ErrorContains(t, engine.Entity(t.Context(), testaccount.New("a"), ego.WithSupervisorDirective(7)), "directive 7")
}
