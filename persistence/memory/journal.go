package memory

import (
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
	list     []*entityLog // by number
	ids      sortedIDs
	names    dictionary // of the encoding of events; not under the lock
}

// An entityLog knows where the events of one entity are.
type entityLog struct {
	id        string
	number    uint32 // in the list of all entities
	shard     uint32
	last      uint64 // highest number
	latest    uint64 // position of the event with that number
	deleted   uint64 // events 1 … deleted are tombstones
	positions positions
}

func (e *entityLog) highest() uint64 {
	if e == nil {
		return 0
	}
	return e.last
}

func (j *journal) init(shards uint32) {
	j.shards = make([]shardLog, shards)
	j.entities = make(map[string]*entityLog)
	j.names.init()
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
		position := j.shards[entity.shard].append(entity.number, b.record(i))
		entity.positions.append(position)
		entity.last, entity.latest = entity.last+1, position
	}
	return nil
}

func (j *journal) create(id string) *entityLog {
	id = strings.Clone(id) // it may be a part of something large
	entity := &entityLog{
		id:     id,
		number: uint32(len(j.list)),                            //nolint:gosec // more do not fit into memory
		shard:  persistence.ShardOf(id, uint32(len(j.shards))), //nolint:gosec // at most MaxShards
	}
	j.entities[id] = entity
	j.list = append(j.list, entity)
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
	return j.record(entity, entity.latest), true
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
		records = append(records, j.record(entity, entity.positions.at(from)))
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
	if entity == nil {
		return nil
	}
	for to = min(to, entity.last); entity.deleted < to; entity.deleted++ {
		if err := j.shards[entity.shard].delete(entity.positions.at(entity.deleted+1), &j.names); err != nil {
			return err
		}
	}
	entity.positions.dropTo(entity.deleted)
	return nil
}

// after returns records of a shard.
func (j *journal) after(shard uint32, position uint64, limit int) []record {
	j.mu.RLock()
	defer j.mu.RUnlock()
	records := j.shards[shard].after(position, limit)
	for i := range records {
		records[i].entity = j.list[records[i].number]
	}
	return records
}

// record returns the record of an entity at a position.
func (j *journal) record(entity *entityLog, position uint64) record {
	r := j.shards[entity.shard].record(position)
	r.entity = entity
	return r
}

// event returns a record as a message.
func (j *journal) event(r record) (*egopb.Event, error) {
	event, err := j.names.decodeEvent(r.data)
	if err != nil {
		return nil, err
	}
	event.PersistenceId, event.Shard, event.Position = r.entity.id, r.entity.shard, r.position
	if r.deleted {
		event = tombstone(event)
	}
	return event, nil
}

func (j *journal) positions() map[uint32]uint64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	positions := make(map[uint32]uint64)
	for shard := range j.shards {
		if last := j.shards[shard].last; last > 0 {
			positions[uint32(shard)] = last
		}
	}
	return positions
}

// listIDs returns a page of ids in byte order after the one given.
func (j *journal) listIDs(after string, limit int) (ids []string, more bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ids.page(after, limit)
}
