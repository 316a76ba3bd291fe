package ego

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/actorkeep/ego/offsetstore"
)

const (
	offsetEvery  = time.Second // the offsets of sagas are recorded that often
	offsetEvents = 1000        // or after so many events
)

// lazyOffsets records the offsets of sagas now and then and not with every page: sagas know themselves which events they
// have handled, so all that a crash costs is that some are offered again. Other offsets are recorded at once. What waits is
// recorded before its lease is given back.
type lazyOffsets struct {
	offsetstore.OffsetStore

	mu       sync.Mutex
	recorded map[lazyShard]lazyOffset // of the newest lease of each shard
}

type lazyShard struct {
	consumer string
	shard    uint32
}

type lazyOffset struct {
	epoch    uint64
	position uint64
	at       time.Time
	waiting  uint64 // the position that is to be recorded later; zero for none
}

func shardOf(lease *offsetstore.Lease) lazyShard { return lazyShard{lease.Consumer, lease.Shard} }

// CommitOffset records an offset, or leaves that to a later call. Only what was recorded is refused for a stale lease.
func (l *lazyOffsets) CommitOffset(ctx context.Context, lease offsetstore.Lease, position uint64) error {
	if !strings.HasPrefix(lease.Consumer, sagaConsumers) {
		return l.OffsetStore.CommitOffset(ctx, lease, position)
	}
	if l.leave(&lease, position) {
		return nil
	}
	return l.record(ctx, &lease, position)
}

// leave reports whether an offset may be recorded later, and remembers it then.
func (l *lazyOffsets) leave(lease *offsetstore.Lease, position uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.recorded[shardOf(lease)]
	if !known || last.epoch != lease.Epoch || position < last.position || position >= last.position+offsetEvents ||
		time.Since(last.at) >= offsetEvery {
		return false
	}
	last.waiting = position
	l.recorded[shardOf(lease)] = last
	return true
}

func (l *lazyOffsets) record(ctx context.Context, lease *offsetstore.Lease, position uint64) error {
	if err := l.OffsetStore.CommitOffset(ctx, *lease, position); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recorded[shardOf(lease)] = lazyOffset{epoch: lease.Epoch, position: position, at: time.Now()}
	return nil
}

// ReleaseLeases gives leases back, once what waits under them is recorded. That this fails costs no more than a crash.
func (l *lazyOffsets) ReleaseLeases(ctx context.Context, leases []offsetstore.Lease) error {
	for i := range leases {
		l.mu.Lock()
		last, known := l.recorded[shardOf(&leases[i])]
		delete(l.recorded, shardOf(&leases[i]))
		l.mu.Unlock()
		if known && last.epoch == leases[i].Epoch && last.waiting > last.position {
			_ = l.OffsetStore.CommitOffset(ctx, leases[i], last.waiting)
		}
	}
	return l.OffsetStore.ReleaseLeases(ctx, leases)
}
