package ego_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// ways are the engines that erasure is tested on: with keys and without.
func ways(store encryption.KeyStore) map[string][]ego.Option {
	return map[string][]ego.Option{
		"Plain":     nil,
		"Encrypted": {ego.WithEncryption(encryption.NewAESEncryptor(store))},
	}
}

// forEachWay runs a test on an engine of its own for each way.
func forEachWay(t *testing.T, opts []ego.Option, test func(t *testing.T, engine *ego.Engine, store *memory.Store)) {
	t.Helper()
	for name := range ways(nil) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t)
			test(t, startEngine(t, store, append(ways(store)[name], opts...)...), store)
		})
	}
}

// requireNothingLeft checks the store of an entity that was erased.
func requireNothingLeft(t *testing.T, store fullStore, id string) {
	t.Helper()
	snapshot, err := store.GetLatestSnapshot(t.Context(), id)
	require.NoError(t, err)
	require.Nil(t, snapshot)
	for event, err := range store.ReplayEvents(t.Context(), id, 1, 1_000) {
		require.NoError(t, err)
		require.Equal(t, "type.googleapis.com/ego.v1.Erased", event.GetPayload().GetTypeUrl())
	}
	pending, err := store.PendingErasures(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, pending)
}

func TestEraseEntity(t *testing.T) { // G10
	t.Parallel()

	t.Run("LeavesNothing", func(t *testing.T) {
		t.Parallel()
		snapshots := []ego.Option{ego.WithSnapshotInterval(3)}
		forEachWay(t, snapshots, func(t *testing.T, engine *ego.Engine, store *memory.Store) {
			open(t, engine, "a")
			open(t, engine, "b")
			for range 10 {
				deposit(t, engine, "a", 1)
				deposit(t, engine, "b", 1)
			}
			require.NoError(t, engine.EraseEntity(t.Context(), "a"))
			requireNothingLeft(t, store, "a")
			require.EqualValues(t, 11, deposit(t, engine, "b", 1).GetBalance())

			_, _, err := engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, patience)
			require.ErrorIs(t, err, ego.ErrErased)
			var failed *ego.EntityError
			require.ErrorAs(t, err, &failed)
			_, _, err = engine.EntityState(t.Context(), "a", patience)
			require.ErrorIs(t, err, ego.ErrErased)
			require.ErrorIs(t, engine.Entity(t.Context(), testaccount.New("a")), ego.ErrErased)
			for _, revision := range []uint64{1, 9, 10} {
				_, err = engine.StateAt(t.Context(), testaccount.New("a"), revision)
				require.ErrorIs(t, err, ego.ErrErased, "revision %d", revision)
			}
			numbers, _ := history(t, engine, "a", 0, 0)
			require.Empty(t, numbers)
			exists, err := engine.EntityExists(t.Context(), "a")
			require.NoError(t, err)
			require.False(t, exists)
			require.NoError(t, engine.EraseEntity(t.Context(), "a"), "again")
			requireNothingLeft(t, store, "a")
			require.ErrorIs(t, engine.EraseEntity(t.Context(), "unknown"), ego.ErrEntityNotFound)
			require.ErrorIs(t, engine.EraseEntity(t.Context(), ""), ego.ErrUndefinedEntityID)
			require.NoError(t, engine.Health(t.Context()))
		})
	})
	t.Run("DurableState", func(t *testing.T) {
		t.Parallel()
		forEachWay(t, nil, func(t *testing.T, engine *ego.Engine, store *memory.Store) {
			require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("c")))
			_, revision, err := engine.SendCommand(t.Context(), "c", &testpb.Deposit{Amount: 5}, patience)
			require.NoError(t, err)
			require.NoError(t, engine.EraseEntity(t.Context(), "c"))
			_, _, err = engine.SendCommand(t.Context(), "c", &testpb.Deposit{Amount: 5}, patience)
			require.ErrorIs(t, err, ego.ErrErased)
			require.ErrorIs(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("c")), ego.ErrErased)
			state, err := store.GetLatestState(t.Context(), "c")
			require.NoError(t, err)
			require.Equal(t, revision+1, state.GetRevision())
			require.Equal(t, "type.googleapis.com/ego.v1.Erased", state.GetState().GetTypeUrl())
		})
	})
	t.Run("BeforeTheFirstEvent", func(t *testing.T) {
		t.Parallel()
		forEachWay(t, nil, func(t *testing.T, engine *ego.Engine, _ *memory.Store) {
			open(t, engine, "a")
			require.NoError(t, engine.EraseEntity(t.Context(), "a"))
			require.ErrorIs(t, engine.Entity(t.Context(), testaccount.New("a")), ego.ErrErased)
		})
	})
	t.Run("StartAnew", func(t *testing.T) {
		t.Parallel()
		anew := []ego.Option{ego.WithErasurePolicy(ego.ErasurePolicy{StartAnew: true}), ego.WithSnapshotInterval(2)}
		forEachWay(t, anew, func(t *testing.T, engine *ego.Engine, _ *memory.Store) {
			open(t, engine, "a")
			for range 3 {
				for range 5 {
					deposit(t, engine, "a", 10)
				}
				require.NoError(t, engine.EraseEntity(t.Context(), "a"))
			}
			account, revision, err := ego.Ask[*testpb.Account](t.Context(), engine, "a", &testpb.Deposit{Amount: 7}, patience)
			require.NoError(t, err)
			require.EqualValues(t, 7, account.GetBalance())
			require.EqualValues(t, 3*6+1, revision, "numbers go on")
			numbers, _ := history(t, engine, "a", 0, 0)
			require.Equal(t, []uint64{19}, numbers)
			state, err := engine.StateAt(t.Context(), testaccount.New("a"), 19)
			require.NoError(t, err)
			require.EqualValues(t, 7, state.(*testpb.Account).GetBalance())
			_, err = engine.StateAt(t.Context(), testaccount.New("a"), 9)
			require.Error(t, err)
		})
	})
	t.Run("KeepSealed", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		plain := startEngine(t, store)
		open(t, plain, "a")
		deposit(t, plain, "a", 1)
		deposit(t, plain, "a", 2)
		stopEngine(t, plain)
		policy := ego.WithErasurePolicy(ego.ErasurePolicy{KeepSealed: true, StartAnew: true})
		engine := startEngine(t, store, policy, ego.WithEncryption(encryption.NewAESEncryptor(store)))
		for life := range 3 {
			deposit(t, engine, "a", 4)
			deposit(t, engine, "a", 4)
			require.NoError(t, engine.EraseEntity(t.Context(), "a"))
			_, err := engine.StateAt(t.Context(), testaccount.New("a"), 3)
			require.ErrorIs(t, err, ego.ErrErased)
			sealed := 0
			for event, err := range store.ReplayEvents(t.Context(), "a", 1, 100) {
				require.NoError(t, err)
				require.Greater(t, event.GetSequenceNumber(), uint64(2), "the plain ones are deleted")
				if event.GetKeyId() != "" {
					sealed++
				}
			}
			require.Equal(t, 2*(life+1), sealed)
		}
		require.EqualValues(t, 9, deposit(t, engine, "a", 9).GetBalance())
		numbers, _ := history(t, engine, "a", 0, 0)
		require.Equal(t, []uint64{12}, numbers)
	})
	t.Run("UnderLoad", func(t *testing.T) {
		t.Parallel()
		forEachWay(t, []ego.Option{ego.WithSnapshotInterval(5)}, func(t *testing.T, engine *ego.Engine, store *memory.Store) {
			open(t, engine, "a")
			deposit(t, engine, "a", 1)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for {
						_, _, err := engine.SendCommand(context.Background(), "a", &testpb.Deposit{Amount: 1}, patience)
						if errors.Is(err, ego.ErrErased) {
							return
						}
						if err != nil {
							t.Errorf("want ErrErased, got %v", err)
							return
						}
					}
				})
			}
			require.NoError(t, engine.EraseEntity(t.Context(), "a"))
			wg.Wait()
			requireNothingLeft(t, store, "a")
		})
	})
	t.Run("TellsTheProgram", func(t *testing.T) {
		t.Parallel()
		var told []string
		fail := errors.New("not now")
		policy := ego.ErasurePolicy{OnErased: func(_ context.Context, id string) error {
			told = append(told, id)
			return fail
		}}
		store := newStore(t)
		engine := startEngine(t, store, ego.WithErasurePolicy(policy))
		open(t, engine, "a")
		require.ErrorIs(t, engine.EraseEntity(t.Context(), "a"), fail)
		pending, err := store.PendingErasures(t.Context(), "", 10)
		require.NoError(t, err)
		require.Equal(t, []string{"a"}, pending)
		fail = nil
		require.NoError(t, engine.EraseEntity(t.Context(), "a"))
		require.Equal(t, []string{"a", "a"}, told)
	})
}

// After an erasure nothing of the entity is in the bytes of the SQLite file and its log: no plain text, no key, and no
// wrapped key.
func TestErasureLeavesNoBytes(t *testing.T) { // G10
	t.Parallel()
	const secret = "the-owner-of-the-account"
	for name, options := range map[string]struct {
		encrypted bool
		wrapper   encryption.Wrapper
	}{
		"Plain":     {},
		"Unwrapped": {encrypted: true},
		"Wrapped":   {encrypted: true, wrapper: localWrapper(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "erase.db")
			store, err := sqlite.Open(path)
			require.NoError(t, err)
			require.NoError(t, store.Connect(t.Context()))
			t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
			opts := []ego.Option{ego.WithSnapshotInterval(3)}
			if options.encrypted {
				opts = append(opts, ego.WithEncryption(encryption.NewAESEncryptor(store, encryption.WithWrapper(options.wrapper))))
			}
			engine := startEngine(t, store, opts...)
			for _, id := range []string{"victim", "other"} {
				open(t, engine, id)
				_, _, err = engine.SendCommand(t.Context(), id, &testpb.OpenAccount{Owner: secret + id}, patience)
				require.NoError(t, err)
				for range 50 {
					_, _, err = engine.SendCommand(t.Context(), id, &testpb.Deposit{Amount: 1, Note: secret + id}, patience)
					require.NoError(t, err)
				}
			}
			keys, _, err := store.DataKeys(t.Context(), "victim")
			require.NoError(t, err)
			before := fileBytes(t, path)
			if !options.encrypted {
				require.Contains(t, before, secret+"victim")
			} else {
				require.NotContains(t, before, secret)
				require.Len(t, keys, 1)
				require.Contains(t, before, string(keys[0].GetWrapped()))
			}

			require.NoError(t, engine.EraseEntity(t.Context(), "victim"))
			left := fileBytes(t, path)
			require.NotContains(t, left, secret+"victim")
			for _, key := range keys {
				require.NotContains(t, left, string(key.GetWrapped()))
			}
			if !options.encrypted {
				require.Contains(t, left, secret+"other")
			}
			deposit(t, engine, "other", 1)
		})
	}
}

// fileBytes returns all that a database has on disk.
func fileBytes(t *testing.T, path string) string {
	t.Helper()
	all := ""
	for _, suffix := range []string{"", "-wal", "-shm"} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		all += string(content)
	}
	return all
}

func localWrapper(t testing.TB) encryption.Wrapper {
	t.Helper()
	w, err := encryption.NewLocalWrapper(encryption.MasterKey{ID: "m1", Secret: make([]byte, 32)})
	require.NoError(t, err)
	return w
}
