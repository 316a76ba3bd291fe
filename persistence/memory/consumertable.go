package memory

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
)

// A consumerTable keeps leases, offsets and dead letters of consumers.
type consumerTable struct {
	mu        sync.Mutex
	consumers map[string]*consumer
	epoch     uint64 // highest epoch of any lease, so that an epoch is not used again after its consumer was deleted
}

type consumer struct {
	shards map[uint32]*consumerShard
}

// A consumerShard is what is known of one shard of a consumer.
type consumerShard struct {
	lease   *lease        // nil when it was never leased
	offset  *egopb.Offset // nil without a commit
	letters []deadLetter  // by position
}

type lease struct {
	owner   string // empty when released
	epoch   uint64
	expires time.Time
}

func (t *consumerTable) init() { t.consumers = make(map[string]*consumer) }

// shard returns what is known of a shard, to be changed.
func (t *consumerTable) shard(name string, shard uint32) *consumerShard {
	c := t.consumers[name]
	if c == nil {
		c = &consumer{shards: make(map[uint32]*consumerShard)}
		t.consumers[strings.Clone(name)] = c
	}
	s := c.shards[shard]
	if s == nil {
		s = new(consumerShard)
		c.shards[shard] = s
	}
	return s
}

// find returns what is known of a shard, or nil.
func (t *consumerTable) find(name string, shard uint32) *consumerShard {
	if c := t.consumers[name]; c != nil {
		return c.shards[shard]
	}
	return nil
}

// sorted returns the shards of a consumer in order.
func (t *consumerTable) sorted(name string) []uint32 {
	c := t.consumers[name]
	if c == nil {
		return nil
	}
	return slices.SortedFunc(maps.Keys(c.shards), cmp.Compare)
}

// nextEpoch returns an epoch that no lease ever had.
func (t *consumerTable) nextEpoch() uint64 {
	t.epoch++
	return t.epoch
}

// held returns the shard of a lease that is held under its epoch, or a [offsetstore.StaleLeaseError].
func (t *consumerTable) held(l offsetstore.Lease) (*consumerShard, error) {
	s := t.find(l.Consumer, l.Shard)
	if s == nil || s.lease == nil {
		return nil, &offsetstore.StaleLeaseError{Consumer: l.Consumer, Shard: l.Shard, Epoch: l.Epoch}
	}
	if s.lease.epoch != l.Epoch || s.lease.owner == "" {
		return nil, &offsetstore.StaleLeaseError{Consumer: l.Consumer, Shard: l.Shard, Epoch: l.Epoch, Current: s.lease.epoch}
	}
	return s, nil
}

// end takes the lease of a shard away from its owner.
func (s *consumerShard) end() {
	s.lease.owner, s.lease.expires = "", time.Time{}
}

// exported returns the lease as the caller sees it.
func (l *lease) exported(consumer string, shard uint32, now time.Time) offsetstore.Lease {
	exported := offsetstore.Lease{Consumer: consumer, Shard: shard, Owner: l.owner, Epoch: l.epoch}
	if l.owner != "" {
		exported.Expires = l.expires.Sub(now)
	}
	return exported
}
