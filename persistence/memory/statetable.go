package memory

import (
	"sort"
	"strings"
	"sync"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A stateTable keeps the latest state of each entity, and the states of each shard in order of their positions.
type stateTable struct {
	mu       sync.RWMutex
	shards   []stateLog
	entities map[string]*stateRecord
}

// A stateRecord is the latest state of one entity. Its data is replaced and never changed.
type stateRecord struct {
	shard              uint32
	deleted            bool
	revision, position uint64
	data               []byte
}

func (r *stateRecord) latest() uint64 {
	if r == nil {
		return 0
	}
	return r.revision
}

// state returns the record as a message.
func (r stateRecord) state() (*egopb.DurableState, error) {
	state, err := decode(r.data, new(egopb.DurableState))
	if err != nil {
		return nil, err
	}
	state.Shard, state.Position = r.shard, r.position
	return state, nil
}

// A stateLog has an entry for every change of its shard; those of superseded revisions go from time to time.
type stateLog struct {
	last    uint64 // highest position
	live    int    // entities
	entries []stateEntry
}

type stateEntry struct {
	position uint64
	record   *stateRecord
}

// current reports whether the entry is the latest change of its entity.
func (e stateEntry) current() bool { return e.position == e.record.position }

func (t *stateTable) init(shards uint32) {
	t.shards = make([]stateLog, shards)
	t.entities = make(map[string]*stateRecord)
}

// put stores a state whose revision follows the stored one, else it returns a [persistence.ConflictError].
func (t *stateTable) put(id string, revision uint64, data []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	record := t.entities[id]
	if stored := record.latest(); revision != stored+1 {
		return &persistence.ConflictError{PersistenceID: id, Expected: revision, Actual: stored}
	}
	if record == nil {
		id = strings.Clone(id)
		record = &stateRecord{shard: persistence.ShardOf(id, uint32(len(t.shards)))} //nolint:gosec // at most MaxShards
		t.entities[id] = record
		t.shards[record.shard].live++
	}
	t.replace(record, data, false)
	return nil
}

// replace makes data the next revision of a record, at the next position.
func (t *stateTable) replace(record *stateRecord, data []byte, deleted bool) {
	log := &t.shards[record.shard]
	log.last++
	record.revision++
	record.position, record.data, record.deleted = log.last, data, deleted
	log.entries = append(log.entries, stateEntry{log.last, record})
	if len(log.entries) > 2*log.live+64 {
		log.compact()
	}
}

func (l *stateLog) compact() {
	kept := l.entries[:0]
	for _, e := range l.entries {
		if e.current() {
			kept = append(kept, e)
		}
	}
	clear(l.entries[len(kept):])
	l.entries = kept
}

// delete replaces the state of a known entity that is not deleted by what tombstone makes of it.
func (t *stateTable) delete(id string, tombstone func(stateRecord) ([]byte, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	record := t.entities[id]
	if record == nil || record.deleted {
		return nil
	}
	data, err := tombstone(*record)
	if err != nil {
		return err
	}
	t.replace(record, data, true)
	return nil
}

func (t *stateTable) get(id string) (stateRecord, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	record := t.entities[id]
	if record == nil {
		return stateRecord{}, false
	}
	return *record, true
}

// after returns at most limit latest states of a shard with positions above the one given.
func (t *stateTable) after(shard uint32, position uint64, limit int) []stateRecord {
	t.mu.RLock()
	defer t.mu.RUnlock()
	log := &t.shards[shard]
	var records []stateRecord
	from := sort.Search(len(log.entries), func(i int) bool { return log.entries[i].position > position })
	for _, e := range log.entries[from:] {
		if len(records) == limit {
			break
		}
		if e.current() {
			records = append(records, *e.record)
		}
	}
	return records
}

func (t *stateTable) positions() map[uint32]uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	positions := make(map[uint32]uint64)
	for shard := range t.shards {
		if last := t.shards[shard].last; last > 0 {
			positions[uint32(shard)] = last
		}
	}
	return positions
}
