package memory

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

// AcquireLeases implements [offsetstore.OffsetStore]. Leases expire by the monotonic clock of the process.
func (s *Store) AcquireLeases(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if consumer == "" || owner == "" || ttl <= 0 {
		return nil, fmt.Errorf("%w: lease of consumer %q for owner %q and %v", persistence.ErrInvalidArgument, consumer, owner, ttl)
	}
	t := &s.consumers
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	var leases []offsetstore.Lease
	for _, shard := range shards {
		if l := t.acquire(consumer, owner, shard, now, ttl); l != nil {
			leases = append(leases, l.exported(consumer, shard, now))
		}
	}
	return leases, nil
}

// acquire returns the lease of a shard when it is the owner's now.
func (t *consumerTable) acquire(consumer, owner string, shard uint32, now time.Time, ttl time.Duration) *lease {
	s := t.shard(consumer, shard)
	switch {
	case s.lease == nil:
		s.lease = &lease{owner: strings.Clone(owner), epoch: t.nextEpoch()}
	case s.lease.owner == owner: // extended
	case s.lease.owner == "" || !s.lease.expires.After(now):
		s.lease.owner, s.lease.epoch = strings.Clone(owner), t.nextEpoch()
	default:
		return nil
	}
	s.lease.expires = now.Add(ttl)
	return s.lease
}

// RenewLeases implements [offsetstore.OffsetStore].
func (s *Store) RenewLeases(ctx context.Context, leases []offsetstore.Lease, ttl time.Duration) ([]offsetstore.Lease, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if ttl <= 0 {
		return nil, fmt.Errorf("%w: leases for %v", persistence.ErrInvalidArgument, ttl)
	}
	t := &s.consumers
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	var renewed []offsetstore.Lease
	for _, l := range leases {
		if held, err := t.held(l); err == nil {
			held.lease.expires = now.Add(ttl)
			renewed = append(renewed, held.lease.exported(l.Consumer, l.Shard, now))
		}
	}
	return renewed, nil
}

// ReleaseLeases implements [offsetstore.OffsetStore].
func (s *Store) ReleaseLeases(ctx context.Context, leases []offsetstore.Lease) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	t := &s.consumers
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range leases {
		if held, err := t.held(l); err == nil {
			held.end()
		}
	}
	return nil
}

// Leases implements [offsetstore.OffsetStore].
func (s *Store) Leases(ctx context.Context, consumer string) ([]offsetstore.Lease, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	t := &s.consumers
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	var leases []offsetstore.Lease
	for _, shard := range t.sorted(consumer) {
		if l := t.find(consumer, shard).lease; l != nil {
			leases = append(leases, l.exported(consumer, shard, now))
		}
	}
	return leases, nil
}
