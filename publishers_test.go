package ego_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/projection"
	"github.com/actorkeep/ego/publisher"
)

// A desk is a publisher that remembers what it has published, and fails as a test says.
type desk struct {
	id string

	mu     sync.Mutex
	seen   []string
	fail   func(id string) error
	closed int
	news   chan struct{} // closed at the next event
}

func newDesk(id string) *desk { return &desk{id: id, news: make(chan struct{})} }

func (d *desk) ID() string { return d.id }

func (d *desk) MessagingSystem() string { return "desk" }

func (d *desk) Publish(_ context.Context, event *egopb.Event) error {
	return d.take(publisher.EventID(event))
}

func (d *desk) take(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if err := d.fail(id); err != nil {
			return err
		}
	}
	d.seen = append(d.seen, id)
	close(d.news)
	d.news = make(chan struct{})
	return nil
}

func (d *desk) Close(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed++
	return nil
}

func (d *desk) failWith(fail func(id string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *desk) closes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// await waits until all ids have been published and returns everything that was.
func (d *desk) await(t testing.TB, ids ...string) []string {
	t.Helper()
	deadline := time.After(patience)
	for {
		d.mu.Lock()
		seen, news := slices.Clone(d.seen), d.news
		d.mu.Unlock()
		if !slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(seen, id) }) {
			return seen
		}
		select {
		case <-news:
		case <-deadline:
			require.Fail(t, "not published in time", "want %v, have %v", ids, seen)
		}
	}
}

// newShards returns a store with a number of shards.
func newShards(t testing.TB, shards uint32) *memory.Store {
	t.Helper()
	store := memory.NewStore(memory.WithShards(shards))
	require.NoError(t, store.Connect(t.Context()))
	return store
}

// lettersOf returns the ids of a publisher's dead letters.
func lettersOf(t testing.TB, engine *ego.Engine, id string) (letters []string) {
	t.Helper()
	for letter, err := range engine.DeadLetters(t.Context(), id) {
		require.NoError(t, err)
		letters = append(letters, fmt.Sprintf("%s/%d", letter.PersistenceID, letter.SequenceNumber))
	}
	return letters
}

// poll asks until it is so.
func poll(t testing.TB, what string, isSo func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !isSo() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			require.Fail(t, "it did not happen in time", what)
		}
	}
}

func requireLetters(t testing.TB, engine *ego.Engine, id string, want ...string) {
	t.Helper()
	poll(t, "dead letters", func() bool { return len(lettersOf(t, engine, id)) >= len(want) })
	require.Equal(t, want, lettersOf(t, engine, id))
}

func awaitState(t testing.TB, engine *ego.Engine, id string, state projection.State) {
	t.Helper()
	poll(t, state.String(), func() bool {
		status, err := engine.PublisherStatus(t.Context(), id)
		require.NoError(t, err)
		return status.State == state
	})
}

// stateDesk is a desk for states.
type stateDesk struct{ *desk }

func (d stateDesk) Publish(_ context.Context, state *egopb.DurableState) error {
	return d.take(publisher.StateID(state))
}

func TestPublishers(t *testing.T) {
	t.Parallel()

	t.Run("AddedBeforeAndAfterStart", func(t *testing.T) { // G6
		t.Parallel()
		eachStore(t, func(t *testing.T, store persistence.EventsStore) {
			before, after := newDesk("before"), newDesk("after")
			engine := ego.NewEngine("test", store, ego.WithKinds(accountKind()))
			require.NoError(t, engine.AddEventPublishers(before))
			require.NoError(t, engine.Start(t.Context()))
			t.Cleanup(func() { stopEngine(t, engine) })
			open(t, engine, "a")
			deposit(t, engine, "a", 1)
			before.await(t, "a/1")
			require.NoError(t, engine.AddEventPublishers(after))
			deposit(t, engine, "a", 1)
			require.Equal(t, []string{"a/1", "a/2"}, before.await(t, "a/2"))
			require.Equal(t, []string{"a/1", "a/2"}, after.await(t, "a/2"))
		})
	})
	t.Run("StartWhereTheirOptionsSay", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		fromNow, since := newDesk("now"), newDesk("since")
		require.NoError(t, engine.AddEventPublishers(
			publisher.WithOptions(fromNow, publisher.Options{FromNow: true}),
			publisher.WithOptions(since, publisher.Options{StartFrom: time.Now().Add(-time.Hour)})))
		deposit(t, engine, "a", 1)
		require.Equal(t, []string{"a/2"}, fromNow.await(t, "a/2"))
		require.Equal(t, []string{"a/1", "a/2"}, since.await(t, "a/2"))
	})
	t.Run("FilterSelects", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		d := newDesk("d")
		require.NoError(t, engine.AddEventPublishers(publisher.WithOptions(d, publisher.Options{
			Filter: projection.Filter{EventTypes: []string{"egotest.v1.Withdrawn"}},
		})))
		open(t, engine, "a")
		deposit(t, engine, "a", 5)
		_, _, err := engine.SendCommand(t.Context(), "a", &testpb.Withdraw{Amount: 1}, patience)
		require.NoError(t, err)
		require.Equal(t, []string{"a/2"}, d.await(t, "a/2"))
	})
	t.Run("StatesArePublished", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		d := newDesk("states")
		require.NoError(t, engine.AddStatePublishers(stateDesk{d}))
		require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
		deposit(t, engine, "p", 1)
		deposit(t, engine, "p", 1)
		d.await(t, "p/2")
	})
}

func TestPublisherFailures(t *testing.T) {
	t.Parallel()

	t.Run("OutageParksNothingWhateverTheErrorSays", func(t *testing.T) { // G6
		t.Parallel()
		engine := startEngine(t, newStore(t))
		d := newDesk("d")
		var refused atomic.Int64
		d.failWith(func(id string) error {
			if id == "account-0/1" {
				refused.Add(1)
			}
			return errors.New("connection refused")
		})
		require.NoError(t, engine.AddEventPublishers(d))
		for _, id := range ids(5) {
			open(t, engine, id)
			deposit(t, engine, id, 1)
		}
		awaitState(t, engine, "d", projection.BackingOff)
		poll(t, "a third attempt", func() bool { return refused.Load() >= 3 })
		require.Empty(t, lettersOf(t, engine, "d"))
		require.ErrorContains(t, engine.Health(t.Context()), "connection refused")
		d.failWith(nil)
		for _, id := range ids(5) {
			d.await(t, id+"/1")
		}
		require.Empty(t, lettersOf(t, engine, "d"))
		awaitState(t, engine, "d", projection.Running)
	})
	t.Run("EventThatAlwaysFailsIsParkedOnceOthersAreTaken", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newShards(t, 1))
		d := newDesk("d")
		d.failWith(func(id string) error {
			if id == "poison/1" {
				return errors.New("the broker says no")
			}
			return nil
		})
		require.NoError(t, engine.AddEventPublishers(d))
		for _, id := range []string{"poison", "a", "b"} {
			open(t, engine, id)
			deposit(t, engine, id, 1)
			deposit(t, engine, id, 1)
		}
		seen := d.await(t, "a/1", "a/2", "b/1", "b/2")
		require.NotContains(t, seen, "poison/2")
		requireLetters(t, engine, "d", "poison/1", "poison/2")
	})
	t.Run("RejectedAndPanickingEventsAreParkedAtOnce", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newShards(t, 1))
		d := newDesk("d")
		d.failWith(func(id string) error {
			switch id {
			case "large/1":
				return publisher.Rejectf("it is too large")
			case "odd/1":
				panic("odd")
			}
			return nil
		})
		require.NoError(t, engine.AddEventPublishers(d))
		for _, id := range []string{"large", "odd", "a"} {
			open(t, engine, id)
			deposit(t, engine, id, 1)
		}
		d.await(t, "a/1")
		requireLetters(t, engine, "d", "large/1", "odd/1")
	})
}

func TestPublisherLifecycle(t *testing.T) {
	t.Parallel()

	t.Run("StopClosesThem", func(t *testing.T) {
		t.Parallel()
		d := newDesk("d")
		engine := startEngine(t, newStore(t))
		require.NoError(t, engine.AddEventPublishers(d))
		stopEngine(t, engine)
		require.Equal(t, 1, d.closes())
		stopEngine(t, engine)
		require.Equal(t, 1, d.closes())
	})
	t.Run("StopOfAnEngineThatNeverStartedClosesThem", func(t *testing.T) {
		t.Parallel()
		d := newDesk("d")
		engine := ego.NewEngine("test", newStore(t))
		require.NoError(t, engine.AddEventPublishers(d))
		stopEngine(t, engine)
		require.Equal(t, 1, d.closes())
	})
	t.Run("RemoveEndsOne", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		gone, stays := newDesk("gone"), newDesk("stays")
		require.NoError(t, engine.AddEventPublishers(gone, stays))
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		gone.await(t, "a/1")
		require.NoError(t, engine.RemovePublishers(t.Context(), "gone"))
		require.Equal(t, 1, gone.closes())
		deposit(t, engine, "a", 1)
		stays.await(t, "a/2")
		require.NotContains(t, gone.await(t), "a/2")
		require.ErrorIs(t, engine.RemovePublishers(t.Context(), "gone"), ego.ErrPublisherNotRegistered)
		_, err := engine.PublisherStatus(t.Context(), "gone")
		require.ErrorIs(t, err, ego.ErrPublisherNotRegistered)

		again := newDesk("gone") // what was published is remembered under the ID
		require.NoError(t, engine.AddEventPublishers(again))
		require.Equal(t, []string{"a/2"}, again.await(t, "a/2"))
	})
	t.Run("BadOnesAreRefusedTogether", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t), ego.WithProjection("p", &projection.Options{Handler: &seen{}}))
		var none *desk
		err := engine.AddEventPublishers(newDesk(""), newDesk("p"), newDesk("ego.x"), newDesk("twice"), newDesk("twice"), nil, none,
			publisher.WithOptions(newDesk("late"), publisher.Options{Timeout: -1, BatchSize: -1}))
		for _, problem := range []string{
			"the name is empty", `publisher "p"`, "reserved", `publisher "twice"`, "a publisher is nil", "timeout -1ns", "batch size -1",
		} {
			require.ErrorContains(t, err, problem)
		}
		_, err = engine.PublisherStatus(t.Context(), "twice")
		require.ErrorIs(t, err, ego.ErrPublisherNotRegistered)
	})
	t.Run("StoresAreNeeded", func(t *testing.T) {
		t.Parallel()
		engine := ego.NewEngine("test", nil, ego.WithStateStore(newStore(t)))
		err := engine.AddEventPublishers(newDesk("d"))
		require.ErrorIs(t, err, ego.ErrNoEventsStore)
		require.ErrorIs(t, err, ego.ErrNoOffsetStore)
		require.ErrorIs(t, ego.NewEngine("test", nil).AddStatePublishers(stateDesk{newDesk("d")}), ego.ErrNoStateStore)
	})
	t.Run("LagIsKnownBeforeItStarts", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newShards(t, 1))
		d := newDesk("d")
		d.failWith(func(string) error { return publisher.Unavailable(errors.New("down")) })
		require.NoError(t, engine.AddEventPublishers(d))
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		deposit(t, engine, "a", 1)
		lag, err := engine.PublisherLag(t.Context(), "d")
		require.NoError(t, err)
		require.EqualValues(t, 2, lag[0].Events)
	})
}
