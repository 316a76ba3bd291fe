package memory

import (
	"slices"
	"strings"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A journal is the events of all entities, in shards with a lock of their own.
type journal struct {
	shards []shard
	ids    sortedIDs
	names  dictionary // of the encoding of events
}

// An entityLog knows where the events of one entity are. Its identity never changes; the rest is its shard's.
type entityLog struct {
	id     string
	shard  uint32
	number uint32 // among the entities of the shard

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
	j.shards = make([]shard, shards)
	for i := range j.shards {
		j.shards[i].entities = make(map[string]*entityLog)
	}
	j.names.init()
}

func (j *journal) shardOf(id string) uint32 {
	return persistence.ShardOf(id, uint32(len(j.shards))) //nolint:gosec // at most MaxShards
}

// append stores an encoded batch, or nothing and a [persistence.ConflictError].
func (j *journal) append(b *batch, events []*egopb.Event) error {
	b.locate(j)
	for _, number := range b.shards {
		j.shards[number].mu.Lock()
	}
	err := j.appendLocked(b, events)
	for _, number := range b.shards {
		j.shards[number].mu.Unlock()
	}
	return err
}

func (j *journal) appendLocked(b *batch, events []*egopb.Event) error {
	var entity *entityLog // of the last run, so that a batch of one entity looks it up once
	for i, run := range b.runs {
		entity = j.shards[b.places[i]].entities[run.PersistenceID]
		if highest := entity.highest(); run.First != highest+1 {
			return &persistence.ConflictError{PersistenceID: run.PersistenceID, Expected: run.First, Actual: highest}
		}
	}
	for i, event := range events {
		if id := event.GetPersistenceId(); entity == nil || entity.id != id {
			entity = j.entity(id)
		}
		position := j.shards[entity.shard].append(entity.number, b.record(i))
		entity.positions.append(position)
		entity.last, entity.latest = entity.last+1, position
	}
	return nil
}

// entity returns the log of an entity, which is made if need be. The shard is locked.
func (j *journal) entity(id string) *entityLog {
	number := j.shardOf(id)
	s := &j.shards[number]
	if entity := s.entities[id]; entity != nil {
		return entity
	}
	id = strings.Clone(id)                                                       // it may be a part of something large
	entity := &entityLog{id: id, shard: number, number: uint32(len(s.byNumber))} //nolint:gosec // more do not fit into memory
	s.entities[id] = entity
	s.byNumber = append(s.byNumber, entity)
	j.ids.add(id)
	return entity
}

// locate finds the shards of the runs, and which to lock in ascending order.
func (b *batch) locate(j *journal) {
	for _, run := range b.runs {
		b.places = append(b.places, j.shardOf(run.PersistenceID))
	}
	b.shards = append(b.shards, b.places...)
	if len(b.shards) > 1 {
		slices.Sort(b.shards)
		b.shards = slices.Compact(b.shards)
	}
}

// latest returns the record with the highest number of an entity.
func (j *journal) latest(id string) (record, bool) {
	s := &j.shards[j.shardOf(id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	entity := s.entities[id]
	if entity == nil {
		return record{}, false
	}
	return s.record(entity.latest), true
}

// page returns the first records of an entity from a number to another, without deleted ones, and the number to go on
// with. It returns no records when there are no more.
func (j *journal) page(records []record, id string, from, to uint64) ([]record, uint64) {
	s := &j.shards[j.shardOf(id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	entity := s.entities[id]
	if entity == nil {
		return nil, 0
	}
	from, to = max(from, entity.deleted+1), min(to, entity.highest())
	for ; from <= to && len(records) < cap(records); from++ {
		records = append(records, s.record(entity.positions.at(from)))
	}
	return records, from
}

func (j *journal) highest(id string) uint64 {
	s := &j.shards[j.shardOf(id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entities[id].highest()
}

// delete deletes the events of an entity up to a number.
func (j *journal) delete(id string, to uint64) error {
	s := &j.shards[j.shardOf(id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	entity := s.entities[id]
	if entity == nil {
		return nil
	}
	for to = min(to, entity.last); entity.deleted < to; entity.deleted++ {
		if err := s.delete(entity.positions.at(entity.deleted+1), &j.names); err != nil {
			return err
		}
	}
	entity.positions.dropTo(entity.deleted)
	return nil
}

// after returns records of a shard.
func (j *journal) after(shard uint32, position uint64, limit int) []record {
	s := &j.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.after(position, limit)
}

func (j *journal) positions() map[uint32]uint64 {
	positions := make(map[uint32]uint64)
	for i := range j.shards {
		s := &j.shards[i]
		s.mu.Lock()
		if s.last > 0 {
			positions[uint32(i)] = s.last
		}
		s.mu.Unlock()
	}
	return positions
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
