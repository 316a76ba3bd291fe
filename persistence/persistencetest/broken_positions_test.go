package persistencetest_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// pass lets a moment pass in the bubble, so that all other goroutines get as far as they can.
func pass() { <-time.After(time.Millisecond) }

// A gate holds a write of events before its commit, and the writes that come after it behind it.
type gate struct {
	persistence.EventsStore
	turn chan struct{} // holds a value while somebody writes

	mu   sync.Mutex
	held chan struct{} // closed when the next write is held; nil when it need not be
	let  chan struct{}
}

func (g *gate) pause(testing.TB) (held <-chan struct{}, resume func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held, g.let = make(chan struct{}), make(chan struct{})
	return g.held, sync.OnceFunc(func() { close(g.let) })
}

// stop waits when the write is to be held.
func (g *gate) stop() {
	g.mu.Lock()
	held, let := g.held, g.let
	g.held = nil
	g.mu.Unlock()
	if held != nil {
		close(held)
		<-let
	}
}

func (g *gate) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	g.turn <- struct{}{}
	defer func() { <-g.turn }()
	g.stop()
	return g.EventsStore.WriteEvents(ctx, events)
}

func brokenPositions() []broken {
	return []broken{
		{"LeavesGaps", []string{"Events/PositionsWithoutGap", "Events/ConcurrentWritersWithReaders"},
			readsShards(func(m *memory.Store) shardReader {
				return func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
					events, err := m.GetShardEvents(ctx, shard, after/2, limit)
					for _, event := range events {
						event.Position *= 2
					}
					return events, err
				}
			})},
		{"BurnsPositions", []string{"Events/RefusedWritesTakeNoPosition"}, burnsPositions},
		{"ShowsEventsLate", []string{"Events/ConcurrentWritersWithReaders"}, showsEventsLate},
		{"NumbersPagesAnew", []string{"Events/AppendManyEntities"}, readsShards(func(m *memory.Store) shardReader {
			return func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
				events, err := m.GetShardEvents(ctx, shard, after, limit)
				slices.SortStableFunc(events, byEntity)
				for i, event := range events {
					event.Position = after + uint64(i) + 1
				}
				return events, err
			}
		})},
		{"LetsCommitsOvertake", []string{"Events/LateCommit"}, letsCommitsOvertake},
	}
}

// burnsPositions takes positions from a sequence that goes on when a write is refused.
func burnsPositions(m *memory.Store) persistencetest.Stores {
	burned, shift := uint64(0), make(map[uint64]uint64)
	return one(&overridden{
		Store: m,
		writeEvents: func(ctx context.Context, events []*egopb.Event) error {
			if err := m.WriteEvents(ctx, events); err != nil {
				burned += uint64(len(events))
				return err
			}
			positions, err := m.ShardPositions(ctx)
			shift[positions[0]] = burned
			return err
		},
		getShardEvents: func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
			events, err := m.GetShardEvents(ctx, shard, after, limit)
			for _, event := range events {
				event.Position += shift[event.GetPosition()]
			}
			return events, err
		},
	})
}

// showsEventsLate leaves an event out of the first page that should have it, as a reader sees a transaction that commits
// after one with higher positions.
func showsEventsLate(m *memory.Store) persistencetest.Stores {
	var mu sync.Mutex
	shown := make(map[[2]uint64]bool)
	return one(&overridden{
		Store: m,
		getShardEvents: func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
			mu.Lock()
			defer mu.Unlock()
			events, err := m.GetShardEvents(ctx, shard, after, limit)
			return slices.DeleteFunc(events, func(event *egopb.Event) bool {
				key := [2]uint64{uint64(shard), event.GetPosition()}
				late := event.GetPosition()%5 == 0 && !shown[key]
				shown[key] = true
				return late
			}), err
		},
	})
}

// letsCommitsOvertake assigns the position first and commits when it may, with nothing to keep the order. It serves the
// two writes of one shard that the case makes.
func letsCommitsOvertake(m *memory.Store) persistencetest.Stores {
	var mu sync.Mutex
	var next uint64
	committed := make(map[uint64]*egopb.Event)
	g := &gate{EventsStore: m}
	s := one(&overridden{
		Store: m,
		writeEvents: func(_ context.Context, events []*egopb.Event) error {
			mu.Lock()
			next++
			position := next
			mu.Unlock()
			g.stop()
			mu.Lock()
			defer mu.Unlock()
			event := cloned(events)[0]
			event.Position = position
			committed[position] = event
			return nil
		},
		getShardEvents: func(_ context.Context, _ uint32, after uint64, limit int) (events []*egopb.Event, _ error) {
			mu.Lock()
			defer mu.Unlock()
			for position := after + 1; position <= next && len(events) < limit; position++ {
				if event := committed[position]; event != nil {
					events = append(events, event)
				}
			}
			return events, nil
		},
	})
	s.PauseCommit = g.pause
	return s
}
