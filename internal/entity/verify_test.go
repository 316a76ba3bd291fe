package entity_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
)

// clocked returns a fixture with a memory time of 5 seconds and a clock that a test moves.
func clocked(t *testing.T, settings entity.Settings) (f *fixture, pass func(d time.Duration)) {
	t.Helper()
	f = newFixture(t, settings)
	now := time.Unix(1_000, 0)
	f.shared.Now = func() time.Time { return now }
	f.shared.MemoryTime = 5 * time.Second
	return f, func(d time.Duration) { now = now.Add(d) }
}

// write stores an event of entity "a" past the entity.
func (f *fixture) write(t *testing.T, event *egopb.Event) {
	t.Helper()
	event.PersistenceId, event.Kind = "a", "account"
	require.NoError(t, f.store.WriteEvents(t.Context(), []*egopb.Event{event}))
}

// erase ends the journal of entity "a" as another process does.
func (f *fixture) erase(t *testing.T, number uint64) {
	t.Helper()
	f.write(t, &egopb.Event{SequenceNumber: number, Payload: envelope.NewErasure(1)})
}

// question asks for the state.
func question() *sent { return &sent{} }

func TestMemoryTime(t *testing.T) { // G10
	t.Parallel()

	t.Run("IsTheBound", func(t *testing.T) {
		t.Parallel()
		f, pass := clocked(t, entity.Settings{})
		f.process(deposits(1)...)
		f.erase(t, 2)
		pass(5 * time.Second)
		require.NoError(t, f.process(question())[0].err, "it is not over")
		pass(1)
		require.ErrorIs(t, f.process(question())[0].err, encryption.ErrErased)
	})
	t.Run("WritesNeedNone", func(t *testing.T) {
		t.Parallel()
		f, _ := clocked(t, entity.Settings{})
		f.process(deposits(1)...)
		f.erase(t, 2)
		require.ErrorIs(t, f.process(deposits(1)...)[0].err, encryption.ErrErased, "and no conflict")
		f.restart()
		f.shared.StartAnew = true
		f.process(deposits(1)...)
		f.erase(t, 4)
		got := f.process(deposits(1)...)[0]
		require.ErrorIs(t, got.err, persistence.ErrConflict, "it may be sent again")
		require.NoError(t, f.process(deposits(1)...)[0].err)
	})
	t.Run("EachSayOfTheStoreRenewsIt", func(t *testing.T) {
		t.Parallel()
		f, pass := clocked(t, entity.Settings{})
		counted := &countingEvents{EventsStore: f.store}
		f.shared.Events = counted
		f.process(deposits(1)...)
		counted.latest = 0
		for range 10 {
			pass(4 * time.Second)
			require.NoError(t, f.process(deposits(1)...)[0].err)
			require.NoError(t, f.process(question(), question())[0].err)
		}
		require.Zero(t, counted.latest, "writes were enough")
		pass(6 * time.Second)
		for range 3 {
			require.NoError(t, f.process(question(), question())[1].err)
		}
		require.Equal(t, 1, counted.latest, "one look for all")
	})
	t.Run("WhatIsOldIsDecidedAgain", func(t *testing.T) {
		t.Parallel()
		for threshold := range 4 {
			f, pass := clocked(t, entity.Settings{BatchThreshold: threshold, DedupWindow: 10})
			first := f.process(&sent{command: &testpb.Deposit{Amount: 1}, id: "known"})
			require.NoError(t, first[0].err)
			other := entity.NewEventSourced("a", "account", testaccount.New("a"), &f.settings, f.shared)
			mine := f.entity
			f.entity = other
			require.NoError(t, f.process(deposits(100)...)[0].err)
			f.entity = mine
			pass(6 * time.Second)
			got := f.process(&sent{command: &testpb.Withdraw{Amount: 50}}, question(), &sent{command: &testpb.Deposit{Amount: 1}, id: "known"})
			require.NoError(t, got[1].err, "threshold %d", threshold)
			require.NoError(t, got[2].err)
			require.EqualValues(t, 1, got[2].revision, "a repeat has its own revision")
			if got[0].err != nil { // it was decided from old memory, so written from it
				require.ErrorIs(t, got[0].err, persistence.ErrConflict)
				continue
			}
			require.EqualValues(t, 51, got[1].account.GetBalance())
		}
	})
	t.Run("ARefusalFromOldMemoryMayBecomeAnEvent", func(t *testing.T) {
		t.Parallel()
		f, pass := clocked(t, entity.Settings{})
		f.process(deposits(1)...)
		other := entity.NewEventSourced("a", "account", testaccount.New("a"), &f.settings, f.shared)
		mine := f.entity
		f.entity = other
		require.NoError(t, f.process(deposits(100)...)[0].err)
		f.entity = mine
		withdraw := &sent{command: &testpb.Withdraw{Amount: 50}}
		require.Error(t, f.process(withdraw)[0].err, "the memory is trusted, and has too little")
		pass(6 * time.Second)
		got := f.process(withdraw)[0]
		require.NoError(t, got.err)
		require.EqualValues(t, 51, got.account.GetBalance())
		require.EqualValues(t, 3, got.revision)
	})
	t.Run("StoreIsDown", func(t *testing.T) { // G12
		t.Parallel()
		f, pass := clocked(t, entity.Settings{})
		counted := &countingEvents{EventsStore: f.store}
		f.shared.Events = counted
		f.process(deposits(1)...)
		counted.down = true
		pass(5 * time.Second)
		require.NoError(t, f.process(question())[0].err)
		pass(time.Second)
		got := f.process(question())[0]
		require.ErrorIs(t, got.err, entity.ErrRecovery)
		require.ErrorIs(t, got.err, errStoreDown)
		counted.down, counted.replays = false, 0
		require.EqualValues(t, 1, f.process(question())[0].account.GetBalance())
		require.Zero(t, counted.replays, "the memory was right")
	})
}

// countingEvents counts looks at a store, which can be down.
type countingEvents struct {
	persistence.EventsStore
	latest, replays int
	down            bool
}

func (s *countingEvents) GetLatestEvent(ctx context.Context, id string) (*egopb.Event, error) {
	s.latest++
	if s.down {
		return nil, errStoreDown
	}
	return s.EventsStore.GetLatestEvent(ctx, id)
}

func (s *countingEvents) ReplayEvents(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
	s.replays++
	return s.EventsStore.ReplayEvents(ctx, id, from, to)
}
