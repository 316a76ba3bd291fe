package ego_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/publisher"
)

// Events that a publisher has not handed on yet survive the retention of their entity.
func TestRetentionKeepsWhatAPublisherHasNotRead(t *testing.T) { // G6
	t.Parallel()
	store := newStore(t)
	broker := newDesk("broker")
	broker.failWith(func(string) error { return publisher.Unavailable(errDown) })
	engine := startEngine(t, store, ego.WithSnapshotInterval(2))
	require.NoError(t, engine.AddEventPublishers(broker))
	require.NoError(t, engine.Entity(t.Context(), testaccount.New("a"),
		ego.WithRetentionPolicy(ego.RetentionPolicy{DeleteEventsOnSnapshot: true})))
	for range 10 {
		deposit(t, engine, "a", 1)
	}
	require.Eventually(t, func() bool { return newestSnapshot(t, store, "a") == 10 }, patience, time.Millisecond)
	stopEngine(t, engine) // what was to be deleted has been
	require.EqualValues(t, 1, oldestEvent(t, store, "a"), "nothing is deleted before it was published")
}
