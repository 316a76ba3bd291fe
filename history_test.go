package ego_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/projection"
)

// writeEvent stores an event behind the engine's back. It gets a payload when it has none.
func writeEvent(t testing.TB, store persistence.EventsStore, event *egopb.Event) {
	t.Helper()
	if event.Payload == nil {
		payload, err := anypb.New(&testpb.Deposited{Amount: 1})
		require.NoError(t, err)
		event.Payload = payload
	}
	require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event}))
}

func history(t *testing.T, engine *ego.Engine, id string, from, to uint64) (numbers []uint64, events []*projection.Event) {
	t.Helper()
	for event, err := range engine.History(t.Context(), id, from, to) {
		require.NoError(t, err)
		numbers = append(numbers, event.SequenceNumber)
		events = append(events, event)
	}
	return numbers, events
}

func TestHistory(t *testing.T) {
	t.Parallel()

	t.Run("StreamsWithinItsBounds", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		engine := startEngine(t, store)
		open(t, engine, "a")
		for amount := range int64(5) {
			deposit(t, engine, "a", amount+1)
		}
		for _, want := range []struct {
			from, to uint64
			numbers  []uint64
		}{
			{1, 5, []uint64{1, 2, 3, 4, 5}},
			{0, 0, []uint64{1, 2, 3, 4, 5}},
			{2, 3, []uint64{2, 3}},
			{4, 99, []uint64{4, 5}},
			{6, 9, nil},
			{3, 2, nil},
		} {
			numbers, _ := history(t, engine, "a", want.from, want.to)
			require.Equal(t, want.numbers, numbers, "%d to %d", want.from, want.to)
		}
		for event, err := range engine.History(t.Context(), "a", 1, 5) {
			require.NoError(t, err)
			require.EqualValues(t, 1, event.SequenceNumber)
			break
		}
	})
	t.Run("SaysWhatIsKnown", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		open(t, engine, "a")
		ctx := ego.WithMetadata(ego.WithCommandID(t.Context(), "c1"), map[string]string{"by": "Ann"})
		ctx = ego.WithTags(ego.WithCorrelation(ctx, "corr", "cause"), "big")
		before := time.Now()
		_, _, err := engine.SendCommand(ctx, "a", &testpb.Deposit{Amount: 3, Note: "x"}, patience)
		require.NoError(t, err)

		_, events := history(t, engine, "a", 1, 1)

		event := events[0]
		require.Equal(t, "a", event.PersistenceID)
		require.Equal(t, "account", event.Kind)
		require.EqualValues(t, 1, event.Position)
		require.Equal(t, persistence.ShardOf("a", persistence.DefaultShards), event.Shard)
		require.WithinRange(t, event.Time, before.Add(-time.Second), time.Now().Add(time.Second))
		require.True(t, proto.Equal(&testpb.Deposited{Amount: 3, Note: "x"}, event.Message))
		require.Equal(t, ego.Metadata{
			CommandID: "c1", CorrelationID: "corr", CausationID: "cause",
			Tags: []string{"big"}, Values: map[string]string{"by": "Ann"},
		}, event.Metadata)
	})
	t.Run("ErrorsAreTyped", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		engine := startEngine(t, store)
		writeEvent(t, store, &egopb.Event{PersistenceId: "a", SequenceNumber: 1, Payload: &anypb.Any{TypeUrl: "type.googleapis.com/gone.Event"}})
		for id, want := range map[string]string{
			"":       "entity id is empty",
			"nobody": "not known",
			"a":      `record 1 of entity "a" cannot be read as "type.googleapis.com/gone.Event": the type is not linked`,
		} {
			n := 0
			for event, err := range engine.History(t.Context(), id, 1, 9) {
				require.Nil(t, event)
				require.ErrorContains(t, err, want)
				n++
			}
			require.Equal(t, 1, n)
		}
	})
}

func TestStateAt(t *testing.T) {
	t.Parallel()

	t.Run("FoldsToTheRevision", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		open(t, engine, "a")
		for range 5 {
			deposit(t, engine, "a", 2)
		}
		for revision := range uint64(6) {
			state, err := engine.StateAt(t.Context(), testaccount.New("a"), revision)
			require.NoError(t, err)
			require.EqualValues(t, 2*revision, state.(*testpb.Account).GetBalance())
		}
		_, err := engine.StateAt(t.Context(), testaccount.New("a"), 6)
		require.ErrorIs(t, err, ego.ErrRevisionNotFound)
		require.ErrorContains(t, err, "revision 6 was asked for, the entity is at 5")
		_, err = engine.StateAt(t.Context(), testaccount.New("nobody"), 1)
		require.ErrorIs(t, err, ego.ErrRevisionNotFound)
		_, err = engine.StateAt(t.Context(), nil, 1)
		require.ErrorIs(t, err, ego.ErrInvalidBehavior)
	})
	t.Run("NeverAWrongStateAfterADeletion", func(t *testing.T) {
		t.Parallel()
		for _, deleted := range []uint64{2, 5} {
			t.Run(strconv.FormatUint(deleted, 10), func(t *testing.T) {
				t.Parallel()
				store := newStore(t)
				engine := startEngine(t, store)
				open(t, engine, "a")
				for range 5 {
					deposit(t, engine, "a", 2)
				}
				require.NoError(t, store.DeleteEvents(t.Context(), "a", deleted))
				for _, revision := range []uint64{1, 4, 5} {
					_, err := engine.StateAt(t.Context(), testaccount.New("a"), revision)
					require.ErrorContains(t, err, "deleted")
				}
				stopEngine(t, engine)
				require.NoError(t, engine.Start(t.Context()))
				_, _, err := engine.EntityState(t.Context(), "a", patience)
				require.ErrorIs(t, err, ego.ErrRecovery)
			})
		}
	})
}
