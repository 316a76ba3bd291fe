package mongo_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
)

// After an erasure a dump, the documents of all collections as they are stored, holds nothing of the entity: no plain text
// and no key.
func TestErasureLeavesNothingInADump(t *testing.T) { // G10
	t.Parallel()
	const secret = "the-owner-of-the-account"
	for name, encrypted := range map[string]bool{"Plain": false, "Encrypted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := mongotest.Database(t)
			store, client := connect(t, database)
			opts := []ego.Option{ego.WithSnapshotInterval(2)}
			if encrypted {
				opts = append(opts, ego.WithEncryption(encryption.NewAESEncryptor(store)))
			}
			engine := ego.NewEngine("test", store, opts...)
			require.NoError(t, engine.Start(t.Context()))
			t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })
			var wrapped []string
			for _, id := range []string{"victim", "other"} {
				require.NoError(t, engine.Entity(t.Context(), testaccount.New(id)))
				for range 5 {
					_, _, err := engine.SendCommand(t.Context(), id, &testpb.Deposit{Amount: 1, Note: secret + id}, time.Minute)
					require.NoError(t, err)
				}
				_, _, err := engine.SendCommand(t.Context(), id, &testpb.OpenAccount{Owner: secret + id}, time.Minute)
				require.NoError(t, err)
				keys, _, err := store.DataKeys(t.Context(), id)
				require.NoError(t, err)
				for _, key := range keys {
					wrapped = append(wrapped, string(key.GetWrapped()))
				}
			}
			before := dump(t, client.Database(database))
			for _, key := range wrapped {
				require.Contains(t, before, key)
			}
			require.Equal(t, !encrypted, strings.Contains(before, secret+"victim"))

			require.NoError(t, engine.EraseEntity(t.Context(), "victim"))
			left := dump(t, client.Database(database))
			require.NotContains(t, left, secret+"victim")
			if encrypted {
				require.Len(t, wrapped, 2)
				require.NotContains(t, left, wrapped[0])
				require.Contains(t, left, wrapped[1])
			} else {
				require.Contains(t, left, secret+"other")
			}
			_, _, err := engine.SendCommand(t.Context(), "victim", &testpb.Deposit{Amount: 1}, time.Minute)
			require.ErrorIs(t, err, ego.ErrErased)
			_, _, err = engine.SendCommand(t.Context(), "other", &testpb.Deposit{Amount: 1}, time.Minute)
			require.NoError(t, err)
		})
	}
}

// dump returns all documents of a database as a dump has them.
func dump(t *testing.T, database *driver.Database) string {
	t.Helper()
	names, err := database.ListCollectionNames(t.Context(), bson.D{})
	require.NoError(t, err)
	require.NotEmpty(t, names)
	var all strings.Builder
	for _, name := range names {
		cursor, err := database.Collection(name).Find(t.Context(), bson.D{})
		require.NoError(t, err)
		for cursor.Next(t.Context()) {
			all.Write(cursor.Current)
		}
		require.NoError(t, cursor.Err())
		require.NoError(t, cursor.Close(t.Context()))
	}
	return all.String()
}
