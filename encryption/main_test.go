package encryption_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place returns where a value of an entity is sealed.
func place(id string, number uint64) *encryption.Record {
	return &encryption.Record{Kind: encryption.EventRecord, PersistenceID: id, Number: number, TypeURL: "type.googleapis.com/test.Deposited"}
}

func seal(t testing.TB, e encryption.Encryptor, at *encryption.Record, plaintext string) (sealed []byte, keyID string) {
	t.Helper()
	sealed, keyID, err := e.Seal(t.Context(), at, nil, []byte(plaintext))
	require.NoError(t, err)
	require.NotEmpty(t, keyID)
	return sealed, keyID
}

func requireOpens(t testing.TB, e encryption.Encryptor, at *encryption.Record, keyID string, sealed []byte, want string) {
	t.Helper()
	plaintext, err := e.Open(t.Context(), at, keyID, nil, sealed)
	require.NoError(t, err)
	require.Equal(t, want, string(plaintext))
}

func requireSealed(t testing.TB, e encryption.Encryptor, at *encryption.Record, keyID string, sealed []byte, target error) {
	t.Helper()
	plaintext, err := e.Open(t.Context(), at, keyID, nil, sealed)
	require.ErrorIs(t, err, target)
	require.Empty(t, plaintext)
}

func wrapper(t testing.TB, current string, former ...string) *encryption.LocalWrapper {
	t.Helper()
	var keys []encryption.MasterKey
	for _, id := range former {
		keys = append(keys, master(id))
	}
	w, err := encryption.NewLocalWrapper(master(current), keys...)
	require.NoError(t, err)
	return w
}

// master returns the master key with an id.
func master(id string) encryption.MasterKey {
	secret := make([]byte, 32)
	copy(secret, id)
	return encryption.MasterKey{ID: id, Secret: secret}
}

// A watchedStore is a memory key store of which the reads can be counted, held and made to fail.
type watchedStore struct {
	*encryption.MemoryKeyStore
	mu    sync.Mutex
	reads int
	err   error
	read  func(ctx context.Context) // called after a read has its result, before it is returned
}

func watched() *watchedStore {
	return &watchedStore{MemoryKeyStore: encryption.NewMemoryKeyStore()}
}

func (s *watchedStore) DataKeys(ctx context.Context, id string) ([]*egopb.DataKey, encryption.Life, error) {
	s.mu.Lock()
	s.reads++
	err, read := s.err, s.read
	s.mu.Unlock()
	if err != nil {
		return nil, encryption.Life{}, err
	}
	keys, life, err := s.MemoryKeyStore.DataKeys(ctx, id)
	if read != nil {
		read(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	return keys, life, err
}

func (s *watchedStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func (s *watchedStore) set(err error, read func(ctx context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.read = err, read
}
