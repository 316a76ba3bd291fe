package postgres_test

import (
	"context"
	"encoding/hex"
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
