package mongo

import (
	"context"
	"slices"
	"time"

	"github.com/actorkeep/ego/offsetstore"
)

// AcquireLeases implements [offsetstore.OffsetStore]. Leases expire by the clock of the server, which has milliseconds.
func (s *Store) AcquireLeases(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error) {
	if consumer == "" || owner == "" || ttl <= 0 {
		return nil, invalid("lease of consumer %q for owner %q and %v", consumer, owner, ttl)
	}
	got := make(map[uint32]offsetstore.Lease)
	err := s.update(ctx, "acquire leases in", consumer, unique(shards), func(shard uint32, r *register, now time.Time) (bool, error) {
		delete(got, shard)
		switch {
		case r.Leased && r.Owner == owner: // extended
		case !r.Leased, r.Owner == "", !r.Until.After(now):
			r.Leased, r.Owner = true, owner
			r.Epoch++
		default:
			return false, nil
		}
		r.Until = expiry(now, ttl)
		got[shard] = r.lease(consumer, shard, now)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return inOrder(got), nil
}

// update runs a change of registers as a call.
func (s *Store) update(ctx context.Context, op, consumer string, shards []uint32, apply change) error {
	return s.write(ctx, op, func(work context.Context, c *session) error {
		return c.update(ctx, work, consumer, shards, apply)
	})
}

func unique(shards []uint32) []uint32 { return slices.Compact(slices.Sorted(slices.Values(shards))) }

// expiry returns when a lease ends. The server has milliseconds; a lease is rather shorter than asked for.
func expiry(now time.Time, ttl time.Duration) time.Time {
	until := now.Add(ttl).Truncate(time.Millisecond)
	if !until.After(now) {
		until = now.Truncate(time.Millisecond).Add(time.Millisecond)
	}
	return until
}

func inOrder(leases map[uint32]offsetstore.Lease) []offsetstore.Lease {
	list := make([]offsetstore.Lease, 0, len(leases))
	for _, lease := range leases {
		list = append(list, lease)
	}
	slices.SortFunc(list, func(a, b offsetstore.Lease) int { return int(a.Shard) - int(b.Shard) })
	return list
}

// RenewLeases implements [offsetstore.OffsetStore].
func (s *Store) RenewLeases(ctx context.Context, leases []offsetstore.Lease, ttl time.Duration) ([]offsetstore.Lease, error) {
	if ttl <= 0 {
		return nil, invalid("leases for %v", ttl)
	}
	var renewed []offsetstore.Lease
	err := s.updateHeld(ctx, "renew leases in", leases, func(l offsetstore.Lease, r *register, now time.Time) *offsetstore.Lease {
		r.Until = expiry(now, ttl)
		lease := r.lease(l.Consumer, l.Shard, now)
		return &lease
	}, func(lease *offsetstore.Lease) { renewed = append(renewed, *lease) })
	if err != nil {
		return nil, err
	}
	return renewed, nil
}

// ReleaseLeases implements [offsetstore.OffsetStore].
func (s *Store) ReleaseLeases(ctx context.Context, leases []offsetstore.Lease) error {
	return s.updateHeld(ctx, "release leases in", leases, func(_ offsetstore.Lease, r *register, _ time.Time) *offsetstore.Lease {
		r.release()
		return nil
	}, func(*offsetstore.Lease) {})
}

// updateHeld changes the registers of those of the leases that are still held, and hands on what became of each.
func (s *Store) updateHeld(ctx context.Context, op string, leases []offsetstore.Lease,
	apply func(l offsetstore.Lease, r *register, now time.Time) *offsetstore.Lease, done func(*offsetstore.Lease),
) error {
	if len(leases) == 0 {
		return s.check(ctx)
	}
	consumers := make(map[string]map[uint32]offsetstore.Lease)
	for _, l := range leases {
		if consumers[l.Consumer] == nil {
			consumers[l.Consumer] = make(map[uint32]offsetstore.Lease)
		}
		if other, ok := consumers[l.Consumer][l.Shard]; !ok || other.Epoch < l.Epoch {
			consumers[l.Consumer][l.Shard] = l
		}
	}
	for consumer, held := range consumers {
		results := make(map[uint32]*offsetstore.Lease)
		shards := make([]uint32, 0, len(held))
		for shard := range held {
			shards = append(shards, shard)
		}
		err := s.update(ctx, op, consumer, unique(shards), func(shard uint32, r *register, now time.Time) (bool, error) {
			delete(results, shard)
			if !r.holds(held[shard]) {
				return false, nil
			}
			results[shard] = apply(held[shard], r, now)
			return true, nil
		})
		if err != nil {
			return err
		}
		for _, shard := range unique(shards) {
			if result := results[shard]; result != nil {
				done(result)
			}
		}
	}
	return nil
}

// Leases implements [offsetstore.OffsetStore].
func (s *Store) Leases(ctx context.Context, consumer string) (leases []offsetstore.Lease, err error) {
	err = s.read(ctx, "read leases from", func(ctx context.Context, c *session) error {
		now, err := c.clock(ctx)
		if err != nil {
			return err
		}
		known, err := c.registersOf(ctx, consumer)
		if err != nil {
			return err
		}
		found := make(map[uint32]offsetstore.Lease)
		for shard, r := range known {
			if r.Leased {
				found[shard] = r.lease(consumer, shard, now)
			}
		}
		leases = inOrder(found)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return leases, nil
}

// holds reports whether a lease is held under its epoch.
func (r *register) holds(l offsetstore.Lease) bool {
	return r.Leased && r.Owner != "" && uint64(r.Epoch) == l.Epoch
}

// check returns a [offsetstore.StaleLeaseError] unless a lease is held under its epoch.
func (r *register) check(l offsetstore.Lease) error {
	if !r.holds(l) {
		stale := &offsetstore.StaleLeaseError{Consumer: l.Consumer, Shard: l.Shard, Epoch: l.Epoch}
		if r.Leased {
			stale.Current = uint64(r.Epoch)
		}
		return stale
	}
	return nil
}

func (r *register) release() { r.Owner, r.Until = "", time.Time{} }

// lease returns the lease as the caller sees it.
func (r *register) lease(consumer string, shard uint32, now time.Time) offsetstore.Lease {
	l := offsetstore.Lease{Consumer: consumer, Shard: shard, Owner: r.Owner, Epoch: uint64(r.Epoch)}
	if r.Owner != "" {
		l.Expires = r.Until.Sub(now)
	}
	return l
}
