package persistencetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func shardCases() []Case {
	return []Case{
		{"Events/PositionsWithoutGap", positionsWithoutGap, needEvents},
		{"Events/RefusedWritesTakeNoPosition", refusedTakeNoPosition, needEvents},
		{"Events/ConcurrentWritersWithReaders", concurrentWriters, needEvents},
		{"Events/LateCommit", lateCommit, needEvents | needPauseCommit},
	}
}

func positionsWithoutGap(t testing.TB, s Stores) { // G3
	want := make(map[uint32]int)
	for round := uint64(1); round <= 5; round++ {
		for i := range 10 { // batches of several entities, within shards and across
			var batch []*egopb.Event
			for j := range 4 {
				id := fmt.Sprintf("entity-%d-%d", i, j)
				batch = append(batch, eventsOf(id, 2*round-1, 2*round)...)
				want[persistence.ShardOf(id, s.Events.ShardCount())] += 2
			}
			write(t, s, batch...)
		}
	}
	for shard := range s.Events.ShardCount() {
		require.Len(t, shardEvents(t, s, shard, 13), want[shard])
	}
}

func refusedTakeNoPosition(t testing.TB, s Stores) { // G3
	ids := idsInShard(s.Events.ShardCount(), 2)
	for number := uint64(1); number <= 5; number++ {
		write(t, s, newEvent(ids[0], number))
		for _, refused := range [][]*egopb.Event{
			{newEvent(ids[1], 1), newEvent(ids[0], number)},
			{newEvent(ids[1], 1), newEvent(ids[0], number+2)},
			{newEvent(ids[1], 1), newEvent(ids[1], 1)},
			{newEvent(ids[1], 1), nil},
		} {
			require.Error(t, s.Events.WriteEvents(t.Context(), refused))
		}
	}
	events := shardEvents(t, s, 0, 2)
	requireEvents(t, s, eventsOf(ids[0], 1, 5), events)
	require.Equal(t, uint64(5), latest(t, s, ids[0]).GetPosition())
}

// A load is many writers with entities of their own and some that they fight over.
type load struct {
	s       Stores
	written atomic.Int64 // events of acknowledged writes
	done    chan struct{}
}

const (
	loadWriters   = 32
	loadBatches   = 8
	loadContested = 4 // entities that all writers write to
)

// write writes batches of one event to each of two own entities and one contested entity.
func (l *load) write(ctx context.Context, writer int) error {
	for batch := uint64(1); batch <= loadBatches; batch++ {
		contested := fmt.Sprintf("contested-%d", (writer+int(batch))%loadContested)
		for {
			stored, err := l.s.Events.GetLatestEvent(ctx, contested)
			if err != nil {
				return err
			}
			err = l.s.Events.WriteEvents(ctx, []*egopb.Event{
				newEvent(fmt.Sprintf("own-%d-a", writer), batch),
				newEvent(contested, stored.GetSequenceNumber()+1),
				newEvent(fmt.Sprintf("own-%d-b", writer), batch),
			})
			if err == nil {
				l.written.Add(3)
				break
			}
			if !errors.Is(err, persistence.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

// follow reads shards as a consumer does, from first to last in steps, until the writers are done and everything is read.
// It returns how many events it saw.
func (l *load) follow(ctx context.Context, first, step uint32) (seen int64, err error) {
	shards := l.s.Events.ShardCount()
	positions := make(map[uint32]uint64)
	for {
		finished, found := isClosed(l.done), int64(0)
		for shard := first; shard < shards; shard += step {
			events, err := l.s.Events.GetShardEvents(ctx, shard, positions[shard], 10)
			if err != nil {
				return seen, err
			}
			for _, event := range events {
				if event.GetPosition() != positions[shard]+1 {
					return seen, fmt.Errorf("shard %d: position %d after %d", shard, event.GetPosition(), positions[shard])
				}
				positions[shard]++
				found++
			}
		}
		seen += found
		if finished && found == 0 {
			return seen, nil
		}
		if found == 0 {
			<-time.After(100 * time.Microsecond)
		}
	}
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func concurrentWriters(t testing.TB, s Stores) { // G3
	const readers = 2
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	l := &load{s: s, done: make(chan struct{})}
	var seen atomic.Int64
	reading := async(func() error {
		return together(readers, func(i int) error {
			n, err := l.follow(ctx, uint32(i), readers) //nolint:gosec // small
			seen.Add(n)
			return err
		})
	})
	err := together(loadWriters, func(i int) error { return l.write(ctx, i) })
	close(l.done)
	require.NoError(t, err)
	require.NoError(t, await(t, reading, "readers to see everything"))

	require.Equal(t, int64(3*loadWriters*loadBatches), l.written.Load())
	require.Equal(t, l.written.Load(), seen.Load(), "readers missed events that became visible late")
	contested := 0
	for i := range loadContested {
		id := fmt.Sprintf("contested-%d", i)
		events := replay(t, s, id, 1, 1_000)
		requireEvents(t, s, eventsOf(id, 1, uint64(len(events))), events)
		contested += len(events)
	}
	require.Equal(t, loadWriters*loadBatches, contested)
	for i := range loadWriters {
		for _, id := range []string{fmt.Sprintf("own-%d-a", i), fmt.Sprintf("own-%d-b", i)} {
			requireEvents(t, s, eventsOf(id, 1, loadBatches), replay(t, s, id, 1, 1_000))
		}
	}
}

// lateCommit holds a write before its commit while another one overtakes it, if the store lets it.
func lateCommit(t testing.TB, s Stores) { // G3
	ids := idsInShard(s.Events.ShardCount(), 2)
	held, resume := s.PauseCommit(t)
	defer resume()
	first := async(func() error { return s.Events.WriteEvents(t.Context(), eventsOf(ids[0], 1, 1)) })
	await(t, held, "the write to be held")
	second := async(func() error { return s.Events.WriteEvents(t.Context(), eventsOf(ids[1], 1, 1)) })

	var early []*egopb.Event
	within(200*time.Millisecond, func() bool { // it may as well wait for the first
		early = shardEvents(t, s, 0, 10)
		return len(early) > 0
	})
	resume()
	require.NoError(t, await(t, first, "the held write"))
	require.NoError(t, await(t, second, "the other write"))
	events := shardEvents(t, s, 0, 10)
	require.Len(t, events, 2)
	for i := range early {
		requireProto(t, early[i], events[i])
	}
}
