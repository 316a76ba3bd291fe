package encryption_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
)

// A rotation reaches other processes: at once for what they open, within the cache time for what they seal.
func TestRotationReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := encryption.NewMemoryKeyStore()
		one := encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper(t, "m1")))
		other := encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper(t, "m1")))
		before, oldKey := seal(t, one, place("a", 1), "secret")
		requireOpens(t, other, place("a", 1), oldKey, before, "secret")

		require.NoError(t, one.RotateDataKey(t.Context(), "a"))
		after, newKey := seal(t, one, place("a", 2), "secret")
		require.NotEqual(t, oldKey, newKey)
		requireOpens(t, other, place("a", 2), newKey, after, "secret")
		_, used := seal(t, other, place("a", 3), "secret")
		require.Equal(t, newKey, used, "it has read the keys anew to open that")

		require.NoError(t, one.RotateDataKey(t.Context(), "a"))
		_, used = seal(t, other, place("a", 4), "secret")
		require.Equal(t, newKey, used, "it knows of no other yet")
		<-time.After(time.Minute)
		_, used = seal(t, other, place("a", 5), "secret")
		require.NotEqual(t, newKey, used)
		requireOpens(t, other, place("a", 1), oldKey, before, "secret")
	})
}

// A rotation that is cut off has happened or not; the entity is sealed and opened either way, and rotated by the next call.
func TestRotationIsCutOff(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprintf("Stored=%t", stored), func(t *testing.T) {
			t.Parallel()
			keys := &cutKeys{KeyStore: encryption.NewMemoryKeyStore(), stored: stored}
			e := encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper(t, "m1")))
			before, oldKey := seal(t, e, place("a", 1), "secret")
			keys.cut = true
			require.ErrorIs(t, e.RotateDataKey(t.Context(), "a"), errDown)
			keys.cut = false
			all, _, err := keys.DataKeys(t.Context(), "a")
			require.NoError(t, err)
			require.Len(t, all, map[bool]int{false: 1, true: 2}[stored])
			for number := range uint64(3) {
				sealed, keyID := seal(t, e, place("a", 2+number), "secret")
				require.Equal(t, all[len(all)-1].GetKeyId(), keyID)
				requireOpens(t, e, place("a", 2+number), keyID, sealed, "secret")
			}
			requireOpens(t, e, place("a", 1), oldKey, before, "secret")
			require.NoError(t, e.RotateDataKey(t.Context(), "a"))
			_, newest := seal(t, e, place("a", 9), "secret")
			require.NotEqual(t, all[len(all)-1].GetKeyId(), newest)
		})
	}
}

// cutKeys is a key store that fails to add or replace keys, before that takes effect or after.
type cutKeys struct {
	encryption.KeyStore
	cut, stored bool
}

func (k *cutKeys) do(write func() error) error {
	if !k.cut {
		return write()
	}
	if k.stored {
		return errors.Join(write(), errDown)
	}
	return errDown
}

func (k *cutKeys) AddDataKey(ctx context.Context, key *egopb.DataKey) error {
	return k.do(func() error { return k.KeyStore.AddDataKey(ctx, key) })
}

func (k *cutKeys) ReplaceDataKey(ctx context.Context, key *egopb.DataKey, former string) error {
	return k.do(func() error { return k.KeyStore.ReplaceDataKey(ctx, key, former) })
}

// A new master key while processes seal, rotate and erase, and the pass is cut off again and again: in the end nothing needs
// the old one, everything opens, and nothing that was erased does.
func TestRewrapAmongWriters(t *testing.T) {
	t.Parallel()
	const entities = 300
	keys := &cutKeys{KeyStore: encryption.NewMemoryKeyStore(), stored: true}
	old := encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper(t, "m1")))
	both := wrapper(t, "m2", "m1")
	live := encryption.NewAESEncryptor(keys, encryption.WithWrapper(both), encryption.WithCacheTime(1))
	type record struct {
		at     *encryption.Record
		keyID  string
		sealed []byte
	}
	var records []record
	write := func(e *encryption.AESEncryptor, id string, number uint64) {
		at := place(id, number)
		sealed, keyID := seal(t, e, at, "secret")
		records = append(records, record{at, keyID, sealed})
	}
	for i := range entities {
		write(old, fmt.Sprint("e", i), 1)
	}
	total := 0
	for step := range entities {
		limited := &failingWrapper{Wrapper: both, left: 7}
		keys.cut = step%5 == 0 // the answer to the first write is lost
		changed, err := encryption.RewrapKeys(t.Context(), keys, limited)
		keys.cut = false
		total += changed
		write(live, fmt.Sprint("n", step), 1) // a new entity, maybe before the place where the pass is
		require.NoError(t, live.RotateDataKey(t.Context(), fmt.Sprint("e", step)))
		write(live, fmt.Sprint("e", step), 2)
		if step%50 == 0 {
			require.NoError(t, live.BeginErasure(t.Context(), fmt.Sprint("e", entities-1-step)))
		}
		if err == nil {
			break
		}
		require.ErrorIs(t, err, errDown)
	}
	changed, err := encryption.RewrapKeys(t.Context(), keys, both)
	require.NoError(t, err)
	require.Zero(t, changed, "the last pass had come to the end")
	require.LessOrEqual(t, total, entities, "none was wrapped twice")

	next := encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper(t, "m2")))
	erased := 0
	for _, r := range records {
		life, err := next.LifeOf(t.Context(), r.at.PersistenceID)
		require.NoError(t, err)
		if life.Phase == encryption.Alive {
			requireOpens(t, next, r.at, r.keyID, r.sealed, "secret")
			continue
		}
		requireSealed(t, next, r.at, r.keyID, r.sealed, encryption.ErrErased)
		erased++
	}
	require.Positive(t, erased)
}
