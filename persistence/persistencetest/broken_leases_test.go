package persistencetest_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

type (
	acquirer = func(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error)
	renewer  = func(ctx context.Context, leases []offsetstore.Lease, ttl time.Duration) ([]offsetstore.Lease, error)
)

func acquires(by func(m *memory.Store) acquirer) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.acquireLeases = by(m) })
}

func renews(by func(m *memory.Store) renewer) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.renewLeases = by(m) })
}

// current returns the lease of a shard as it is now.
func current(ctx context.Context, m *memory.Store, consumer string, shard uint32) offsetstore.Lease {
	leases, _ := m.Leases(ctx, consumer)
	for _, lease := range leases {
		if lease.Shard == shard {
			return lease
		}
	}
	return offsetstore.Lease{Consumer: consumer, Shard: shard}
}

func brokenLeases() []broken {
	return []broken{
		{"AcquiresAllOrNothing", []string{"Leases/Acquire"}, acquires(func(m *memory.Store) acquirer {
			return func(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error) {
				leases, err := m.AcquireLeases(ctx, consumer, owner, shards, ttl)
				if len(leases) < len(shards) {
					return nil, err
				}
				return leases, err
			}
		})},
		{"RaisesEpochOfExtension", []string{"Leases/AcquireAgainExtends"}, acquires(func(m *memory.Store) acquirer {
			return func(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error) {
				if held := current(ctx, m, consumer, shards[0]); held.Owner == owner {
					if err := m.ReleaseLeases(ctx, []offsetstore.Lease{held}); err != nil {
						return nil, err
					}
				}
				return m.AcquireLeases(ctx, consumer, owner, shards, ttl)
			}
		})},
		{"GivesLeasesTwice", []string{
			"Leases/HeldLeaseIsNotGivenAway", "Leases/AcquireByManyOwners", "Leases/ReleaseOfStaleLease", "Leases/RenewExtends",
			"Leases/RenewOfExpiredLease", "Reopen/LeaseHoldsBetweenProcesses",
		}, acquires(givesTwice)},
		{"NeverExpires", []string{"Leases/ExpiredLeaseIsTakenOver", "Leases/List", "Leases/RenewOfExpiredLease"}, acquires(func(m *memory.Store) acquirer {
			return func(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error) {
				leases, err := m.AcquireLeases(ctx, consumer, owner, shards, ttl*1_000_000)
				for i := range leases {
					leases[i].Expires = ttl
				}
				return leases, err
			}
		})},
		{"RenewsInWordsOnly", []string{"Leases/RenewExtends"}, renews(func(*memory.Store) renewer {
			return func(_ context.Context, leases []offsetstore.Lease, ttl time.Duration) ([]offsetstore.Lease, error) {
				for i := range leases {
					leases[i].Expires = ttl
				}
				return leases, nil
			}
		})},
		{"RenewsUnexpiredOnly", []string{"Leases/RenewOfExpiredLease"}, renews(func(m *memory.Store) renewer {
			return func(ctx context.Context, leases []offsetstore.Lease, ttl time.Duration) ([]offsetstore.Lease, error) {
				leases = slices.DeleteFunc(leases, func(l offsetstore.Lease) bool {
					return current(ctx, m, l.Consumer, l.Shard).Expires <= 0
				})
				return m.RenewLeases(ctx, leases, ttl)
			}
		})},
		{"RenewsForAnyEpoch", []string{"Leases/RenewAfterTakeOver", "Offsets/ResetEndsLeases"}, renews(func(m *memory.Store) renewer {
			return func(ctx context.Context, leases []offsetstore.Lease, ttl time.Duration) ([]offsetstore.Lease, error) {
				if _, err := m.RenewLeases(ctx, leases, ttl); err != nil {
					return nil, err
				}
				return leases, nil
			}
		})},
		{"ReleasesNothing", []string{"Leases/Release", "Offsets/CommitAfterRelease"}, override(func(o *overridden, _ *memory.Store) {
			o.releaseLeases = func(context.Context, []offsetstore.Lease) error { return nil }
		})},
		{"ReleasesAnyEpoch", []string{"Leases/ReleaseOfStaleLease"}, override(func(o *overridden, m *memory.Store) {
			o.releaseLeases = func(ctx context.Context, leases []offsetstore.Lease) error {
				for _, l := range leases {
					if err := m.ReleaseLeases(ctx, []offsetstore.Lease{current(ctx, m, l.Consumer, l.Shard)}); err != nil {
						return err
					}
				}
				return nil
			}
		})},
		{"ForgetsReleased", []string{"Leases/List"}, override(func(o *overridden, m *memory.Store) {
			o.leases = func(ctx context.Context, consumer string) ([]offsetstore.Lease, error) {
				leases, err := m.Leases(ctx, consumer)
				return slices.DeleteFunc(leases, func(l offsetstore.Lease) bool { return l.Owner == "" }), err
			}
		})},
		{"ListsLeasesBackwards", []string{"Leases/List"}, override(func(o *overridden, m *memory.Store) {
			o.leases = func(ctx context.Context, consumer string) ([]offsetstore.Lease, error) {
				leases, err := m.Leases(ctx, consumer)
				slices.Reverse(leases)
				return leases, err
			}
		})},
		{"TakesAnyLease", []string{"Leases/InvalidArguments"}, acquires(func(m *memory.Store) acquirer {
			return func(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error) {
				if consumer == "" || owner == "" || ttl <= 0 {
					return nil, nil
				}
				return m.AcquireLeases(ctx, consumer, owner, shards, ttl)
			}
		})},
	}
}

// givesTwice takes leases away from their owners.
func givesTwice(m *memory.Store) acquirer {
	var mu sync.Mutex
	return func(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error) {
		mu.Lock()
		defer mu.Unlock()
		for _, shard := range shards {
			if err := m.ReleaseLeases(ctx, []offsetstore.Lease{current(ctx, m, consumer, shard)}); err != nil {
				return nil, err
			}
		}
		return m.AcquireLeases(ctx, consumer, owner, shards, ttl)
	}
}
