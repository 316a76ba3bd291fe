package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/pgtest"
)

// fill makes tables of a size at which a plan that walks through one shows. The statements are written for the default
// schema, as those of the store are.
const fill = `INSERT INTO ego.events (persistence_id, sequence_number, shard, position, time_unix_nano, kind)
		SELECT 'e' || i % 500, i / 500 + 1, i % 16, i / 16 + 1, 0, 'k' FROM generate_series(0, 19999) i;
	INSERT INTO ego.deletions SELECT 'e' || i, 1 FROM generate_series(0, 4999) i;
	INSERT INTO ego.snapshots (persistence_id, sequence_number, record) SELECT 'e' || i % 500, i / 500 + 1, '' FROM generate_series(0, 9999) i;
	INSERT INTO ego.states (persistence_id, revision, shard, position, deleted, kind, record)
		SELECT 's' || i, 1, i % 16, i / 16 + 1, false, 'k', '' FROM generate_series(0, 9999) i;
	INSERT INTO ego.timers (owner, name, due, version, record) SELECT 'o' || i, 'n', i, 1, '' FROM generate_series(0, 9999) i;
	INSERT INTO ego.dead_letters (consumer, shard, position, persistence_id, record)
		SELECT 'c' || i % 5, i % 16, i, 'e' || i % 500, '' FROM generate_series(0, 9999) i;
	INSERT INTO ego.data_keys (persistence_id, version, key_id, master_key_id, record) SELECT 'e' || i, 1, 'k', 'm', '' FROM generate_series(0, 9999) i;
	INSERT INTO ego.lives (persistence_id, phase, erasures) SELECT 'e' || i, 1 + i % 2, 1 FROM generate_series(0, 9999) i;
	ANALYZE ego.data_keys, ego.lives, ego.events, ego.deletions, ego.snapshots, ego.states, ego.timers, ego.dead_letters`

// statements are those on the paths of commands, recoveries and consumers, and the tables they may walk through, as those
// have a row for each shard, or none yet.
func statements() []string {
	appends := appendStatements()
	return append(appends[:],
		refusedRun, selectLatestEvent, selectReplay, selectShardEvents, selectShardPositions, selectIDs, eraseEvents,
		upsertSnapshot, selectSnapshot, deleteSnapshots,
		putState, selectLatestState, selectShardStates, selectShardStatePositions,
		upsertTimers, deleteTimers, deleteNamedTimers, completeTimer, claimTimers, selectDueTimer, selectOwnerTimers, selectNextTimer,
		commitOffset, parkEvents, selectDeadLetters, selectDeadLettersOf, selectParked, deleteSomeDeadLetters,
		selectDataKeys, selectKeyVersions, updateDataKey, selectKeyPage, selectLife, beginLife, finishLife, selectErasing,
	)
}

// No statement may walk through a table that grows: neither with the plan for the first parameters nor with the one that
// PostgreSQL keeps for all.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	store := NewStore(pgtest.Pool(t), WithSchema(pgtest.Schema(t)))
	require.NoError(t, store.Migrate(t.Context()))
	conn, err := pgx.Connect(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	_, err = conn.Exec(t.Context(), store.sql(fill)+"; SET plan_cache_mode = force_generic_plan")
	require.NoError(t, err)

	for i, statement := range statements() {
		name := fmt.Sprint("statement", i)
		_, err := conn.Exec(t.Context(), "PREPARE "+name+" AS "+store.sql(statement))
		require.NoError(t, err, statement)
		plan := explain(t, conn, name, parameters(statement))
		for _, table := range []string{"events", "deletions", "snapshots", "states", "timers", "dead_letters", "data_keys", "lives"} {
			require.NotRegexp(t, `Seq Scan on `+table+`\b`, plan, "%s\n%s", statement, plan)
		}
		require.NotContains(t, plan, "Index Full Scan", "%s\n%s", statement, plan)
		if !strings.Contains(statement, "FOR NO KEY UPDATE") && statement != refusedRun {
			require.NotRegexp(t, `(?m)^\s*(->  )?Sort `, plan, "%s\n%s", statement, plan)
		}
	}
}

func explain(t *testing.T, conn *pgx.Conn, name string, parameters int) string {
	t.Helper()
	query := "EXPLAIN EXECUTE " + name
	if parameters > 0 {
		query += "(" + strings.TrimSuffix(strings.Repeat("NULL,", parameters), ",") + ")"
	}
	rows, err := conn.Query(t.Context(), query)
	require.NoError(t, err, name)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err, name)
	return strings.Join(lines, "\n")
}

// parameters returns how many parameters a statement has.
func parameters(statement string) (highest int) {
	for _, found := range regexp.MustCompile(`\$(\d+)`).FindAllStringSubmatch(statement, -1) {
		n, err := strconv.Atoi(found[1])
		if err == nil {
			highest = max(highest, n)
		}
	}
	return highest
}
