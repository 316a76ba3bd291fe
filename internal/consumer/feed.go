package consumer

import (
	"context"
	"log/slog"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A Feed wakes those who read a source. It learns of commits in this process from [Feed.Committed], of others from the
// store's notifications, and of all by asking for the heads of all shards now and then, once for all readers.
type Feed struct {
	source   Source
	notifier persistence.Notifier // nil: the store has none
	timeout  time.Duration
	logger   *slog.Logger

	readers atomic.Int64    // while zero, commits are not even looked at
	dirty   []atomic.Uint64 // one bit per shard with news
	heads   []atomic.Uint64 // of all shards, when they were last asked for
	news    chan struct{}   // some bit is set
	ask     chan struct{}   // the heads should be asked for now

	mu     sync.Mutex
	ears   map[uint32]map[*ear]struct{}
	failed error // of the last question for the heads
}

// An ear is one who reads a shard.
type ear struct {
	wake     chan struct{} // holds a token when there is news
	position *atomic.Uint64
	behind   atomic.Int64 // since when the head is known to be above the position, in Unix nanoseconds; zero: it is not
	interval time.Duration
}

func newEar(interval time.Duration) *ear {
	return &ear{wake: make(chan struct{}, 1), position: new(atomic.Uint64), interval: interval}
}

func newFeed(source Source, notifier persistence.Notifier, config *Config) *Feed {
	return &Feed{
		source:   source,
		notifier: notifier,
		timeout:  config.CallTimeout,
		logger:   config.Logger,
		dirty:    make([]atomic.Uint64, (source.Shards()+63)/64),
		heads:    make([]atomic.Uint64, source.Shards()),
		news:     make(chan struct{}, 1),
		ask:      make(chan struct{}, 1),
		ears:     make(map[uint32]map[*ear]struct{}),
	}
}

// Source returns what the feed wakes the readers of.
func (f *Feed) Source() Source { return f.source }

// Committed tells of events that this process has committed. It allocates nothing, and does next to nothing while nobody
// reads.
func (f *Feed) Committed(events []*egopb.Event) {
	if f.readers.Load() == 0 {
		return
	}
	for _, event := range events {
		f.mark(event.GetPersistenceId())
	}
	signal(f.news)
}

// CommittedEntity tells of a commit of one entity.
func (f *Feed) CommittedEntity(persistenceID string) {
	if f.readers.Load() == 0 {
		return
	}
	f.mark(persistenceID)
	signal(f.news)
}

// ShardOf returns the shard of an entity.
func (f *Feed) ShardOf(persistenceID string) uint32 {
	return persistence.ShardOf(persistenceID, f.source.Shards())
}

func (f *Feed) mark(persistenceID string) {
	shard := f.ShardOf(persistenceID)
	if word, bit := &f.dirty[shard/64], uint64(1)<<(shard%64); word.Load()&bit == 0 {
		word.Or(bit)
	}
}

// Poll makes the feed ask for the heads now.
func (f *Feed) Poll() { signal(f.ask) }

// add lets an ear hear of a shard. It hears at once, as there may be news already.
func (f *Feed) add(shard uint32, e *ear) {
	f.mu.Lock()
	if f.ears[shard] == nil {
		f.ears[shard] = make(map[*ear]struct{})
	}
	f.ears[shard][e] = struct{}{}
	f.mu.Unlock()
	f.readers.Add(1)
	signal(e.wake)
	f.Poll()
}

func (f *Feed) remove(shard uint32, e *ear) {
	f.mu.Lock()
	delete(f.ears[shard], e)
	f.mu.Unlock()
	f.readers.Add(-1)
}

// dispatch hands news of this process on until the context ends.
func (f *Feed) dispatch(ctx context.Context) {
	for {
		select {
		case <-f.news:
		case <-ctx.Done():
			return
		}
		f.mu.Lock()
		for i := range f.dirty {
			for word := f.dirty[i].Swap(0); word != 0; word &= word - 1 {
				shard := uint32(i*64 + bits.TrailingZeros64(word)) //nolint:gosec // below the shard count
				for e := range f.ears[shard] {
					signal(e.wake)
				}
			}
		}
		f.mu.Unlock()
	}
}

// poll asks for the heads, at every interval and when told to, until the context ends.
func (f *Feed) poll(ctx context.Context) {
	var delay backoff
	for {
		if err := f.waitToAsk(ctx); err != nil {
			return
		}
		if f.readers.Load() == 0 {
			continue
		}
		err := f.askHeads(ctx)
		f.mu.Lock()
		f.failed = err
		f.mu.Unlock()
		if err == nil {
			delay.reset()
			continue
		}
		if sleep(ctx, delay.next(), nil) != nil {
			return
		}
	}
}

func (f *Feed) waitToAsk(ctx context.Context) error {
	timer := time.NewTimer(f.interval())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.ask:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// interval is the shortest interval of all readers.
func (f *Feed) interval() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	shortest := time.Hour
	for _, ears := range f.ears {
		for e := range ears {
			shortest = min(shortest, e.interval)
		}
	}
	return shortest
}

func (f *Feed) askHeads(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	heads, err := f.source.Heads(ctx)
	if err != nil {
		return err
	}
	for shard, head := range heads {
		if shard < f.source.Shards() {
			f.heads[shard].Store(head)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for shard, ears := range f.ears {
		for e := range ears {
			if heads[shard] > e.position.Load() {
				e.behind.CompareAndSwap(0, time.Now().UnixNano())
				signal(e.wake)
			} else {
				e.behind.Store(0)
			}
		}
	}
	return nil
}

// hear asks for the heads whenever the store tells of commits, until the context ends.
func (f *Feed) hear(ctx context.Context) {
	var delay backoff
	for ctx.Err() == nil {
		started := time.Now()
		err := f.notifier.Listen(ctx, f.Poll)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > lastBackoff {
			delay.reset()
		}
		f.logger.LogAttrs(ctx, slog.LevelWarn, "the store stopped notifying; polling goes on", slog.Any("error", err))
		f.Poll()
		if sleep(ctx, delay.next(), nil) != nil {
			return
		}
	}
}

// err returns why the heads cannot be asked for, nil when they can.
func (f *Feed) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// signal puts a token into a channel unless it holds one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
