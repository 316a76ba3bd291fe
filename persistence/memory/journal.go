package memory

import (
	"slices"
	"strings"
	"sync"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A journal is the events of all entities.
type journal struct {
	mu       sync.RWMutex
	shards   []shardLog
	entities map[string]*entityLog
	ids      sortedIDs
}

// An entityLog knows where the events of one entity are.
type entityLog struct {
	shard     uint32
	deleted   uint64   // events 1 … deleted are tombstones
	positions []uint64 // of the events deleted+1, deleted+2, …
	latest    uint64   // position of the event with the highest number
}

func (e *entityLog) highest() uint64 {
	if e == nil {
		return 0
	}
	return e.deleted + uint64(len(e.positions))
}

func (j *journal) init(shards uint32) {
	j.shards = make([]shardLog, shards)
	j.entities = make(map[string]*entityLog)
}

// append stores an encoded batch, or nothing and a [persistence.ConflictError].
func (j *journal) append(b *batch, events []*egopb.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()

	var entity *entityLog // of the last run, so that a batch of one entity looks it up once
	var id string
	for _, run := range b.runs {
		id, entity = run.PersistenceID, j.entities[run.PersistenceID]
		if highest := entity.highest(); run.First != highest+1 {
			return &persistence.ConflictError{PersistenceID: id, Expected: run.First, Actual: highest}
		}
	}
	for i, event := range events {
		if next := event.GetPersistenceId(); next != id {
			id, entity = next, j.entities[next]
		}
		if entity == nil {
			entity = j.create(id)
		}
		position := j.shards[entity.shard].append(b.record(i))
		entity.positions = append(entity.positions, position)
		entity.latest = position
	}
	return nil
}

func (j *journal) create(id string) *entityLog {
	id = strings.Clone(id)                                                      // it may be a part of something large
	entity := &entityLog{shard: persistence.ShardOf(id, uint32(len(j.shards)))} //nolint:gosec // at most MaxShards
	j.entities[id] = entity
	j.ids.add(id)
	return entity
}

// latest returns the record with the highest number of an entity.
func (j *journal) latest(id string) (record, bool) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	entity := j.entities[id]
	if entity == nil {
		return record{}, false
	}
	return j.shards[entity.shard].record(entity.shard, entity.latest), true
}

// page returns the first records of an entity from a number to another, without deleted ones, and the number to go on
// with. It returns no records when there are no more.
func (j *journal) page(records []record, id string, from, to uint64) ([]record, uint64) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	entity := j.entities[id]
	if entity == nil {
		return nil, 0
	}
	from, to = max(from, entity.deleted+1), min(to, entity.highest())
	for ; from <= to && len(records) < cap(records); from++ {
		position := entity.positions[from-entity.deleted-1]
		records = append(records, j.shards[entity.shard].record(entity.shard, position))
	}
	return records, from
}

func (j *journal) highest(id string) uint64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.entities[id].highest()
}

// delete deletes the events of an entity up to a number.
func (j *journal) delete(id string, to uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	entity := j.entities[id]
	if entity == nil || to <= entity.deleted {
		return nil
	}
	n := min(to-entity.deleted, uint64(len(entity.positions)))
	for _, position := range entity.positions[:n] {
		if err := j.shards[entity.shard].delete(position); err != nil {
			return err
		}
	}
	entity.positions = slices.Delete(entity.positions, 0, int(n)) //nolint:gosec // at most the length
	entity.deleted += n
	return nil
}

// after returns records of a shard.
func (j *journal) after(shard uint32, position uint64, limit int) []record {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.shards[shard].after(shard, position, limit)
}

func (j *journal) positions() map[uint32]uint64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	positions := make(map[uint32]uint64)
	for shard := range j.shards {
		if last := j.shards[shard].last; last > 0 {
			positions[uint32(shard)] = last //nolint:gosec // an index
		}
	}
	return positions
}

// list returns a page of ids in byte order after the one given.
func (j *journal) list(after string, limit int) (ids []string, more bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ids.page(after, limit)
}
