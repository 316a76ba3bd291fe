package persistencetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func aliasCases() []Case {
	return []Case{
		{"Events/KeepsNothingOfTheCaller", eventsNotKept, needEvents},
		{"Events/ReturnsWhatTheCallerMayChange", eventsNotShared, needEvents},
		{"Events/ConcurrentUse", eventsConcurrentUse, needEvents},
	}
}

// scribble changes everything of an event that can be changed in place.
func scribble(event *egopb.Event) {
	clear(event.GetPayload().GetValue())
	clear(event.GetTags())
	event.GetMetadata()["tenant"] = "changed"
	event.GetMetadata()["added"] = "later"
	event.PersistenceId, event.SequenceNumber, event.Kind = "changed", 99, "changed"
	event.Shard, event.Position, event.Deleted = 99, 99, true
}

func eventsNotKept(t testing.TB, s Stores) {
	batch := eventsOf("a", 1, 3)
	events := append([]*egopb.Event(nil), batch...)
	write(t, s, batch...)
	for i, event := range events {
		scribble(event)
		batch[i] = nil
	}
	requireEvents(t, s, eventsOf("a", 1, 3), replay(t, s, "a", 1, 3))
	requireOnEveryPath(t, s, newEvent("a", 3))
	require.Nil(t, latest(t, s, "changed"))
}

func eventsNotShared(t testing.TB, s Stores) {
	write(t, s, eventsOf("a", 1, 3)...)
	shard := persistence.ShardOf("a", s.Events.ShardCount())
	for range 2 {
		for _, events := range [][]*egopb.Event{
			replay(t, s, "a", 1, 3), shardEvents(t, s, shard, 10), {latest(t, s, "a")},
		} {
			for _, event := range events {
				scribble(event)
			}
		}
		positions, err := s.Events.ShardPositions(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[uint32]uint64{shard: 3}, positions)
		positions[shard] = 99
		ids := listIDs(t, s, 10)
		require.Equal(t, []string{"a"}, ids)
		ids[0] = "changed"
		requireEvents(t, s, eventsOf("a", 1, 3), replay(t, s, "a", 1, 3))
		requireOnEveryPath(t, s, newEvent("a", 3))
	}
}

// eventsConcurrentUse calls everything at once; the race detector looks on.
func eventsConcurrentUse(t testing.TB, s Stores) {
	const workers, rounds = 12, 8
	ctx := t.Context()
	err := together(workers, func(i int) error {
		id := fmt.Sprintf("entity-%d", i)
		for round := range uint64(rounds) {
			first := 3*round + 1
			if err := s.Events.WriteEvents(ctx, eventsOf(id, first, first+2)); err != nil {
				return err
			}
			if err := readConcurrently(ctx, s, id, first+2); err != nil {
				return err
			}
			if err := s.Events.DeleteEvents(ctx, id, first); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	for i := range workers {
		id := fmt.Sprintf("entity-%d", i)
		requireEvents(t, s, eventsOf(id, 3*rounds-1, 3*rounds), replay(t, s, id, 1, 100))
	}
}

// readConcurrently reads in every way, and checks what is certain while others write: the caller's own entity.
func readConcurrently(ctx context.Context, s Stores, id string, last uint64) error {
	stored, err := s.Events.GetLatestEvent(ctx, id)
	if err != nil {
		return err
	}
	if stored.GetSequenceNumber() != last {
		return fmt.Errorf("latest event of %s is %d, want %d", id, stored.GetSequenceNumber(), last)
	}
	seen := false
	for event, err := range s.Events.ReplayEvents(ctx, id, last, last) {
		if err != nil {
			return err
		}
		seen = event.GetSequenceNumber() == last && event.GetPersistenceId() == id
	}
	if !seen {
		return errors.New("the own event is not replayed")
	}
	_, err = s.Events.GetShardEvents(ctx, stored.GetShard(), 0, 100)
	_, _, listing := s.Events.PersistenceIDs(ctx, 5, "")
	_, positions := s.Events.ShardPositions(ctx)
	return errors.Join(err, listing, positions)
}
