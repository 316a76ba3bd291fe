package egoactor_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/egoactor"
	"github.com/actorkeep/ego/internal/testpb"
)

func TestActivation(t *testing.T) {
	t.Parallel()

	t.Run("IsOneForManyCallers", func(t *testing.T) { // G2
		t.Parallel()
		f := newFixture(t)
		const callers = 64
		var group sync.WaitGroup
		for range callers {
			group.Go(func() {
				if _, err := f.deposit("a"); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.EqualValues(t, 1, f.builds.Load())
		require.Equal(t, 1, f.host.Count())
		revision, err := f.deposit("a")
		require.NoError(t, err)
		require.EqualValues(t, callers+1, revision)
	})
	t.Run("ThatFailsAnswersAllAndIsTriedAgain", func(t *testing.T) { // G12
		t.Parallel()
		failure := errors.New("not now")
		f := newFixture(t, func(f *fixture, _ *egoactor.Config) { f.buildErr = failure })
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				if _, err := f.deposit("a"); !errors.Is(err, failure) {
					t.Errorf("%v is not %v", err, failure)
				}
			})
		}
		group.Wait()
		require.Zero(t, f.host.Count())
		f.buildErr = nil
		_, err := f.deposit("a")
		require.NoError(t, err)
	})
	t.Run("ComesBackAfterSomebodyStoppedTheActor", func(t *testing.T) { // G12
		t.Parallel()
		f := newFixture(t)
		_, err := f.deposit("a")
		require.NoError(t, err)
		require.Eventually(t, func() bool { // GoAkt lists an actor a moment after it has spawned it
			for _, pid := range f.system.Actors() {
				require.NoError(t, pid.Shutdown(t.Context()))
			}
			_, err = f.deposit("a") // the first may be told that the actor has gone
			return err == nil && f.builds.Load() > 1
		}, patience, time.Millisecond)
	})
}

func TestQueue(t *testing.T) {
	t.Parallel()

	t.Run("IsBounded", func(t *testing.T) { // G12
		t.Parallel()
		f := newFixture(t, func(_ *fixture, c *egoactor.Config) { c.MaxQueue = 3 })
		release := f.hold(t, "a")
		for range 3 {
			_, err := f.send(t.Context(), "a", &testpb.Deposit{Amount: 1})
			require.NoError(t, err)
		}
		_, err := f.send(t.Context(), "a", &testpb.Deposit{Amount: 1})
		require.ErrorIs(t, err, egoactor.ErrOverloaded)
		require.NoError(t, release())
	})
	t.Run("DropsWhoGaveUpBeforeItIsFull", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, func(_ *fixture, c *egoactor.Config) { c.MaxQueue = 2 })
		release := f.hold(t, "a")
		for range 2 {
			r, err := f.send(t.Context(), "a", &testpb.Deposit{Amount: 1})
			require.NoError(t, err)
			r.Abandon()
		}
		kept, err := f.send(t.Context(), "a", &testpb.Deposit{Amount: 1})
		require.NoError(t, err)
		require.NoError(t, release())
		revision, err := answer(kept)
		require.NoError(t, err)
		require.EqualValues(t, 2, revision, "the abandoned ones never ran")
	})
	t.Run("LosesNothingToPassivationAndEviction", func(t *testing.T) { // G1
		t.Parallel()
		f := newFixture(t, func(f *fixture, _ *egoactor.Config) { f.idle = time.Millisecond })
		accounts := names(8)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var sent [8]atomic.Int64
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() {
				pause := time.NewTicker(time.Duration(i%4+1) * 3 * time.Millisecond)
				defer pause.Stop()
				for n := 0; ctx.Err() == nil; n++ {
					if _, err := f.deposit(accounts[i%8]); err != nil {
						t.Error(err)
						return
					}
					sent[i%8].Add(1)
					if n%20 == 0 {
						<-pause.C
					}
				}
			})
		}
		group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := f.host.Evict(t.Context(), accounts[n%8]); err != nil {
					t.Error(err)
				}
			}
		})
		group.Wait()
		for i, id := range accounts {
			latest, err := f.store.GetLatestEvent(t.Context(), id)
			require.NoError(t, err)
			require.EqualValues(t, sent[i].Load(), latest.GetSequenceNumber(), id)
		}
		require.Positive(t, f.passivated.Load())
		require.Greater(t, f.builds.Load(), int64(8))
	})
}

func TestPassivation(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(f *fixture, _ *egoactor.Config) { f.idle = 5 * time.Millisecond })
	for _, id := range names(10) {
		_, err := f.deposit(id)
		require.NoError(t, err)
	}
	release := f.hold(t, "busy")
	require.Eventually(t, func() bool { return f.passivated.Load() == 10 }, patience, time.Millisecond)
	require.Equal(t, 1, f.host.Count(), "an entity at work stays")
	require.NoError(t, release())
}

func TestStop(t *testing.T) {
	t.Parallel()

	t.Run("AnswersWhatIsQueued", func(t *testing.T) { // G1
		t.Parallel()
		f := newFixture(t)
		release := f.hold(t, "a")
		queued, err := f.send(t.Context(), "a", &testpb.Deposit{Amount: 1})
		require.NoError(t, err)
		stopped := make(chan error)
		go func() { stopped <- f.host.Stop(context.Background()) }()
		require.Eventually(t, func() bool {
			_, err := f.send(t.Context(), "b", &testpb.Deposit{Amount: 1})
			return errors.Is(err, egoactor.ErrStopped)
		}, patience, time.Millisecond)
		require.NoError(t, release())
		revision, err := answer(queued)
		require.NoError(t, err)
		require.EqualValues(t, 2, revision)
		require.NoError(t, <-stopped)
		require.Zero(t, f.host.Count())
	})
	t.Run("FailsWhatIsLeftWhenItsTimeIsOver", func(t *testing.T) { // G12
		t.Parallel()
		f := newFixture(t)
		release := f.hold(t, "a")
		queued, err := f.send(t.Context(), "a", &testpb.Deposit{Amount: 1})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, f.host.Stop(ctx), context.Canceled)
		_, err = answer(queued)
		require.ErrorIs(t, err, egoactor.ErrStopped)
		require.Error(t, release(), "its write was cut off")
	})
	t.Run("LetsLingeringActorsRest", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		for range 100 {
			for _, id := range names(4) {
				_, err := f.deposit(id)
				require.NoError(t, err)
			}
		}
		require.NoError(t, f.host.Stop(t.Context()))
		require.Zero(t, f.host.Count())
	})
}
