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
// have handled, so all that a crash costs is that some are offered again. Other offsets are recorded at once.
type lazyOffsets struct {
	offsetstore.OffsetStore

	mu       sync.Mutex
	recorded map[lazyKey]lazyOffset
}

type lazyKey struct {
	consumer string
	shard    uint32
	epoch    uint64
}

type lazyOffset struct {
	position uint64
	at       time.Time
}

// CommitOffset records an offset, or leaves that to a later call. Only what was recorded is refused for a stale lease.
func (l *lazyOffsets) CommitOffset(ctx context.Context, lease offsetstore.Lease, position uint64) error {
	if !strings.HasPrefix(lease.Consumer, sagaConsumers) {
		return l.OffsetStore.CommitOffset(ctx, lease, position)
	}
	key, now := lazyKey{lease.Consumer, lease.Shard, lease.Epoch}, time.Now()
	l.mu.Lock()
	last, known := l.recorded[key]
	l.mu.Unlock()
	if known && position >= last.position && position < last.position+offsetEvents && now.Sub(last.at) < offsetEvery {
		return nil
	}
	if err := l.OffsetStore.CommitOffset(ctx, lease, position); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for old := range l.recorded {
		if old.consumer == key.consumer && old.shard == key.shard {
			delete(l.recorded, old)
		}
	}
	l.recorded[key] = lazyOffset{position, now}
	return nil
}
