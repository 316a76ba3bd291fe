package encryption_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/encryption"
)

var errDown = errors.New("the key store is down")

func TestErasure(t *testing.T) { // G10
	t.Parallel()

	t.Run("HereAtOnce", func(t *testing.T) {
		t.Parallel()
		e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
		sealed, keyID := seal(t, e, place("a", 1), "secret")
		_, otherKey := seal(t, e, place("b", 1), "secret")
		require.NoError(t, e.BeginErasure(t.Context(), "a"))
		for range 2 {
			requireSealed(t, e, place("a", 1), keyID, sealed, encryption.ErrErased)
			_, _, err := e.Seal(t.Context(), place("a", 2), nil, []byte("secret"))
			var erased *encryption.ErasedError
			require.ErrorAs(t, err, &erased)
			require.Equal(t, encryption.ErasedError{PersistenceID: "a", Number: 2}, *erased)
			require.ErrorIs(t, e.RotateDataKey(t.Context(), "a"), encryption.ErrErased)
			require.NoError(t, e.FinishErasure(t.Context(), "a"))
		}
		_, keyID = seal(t, e, place("b", 2), "secret")
		require.Equal(t, otherKey, keyID, "others keep their keys")
	})
	t.Run("ElsewhereWithinTheCacheTime", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			keys := encryption.NewMemoryKeyStore()
			here, there := encryption.NewAESEncryptor(keys), encryption.NewAESEncryptor(keys, encryption.WithCacheTime(10*time.Second))
			sealed, keyID := seal(t, here, place("a", 1), "secret")
			requireOpens(t, there, place("a", 1), keyID, sealed, "secret")
			<-time.After(5 * time.Second)
			require.NoError(t, here.BeginErasure(t.Context(), "a"))
			<-time.After(5*time.Second - 1)
			requireOpens(t, there, place("a", 1), keyID, sealed, "secret") // use does not make it younger
			<-time.After(1)
			requireSealed(t, there, place("a", 1), keyID, sealed, encryption.ErrErased)
			_, _, err := there.Seal(t.Context(), place("a", 2), nil, nil)
			require.ErrorIs(t, err, encryption.ErrErased)
		})
	})
	t.Run("TimeBeginsWithTheRead", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			keys := watched()
			here := encryption.NewAESEncryptor(keys)
			sealed, keyID := seal(t, here, place("a", 1), "secret")
			there := encryption.NewAESEncryptor(keys, encryption.WithCacheTime(10*time.Second))
			keys.set(nil, func(context.Context) {
				keys.set(nil, nil)
				require.NoError(t, here.BeginErasure(t.Context(), "a")) // while the answer is on its way
				<-time.After(4 * time.Second)
			})
			requireOpens(t, there, place("a", 1), keyID, sealed, "secret")
			<-time.After(6 * time.Second)
			requireSealed(t, there, place("a", 1), keyID, sealed, encryption.ErrErased)
		})
	})
	t.Run("ReadUnderWayDoesNotBringKeysBack", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			keys := watched()
			e := encryption.NewAESEncryptor(keys)
			sealed, keyID := seal(t, e, place("a", 1), "secret")
			<-time.After(2 * time.Minute) // its keys have expired
			release := make(chan struct{})
			keys.set(nil, func(context.Context) { <-release })
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = e.Open(t.Context(), place("a", 1), keyID, nil, sealed) })
			synctest.Wait()
			keys.set(nil, nil)
			require.NoError(t, e.BeginErasure(t.Context(), "a"))
			close(release)
			wg.Wait()
			requireSealed(t, e, place("a", 1), keyID, sealed, encryption.ErrErased)
		})
	})
	t.Run("RevivedHasOtherKeys", func(t *testing.T) {
		t.Parallel()
		e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
		sealed, oldKey := seal(t, e, place("a", 1), "secret")
		require.NoError(t, e.BeginErasure(t.Context(), "a"))
		require.ErrorIs(t, e.Revive(t.Context(), "a"), encryption.ErrErased)
		require.NoError(t, e.FinishErasure(t.Context(), "a"))
		require.NoError(t, e.Revive(t.Context(), "a"))
		again, newKey := seal(t, e, place("a", 3), "another life")
		require.NotEqual(t, oldKey, newKey)
		requireOpens(t, e, place("a", 3), newKey, again, "another life")
		requireSealed(t, e, place("a", 1), oldKey, sealed, encryption.ErrErased)
		life, err := e.LifeOf(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, encryption.Life{Phase: encryption.Alive, Erasures: 1}, life)
	})
	t.Run("AgainstManyWriters", func(t *testing.T) {
		t.Parallel()
		keys := encryption.NewMemoryKeyStore()
		eraser := encryption.NewAESEncryptor(keys)
		for round := range 20 {
			id := fmt.Sprintf("round-%d", round)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					e := encryption.NewAESEncryptor(keys)
					for number := range uint64(20) {
						if _, _, err := e.Seal(t.Context(), place(id, number), nil, []byte("secret")); err != nil {
							return
						}
					}
				})
			}
			require.NoError(t, eraser.BeginErasure(t.Context(), id))
			wg.Wait()
			stored, _, err := keys.DataKeys(t.Context(), id)
			require.NoError(t, err)
			for _, key := range stored {
				require.Empty(t, key.GetWrapped(), "a writer has made a key after the erasure")
			}
		}
	})
}

func TestCache(t *testing.T) {
	t.Parallel()

	t.Run("ReadsOncePerCacheTime", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			keys := watched()
			e := encryption.NewAESEncryptor(keys)
			for number := range uint64(100) {
				sealed, keyID := seal(t, e, place("a", number), "secret")
				requireOpens(t, e, place("a", number), keyID, sealed, "secret")
			}
			require.Equal(t, 2, keys.count(), "before and after the first key was made")
			<-time.After(time.Minute)
			seal(t, e, place("a", 1), "secret")
			require.Equal(t, 3, keys.count())
		})
	})
	t.Run("IsBounded", func(t *testing.T) {
		t.Parallel()
		keys := watched()
		e := encryption.NewAESEncryptor(keys, encryption.WithCacheSize(32))
		for i := range 1_000 {
			seal(t, e, place(fmt.Sprint("entity-", i), 1), "secret")
		}
		before := keys.count()
		for i := range 1_000 {
			seal(t, e, place(fmt.Sprint("entity-", i), 2), "secret")
		}
		require.GreaterOrEqual(t, keys.count()-before, 1_000-2*32)
	})
	t.Run("KeyStoreIsDown", func(t *testing.T) { // G12
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			keys := watched()
			e := encryption.NewAESEncryptor(keys, encryption.WithKeyTimeout(3*time.Second))
			sealed, keyID := seal(t, e, place("a", 1), "secret")
			keys.set(errDown, nil)
			requireOpens(t, e, place("a", 1), keyID, sealed, "secret")
			<-time.After(time.Minute)
			_, err := e.Open(t.Context(), place("a", 1), keyID, nil, sealed)
			require.ErrorIs(t, err, errDown, "the limit holds while nobody can tell")

			keys.set(nil, func(ctx context.Context) { <-ctx.Done() })
			before := time.Now()
			_, _, err = e.Seal(t.Context(), place("a", 2), nil, nil)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 3*time.Second, time.Since(before))
			keys.set(nil, nil)
			requireOpens(t, e, place("a", 1), keyID, sealed, "secret")
		})
	})
}
