package ego_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// nodeStore is what two engines share: one store, or two on one file.
type nodeStore interface {
	persistence.EventsStore
	encryption.KeyStore
}

// eachPair runs a test with two engines that know of each other only what is stored, plain and sealed.
func eachPair(t *testing.T, opts []ego.Option, test func(t *testing.T, one, other *ego.Engine)) {
	t.Helper()
	for name, pair := range map[string]func(t *testing.T) (one, other nodeStore){
		"Memory": func(t *testing.T) (nodeStore, nodeStore) {
			store := newStore(t)
			return store, store
		},
		"SQLite": func(t *testing.T) (nodeStore, nodeStore) {
			path := filepath.Join(t.TempDir(), "shared.db")
			return openShared(t, path), openShared(t, path)
		},
	} {
		for _, sealed := range []bool{false, true} {
			t.Run(map[bool]string{false: name + "Plain", true: name + "Sealed"}[sealed], func(t *testing.T) {
				t.Parallel()
				first, second := pair(t)
				start := func(store nodeStore) *ego.Engine {
					all := append([]ego.Option{ego.WithMemoryTime(1)}, opts...)
					if sealed {
						all = append(all, ego.WithEncryption(encryption.NewAESEncryptor(store, encryption.WithCacheTime(1))))
					}
					return startEngine(t, store, all...)
				}
				test(t, start(first), start(second))
			})
		}
	}
}

func openShared(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(path, sqlite.WithShards(2))
	require.NoError(t, err)
	require.NoError(t, store.Connect(t.Context()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store
}

// requireErased checks that an engine answers whatever is asked of an entity as one that was erased.
func requireErased(t *testing.T, engine *ego.Engine, id string) {
	t.Helper()
	_, _, err := engine.EntityState(t.Context(), id, patience)
	require.ErrorIs(t, err, ego.ErrErased)
	_, _, err = engine.SendCommand(t.Context(), id, &testpb.Deposit{Amount: 1}, patience)
	require.ErrorIs(t, err, ego.ErrErased)
	_, err = engine.StateAt(t.Context(), testaccount.New(id), 2)
	require.ErrorIs(t, err, ego.ErrErased)
	numbers, _ := history(t, engine, id, 0, 0)
	require.Empty(t, numbers)
}

// Another process holds the entity live, with its memory and its keys, while one erases it.
func TestErasureReachesOtherNodes(t *testing.T) { // G10
	t.Parallel()
	for name, first := range map[string]func(t *testing.T, other *ego.Engine) error{
		"AskedForTheState": func(t *testing.T, other *ego.Engine) error {
			_, _, err := other.EntityState(t.Context(), "a", patience)
			return err
		},
		"Written": func(t *testing.T, other *ego.Engine) error {
			_, _, err := other.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, patience)
			return err
		},
		"Refused": func(t *testing.T, other *ego.Engine) error {
			_, _, err := other.SendCommand(t.Context(), "a", &testpb.Withdraw{Amount: 1_000}, patience)
			return err
		},
		"Repeated": func(t *testing.T, other *ego.Engine) error {
			_, _, err := other.SendCommand(ego.WithCommandID(t.Context(), "known"), "a", &testpb.Deposit{Amount: 1}, patience)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachPair(t, nil, func(t *testing.T, one, other *ego.Engine) {
				open(t, one, "a")
				deposit(t, one, "a", 1)
				open(t, other, "a")
				_, _, err := other.SendCommand(ego.WithCommandID(t.Context(), "known"), "a", &testpb.Deposit{Amount: 1}, patience)
				require.NoError(t, err)
				require.EqualValues(t, 2, balance(t, other, "a"))
				require.NoError(t, one.EraseEntity(t.Context(), "a"))
				require.ErrorIs(t, first(t, other), ego.ErrErased)
				requireErased(t, other, "a")
				require.ErrorIs(t, other.Entity(t.Context(), testaccount.New("a")), ego.ErrErased)
				require.NoError(t, other.EraseEntity(t.Context(), "a"), "again, elsewhere")
				requireErased(t, one, "a")
			})
		})
	}
	t.Run("DurableState", func(t *testing.T) {
		t.Parallel()
		eachPair(t, nil, func(t *testing.T, one, other *ego.Engine) {
			for _, engine := range []*ego.Engine{one, other} {
				require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
				for _, id := range []string{"p"} {
					deposit(t, engine, id, 1)
				}
			}
			require.NoError(t, one.EraseEntity(t.Context(), "p"))
			_, _, err := other.EntityState(t.Context(), "p", patience)
			require.ErrorIs(t, err, ego.ErrErased)
			_, _, err = other.SendCommand(t.Context(), "p", &testpb.Deposit{Amount: 1}, patience)
			require.ErrorIs(t, err, ego.ErrErased)
		})
	})
	t.Run("StartAnew", func(t *testing.T) {
		t.Parallel()
		anew := []ego.Option{ego.WithErasurePolicy(ego.ErasurePolicy{StartAnew: true})}
		eachPair(t, anew, func(t *testing.T, one, other *ego.Engine) {
			open(t, one, "a")
			open(t, other, "a")
			deposit(t, other, "a", 5)
			require.NoError(t, one.EraseEntity(t.Context(), "a"))
			require.Zero(t, balance(t, other, "a"), "another life")
			require.EqualValues(t, 7, deposit(t, other, "a", 7).GetBalance())
			require.EqualValues(t, 7, balance(t, one, "a"))
		})
	})
}
