package memory

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A snapshotTable keeps the snapshots of each entity in order of their numbers.
type snapshotTable struct {
	mu       sync.RWMutex
	entities map[string][]snapshot
}

type snapshot struct {
	number uint64
	data   []byte
}

func (t *snapshotTable) init() { t.entities = make(map[string][]snapshot) }

// above returns the index of the first snapshot with a number above the one given.
func above(snapshots []snapshot, number uint64) int {
	return sort.Search(len(snapshots), func(i int) bool { return snapshots[i].number > number })
}

func (t *snapshotTable) put(id string, number uint64, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, known := t.entities[id]
	i := above(all, number)
	if i > 0 && all[i-1].number == number {
		all[i-1].data = data
		return
	}
	if !known {
		id = strings.Clone(id)
	}
	t.entities[id] = slices.Insert(all, i, snapshot{number, data})
}

func (t *snapshotTable) get(id string, highest uint64) []byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := t.entities[id]
	if i := above(all, highest); i > 0 {
		return all[i-1].data
	}
	return nil
}

func (t *snapshotTable) delete(id string, to uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.entities[id]
	if rest := slices.Delete(all, 0, above(all, to)); len(rest) > 0 {
		t.entities[id] = rest
	} else {
		delete(t.entities, id)
	}
}

// WriteSnapshot implements [persistence.SnapshotStore].
func (s *Store) WriteSnapshot(ctx context.Context, snapshot *egopb.Snapshot) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := checkSnapshot(snapshot); err != nil {
		return err
	}
	data, err := encode(snapshot.GetPersistenceId(), snapshot)
	if err != nil {
		return err
	}
	s.snapshots.put(snapshot.GetPersistenceId(), snapshot.GetSequenceNumber(), data)
	return nil
}

func checkSnapshot(snapshot *egopb.Snapshot) error {
	if snapshot == nil {
		return &persistence.InvalidRecordError{Reason: "the snapshot is nil"}
	}
	id, number := snapshot.GetPersistenceId(), snapshot.GetSequenceNumber()
	if err := persistence.CheckID(id); err != nil {
		return err
	}
	if number == 0 || number > math.MaxInt64 {
		return &persistence.InvalidRecordError{PersistenceID: id, Reason: fmt.Sprintf("sequence number %d is out of range", number)}
	}
	return nil
}

// GetLatestSnapshot implements [persistence.SnapshotStore].
func (s *Store) GetLatestSnapshot(ctx context.Context, persistenceID string) (*egopb.Snapshot, error) {
	return s.GetSnapshot(ctx, persistenceID, math.MaxUint64)
}

// GetSnapshot implements [persistence.SnapshotStore].
func (s *Store) GetSnapshot(ctx context.Context, persistenceID string, maxSequenceNumber uint64) (*egopb.Snapshot, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	data := s.snapshots.get(persistenceID, maxSequenceNumber)
	if data == nil {
		return nil, nil
	}
	return decode(data, new(egopb.Snapshot))
}

// DeleteSnapshots implements [persistence.SnapshotStore].
func (s *Store) DeleteSnapshots(ctx context.Context, persistenceID string, toSequenceNumber uint64) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.snapshots.delete(persistenceID, toSequenceNumber)
	return nil
}
