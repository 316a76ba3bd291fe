package postgres_test

import (
	"context"
	"encoding/hex"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/projection"
)

// After an erasure a dump holds nothing of the entity: no plain text and no key.
func TestErasureLeavesNothingInADump(t *testing.T) { // G10
	t.Parallel()
	const secret = "the-owner-of-the-account"
	for name, encrypted := range map[string]bool{"Plain": false, "Encrypted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := pgtest.Schema(t)
			store, _ := connect(t, schema)
			var opts []ego.Option
			if encrypted {
				opts = append(opts, ego.WithEncryption(encryption.NewAESEncryptor(store)))
			}
			engine := ego.NewEngine("test", store, append(opts, ego.WithSnapshotInterval(2))...)
			require.NoError(t, engine.Start(t.Context()))
			t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })
			require.NoError(t, engine.Entity(t.Context(), testaccount.New("a")))
			for range 5 {
				_, _, err := engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1, Note: secret}, time.Minute)
				require.NoError(t, err)
			}
			keys, _, err := store.DataKeys(t.Context(), "a")
			require.NoError(t, err)
			before := dump(t, schema)
			for _, key := range keys {
				require.Contains(t, before, hexOf(key.GetWrapped()))
			}
			require.Equal(t, !encrypted, contains(before, secret))

			require.NoError(t, engine.EraseEntity(t.Context(), "a"))
			left := dump(t, schema)
			require.False(t, contains(left, secret))
			for _, key := range keys {
				require.NotContains(t, left, hexOf(key.GetWrapped()))
			}
			_, _, err = engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, time.Minute)
			require.ErrorIs(t, err, ego.ErrErased)
		})
	}
}

// dump returns a schema as pg_dump writes it.
func dump(t *testing.T, schema string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "pg_dump", "--schema="+pgx.Identifier{schema}.Sanitize(), pgtest.URL(t)).CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// hexOf returns bytes as a dump has them.
func hexOf(value []byte) string { return hex.EncodeToString(value) }

// contains reports whether a dump has a text, plain or in the bytes of a column.
func contains(dump, text string) bool {
	return strings.Contains(dump, text) || strings.Contains(dump, hexOf([]byte(text)))
}

// Two processes share a schema. One holds the entity live, and has parked an event of it, while the other erases it.
func TestErasureReachesOtherProcesses(t *testing.T) { // G10
	t.Parallel()
	for name, sealed := range map[string]bool{"Plain": false, "Sealed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := pgtest.Schema(t)
			handler := &told{erased: make(chan string, 10)}
			start := func(opts ...ego.Option) (*ego.Engine, *postgres.Store) {
				store, _ := connect(t, schema, postgres.WithShards(2))
				opts = append(opts, ego.WithMemoryTime(1))
				if sealed {
					opts = append(opts, ego.WithEncryption(encryption.NewAESEncryptor(store, encryption.WithCacheTime(1))))
				}
				engine := ego.NewEngine("test", store, opts...)
				require.NoError(t, engine.Start(t.Context()))
				t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })
				require.NoError(t, engine.Entity(t.Context(), testaccount.New("a")))
				return engine, store
			}
			one, _ := start()
			other, store := start(ego.WithProjection("p", &projection.Options{
				Handler: handler, PullInterval: 10 * time.Millisecond,
				Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park), projection.WithRetries(0)),
			}))
			parked := func() (n int) {
				for _, err := range store.DeadLetters(t.Context(), "p") {
					require.NoError(t, err)
					n++
				}
				return n
			}
			_, _, err := other.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, time.Minute)
			require.NoError(t, err)
			require.NoError(t, other.StartProjection(t.Context(), "p"))
			require.Eventually(t, func() bool { return parked() == 1 }, time.Minute, 10*time.Millisecond)

			require.NoError(t, one.EraseEntity(t.Context(), "a"))
			_, _, err = other.EntityState(t.Context(), "a", time.Minute)
			require.ErrorIs(t, err, ego.ErrErased)
			_, _, err = other.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, time.Minute)
			require.ErrorIs(t, err, ego.ErrErased)
			_, err = other.StateAt(t.Context(), testaccount.New("a"), 1)
			require.ErrorIs(t, err, ego.ErrErased)
			for event, err := range other.History(t.Context(), "a", 0, 0) {
				require.NoError(t, err)
				require.Failf(t, "history", "event %d is left", event.SequenceNumber)
			}
			require.Equal(t, "a", <-handler.erased)
			require.Eventually(t, func() bool { return parked() == 0 }, time.Minute, 10*time.Millisecond)
		})
	}
}

// told is a handler that fails at every event and is told of erasures.
type told struct{ erased chan string }

func (*told) Handle(context.Context, *projection.Event) error { return errors.New("not now") }

func (h *told) OnErased(_ context.Context, id string) error {
	h.erased <- id
	return nil
}
