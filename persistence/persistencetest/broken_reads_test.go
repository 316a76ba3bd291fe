package persistencetest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

type (
	replayer    = func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error]
	shardReader = func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error)
)

func replays(by func(m *memory.Store) replayer) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.replayEvents = by(m) })
}

func readsShards(by func(m *memory.Store) shardReader) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.getShardEvents = by(m) })
}

func brokenReplays() []broken {
	return []broken{
		{"ExcludesLast", []string{"Events/Append", "Events/AppendContinues", "Events/ReplayBounds", "Events/RandomOperations"},
			replays(func(m *memory.Store) replayer {
				return func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
					return m.ReplayEvents(ctx, id, from, max(to, 1)-1)
				}
			})},
		{"ExcludesFirst", []string{"Events/ReplayBounds"}, replays(func(m *memory.Store) replayer {
			return func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
				return m.ReplayEvents(ctx, id, from+1, to)
			}
		})},
		{"OverflowsBounds", []string{"Events/ReplayBounds"}, replays(func(m *memory.Store) replayer {
			return func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
				return m.ReplayEvents(ctx, id, from, uint64(max(int64(to), 0)))
			}
		})},
		{"FoldsUnknownIDs", []string{"Events/ReplayOfUnknownEntity"}, replays(func(m *memory.Store) replayer {
			return func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
				return m.ReplayEvents(ctx, fold(id), from, to)
			}
		})},
		{"ReplaysTheShard", []string{"Events/ReplayOfOneEntityAmongOthers"}, replays(replaysTheShard)},
		{"LeaksConnections", []string{"Events/ReplayBrokenOff"}, replays(leaksConnections)},
		{"LosesOneAtPageEnd", []string{"Events/ReplayLarge"}, replays(losesOne)},
		{"ReplaysBackwards", []string{"Events/ReplayLarge", "Events/AppendContinues"}, replays(replaysBackwards)},
		{"ReplaysOnce", []string{"Events/ReplayAgain"}, replays(func(m *memory.Store) replayer {
			return func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
				used := false
				return func(yield func(*egopb.Event, error) bool) {
					if !used {
						used = true
						m.ReplayEvents(ctx, id, from, to)(yield)
					}
				}
			}
		})},
		{"HasOneConnection", []string{"Events/ReplayLoopMayCallTheStore", "DeadLetters/BrokenOff"}, hasOneConnection},
	}
}

// fold makes ids equal that are not.
func fold(id string) string { return strings.ToLower(strings.TrimSpace(id)) }

// losesOne has a page that begins one event late.
func losesOne(m *memory.Store) replayer {
	return func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
		return func(yield func(*egopb.Event, error) bool) {
			for event, err := range m.ReplayEvents(ctx, id, from, to) {
				if event.GetSequenceNumber() != 2_001 && !yield(event, err) {
					return
				}
			}
		}
	}
}

func replaysBackwards(m *memory.Store) replayer {
	return func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
		return func(yield func(*egopb.Event, error) bool) {
			var events []*egopb.Event
			for event, err := range m.ReplayEvents(ctx, id, from, to) {
				if err != nil {
					yield(nil, err)
					return
				}
				events = append(events, event)
			}
			for _, event := range slices.Backward(events) {
				if !yield(event, nil) {
					return
				}
			}
		}
	}
}

func replaysTheShard(m *memory.Store) replayer {
	return func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
		return func(yield func(*egopb.Event, error) bool) {
			events, err := m.GetShardEvents(ctx, persistence.ShardOf(id, m.ShardCount()), 0, 1_000)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, event := range events {
				if event.GetSequenceNumber() >= from && event.GetSequenceNumber() <= to && !yield(event, nil) {
					return
				}
			}
		}
	}
}

// leaksConnections gives a connection back at the end of a replay only.
func leaksConnections(m *memory.Store) replayer {
	pool := make(chan struct{}, 50)
	return func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
		return func(yield func(*egopb.Event, error) bool) {
			select {
			case pool <- struct{}{}:
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
			for event, err := range m.ReplayEvents(ctx, id, from, to) {
				if !yield(event, err) {
					return
				}
			}
			<-pool
		}
	}
}

// hasOneConnection holds the only connection while a loop runs.
func hasOneConnection(m *memory.Store) persistencetest.Stores {
	connection := make(chan struct{}, 1)
	take := func() error {
		select {
		case connection <- struct{}{}:
			return nil
		default:
			return errors.New("database is locked")
		}
	}
	return one(&overridden{
		Store: m,
		writeEvents: func(ctx context.Context, events []*egopb.Event) error {
			if err := take(); err != nil {
				return err
			}
			defer func() { <-connection }()
			return m.WriteEvents(ctx, events)
		},
		replayEvents: func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
			return held(take, connection, m.ReplayEvents(ctx, id, from, to))
		},
		deadLetters: func(ctx context.Context, consumer string, ids ...string) iter.Seq2[*egopb.DeadLetter, error] {
			return held(take, connection, m.DeadLetters(ctx, consumer, ids...))
		},
		deleteDeadLetters: func(ctx context.Context, consumer string, shard uint32, positions ...uint64) error {
			if err := take(); err != nil {
				return err
			}
			defer func() { <-connection }()
			return m.DeleteDeadLetters(ctx, consumer, shard, positions...)
		},
	})
}

// held yields a sequence while it holds the connection.
func held[T any](take func() error, connection <-chan struct{}, source iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := take(); err != nil {
			var none T
			yield(none, err)
			return
		}
		defer func() { <-connection }()
		source(yield)
	}
}

func brokenShardReads() []broken {
	return []broken{
		{"IncludesAfterPosition", []string{"Events/ShardReadsByPage", "Events/RandomOperations"},
			readsShards(func(m *memory.Store) shardReader {
				return func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
					return m.GetShardEvents(ctx, shard, max(after, 1)-1, limit)
				}
			})},
		{"IgnoresLimit", []string{"Events/ShardReadsByPage"}, readsShards(func(m *memory.Store) shardReader {
			return func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
				return m.GetShardEvents(ctx, shard, after, max(limit, limit*1_000))
			}
		})},
		{"TakesAnyShardAndLimit", []string{"Events/ShardReadsInvalidArguments"}, readsShards(func(m *memory.Store) shardReader {
			return func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
				return m.GetShardEvents(ctx, shard%m.ShardCount(), after, max(limit, 1))
			}
		})},
		{"ListsEmptyShards", []string{"Events/ShardPositions"}, override(func(o *overridden, m *memory.Store) {
			o.shardPositions = func(ctx context.Context) (map[uint32]uint64, error) {
				positions, err := m.ShardPositions(ctx)
				for shard := range m.ShardCount() {
					positions[shard] += 0
				}
				return positions, err
			}
		})},
		{"CountsLiveEvents", []string{"Events/ShardPositions"}, override(countsLiveEvents)},
	}
}

func countsLiveEvents(o *overridden, m *memory.Store) {
	o.shardPositions = func(ctx context.Context) (map[uint32]uint64, error) {
		positions, err := m.ShardPositions(ctx)
		for shard := range positions {
			events, err := m.GetShardEvents(ctx, shard, 0, 1_000)
			if err != nil {
				return nil, err
			}
			for _, event := range events {
				if event.GetDeleted() {
					positions[shard]--
				}
			}
		}
		return positions, err
	}
}
