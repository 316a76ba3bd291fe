package persistencetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

// shortLease is the term of leases that a case waits out.
const shortLease = 30 * time.Millisecond

func leaseCases() []Case {
	return []Case{
		{"Leases/Acquire", leaseAcquire, needOffsets},
		{"Leases/AcquireAgainExtends", leaseExtend, needOffsets},
		{"Leases/HeldLeaseIsNotGivenAway", leaseHeld, needOffsets},
		{"Leases/AcquireByManyOwners", leaseConcurrent, needOffsets},
		{"Leases/ExpiredLeaseIsTakenOver", leaseTakeOver, needOffsets},
		{"Leases/RenewExtends", leaseRenew, needOffsets},
		{"Leases/RenewOfExpiredLease", leaseRenewExpired, needOffsets},
		{"Leases/RenewAfterTakeOver", leaseRenewTakenOver, needOffsets},
		{"Leases/Release", leaseRelease, needOffsets},
		{"Leases/ReleaseOfStaleLease", leaseReleaseStale, needOffsets},
		{"Leases/List", leaseList, needOffsets},
		{"Leases/InvalidArguments", leaseInvalid, needOffsets},
	}
}

// tryAcquire asks for one shard and returns the lease, or false.
func tryAcquire(t testing.TB, s Stores, consumer, owner string, shard uint32, ttl time.Duration) (offsetstore.Lease, bool) {
	t.Helper()
	leases, err := s.Offsets.AcquireLeases(t.Context(), consumer, owner, []uint32{shard}, ttl)
	require.NoError(t, err)
	if len(leases) == 0 {
		return offsetstore.Lease{}, false
	}
	require.Len(t, leases, 1)
	lease := leases[0]
	require.Equal(t, offsetstore.Lease{Consumer: consumer, Shard: shard, Owner: owner, Epoch: lease.Epoch, Expires: lease.Expires}, lease)
	require.NotZero(t, lease.Epoch)
	if ttl > shortLease { // a short one may have ended by now
		require.Positive(t, lease.Expires)
	}
	require.LessOrEqual(t, lease.Expires, ttl)
	return lease, true
}

// acquire takes a shard for longer than a case takes.
func acquire(t testing.TB, s Stores, consumer, owner string, shard uint32) offsetstore.Lease {
	t.Helper()
	lease, ok := tryAcquire(t, s, consumer, owner, shard, time.Minute)
	require.True(t, ok, "shard %d is not free for %s", shard, owner)
	return lease
}

// takeOver waits until the lease of shard zero has expired and takes the shard for the owner "two".
func takeOver(t testing.TB, s Stores, consumer string) offsetstore.Lease {
	t.Helper()
	var lease offsetstore.Lease
	eventually(t, "an expired lease can be taken over", func() (ok bool) {
		lease, ok = tryAcquire(t, s, consumer, "two", 0, time.Minute)
		return ok
	})
	return lease
}

func renew(t testing.TB, s Stores, leases ...offsetstore.Lease) []offsetstore.Lease {
	t.Helper()
	renewed, err := s.Offsets.RenewLeases(t.Context(), leases, time.Minute)
	require.NoError(t, err)
	return renewed
}

func release(t testing.TB, s Stores, leases ...offsetstore.Lease) {
	t.Helper()
	require.NoError(t, s.Offsets.ReleaseLeases(t.Context(), leases))
}

func leases(t testing.TB, s Stores, consumer string) []offsetstore.Lease {
	t.Helper()
	all, err := s.Offsets.Leases(t.Context(), consumer)
	require.NoError(t, err)
	return all
}

func leaseAcquire(t testing.TB, s Stores) { // G5
	got, err := s.Offsets.AcquireLeases(t.Context(), "c", "one", []uint32{2, 0, 5}, time.Minute)
	require.NoError(t, err)
	require.Len(t, got, 3)
	var shards []uint32
	for _, lease := range got {
		shards = append(shards, lease.Shard)
		require.Equal(t, "one", lease.Owner)
		require.Equal(t, "c", lease.Consumer)
		require.NotZero(t, lease.Epoch)
	}
	require.ElementsMatch(t, []uint32{0, 2, 5}, shards)
	got, err = s.Offsets.AcquireLeases(t.Context(), "c", "two", []uint32{1, 2, 3}, time.Minute) // those that are free
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.ElementsMatch(t, []uint32{1, 3}, []uint32{got[0].Shard, got[1].Shard})
	acquire(t, s, "other", "two", 2) // each consumer has leases of its own
}

func leaseExtend(t testing.TB, s Stores) {
	first, _ := tryAcquire(t, s, "c", "one", 0, 10*time.Second)
	again := acquire(t, s, "c", "one", 0)
	require.Equal(t, first.Epoch, again.Epoch)
	require.Greater(t, again.Expires, 30*time.Second)
	require.Greater(t, leases(t, s, "c")[0].Expires, 30*time.Second)
}

func leaseHeld(t testing.TB, s Stores) { // G5
	lease := acquire(t, s, "c", "one", 0)
	for range 5 {
		_, ok := tryAcquire(t, s, "c", "two", 0, time.Minute)
		require.False(t, ok, "a lease was given to two owners")
	}
	require.NoError(t, s.Offsets.CommitOffset(t.Context(), lease, 1))
	require.Equal(t, lease.Epoch, leases(t, s, "c")[0].Epoch)
}

func leaseConcurrent(t testing.TB, s Stores) { // G5
	const owners = 16
	for shard := range uint32(10) {
		var winner atomic.Int64
		err := together(owners, func(i int) error {
			got, err := s.Offsets.AcquireLeases(t.Context(), "c", fmt.Sprintf("owner-%d", i), []uint32{shard}, time.Minute)
			if err != nil {
				return err
			}
			if len(got) > 0 && !winner.CompareAndSwap(0, int64(i)+1) {
				return errors.New("a lease was given to two owners")
			}
			return nil
		})
		require.NoError(t, err)
		require.NotZero(t, winner.Load(), "nobody got the lease")
		require.Equal(t, fmt.Sprintf("owner-%d", winner.Load()-1), leases(t, s, "c")[shard].Owner)
	}
}

func leaseTakeOver(t testing.TB, s Stores) { // G5
	old, _ := tryAcquire(t, s, "c", "one", 0, shortLease)
	next := takeOver(t, s, "c")
	require.Greater(t, next.Epoch, old.Epoch)
	_, ok := tryAcquire(t, s, "c", "one", 0, time.Minute)
	require.False(t, ok, "the owner from before has to wait")
}

func leaseRenew(t testing.TB, s Stores) { // G5
	lease, _ := tryAcquire(t, s, "c", "one", 0, shortLease)
	_, ok := tryAcquire(t, s, "clock", "one", 0, shortLease)
	require.True(t, ok)
	renewed := renew(t, s, lease)
	require.Len(t, renewed, 1)
	require.Equal(t, lease.Epoch, renewed[0].Epoch)
	require.Equal(t, "one", renewed[0].Owner)
	require.Greater(t, renewed[0].Expires, 30*time.Second)
	takeOver(t, s, "clock") // the first term has passed
	_, ok = tryAcquire(t, s, "c", "two", 0, time.Minute)
	require.False(t, ok, "a renewed lease was given away")
}

// leaseRenewExpired renews a lease that has expired, but that nobody has taken.
func leaseRenewExpired(t testing.TB, s Stores) {
	lease, _ := tryAcquire(t, s, "c", "one", 0, shortLease)
	eventually(t, "the lease expires", func() bool { return leases(t, s, "c")[0].Expires <= 0 })
	require.NoError(t, s.Offsets.CommitOffset(t.Context(), lease, 1), "expiry alone refuses no commit")
	require.Len(t, renew(t, s, lease), 1)
	_, ok := tryAcquire(t, s, "c", "two", 0, time.Minute)
	require.False(t, ok)
}

func leaseRenewTakenOver(t testing.TB, s Stores) { // G5
	old, _ := tryAcquire(t, s, "c", "one", 0, shortLease)
	other := acquire(t, s, "c", "one", 1)
	next := takeOver(t, s, "c")
	renewed := renew(t, s, old, other)
	require.Len(t, renewed, 1, "a lease that was taken over must not be renewed")
	require.Equal(t, uint32(1), renewed[0].Shard)
	require.NoError(t, s.Offsets.CommitOffset(t.Context(), next, 1))
	require.Equal(t, "two", leases(t, s, "c")[0].Owner)
	require.Empty(t, renew(t, s, offsetstore.Lease{Consumer: "unknown", Owner: "one", Epoch: 1}))
}

func leaseRelease(t testing.TB, s Stores) { // G5
	lease, kept := acquire(t, s, "c", "one", 0), acquire(t, s, "c", "one", 1)
	release(t, s, lease)
	require.Empty(t, renew(t, s, lease), "a released lease must not be renewed")
	next := acquire(t, s, "c", "two", 0)
	require.Greater(t, next.Epoch, lease.Epoch)
	_, ok := tryAcquire(t, s, "c", "two", 1, time.Minute)
	require.False(t, ok, "another lease was released")
	require.NoError(t, s.Offsets.CommitOffset(t.Context(), kept, 1))
	release(t, s, next)
	require.Greater(t, acquire(t, s, "c", "two", 0).Epoch, next.Epoch, "also for the same owner")
}

func leaseReleaseStale(t testing.TB, s Stores) { // G5
	old := acquire(t, s, "c", "one", 0)
	release(t, s, old)
	next := acquire(t, s, "c", "two", 0)
	release(t, s, old, offsetstore.Lease{Consumer: "unknown", Owner: "one", Epoch: 1})
	_, ok := tryAcquire(t, s, "c", "three", 0, time.Minute)
	require.False(t, ok, "a stale lease released the current one")
	require.NoError(t, s.Offsets.CommitOffset(t.Context(), next, 1))
}

func leaseList(t testing.TB, s Stores) {
	require.Empty(t, leases(t, s, "c"))
	for _, shard := range []uint32{10, 2, 7} {
		acquire(t, s, "c", "one", shard)
	}
	expired, _ := tryAcquire(t, s, "c", "two", 9, shortLease)
	acquire(t, s, "other", "one", 3)
	list := func() []offsetstore.Lease {
		all := leases(t, s, "c")
		require.Len(t, all, 4)
		for i, shard := range []uint32{2, 7, 9, 10} {
			require.Equal(t, shard, all[i].Shard, "leases must be in order of their shards")
			require.Equal(t, "c", all[i].Consumer)
		}
		return all
	}
	released := list()[1]
	release(t, s, released)
	eventually(t, "the lease expires", func() bool { return list()[2].Expires <= 0 })
	all := list()
	require.Equal(t, "one", all[0].Owner)
	require.Greater(t, all[0].Expires, 30*time.Second)
	require.Empty(t, all[1].Owner, "a released lease has no owner")
	require.Equal(t, released.Epoch, all[1].Epoch)
	require.LessOrEqual(t, all[1].Expires, time.Duration(0))
	require.Equal(t, "two", all[2].Owner)
	require.Equal(t, expired.Epoch, all[2].Epoch)
}

func leaseInvalid(t testing.TB, s Stores) {
	lease := acquire(t, s, "c", "one", 0)
	for _, c := range []struct {
		consumer, owner string
		ttl             time.Duration
	}{{"", "one", time.Minute}, {"c", "", time.Minute}, {"c", "one", 0}, {"c", "one", -time.Minute}} {
		_, err := s.Offsets.AcquireLeases(t.Context(), c.consumer, c.owner, []uint32{1}, c.ttl)
		require.ErrorIs(t, err, persistence.ErrInvalidArgument, "%+v", c)
	}
	got, err := s.Offsets.AcquireLeases(t.Context(), "c", "one", nil, time.Minute)
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = s.Offsets.RenewLeases(t.Context(), []offsetstore.Lease{lease}, 0)
	require.ErrorIs(t, err, persistence.ErrInvalidArgument)
	require.Len(t, leases(t, s, "c"), 1)
}
