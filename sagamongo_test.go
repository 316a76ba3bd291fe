package ego_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/persistence/mongo"
)

// newMongo returns a connected store on a database of its own on the server of the test binary.
func newMongo(t testing.TB) *mongo.Store {
	t.Helper()
	store := mongo.NewStore(mongotest.Client(t), mongotest.Database(t))
	require.NoError(t, store.Migrate(t.Context()))
	require.NoError(t, store.Connect(t.Context()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store
}

// The store on MongoDB keeps offsets, timers and streams in ways of its own, so sagas crash on it at one moment of each kind.
func TestSagaOnMongoDB(t *testing.T) { // G7, G8
	t.Parallel()

	t.Run("BetweenAppendAndSend", func(t *testing.T) {
		t.Parallel()
		require.True(t, crashAndResume(t, newMongo(t), scenarios()["Completes"], true, wrote("!saga/t1", "SagaCommandIssued")))
	})
	t.Run("BetweenSendAndReply", func(t *testing.T) {
		t.Parallel()
		require.True(t, crashAndResume(t, newMongo(t), scenarios()["Completes"], true, wrote("a", "Withdrawn")))
	})
	t.Run("DuringCompensation", func(t *testing.T) {
		t.Parallel()
		require.True(t, crashAndResume(t, newMongo(t), scenarios()["Compensates"], true, wrote("!saga/t1", "SagaCompensationPlanned")))
	})
}
