package persistencetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func randomCases() []Case {
	return []Case{
		{"Events/RandomOperations", func(t testing.TB, s Stores) { CheckRandom(t, s, 1, 300) }, needEvents},
	}
}

// A model is the simplest store of events that is right.
type model struct {
	ids       []string
	journals  map[string][]*egopb.Event
	positions map[uint32]uint64
	shards    uint32
}

// CheckRandom does a number of random operations on an empty events store and on a model of it, and fails when they come
// to differ. The same seed repeats the same operations.
func CheckRandom(t testing.TB, s Stores, seed uint64, operations int) {
	t.Helper()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	m := &model{
		ids:       []string{"a", "b", "c", "A", "a ", "entity-1", "entity-2", "%"},
		journals:  make(map[string][]*egopb.Event),
		positions: make(map[uint32]uint64),
		shards:    s.Events.ShardCount(),
	}
	for range operations {
		id := m.ids[random.IntN(len(m.ids))]
		switch random.IntN(10) {
		case 0, 1, 2, 3:
			m.write(t, s, random)
		case 4:
			to := uint64(random.IntN(len(m.journals[id]) + 3))
			deleteEvents(t, s, id, to)
			m.delete(id, to)
		case 5, 6:
			m.checkReplay(t, s, id, random)
		case 7:
			m.checkLatest(t, s, id)
		default:
			m.checkShard(t, s, persistence.ShardOf(id, m.shards), random)
		}
	}
	for _, id := range m.ids {
		m.checkLatest(t, s, id)
		m.checkReplay(t, s, id, random)
	}
}

// write writes a batch that is right in most cases.
func (m *model) write(t testing.TB, s Stores, random *rand.Rand) {
	t.Helper()
	next := make(map[string]uint64)
	var batch []*egopb.Event
	var conflict *persistence.ConflictError
	for range 1 + random.IntN(8) {
		id := m.ids[random.IntN(len(m.ids))]
		stored := uint64(len(m.journals[id]))
		if next[id] == 0 {
			next[id] = stored + 1
			if random.IntN(25) == 0 && conflict == nil { // only the first event of an entity, so that the numbers in the error are certain
				next[id] = uint64(random.IntN(int(stored) + 5))
				if next[id] == 0 || next[id] == stored+1 {
					next[id] = stored + 2
				}
				conflict = &persistence.ConflictError{PersistenceID: id, Expected: next[id], Actual: stored}
			}
		}
		event := newEvent(id, next[id])
		event.Payload.Value = fmt.Appendf(nil, "%d", random.Uint64())
		batch = append(batch, event)
		next[id]++
	}
	err := s.Events.WriteEvents(t.Context(), batch)
	if conflict != nil {
		requireConflict(t, err, *conflict)
		return
	}
	require.NoError(t, err)
	for _, event := range batch {
		shard := persistence.ShardOf(event.GetPersistenceId(), m.shards)
		m.positions[shard]++
		event.Shard, event.Position = shard, m.positions[shard]
		m.journals[event.GetPersistenceId()] = append(m.journals[event.GetPersistenceId()], event)
	}
}

func (m *model) delete(id string, to uint64) {
	for _, event := range m.journals[id] {
		if event.GetSequenceNumber() <= to {
			event.Deleted = true
		}
	}
}

func (m *model) checkReplay(t testing.TB, s Stores, id string, random *rand.Rand) {
	t.Helper()
	from := uint64(random.IntN(len(m.journals[id]) + 2))
	to := from + uint64(random.IntN(len(m.journals[id])+2))
	var want []*egopb.Event
	for _, event := range m.journals[id] {
		if number := event.GetSequenceNumber(); number >= from && number <= to && !event.GetDeleted() {
			want = append(want, event)
		}
	}
	m.check(t, s, want, replay(t, s, id, from, to))
}

func (m *model) checkLatest(t testing.TB, s Stores, id string) {
	t.Helper()
	got := latest(t, s, id)
	if len(m.journals[id]) == 0 {
		require.Nil(t, got)
		return
	}
	m.check(t, s, m.journals[id][len(m.journals[id])-1:], []*egopb.Event{got})
}

func (m *model) checkShard(t testing.TB, s Stores, shard uint32, random *rand.Rand) {
	t.Helper()
	after := uint64(random.IntN(int(m.positions[shard]) + 2))
	limit := 1 + random.IntN(20)
	want := make([]*egopb.Event, 0, limit)
	for position := after + 1; position <= m.positions[shard] && len(want) < limit; position++ {
		want = append(want, m.at(shard, position))
	}
	got, err := s.Events.GetShardEvents(t.Context(), shard, after, limit)
	require.NoError(t, err)
	m.check(t, s, want, got)
}

func (m *model) at(shard uint32, position uint64) *egopb.Event {
	for _, journal := range m.journals {
		for _, event := range journal {
			if event.GetShard() == shard && event.GetPosition() == position {
				return event
			}
		}
	}
	return nil
}

// check compares what was read with the events and tombstones of the model.
func (m *model) check(t testing.TB, s Stores, want, got []*egopb.Event) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, event := range want {
		require.Equal(t, event.GetPosition(), got[i].GetPosition())
		if event.GetDeleted() {
			requireTombstone(t, s, event, got[i])
		} else {
			requireProto(t, event, got[i])
		}
	}
}
