package encryption

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
)

// MemoryKeyStore keeps keys for as long as the value is reachable. Make one with [NewMemoryKeyStore]. What was sealed with
// its keys is unreadable once the process has ended.
type MemoryKeyStore struct {
	mu       sync.Mutex
	entities map[string]*memoryKeys
}

type memoryKeys struct {
	keys []*egopb.DataKey // by version
	life Life
}

var _ KeyStore = (*MemoryKeyStore)(nil)

// NewMemoryKeyStore returns an empty key store.
func NewMemoryKeyStore() *MemoryKeyStore {
	return &MemoryKeyStore{entities: make(map[string]*memoryKeys)}
}

// entity returns what is known of an entity, which may be nothing yet.
func (s *MemoryKeyStore) entity(id string) *memoryKeys {
	known := s.entities[id]
	if known == nil {
		known = new(memoryKeys)
		s.entities[strings.Clone(id)] = known
	}
	return known
}

// DataKeys implements [KeyStore].
func (s *MemoryKeyStore) DataKeys(ctx context.Context, persistenceID string) ([]*egopb.DataKey, Life, error) {
	if err := ctx.Err(); err != nil {
		return nil, Life{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.entities[persistenceID]
	if known == nil {
		return nil, Life{}, nil
	}
	keys := make([]*egopb.DataKey, len(known.keys))
	for i, key := range known.keys {
		keys[i] = proto.CloneOf(key)
	}
	return keys, known.life, nil
}

// AddDataKey implements [KeyStore].
func (s *MemoryKeyStore) AddDataKey(ctx context.Context, key *egopb.DataKey) error {
	if err := cmp.Or(ctx.Err(), CheckDataKey(key)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.entity(key.GetPersistenceId())
	if known.life.Phase != Alive {
		return &ErasedError{PersistenceID: key.GetPersistenceId()}
	}
	if key.GetVersion() != uint64(len(known.keys))+1 || slices.ContainsFunc(known.keys, func(k *egopb.DataKey) bool {
		return k.GetKeyId() == key.GetKeyId()
	}) {
		return fmt.Errorf("%w: entity %q has %d", ErrKeyConflict, key.GetPersistenceId(), len(known.keys))
	}
	known.keys = append(known.keys, proto.CloneOf(key))
	return nil
}

// ReplaceDataKey implements [KeyStore].
func (s *MemoryKeyStore) ReplaceDataKey(ctx context.Context, key *egopb.DataKey, formerMasterKeyID string) error {
	if err := cmp.Or(ctx.Err(), CheckDataKey(key)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.entity(key.GetPersistenceId())
	i := slices.IndexFunc(known.keys, func(k *egopb.DataKey) bool {
		return k.GetVersion() == key.GetVersion() && k.GetKeyId() == key.GetKeyId()
	})
	if i < 0 || known.keys[i].GetDestroyed() || known.keys[i].GetMasterKeyId() != formerMasterKeyID {
		return fmt.Errorf("%w: version %d of entity %q", ErrKeyConflict, key.GetVersion(), key.GetPersistenceId())
	}
	known.keys[i] = proto.CloneOf(key)
	return nil
}

// ListDataKeys implements [KeyStore].
func (s *MemoryKeyStore) ListDataKeys(ctx context.Context, afterPersistenceID string, afterVersion uint64, limit int) ([]*egopb.DataKey, error) {
	if err := cmp.Or(ctx.Err(), CheckLimit(limit)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var page []*egopb.DataKey
	for _, id := range slices.Sorted(maps.Keys(s.entities)) {
		for _, key := range s.entities[id].keys {
			after := id > afterPersistenceID || id == afterPersistenceID && key.GetVersion() > afterVersion
			if after && !key.GetDestroyed() {
				page = append(page, proto.CloneOf(key))
			}
			if len(page) == limit {
				return page, nil
			}
		}
	}
	return page, nil
}

// BeginErasure implements [Erasures].
func (s *MemoryKeyStore) BeginErasure(ctx context.Context, persistenceID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if persistenceID == "" {
		return fmt.Errorf("%w: its entity is empty", ErrInvalidKey)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.entity(persistenceID)
	if known.life.Phase != Erasing {
		known.life = Life{Phase: Erasing, Erasures: known.life.Erasures + 1}
	}
	for i, key := range known.keys {
		clear(key.Wrapped)
		known.keys[i] = Destroyed(key)
	}
	return nil
}

// Destroyed returns what is left of a key once it is destroyed.
func Destroyed(key *egopb.DataKey) *egopb.DataKey {
	return &egopb.DataKey{
		KeyId:         key.GetKeyId(),
		PersistenceId: key.GetPersistenceId(),
		MasterKeyId:   key.GetMasterKeyId(),
		TimeUnixNano:  key.GetTimeUnixNano(),
		Version:       key.GetVersion(),
		Destroyed:     true,
	}
}

// FinishErasure implements [Erasures].
func (s *MemoryKeyStore) FinishErasure(ctx context.Context, persistenceID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.entities[persistenceID]; known != nil && known.life.Phase == Erasing {
		known.life.Phase = Erased
	}
	return nil
}

// Revive implements [Erasures].
func (s *MemoryKeyStore) Revive(ctx context.Context, persistenceID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.entities[persistenceID]
	switch {
	case known == nil || known.life.Phase == Alive:
		return nil
	case known.life.Phase == Erasing:
		return &ErasedError{PersistenceID: persistenceID}
	}
	known.life.Phase = Alive
	return nil
}

// LifeOf implements [Erasures].
func (s *MemoryKeyStore) LifeOf(ctx context.Context, persistenceID string) (Life, error) {
	_, life, err := s.DataKeys(ctx, persistenceID)
	return life, err
}

// PendingErasures implements [Erasures].
func (s *MemoryKeyStore) PendingErasures(ctx context.Context, after string, limit int) ([]string, error) {
	if err := cmp.Or(ctx.Err(), CheckLimit(limit)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(s.entities)) {
		if id > after && s.entities[id].life.Phase == Erasing && len(ids) < limit {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// newDataKey returns a key that is not wrapped yet.
func newDataKey(persistenceID, keyID string, version uint64, now time.Time) *egopb.DataKey {
	return &egopb.DataKey{KeyId: keyID, PersistenceId: persistenceID, Version: version, TimeUnixNano: now.UnixNano()}
}
