package snapshot_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/snapshot"
	"github.com/actorkeep/ego/persistence/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("the store is down")

// flaky is a store whose snapshots and deletions fail while it is down.
type flaky struct {
	*memory.Store
	mu    sync.Mutex
	down  bool
	calls int
	hold  chan struct{} // snapshots wait for it when it is not nil
}

func (f *flaky) set(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *flaky) attempts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *flaky) attempt() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.down {
		return errDown
	}
	return nil
}

func (f *flaky) WriteSnapshot(ctx context.Context, s *egopb.Snapshot) error {
	if err := f.attempt(); err != nil {
		return err
	}
	if f.hold != nil {
		<-f.hold
	}
	return f.Store.WriteSnapshot(ctx, s)
}

func (f *flaky) DeleteEvents(ctx context.Context, id string, to uint64) error {
	if err := f.attempt(); err != nil {
		return err
	}
	return f.Store.DeleteEvents(ctx, id, to)
}

func job(id string, number uint64, retention snapshot.Retention) *snapshot.Job {
	return &snapshot.Job{
		Snapshot:  &egopb.Snapshot{PersistenceId: id, SequenceNumber: number, State: new(anypb.Any)},
		Retention: retention,
	}
}

// start returns a writer on a store that holds ten events of the entity a.
func start(t *testing.T) (*snapshot.Writer, *flaky) {
	t.Helper()
	store := &flaky{Store: memory.NewStore()}
	for number := range uint64(10) {
		event := &egopb.Event{PersistenceId: "a", SequenceNumber: number + 1}
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event}))
	}
	w := snapshot.NewWriter(snapshot.Config{
		Snapshots: store, Events: store, Timeout: time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() { require.NoError(t, w.Stop(context.Background())) })
	return w, store
}

func latest(t *testing.T, store *flaky) uint64 {
	t.Helper()
	taken, err := store.GetLatestSnapshot(t.Context(), "a")
	require.NoError(t, err)
	return taken.GetSequenceNumber()
}

func left(t *testing.T, store *flaky) (numbers []uint64) {
	t.Helper()
	for event, err := range store.ReplayEvents(t.Context(), "a", 1, 99) {
		require.NoError(t, err)
		numbers = append(numbers, event.GetSequenceNumber())
	}
	return numbers
}

func TestWriter(t *testing.T) {
	t.Parallel()

	t.Run("WritesAndRetains", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, store := start(t)
			require.True(t, w.Offer(job("a", 3, snapshot.Retention{})))
			synctest.Wait()
			require.EqualValues(t, 3, latest(t, store))
			require.Len(t, left(t, store), 10)

			require.True(t, w.Offer(job("a", 8, snapshot.Retention{Events: true, Keep: 2, Snapshots: true})))
			synctest.Wait()
			require.EqualValues(t, 8, latest(t, store))
			require.Equal(t, []uint64{7, 8, 9, 10}, left(t, store))
			older, err := store.GetSnapshot(t.Context(), "a", 7)
			require.NoError(t, err)
			require.Nil(t, older)
			require.Equal(t, snapshot.Status{}, w.Status())
		})
	})
	t.Run("FailureIsVisibleAndTriedAgain", func(t *testing.T) { // G12
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, store := start(t)
			store.set(true)
			require.True(t, w.Offer(job("a", 3, snapshot.Retention{Events: true})))
			synctest.Wait()
			require.Equal(t, 1, store.attempts())
			require.Equal(t, 1, w.Status().Failing)
			require.ErrorIs(t, w.Status().Err, errDown)
			<-time.After(time.Second + 2*time.Second + time.Millisecond)
			require.Equal(t, 3, store.attempts(), "after one second, and two more")
			store.set(false)
			<-time.After(4 * time.Second)
			require.EqualValues(t, 3, latest(t, store))
			require.Len(t, left(t, store), 7)
			require.Equal(t, snapshot.Status{}, w.Status())
		})
	})
	t.Run("NewerTakesThePlaceOfAFailingOne", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, store := start(t)
			store.set(true)
			require.True(t, w.Offer(job("a", 3, snapshot.Retention{})))
			synctest.Wait()
			store.set(false)
			require.True(t, w.Offer(job("a", 5, snapshot.Retention{})))
			synctest.Wait()
			require.EqualValues(t, 5, latest(t, store))
			older, err := store.GetSnapshot(t.Context(), "a", 4)
			require.NoError(t, err)
			require.Nil(t, older)
			<-time.After(time.Minute)
			require.Equal(t, 2, store.attempts(), "the older one is not tried again")
		})
	})
	t.Run("ForgottenIsNotWrittenLater", func(t *testing.T) { // G10
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, store := start(t)
			store.set(true)
			require.True(t, w.Offer(job("a", 3, snapshot.Retention{})))
			require.True(t, w.Offer(job("b", 3, snapshot.Retention{})))
			synctest.Wait()
			require.NoError(t, w.Forget(t.Context(), "a"))
			require.NoError(t, w.Forget(t.Context(), "unknown"))
			require.Equal(t, 1, w.Status().Pending)
			store.set(false)
			<-time.After(time.Minute)
			require.Zero(t, latest(t, store))
			require.Equal(t, snapshot.Status{}, w.Status())
			require.True(t, w.Offer(job("a", 5, snapshot.Retention{})))
			synctest.Wait()
			require.EqualValues(t, 5, latest(t, store))
		})
	})
	t.Run("ForgetWaitsForWhatIsBeingWritten", func(t *testing.T) { // G10
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, store := start(t)
			held := make(chan struct{})
			store.hold = held
			require.True(t, w.Offer(job("a", 3, snapshot.Retention{})))
			synctest.Wait()
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			require.ErrorIs(t, w.Forget(ended, "a"), context.Canceled)
			forgotten := make(chan error)
			go func() { forgotten <- w.Forget(t.Context(), "a") }()
			synctest.Wait()
			require.Zero(t, latest(t, store))
			close(held)
			require.NoError(t, <-forgotten)
			require.EqualValues(t, 3, latest(t, store), "whoever forgets can delete it now")
			synctest.Wait()
			require.Equal(t, snapshot.Status{}, w.Status())
		})
	})
	t.Run("StopEndsAlsoWhatIsFailing", func(t *testing.T) { // G12
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, store := start(t)
			store.set(true)
			require.True(t, w.Offer(job("a", 3, snapshot.Retention{})))
			synctest.Wait()
			require.NoError(t, w.Stop(t.Context()))
			require.False(t, w.Offer(job("a", 5, snapshot.Retention{})))
			require.NoError(t, w.Stop(t.Context()))
		})
	})
}

// Another process erases the entity before a snapshot of its memory is written: the snapshot goes.
func TestErasedElsewhere(t *testing.T) { // G10
	t.Parallel()
	store := memory.NewStore()
	require.NoError(t, store.Connect(t.Context()))
	faulty := &flaky{Store: store, hold: make(chan struct{})}
	w := snapshot.NewWriter(snapshot.Config{
		Snapshots: faulty, Events: store, Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
		Erasure: func(event *egopb.Event) bool { return event.GetKind() == "end" },
	})
	write := func(id string, number uint64, kind string) {
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{{PersistenceId: id, SequenceNumber: number, Kind: kind, Payload: new(anypb.Any)}}))
	}
	write("a", 1, "account")
	write("b", 1, "account")
	require.True(t, w.Offer(job("a", 1, snapshot.Retention{})))
	require.True(t, w.Offer(job("b", 1, snapshot.Retention{})))
	write("a", 2, "end")
	close(faulty.hold)
	require.NoError(t, w.Stop(t.Context()))
	erased, err := store.GetLatestSnapshot(t.Context(), "a")
	require.NoError(t, err)
	require.Nil(t, erased)
	kept, err := store.GetLatestSnapshot(t.Context(), "b")
	require.NoError(t, err)
	require.NotNil(t, kept)
}
