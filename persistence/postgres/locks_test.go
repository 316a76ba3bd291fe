package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence/postgres"
)

// Nodes that write to many shards at once take their counters in the same order. A deadlock would be retried, so nobody
// would notice it but by the second that the server takes to find it: the server itself has to say that there was none.
func TestWritersNeverDeadlock(t *testing.T) { // G12
	t.Parallel()
	server := pgtest.Start(t, pgtest.Config{Settings: map[string]string{"deadlock_timeout": "10ms"}})
	var group sync.WaitGroup
	for node := range 2 {
		store := connectThrough(t, pgtest.PoolAt(t, server.URL()), postgres.DefaultSchema)
		for writer := range 4 {
			group.Go(func() {
				for n := range uint64(100) {
					var batch []*egopb.Event
					for _, i := range rand.Perm(20) { // most of the shards, in any order
						batch = append(batch, event(t, fmt.Sprintf("own-%d-%d-%d", node, writer, i), n+1))
					}
					if err := store.WriteEvents(context.Background(), batch); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	group.Wait()

	pool := pgtest.PoolAt(t, server.URL())
	var deadlocks int
	require.EventuallyWithT(t, func(c *assert.CollectT) { // what the statistics say comes a little later
		var commits int
		require.NoError(c, pool.QueryRow(t.Context(), "SELECT deadlocks, xact_commit FROM pg_stat_database WHERE datname = current_database()").
			Scan(&deadlocks, &commits))
		require.Greater(c, commits, 2*4*100)
	}, time.Minute, 100*time.Millisecond)
	require.Zero(t, deadlocks)
}
