package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/persistence/postgres"
)

// Everything but LISTEN works through pgbouncer in transaction mode, where two transactions of one client may go to two
// connections of the server. Those of the driver's modes that keep prepared statements need a newer pgbouncer.
func TestBouncer(t *testing.T) {
	t.Parallel()
	url := pgtest.Bouncer(t)
	if url == "" {
		return
	}
	open := func(t testing.TB, mode pgx.QueryExecMode) (*postgres.Store, string) {
		schema := pgtest.Schema(t)
		pool := pgtest.PoolAt(t, url, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
		return connectThrough(t, pool, schema), schema
	}
	for name, mode := range map[string]pgx.QueryExecMode{
		"Exec": pgx.QueryExecModeExec, "CacheDescribe": pgx.QueryExecModeCacheDescribe, "SimpleProtocol": pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, c := range persistencetest.Cases() {
				stores := func(t testing.TB) persistencetest.Stores {
					store, _ := open(t, mode)
					return persistencetest.Stores{Events: store, Snapshots: store, States: store, Timers: store, Offsets: store, DeadLetters: store}
				}
				if throughBouncer[c.Name] {
					t.Run(c.Name, func(t *testing.T) {
						t.Parallel()
						c.Run(t, stores(t))
					})
				}
			}
		})
	}
	t.Run("ListenSaysThatItCannot", func(t *testing.T) {
		t.Parallel()
		store, _ := open(t, pgx.QueryExecModeExec)
		require.ErrorIs(t, store.Listen(t.Context(), func() {}), postgres.ErrNoNotifications)
	})
	t.Run("TransactionsStayTogether", func(t *testing.T) {
		t.Parallel()
		store, schema := open(t, pgx.QueryExecModeExec)
		table := pgx.Identifier{schema, "t"}.Sanitize()
		require.NoError(t, store.Transact(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "CREATE TABLE "+table+" (x integer)")
			require.NoError(t, store.WriteEvents(ctx, []*egopb.Event{event(t, "a", 1)}))
			return err
		}))
	})
}

// throughBouncer are cases that between them use every statement. Those that end contexts are left out, as Debian's pgbouncer
// 1.18 crashes when many requests to cancel come at once (https://github.com/pgbouncer/pgbouncer/issues/801).
var throughBouncer = map[string]bool{
	"Lifecycle/ConnectAgainKeepsData":     true,
	"Events/AllFields":                    true,
	"Events/EmptyFields":                  true,
	"Events/OddIDs":                       true,
	"Events/ConflictNamesFirstEntity":     true,
	"Events/ConflictOfConcurrentWriters":  true,
	"Events/ConcurrentWritersWithReaders": true,
	"Events/DeleteLeavesTombstone":        true,
	"Events/RandomOperations":             true,
	"Snapshots/AllFields":                 true,
	"States/AllFields":                    true,
	"States/ConcurrentWritersWithReaders": true,
	"Timers/AllFields":                    true,
	"Timers/ClaimByManyClaimers":          true,
	"Timers/CancelNamed":                  true,
	"Timers/CompleteOfOldVersion":         true,
	"Leases/AcquireByManyOwners":          true,
	"Leases/RenewAfterTakeOver":           true,
	"Leases/Release":                      true,
	"Offsets/Reset":                       true,
	"Offsets/DeleteConsumer":              true,
	"DeadLetters/AllFields":               true,
	"DeadLetters/ByEntity":                true,
	"DeadLetters/ParkedEntities":          true,
	"DeadLetters/Delete":                  true,
}
