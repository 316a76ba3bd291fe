package encryption_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/persistence/sqlite"
)

func TestWrapper(t *testing.T) {
	t.Parallel()

	t.Run("BadKeysAreAllReported", func(t *testing.T) {
		t.Parallel()
		_, err := encryption.NewLocalWrapper(encryption.MasterKey{ID: "short", Secret: []byte("x")}, encryption.MasterKey{}, master("a"), master("a"))
		require.ErrorIs(t, err, encryption.ErrInvalidKey)
		require.ErrorContains(t, err, `"short" has 1 bytes`)
		require.ErrorContains(t, err, "has no id")
		require.ErrorContains(t, err, `two master keys are called "a"`)
	})
	t.Run("UnwrapsUnderTheSameNameOnly", func(t *testing.T) {
		t.Parallel()
		w := wrapper(t, "m1")
		name := encryption.KeyName{PersistenceID: "a", KeyID: "k"}
		key := bytes.Repeat([]byte{7}, 32)
		wrapped, err := w.Wrap(t.Context(), name, key)
		require.NoError(t, err)
		require.NotContains(t, string(wrapped), string(key))
		got, err := wrapper(t, "m2", "m1").Unwrap(t.Context(), name, "m1", wrapped)
		require.NoError(t, err)
		require.Equal(t, key, got)
		for _, other := range []encryption.KeyName{{PersistenceID: "b", KeyID: "k"}, {PersistenceID: "a", KeyID: "l"}, {PersistenceID: "ak"}} {
			_, err = w.Unwrap(t.Context(), other, "m1", wrapped)
			require.ErrorIs(t, err, encryption.ErrDamaged)
		}
		_, err = w.Unwrap(t.Context(), name, "m2", wrapped)
		require.ErrorIs(t, err, encryption.ErrUnknownKey)
		_, err = w.Unwrap(t.Context(), name, "m1", wrapped[:10])
		require.ErrorIs(t, err, encryption.ErrDamaged)
	})
	t.Run("NoKeyIsStoredPlain", func(t *testing.T) {
		t.Parallel()
		keys := encryption.NewMemoryKeyStore()
		recorder := &recordingWrapper{Wrapper: wrapper(t, "m1")}
		seal(t, encryption.NewAESEncryptor(keys, encryption.WithWrapper(recorder)), place("a", 1), "secret")
		stored, _, err := keys.DataKeys(t.Context(), "a")
		require.NoError(t, err)
		require.Len(t, stored, 1)
		require.Equal(t, "m1", stored[0].GetMasterKeyId())
		require.Len(t, recorder.key, 32)
		require.NotContains(t, string(stored[0].GetWrapped()), string(recorder.key))
	})
	t.Run("KeyOfAnotherEntityDoesNotUnwrap", func(t *testing.T) {
		t.Parallel()
		keys := encryption.NewMemoryKeyStore()
		e := encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper(t, "m1")))
		seal(t, e, place("a", 1), "secret")
		stolen, _, err := keys.DataKeys(t.Context(), "a")
		require.NoError(t, err)
		stolen[0].PersistenceId = "b"
		require.NoError(t, keys.AddDataKey(t.Context(), stolen[0]))
		_, _, err = e.Seal(t.Context(), place("b", 1), nil, nil)
		require.ErrorIs(t, err, encryption.ErrDamaged)
	})
}

type recordingWrapper struct {
	encryption.Wrapper
	key []byte
}

func (w *recordingWrapper) Wrap(ctx context.Context, name encryption.KeyName, key []byte) ([]byte, error) {
	w.key = bytes.Clone(key)
	return w.Wrapper.Wrap(ctx, name, key)
}

// A failingWrapper fails after some unwrappings.
type failingWrapper struct {
	encryption.Wrapper
	left int
}

func (w *failingWrapper) Unwrap(ctx context.Context, name encryption.KeyName, master string, wrapped []byte) ([]byte, error) {
	if w.left--; w.left < 0 {
		return nil, errDown
	}
	return w.Wrapper.Unwrap(ctx, name, master, wrapped)
}

// onKeyStores runs a test with a key store in memory and with one in a file. What comes after a call of restarted finds
// what another process would find.
func onKeyStores(t *testing.T, test func(t *testing.T, keys encryption.KeyStore, restarted func() encryption.KeyStore)) {
	t.Helper()
	t.Run("Memory", func(t *testing.T) {
		t.Parallel()
		keys := encryption.NewMemoryKeyStore()
		test(t, keys, func() encryption.KeyStore { return keys })
	})
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "keys.db")
		open := func() encryption.KeyStore {
			store, err := sqlite.Open(path)
			require.NoError(t, err)
			require.NoError(t, store.Connect(t.Context()))
			t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
			return store
		}
		keys := open()
		test(t, keys, func() encryption.KeyStore {
			require.NoError(t, keys.(*sqlite.Store).Disconnect(t.Context()))
			keys = open()
			return keys
		})
	})
}

func TestRotation(t *testing.T) {
	t.Parallel()

	t.Run("DataKey", func(t *testing.T) {
		t.Parallel()
		onKeyStores(t, testDataKeyRotation)
	})
	t.Run("MasterKey", func(t *testing.T) {
		t.Parallel()
		onKeyStores(t, testMasterKeyRotation)
	})
	t.Run("FromNoMasterKey", func(t *testing.T) {
		t.Parallel()
		onKeyStores(t, testFirstMasterKey)
	})
}

func testDataKeyRotation(t *testing.T, keys encryption.KeyStore, restarted func() encryption.KeyStore) {
	e := encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper(t, "m1")))
	var ids []string
	var values [][]byte
	for number := range uint64(4) {
		sealed, keyID := seal(t, e, place("a", number), fmt.Sprint("secret ", number))
		require.NotContains(t, ids, keyID)
		ids, values = append(ids, keyID), append(values, sealed)
		require.NoError(t, e.RotateDataKey(t.Context(), "a"))
	}
	opens := func(e *encryption.AESEncryptor) {
		for i := range values {
			requireOpens(t, e, place("a", uint64(i)), ids[i], values[i], fmt.Sprint("secret ", i))
		}
	}
	opens(e)
	opens(encryption.NewAESEncryptor(restarted(), encryption.WithWrapper(wrapper(t, "m1"))))
}

func testMasterKeyRotation(t *testing.T, keys encryption.KeyStore, restarted func() encryption.KeyStore) {
	const entities = 300 // more than a page
	old := encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper(t, "m1")))
	ids, values := make([]string, entities), make([][]byte, entities)
	for i := range entities {
		values[i], ids[i] = seal(t, old, place(fmt.Sprint("e", i), 1), "secret")
	}
	require.NoError(t, old.BeginErasure(t.Context(), "e5"))

	both := &failingWrapper{Wrapper: wrapper(t, "m2", "m1"), left: 150}
	changed, err := encryption.RewrapKeys(t.Context(), keys, both)
	require.ErrorIs(t, err, errDown)
	require.Equal(t, 150, changed)
	both.left = entities
	keys = restarted()
	changed, err = encryption.RewrapKeys(t.Context(), keys, both)
	require.NoError(t, err)
	require.Equal(t, entities-1-150, changed, "it goes on where it was cut off")
	changed, err = encryption.RewrapKeys(t.Context(), keys, both)
	require.NoError(t, err)
	require.Zero(t, changed)

	next := encryption.NewAESEncryptor(restarted(), encryption.WithWrapper(wrapper(t, "m2"))) // without the old one
	for i := range entities {
		if at := place(fmt.Sprint("e", i), 1); i == 5 {
			requireSealed(t, next, at, ids[i], values[i], encryption.ErrErased)
		} else {
			requireOpens(t, next, at, ids[i], values[i], "secret")
		}
	}
}

func testFirstMasterKey(t *testing.T, keys encryption.KeyStore, restarted func() encryption.KeyStore) {
	sealed, keyID := seal(t, encryption.NewAESEncryptor(keys), place("a", 1), "secret")
	e := encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper(t, "m1")))
	requireOpens(t, e, place("a", 1), keyID, sealed, "secret")
	changed, err := encryption.RewrapKeys(t.Context(), keys, wrapper(t, "m1"))
	require.NoError(t, err)
	require.Equal(t, 1, changed)
	keys = restarted()
	requireOpens(t, encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper(t, "m1"))), place("a", 1), keyID, sealed, "secret")
	requireSealed(t, encryption.NewAESEncryptor(keys), place("a", 1), keyID, sealed, encryption.ErrUnknownKey)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	keys := encryption.NewMemoryKeyStore()
	for name, c := range map[string]struct {
		e    *encryption.AESEncryptor
		want string // empty: nothing is wrong
	}{
		"Sound":        {encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper(t, "m1"))), ""},
		"Unwrapped":    {encryption.NewAESEncryptor(keys), ""},
		"NoKeyStore":   {encryption.NewAESEncryptor(nil), "the key store is nil"},
		"CacheSize":    {encryption.NewAESEncryptor(keys, encryption.WithCacheSize(0)), "cache size 0"},
		"CacheTime":    {encryption.NewAESEncryptor(keys, encryption.WithCacheTime(0)), "cache time 0s"},
		"KeyTimeout":   {encryption.NewAESEncryptor(keys, encryption.WithKeyTimeout(-1)), "key timeout -1ns"},
		"MessageLimit": {encryption.NewAESEncryptor(keys, encryption.WithMessageLimit(1<<32+1)), "message limit 4294967297"},
		"Wrapper":      {encryption.NewAESEncryptor(keys, encryption.WithWrapper(&failingWrapper{Wrapper: wrapper(t, "m1")})), "the key store is down"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.e.Check(t.Context())
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			if name == "Wrapper" {
				return // it fails for as long as it is down
			}
			_, _, err = c.e.Seal(t.Context(), place("a", 1), nil, nil)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, c.e.BeginErasure(t.Context(), "a"), c.want)
		})
	}
}
