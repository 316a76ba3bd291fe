package persistencetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// overriddenKeys is a key store of which some methods are replaced.
type overriddenKeys struct {
	*memory.Store
	dataKeys func(ctx context.Context, id string) ([]*egopb.DataKey, encryption.Life, error)
	add      func(ctx context.Context, key *egopb.DataKey) error
	replace  func(ctx context.Context, key *egopb.DataKey, former string) error
	list     func(ctx context.Context, id string, version uint64, limit int) ([]*egopb.DataKey, error)
	begin    func(ctx context.Context, id string) error
	finish   func(ctx context.Context, id string) error
	revive   func(ctx context.Context, id string) error
	lifeOf   func(ctx context.Context, id string) (encryption.Life, error)
	pending  func(ctx context.Context, after string, limit int) ([]string, error)
}

func overrideKeys(change func(o *overriddenKeys, m *memory.Store)) func(m *memory.Store) persistencetest.Stores {
	return func(m *memory.Store) persistencetest.Stores {
		o := &overriddenKeys{
			Store: m, dataKeys: m.DataKeys, add: m.AddDataKey, replace: m.ReplaceDataKey, list: m.ListDataKeys,
			begin: m.BeginErasure, finish: m.FinishErasure, revive: m.Revive, lifeOf: m.LifeOf, pending: m.PendingErasures,
		}
		change(o, m)
		return keysOnly(o)
	}
}

func keysOnly(keys encryption.KeyStore) persistencetest.Stores {
	return persistencetest.Stores{Keys: keys, Reopen: func(testing.TB) persistencetest.Stores { return keysOnly(keys) }}
}

func (o *overriddenKeys) DataKeys(ctx context.Context, id string) ([]*egopb.DataKey, encryption.Life, error) {
	return o.dataKeys(ctx, id)
}
func (o *overriddenKeys) AddDataKey(ctx context.Context, key *egopb.DataKey) error {
	return o.add(ctx, key)
}
func (o *overriddenKeys) ReplaceDataKey(ctx context.Context, key *egopb.DataKey, former string) error {
	return o.replace(ctx, key, former)
}
func (o *overriddenKeys) ListDataKeys(ctx context.Context, id string, version uint64, limit int) ([]*egopb.DataKey, error) {
	return o.list(ctx, id, version, limit)
}
func (o *overriddenKeys) BeginErasure(ctx context.Context, id string) error { return o.begin(ctx, id) }
func (o *overriddenKeys) FinishErasure(ctx context.Context, id string) error {
	return o.finish(ctx, id)
}
func (o *overriddenKeys) Revive(ctx context.Context, id string) error { return o.revive(ctx, id) }
func (o *overriddenKeys) LifeOf(ctx context.Context, id string) (encryption.Life, error) {
	return o.lifeOf(ctx, id)
}
func (o *overriddenKeys) PendingErasures(ctx context.Context, after string, limit int) ([]string, error) {
	return o.pending(ctx, after, limit)
}

// alteredKeys changes keys before they are stored.
func alteredKeys(change func(key *egopb.DataKey)) func(m *memory.Store) persistencetest.Stores {
	return overrideKeys(func(o *overriddenKeys, m *memory.Store) {
		o.add = func(ctx context.Context, key *egopb.DataKey) error {
			key = proto.CloneOf(key)
			change(key)
			return m.AddDataKey(ctx, key)
		}
	})
}

// conflictIsFine drops a conflict.
func conflictIsFine(err error) error {
	if errors.Is(err, encryption.ErrKeyConflict) {
		return nil
	}
	return err
}

func brokenKeys() []broken {
	return []broken{
		{"KeysOfAll", []string{"Keys/Add"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			o.dataKeys = func(ctx context.Context, _ string) ([]*egopb.DataKey, encryption.Life, error) {
				keys, err := m.ListDataKeys(ctx, "", 0, 100)
				return keys, encryption.Life{}, err
			}
		})},
		{"AcceptsAnyVersion", []string{"Keys/VersionsFollow"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			o.add = func(ctx context.Context, key *egopb.DataKey) error { return conflictIsFine(m.AddDataKey(ctx, key)) }
		})},
		{"SecondAddWins", []string{"Keys/OneOfManyAdds"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			o.add = func(ctx context.Context, key *egopb.DataKey) error { return conflictIsFine(m.AddDataKey(ctx, key)) }
		})},
		{"ReplacesNothing", []string{"Keys/Replace"}, overrideKeys(func(o *overriddenKeys, _ *memory.Store) {
			o.replace = func(context.Context, *egopb.DataKey, string) error { return nil }
		})},
		{"ReplacesAnyWrapping", []string{"Keys/ReplaceRefusesOthers"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			o.replace = func(ctx context.Context, key *egopb.DataKey, _ string) error {
				return m.ReplaceDataKey(ctx, key, "master-1")
			}
		})},
		{"ListSkipsOne", []string{"Keys/List"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			o.list = func(ctx context.Context, id string, version uint64, limit int) ([]*egopb.DataKey, error) {
				if id != "" {
					version++
				}
				return m.ListDataKeys(ctx, id, version, limit)
			}
		})},
		{"DropsTimes", []string{"Keys/AllFields"}, alteredKeys(func(key *egopb.DataKey) { key.TimeUnixNano = 0 })},
		{"FoldsKeyIDs", []string{"Keys/OddIDs"}, alteredKeys(func(key *egopb.DataKey) {
			key.PersistenceId = strings.ToLower(key.GetPersistenceId())
		})},
		{"AcceptsInvalidKeys", []string{"Keys/InvalidKeys"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			o.add = func(ctx context.Context, key *egopb.DataKey) error {
				if err := m.AddDataKey(ctx, key); !errors.Is(err, encryption.ErrInvalidKey) {
					return err
				}
				return nil
			}
		})},
		{"KeepsKeys", []string{"Keys/KeepsAndSharesNothing"}, overrideKeys(func(o *overriddenKeys, _ *memory.Store) {
			kept := make(map[string]*egopb.DataKey)
			o.add = func(_ context.Context, key *egopb.DataKey) error {
				kept[key.GetPersistenceId()] = key
				return nil
			}
			o.dataKeys = func(_ context.Context, id string) ([]*egopb.DataKey, encryption.Life, error) {
				return []*egopb.DataKey{kept[id]}, encryption.Life{}, nil
			}
		})},
	}
}

func brokenLives() []broken {
	return []broken{
		{"MarksAndKeepsKeys", []string{"Erasures/DestroyTheKeys"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			erased := make(map[string][]*egopb.DataKey)
			o.begin = func(ctx context.Context, id string) error {
				if keys, _, err := m.DataKeys(ctx, id); err == nil && erased[id] == nil {
					erased[id] = keys
				}
				return m.BeginErasure(ctx, id)
			}
			o.dataKeys = func(ctx context.Context, id string) ([]*egopb.DataKey, encryption.Life, error) {
				keys, life, err := m.DataKeys(ctx, id)
				if erased[id] != nil {
					keys = erased[id]
				}
				return keys, life, err
			}
		})},
		{"FinishedIsOpenAgain", []string{"Erasures/NoKeyUntilRevived"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			o.finish = func(ctx context.Context, id string) error {
				return errors.Join(m.FinishErasure(ctx, id), m.Revive(ctx, id))
			}
		})},
		{"CountsNothing", []string{"Erasures/PhasesAndCount"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			o.lifeOf = func(ctx context.Context, id string) (encryption.Life, error) {
				life, err := m.LifeOf(ctx, id)
				life.Erasures = min(life.Erasures, 1)
				return life, err
			}
		})},
		{"ErasesOnlyKeys", []string{"Erasures/WithoutKeys"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			o.begin = func(ctx context.Context, id string) error {
				if keys, _, err := m.DataKeys(ctx, id); err != nil || len(keys) == 0 {
					return err
				}
				return m.BeginErasure(ctx, id)
			}
		})},
		{"FirstPageOnly", []string{"Erasures/Pending"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			o.pending = func(ctx context.Context, after string, limit int) ([]string, error) {
				if after != "" {
					return nil, nil
				}
				return m.PendingErasures(ctx, after, limit)
			}
		})},
		{"AddsAcrossAnErasure", []string{"Erasures/AgainstConcurrentAdds"}, overrideKeys(func(o *overriddenKeys, m *memory.Store) {
			o.begin = func(ctx context.Context, id string) error {
				return errors.Join(m.BeginErasure(ctx, id), m.FinishErasure(ctx, id), m.Revive(ctx, id), m.AddDataKey(ctx, &egopb.DataKey{
					PersistenceId: id, KeyId: "late", Version: nextVersion(ctx, m, id), Wrapped: []byte("late"),
				}))
			}
		})},
		{"ForgetsWhatOthersErased", []string{"Erasures/HoldBetweenProcesses"}, func(m *memory.Store) persistencetest.Stores {
			return persistencetest.Stores{Keys: m, Reopen: func(testing.TB) persistencetest.Stores {
				return persistencetest.Stores{Keys: memory.NewStore()}
			}}
		}},
	}
}

func nextVersion(ctx context.Context, m *memory.Store, id string) uint64 {
	keys, _, err := m.DataKeys(ctx, id)
	if err != nil {
		return 1
	}
	return uint64(len(keys)) + 1
}
