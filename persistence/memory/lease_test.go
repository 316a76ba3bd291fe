package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
)

func TestLeaseExpires(t *testing.T) { // G5
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := open(t)
		const ttl = 10 * time.Second
		first, err := store.AcquireLeases(t.Context(), "c", "one", []uint32{4}, ttl)
		require.NoError(t, err)
		require.Equal(t, ttl, first[0].Expires)

		<-time.After(ttl - 1) // by the clock of the bubble
		got, err := store.AcquireLeases(t.Context(), "c", "two", []uint32{4}, ttl)
		require.NoError(t, err)
		require.Empty(t, got)

		<-time.After(1)
		second, err := store.AcquireLeases(t.Context(), "c", "two", []uint32{4}, ttl)
		require.NoError(t, err)
		require.Len(t, second, 1)
		require.Greater(t, second[0].Epoch, first[0].Epoch)
		require.ErrorIs(t, store.CommitOffset(t.Context(), first[0], 1), offsetstore.ErrStaleLease)
		require.NoError(t, store.CommitOffset(t.Context(), second[0], 1))
	})
}

func TestClaimExpires(t *testing.T) { // G7
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := open(t)
		const claim = 10 * time.Second
		require.NoError(t, store.ScheduleTimers(t.Context(), []*egopb.Timer{{Owner: "saga", Name: "a", DueUnixNano: 5}}))
		claimed := func() int {
			timers, err := store.ClaimTimers(t.Context(), time.Unix(0, 5), claim, 10)
			require.NoError(t, err)
			return len(timers)
		}
		require.Equal(t, 1, claimed())
		<-time.After(claim - 1) // by the clock of the bubble
		require.Zero(t, claimed())
		<-time.After(1)
		require.Equal(t, 1, claimed())
	})
}
