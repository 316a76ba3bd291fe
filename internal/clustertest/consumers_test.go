package clustertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/projection"
)

// seenProjection writes a row for every event, in the order in which it is given them.
const seenProjection = "seen"

// project returns the option of a node that runs the projection, and makes its table.
func project(spec *nodeSpec, store persistence.EventsStore) (ego.Option, error) {
	if !spec.Projection {
		return nil, nil
	}
	table := pgx.Identifier{spec.Schema, "seen"}.Sanitize()
	owned := store.(*postgres.Store)
	err := owned.Transact(context.Background(), func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+table+` (place bigserial, entity text COLLATE "C", number bigint)`)
		return err
	})
	handler := postgres.TxHandler(owned, func(ctx context.Context, tx pgx.Tx, event *projection.Event) error {
		_, err := tx.Exec(ctx, `INSERT INTO `+table+` (entity, number) VALUES ($1, $2)`, event.PersistenceID, int64(event.SequenceNumber))
		return err
	})
	return ego.WithProjection(seenProjection, &projection.Options{Handler: handler}), err
}

// TestConsumers kills nodes that project and publish events, run sagas of events and owe commands that were scheduled. Each is the owner of
// some of them. What is left does all of it, once.
func TestConsumers(t *testing.T) { // G4, G5, G6, G7
	const guests = 8
	c := newCluster(t, 3, func(_ int, spec *nodeSpec) { spec.Projection = true })
	for i := range guests {
		c.account(fmt.Sprint("guest-", i), 0)
		c.account(fmt.Sprint("later-", i), 1) // what has written nothing is known to the node that made it only
	}
	l := c.startLoad(4, 12)
	l.awaitAll("the start")
	for i := range guests {
		c.nodes[2].must(call{Op: "schedule", ID: fmt.Sprint("later-", i), Amount: 3, Note: "later", By: 2 * time.Second})
		c.nodes[2].must(call{Op: "deposit", ID: fmt.Sprint("guest-", i), Amount: 1, Note: "greet"})
	}
	c.nodes[2].kill()
	killed := time.Now()
	l.awaitAll("kill -9")
	for i := range guests {
		id := fmt.Sprint("guest-", i)
		c.awaitSaga("greet-"+id, "completed", c.nodes[:2]...)
		require.EqualValues(t, 8, c.nodes[0].must(call{Op: "state", ID: id}).Balance, id)
	}
	t.Logf("every saga has ended %v after kill -9", time.Since(killed).Round(time.Millisecond))
	for i := range guests {
		c.awaitBalance(fmt.Sprint("later-", i), 4)
	}
	t.Logf("every scheduled command was handled %v after kill -9", time.Since(killed).Round(time.Millisecond))
	c.nodes[2].start()
	c.awaitMembers(3, c.nodes...)
	c.nodes[1].kill()
	l.awaitAll("kill -9 of another")
	l.check()
	last := time.Now()
	c.awaitSeen()
	t.Logf("the read model is whole %v after the last event", time.Since(last).Round(time.Millisecond))
	published, again := c.awaitPublished()
	t.Logf("%d events were published in order, %d times one of them again, %v after the last", published, again, time.Since(last).Round(time.Millisecond))
	for i := range guests {
		require.EqualValues(t, 4, c.nodes[0].must(call{Op: "state", ID: fmt.Sprint("later-", i)}).Balance, "a scheduled command was handled twice")
	}
}

func (c *testCluster) awaitBalance(id string, balance int64) {
	c.t.Helper()
	await(c.t, fmt.Sprint(id, " has ", balance), func() bool {
		a, err := c.nodes[0].call(c.t.Context(), call{Op: "state", ID: id})
		return err == nil && a.Balance == balance
	})
}

// awaitSeen waits until the read model has every event, and checks that it has each once and those of an entity in order.
func (c *testCluster) awaitSeen() {
	c.t.Helper()
	spec := c.nodes[0].spec
	pool := pgtest.PoolAt(c.t, spec.URL)
	events, seen := pgx.Identifier{spec.Schema, "events"}.Sanitize(), pgx.Identifier{spec.Schema, "seen"}.Sanitize()
	count := func(query string) (n int) {
		require.NoError(c.t, pool.QueryRow(c.t.Context(), `SELECT count(*) FROM (`+query+`) AS rows`).Scan(&n))
		return n
	}
	journal := `SELECT persistence_id, sequence_number FROM ` + events + ` WHERE kind = 'account'`
	model := `SELECT entity, number FROM ` + seen
	await(c.t, "the read model has every event", func() bool { return count(journal+` EXCEPT ALL `+model) == 0 })
	require.Positive(c.t, count(journal))
	require.Zero(c.t, count(model+` EXCEPT ALL `+journal), "events were handled twice")
	require.Zero(c.t, count(`SELECT FROM (SELECT number, lag(number) OVER (PARTITION BY entity ORDER BY place) AS before FROM `+seen+`) AS s
		WHERE before >= number`), "events of an entity were handled out of order")
	c.t.Logf("%d events were handled once, in order", count(journal))
}
