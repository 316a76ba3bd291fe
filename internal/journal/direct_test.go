package journal_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/journal"
	"github.com/actorkeep/ego/persistence"
)

// heldStore writes at once, unless it is told to hold the writes up or to fail them.
type heldStore struct {
	persistence.EventsStore
	held    atomic.Pointer[chan struct{}]
	failure atomic.Pointer[error]
	writing chan int // the size of each write that is held up
}

func newHeldStore(t *testing.T) *heldStore {
	t.Helper()
	return &heldStore{EventsStore: newMemoryStore(t), writing: make(chan int, 1000)}
}

// hold holds writes up until the returned function is called.
func (s *heldStore) hold() (release func()) {
	held := make(chan struct{})
	s.held.Store(&held)
	return func() {
		s.held.Store(nil)
		close(held)
	}
}

func (s *heldStore) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	if held := s.held.Load(); held != nil {
		s.writing <- len(events)
		<-*held
	}
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	return s.EventsStore.WriteEvents(ctx, events)
}

// warm makes writes until the journal knows that they are cheap.
func warm(t *testing.T, j *journal.Journal) {
	t.Helper()
	writer := newEntityWriter(t, "warm")
	for range 200 {
		require.NoError(t, writer.append(t.Context(), j.Append))
	}
}

// TestDirectWrites runs in bubbles, where no time passes while a store writes: every write is cheap.
func TestDirectWrites(t *testing.T) {
	t.Parallel()
	inBubble := func(name string, test func(t *testing.T, store *heldStore, j *journal.Journal)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newHeldStore(t)
				j := journal.New(journal.Config{Store: store})
				warm(t, j)
				test(t, store, j)
				require.NoError(t, j.Stop(t.Context()))
			})
		})
	}

	inBubble("GoOnBesideOneAnother", func(t *testing.T, store *heldStore, j *journal.Journal) {
		release := store.hold()
		var group sync.WaitGroup
		for _, id := range []string{"a", "b"} {
			group.Go(func() { require.NoError(t, newEntityWriter(t, id).append(t.Context(), j.Append)) })
		}
		synctest.Wait()
		require.Len(t, store.writing, 2, "the second does not wait for the first")
		<-time.After(time.Millisecond)
		require.InDelta(t, time.Millisecond, j.Status().InFlight, 1)
		release()
		group.Wait()
		require.Zero(t, j.Status().InFlight)
	})
	inBubble("AreFewSoTheOthersGather", func(t *testing.T, store *heldStore, j *journal.Journal) {
		release := store.hold()
		const appends = 300
		var group sync.WaitGroup
		for i := range appends {
			group.Go(func() { require.NoError(t, newEntityWriter(t, strconv.Itoa(i)).append(t.Context(), j.Append)) })
		}
		synctest.Wait()
		require.Less(t, len(store.writing), appends/2, "a store that hangs holds up few appends")
		require.Equal(t, appends, len(store.writing)+j.Status().PendingAppends)
		release()
		group.Wait()
	})
	inBubble("ReportFailureAndRecovery", func(t *testing.T, store *heldStore, j *journal.Journal) { // G9, G12
		lost := errors.New("the reply was lost")
		store.failure.Store(&lost)
		require.ErrorIs(t, newEntityWriter(t, "a").append(t.Context(), j.Append), journal.ErrOutcomeUnknown)
		require.ErrorIs(t, j.Status().Err(), lost)
		store.failure.Store(nil)
		require.NoError(t, newEntityWriter(t, "a").append(t.Context(), j.Append))
		require.NoError(t, j.Status().Err())
		require.ErrorIs(t, newEntityWriter(t, "a").append(t.Context(), j.Append), persistence.ErrConflict) // G2
		require.NoError(t, j.Status().Err())
	})
	inBubble("AreWaitedForByEveryStop", func(t *testing.T, store *heldStore, j *journal.Journal) { // G1
		release := store.hold()
		writer, appended := newEntityWriter(t, "a"), make(chan error, 1)
		go func() { appended <- writer.append(t.Context(), j.Append) }()
		<-store.writing
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, j.Stop(canceled), context.Canceled)
		stopped := make(chan error, 3)
		for range cap(stopped) {
			go func() { stopped <- j.Stop(t.Context()) }()
		}
		require.ErrorIs(t, newEntityWriter(t, "b").append(t.Context(), j.Append), journal.ErrStopped)
		synctest.Wait()
		require.Empty(t, stopped)
		release()
		for range cap(stopped) {
			require.NoError(t, <-stopped)
		}
		require.NoError(t, <-appended)
	})
	inBubble("EndWhenWritesAreDear", func(t *testing.T, store *heldStore, j *journal.Journal) {
		writer := newEntityWriter(t, "a")
		for range 20 {
			release := store.hold()
			appended := make(chan error, 1)
			go func() { appended <- writer.append(t.Context(), j.Append) }()
			<-store.writing
			<-time.After(time.Millisecond)
			release()
			require.NoError(t, <-appended)
		}
		release := store.hold()
		var group sync.WaitGroup
		for _, id := range []string{"b", "c"} {
			group.Go(func() { require.NoError(t, newEntityWriter(t, id).append(t.Context(), j.Append)) })
		}
		synctest.Wait()
		require.Len(t, store.writing, 1, "the second gathers")
		release()
		group.Wait()
	})
}
