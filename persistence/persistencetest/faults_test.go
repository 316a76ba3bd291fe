package persistencetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

var errDown = errors.New("down")

// faulty returns a wrapped memory store and the faults that it is under.
func faulty(t testing.TB) (*persistencetest.Faults, persistencetest.Backend) {
	t.Helper()
	faults := persistencetest.NewFaults()
	store := faults.Backend(memory.NewStore())
	require.NoError(t, store.Connect(t.Context()))
	return faults, store
}

// write writes the event of the entity "a" with a number.
func write(ctx context.Context, store persistence.EventsStore, number uint64) error {
	return store.WriteEvents(ctx, []*egopb.Event{{PersistenceId: "a", SequenceNumber: number}})
}

// stored returns the highest number of the entity "a".
func stored(t testing.TB, store persistence.EventsStore) uint64 {
	t.Helper()
	event, err := store.GetLatestEvent(t.Context(), "a")
	require.NoError(t, err)
	return event.GetSequenceNumber()
}

func TestFaults(t *testing.T) {
	t.Parallel()

	t.Run("FailNth", func(t *testing.T) {
		t.Parallel()
		faults, store := faulty(t)
		require.NoError(t, write(t.Context(), store, 1))
		faults.On("WriteEvents").Nth(2).Fail(errDown)
		require.NoError(t, write(t.Context(), store, 2))
		require.Same(t, errDown, write(t.Context(), store, 3), "the error is given as it is")
		require.EqualValues(t, 2, stored(t, store))
		require.NoError(t, write(t.Context(), store, 3))
		require.Equal(t, 4, faults.Calls("WriteEvents"))
	})
	t.Run("FailFirstAndFrom", func(t *testing.T) {
		t.Parallel()
		faults, store := faulty(t)
		faults.On("Ping").First(2).Fail(errDown)
		faults.On("Ping").From(4).Fail(context.DeadlineExceeded)
		for _, want := range []error{errDown, errDown, nil, context.DeadlineExceeded, context.DeadlineExceeded} {
			require.ErrorIs(t, store.Ping(t.Context()), want)
		}
	})
	t.Run("FailAnyUntilCleared", func(t *testing.T) {
		t.Parallel()
		faults, store := faulty(t)
		faults.On(persistencetest.AnyOperation).Fail(errDown)
		require.ErrorIs(t, write(t.Context(), store, 1), errDown)
		require.ErrorIs(t, store.Connect(t.Context()), errDown)
		require.ErrorIs(t, store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: "a", Revision: 1}), errDown)
		_, ok, err := store.NextTimer(t.Context())
		require.ErrorIs(t, err, errDown)
		require.False(t, ok)
		faults.Clear()
		require.NoError(t, write(t.Context(), store, 1))
		require.Equal(t, 6, faults.Calls(persistencetest.AnyOperation))
	})
	t.Run("FailAfterCommit", func(t *testing.T) {
		t.Parallel()
		faults, store := faulty(t)
		faults.On("WriteEvents").First(1).FailAfterCommit(errDown)
		require.ErrorIs(t, write(t.Context(), store, 1), errDown)
		require.EqualValues(t, 1, stored(t, store))
		faults.On("WriteEvents").FailAfterCommit(errDown)
		require.ErrorIs(t, write(t.Context(), store, 1), persistence.ErrConflict, "nothing was committed")
		faults.On("GetLatestEvent").FailAfterCommit(errDown)
		event, err := store.GetLatestEvent(t.Context(), "a")
		require.ErrorIs(t, err, errDown)
		require.Nil(t, event)
	})
	t.Run("LaterActionReplaces", func(t *testing.T) {
		t.Parallel()
		faults, store := faulty(t)
		rule := faults.On("Ping").Fail(errDown)
		rule.Fail(context.Canceled)
		require.ErrorIs(t, store.Ping(t.Context()), context.Canceled)
	})
	t.Run("WithoutRulesTheStoreConforms", func(t *testing.T) {
		t.Parallel()
		persistencetest.Run(t, func(t testing.TB) persistencetest.Stores {
			_, store := faulty(t)
			return persistencetest.Stores{
				Events: store, Snapshots: store, States: store, Timers: store, Offsets: store, DeadLetters: store,
			}
		})
	})
	t.Run("EachStoreAlone", func(t *testing.T) {
		t.Parallel()
		store, faults := memory.NewStore(), persistencetest.NewFaults()
		wrapped := []persistence.Store{
			faults.Events(store), faults.Snapshots(store), faults.States(store), faults.Timers(store), faults.Offsets(store),
		}
		faults.On("Ping").Fail(errDown)
		for _, s := range wrapped {
			require.ErrorIs(t, s.Ping(t.Context()), errDown)
		}
		faults.On("ParkedEntities").Fail(errDown)
		_, err := faults.DeadLetters(store).ParkedEntities(t.Context(), "c", 0)
		require.ErrorIs(t, err, errDown)
	})
	t.Run("MistakesPanic", func(t *testing.T) {
		t.Parallel()
		faults := persistencetest.NewFaults()
		require.Panics(t, func() { faults.On("WriteEvent") })
		require.Panics(t, func() { faults.Calls("write") })
		require.Panics(t, func() { faults.On("Ping").Nth(0) })
		require.Panics(t, func() { faults.On("Ping").FailAfterItems(1, errDown) })
	})
}

func TestFaultsOfSequences(t *testing.T) {
	t.Parallel()
	replay := func(t *testing.T, store persistence.EventsStore, breakAfter int) (read int, failure error) {
		t.Helper()
		for event, err := range store.ReplayEvents(t.Context(), "a", 1, 10) {
			if err != nil {
				require.Nil(t, event)
				require.NoError(t, failure, "one error ends a sequence")
				failure = err
				continue
			}
			if read++; read == breakAfter {
				break
			}
		}
		return read, failure
	}
	for _, c := range []struct {
		name       string
		rule       func(on *persistencetest.Rule)
		breakAfter int
		read       int
		fails      bool
	}{
		{name: "Fail", rule: func(on *persistencetest.Rule) { on.Fail(errDown) }, fails: true},
		{name: "FailAfterItems", rule: func(on *persistencetest.Rule) { on.FailAfterItems(2, errDown) }, read: 2, fails: true},
		{name: "FailAfterMoreItemsThanThereAre", rule: func(on *persistencetest.Rule) { on.FailAfterItems(3, errDown) }, read: 3},
		{name: "FailAfterAll", rule: func(on *persistencetest.Rule) { on.FailAfterCommit(errDown) }, read: 3, fails: true},
		{name: "BrokenOff", rule: func(on *persistencetest.Rule) { on.FailAfterCommit(errDown) }, breakAfter: 3, read: 3},
		{name: "NoRule", rule: func(*persistencetest.Rule) {}, read: 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			faults, store := faulty(t)
			for number := uint64(1); number <= 3; number++ {
				require.NoError(t, write(t.Context(), store, number))
			}
			c.rule(faults.On("ReplayEvents"))
			for range 2 {
				read, err := replay(t, store, c.breakAfter)
				require.Equal(t, c.read, read)
				if c.fails {
					require.ErrorIs(t, err, errDown)
				} else {
					require.NoError(t, err)
				}
			}
			require.Equal(t, 2, faults.Calls("ReplayEvents"))
		})
	}
}

func TestFaultsThatHold(t *testing.T) {
	t.Parallel()

	for name, byClear := range map[string]bool{"BlockUntilReleased": false, "BlockUntilCleared": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults, store := faulty(t)
			rule := faults.On("WriteEvents")
			release := rule.Block()
			done := make(chan error, 1)
			go func() { done <- write(t.Context(), store, 1) }()
			<-rule.Entered()
			require.Zero(t, stored(t, store))
			require.Empty(t, done)
			if byClear {
				faults.Clear()
			}
			release()
			release()
			require.NoError(t, <-done)
			require.NoError(t, write(t.Context(), store, 2), "later calls pass")
		})
	}
	t.Run("BlockHonoursTheContext", func(t *testing.T) {
		t.Parallel()
		faults, store := faulty(t)
		rule := faults.On("WriteEvents").First(1)
		rule.Block()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- write(ctx, store, 1) }()
		<-rule.Entered()
		cancel()
		err := <-done
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, persistence.NotWritten(err))
		require.Zero(t, stored(t, store))
	})
	t.Run("BlockAfterCommit", func(t *testing.T) {
		t.Parallel()
		faults, store := faulty(t)
		rule := faults.On("WriteEvents")
		release := rule.BlockAfterCommit()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- write(ctx, store, 1) }()
		<-rule.Entered()
		require.EqualValues(t, 1, stored(t, store))
		cancel()
		err := <-done
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, persistence.NotWritten(err), "the write is done")
		release()
		require.NoError(t, write(t.Context(), store, 2))
	})
	t.Run("Delay", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			faults, store := faulty(t)
			faults.On("WriteEvents").Delay(time.Minute)
			start := time.Now()
			require.NoError(t, write(t.Context(), store, 1))
			require.Equal(t, time.Minute, time.Since(start))

			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := write(ctx, store, 2)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.True(t, persistence.NotWritten(err))
			require.EqualValues(t, 1, stored(t, store))
		})
	})
}
