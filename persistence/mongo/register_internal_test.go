package mongo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/actorkeep/ego/offsetstore"
)

func TestRegister(t *testing.T) {
	t.Parallel()

	t.Run("ChangeThatRestsOnAnOldOneLoses", func(t *testing.T) { // G5
		t.Parallel()
		store, c := connected(t)
		other := beside(t, store)
		leases, err := store.AcquireLeases(t.Context(), "p", "one", []uint32{0}, time.Minute)
		require.NoError(t, err)
		rounds := 0
		err = c.update(t.Context(), t.Context(), "p", []uint32{0}, func(_ uint32, r *register, now time.Time) (bool, error) {
			if rounds++; rounds == 1 { // somebody takes the shard between the reading and the insert
				require.NoError(t, other.ReleaseLeases(t.Context(), leases))
			}
			if err := r.check(leases[0]); err != nil {
				return false, err
			}
			r.put(100, r.Epoch, now)
			return true, nil
		})
		require.ErrorIs(t, err, offsetstore.ErrStaleLease)
		require.Equal(t, 2, rounds)
		offsets, err := store.Offsets(t.Context(), "p")
		require.NoError(t, err)
		require.Empty(t, offsets)
	})
	t.Run("WhatIsRememberedIsProvedByTheInsert", func(t *testing.T) { // G5
		t.Parallel()
		store, c := connected(t)
		other := beside(t, store)
		leases, err := store.AcquireLeases(t.Context(), "p", "one", []uint32{0}, time.Minute)
		require.NoError(t, err)
		known, _ := c.registers.recall("p", []uint32{0})
		require.NotNil(t, known)
		require.NoError(t, other.ReleaseLeases(t.Context(), leases))
		taken, err := other.AcquireLeases(t.Context(), "p", "two", []uint32{0}, time.Minute)
		require.NoError(t, err)
		require.Len(t, taken, 1)
		require.ErrorIs(t, store.CommitOffset(t.Context(), leases[0], 7), offsetstore.ErrStaleLease)
		require.NoError(t, other.CommitOffset(t.Context(), taken[0], 3))
		require.NoError(t, other.ReleaseLeases(t.Context(), taken))
		again, err := store.AcquireLeases(t.Context(), "p", "one", []uint32{0}, time.Minute)
		require.NoError(t, err)
		require.Equal(t, taken[0].Epoch+1, again[0].Epoch)
	})
	t.Run("RememberedLeaseOfAnotherIsReadAnew", func(t *testing.T) { // G5, G12
		t.Parallel()
		store, _ := connected(t)
		other := beside(t, store)
		leases, err := store.AcquireLeases(t.Context(), "p", "one", []uint32{0}, time.Minute)
		require.NoError(t, err)
		require.NoError(t, other.ReleaseLeases(t.Context(), leases))
		got, err := store.AcquireLeases(t.Context(), "p", "two", []uint32{0}, time.Minute)
		require.NoError(t, err)
		require.Len(t, got, 1, "it was given back")
	})
	t.Run("WhatIsRememberedIsForgotten", func(t *testing.T) { // G5
		t.Parallel()
		store, c := connected(t)
		leases, err := store.AcquireLeases(t.Context(), "p", "one", []uint32{0}, time.Minute)
		require.NoError(t, err)
		c.registers.mu.Lock()
		for key, known := range c.registers.known {
			known.since = known.since.Add(-knownFor)
			c.registers.known[key] = known
		}
		c.registers.mu.Unlock()
		known, _ := c.registers.recall("p", []uint32{0})
		require.Nil(t, known, "its number may have been taken and be free again")
		require.NoError(t, store.CommitOffset(t.Context(), leases[0], 7))
	})
	t.Run("SweepKeepsTheLastOfEachShard", func(t *testing.T) {
		t.Parallel()
		store, c := connected(t)
		leases, err := store.AcquireLeases(t.Context(), "p", "one", []uint32{0, 1}, time.Minute)
		require.NoError(t, err)
		for position := range uint64(5) {
			require.NoError(t, store.CommitOffset(t.Context(), leases[1], position))
		}
		for range 2 * markEvery { // of the shard that nobody changed, the first stays
			require.NoError(t, store.CommitOffset(t.Context(), leases[1], 5))
		}
		long := bson.D{{Key: "$set", Value: bson.D{{Key: "t", Value: time.Now().Add(-time.Hour)}}}}
		_, err = c.consumers.UpdateMany(t.Context(), bson.D{}, long)
		require.NoError(t, err)
		c.consumerWrites = sweeper{writes: 1_000}
		c.sweepRegisters(t.Context(), "p")
		left, err := c.consumers.CountDocuments(t.Context(), bson.D{})
		require.NoError(t, err)
		require.Less(t, left, int64(2+markEvery))
		require.NoError(t, store.CommitOffset(t.Context(), leases[1], 9))
		offsets, err := store.Offsets(t.Context(), "p")
		require.NoError(t, err)
		require.Equal(t, uint64(9), offsets[0].GetPosition())
		all, err := beside(t, store).Leases(t.Context(), "p")
		require.NoError(t, err)
		require.Len(t, all, 2)
	})
}
