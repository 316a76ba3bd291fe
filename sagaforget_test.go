package ego_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/projection"
)

// A saga kind that cannot tell whom an event concerns parks it, and so keeps a copy of it.
func TestErasureOfEventsParkedForSagas(t *testing.T) { // G10
	t.Parallel()
	store := newShards(t, 1)
	lost := ego.SagaKind("lost", newWelcome, ego.CorrelateBy(func(event *projection.Event) (string, bool) {
		if event.PersistenceID == "a" {
			return "", true // no saga has this id
		}
		return event.PersistenceID, event.PersistenceID == "b"
	}))
	parked := func(owner string) (n int) {
		for _, err := range store.DeadLetters(t.Context(), owner) {
			require.NoError(t, err)
			n++
		}
		return n
	}
	engine := startEngine(t, store, ego.WithKinds(lost))
	open(t, engine, "a")
	deposit(t, engine, "a", 1)
	deposit(t, engine, "a", 1)
	require.Eventually(t, func() bool { return parked("ego.saga/lost") == 2 }, patience, 5*time.Millisecond)
	require.NoError(t, engine.EraseEntity(t.Context(), "a"))
	require.Zero(t, parked("ego.saga/lost"), "they are gone when the erasure is finished")

	open(t, engine, "b")
	_, _, err := engine.SendCommand(t.Context(), "b", &testpb.OpenAccount{Owner: "ann"}, patience)
	require.NoError(t, err)
	settled(t, engine, "b", ego.SagaCompleted)
}
