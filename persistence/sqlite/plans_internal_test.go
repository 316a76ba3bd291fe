package sqlite

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// No statement on the paths of commands, replays and consumers may walk through a table.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	store, err := Open(filepath.Join(t.TempDir(), "plans.db"))
	require.NoError(t, err)
	require.NoError(t, store.Connect(t.Context()))
	defer func() { require.NoError(t, store.Disconnect(context.Background())) }()

	queries := append([]string{
		selectShardPositions, selectShardStatePositions, selectIDs, selectParked, selectDeletedTo, selectNextDeletion,
		deleteEvents, selectRecordAt, claimTimers, selectOwnerTimers, selectDeadLetters, selectOffsets, selectLeases,
		completeTimer, deleteTimer, deleteTimers, deleteSnapshots, deleteDeadLetter,
		selectLastKeyVersion, selectKeyExists, updateDataKey, selectKeyPage, selectLife, selectLiveKeys, destroyDataKey, selectErasing,
	}, append(writeStatements, readStatements...)...)
	for _, query := range queries {
		rows, err := store.lifecycle.Current().reader.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, parameters(query))...)
		require.NoError(t, err, query)
		for rows.Next() {
			var (
				id, parent, unused int
				detail             string
			)
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			if strings.HasPrefix(detail, "SCAN ") && !walksLittle(query, detail) {
				t.Errorf("%s\nwalks: %s", query, detail)
			}
			require.NotContains(t, detail, "USE TEMP B-TREE", query)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
	}
}

// walksLittle reports whether a scan is bounded: of the one row of ego_meta, of a recursion that seeks, or of an index that
// is in the order asked for and left at the limit.
func walksLittle(query, detail string) bool {
	table := strings.Fields(detail)[1]
	switch table {
	case "ego_meta", "heads", "ids", "CONSTANT", "(subquery-1)": // the subqueries are limited
		return true
	case "ego_timers":
		return query == selectNextTimer && strings.Contains(detail, "ego_timers_by_due")
	default:
		return false
	}
}

// parameters returns how many parameters a query has.
func parameters(query string) int {
	n := strings.Count(query, "?")
	for i := 9; i > 0; i-- {
		if strings.Contains(query, "?"+string(rune('0'+i))) {
			return i
		}
	}
	return n
}
