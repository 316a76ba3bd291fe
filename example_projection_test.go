package ego_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

// openFile opens a file of its own for an example.
func openFile(ctx context.Context) (store *sqlite.Store, remove func()) {
	dir, err := os.MkdirTemp("", "ego")
	if err != nil {
		panic(err)
	}
	if store, err = sqlite.Open(filepath.Join(dir, "ego.db")); err != nil {
		panic(err)
	}
	if err := store.Connect(ctx); err != nil {
		panic(err)
	}
	return store, func() {
		_ = store.Disconnect(ctx)
		_ = os.RemoveAll(dir)
	}
}

// totals is a read model with a table of its own: the sum of what was added to each counter, times a factor.
func totals(store *sqlite.Store, table string, factor int64) *projection.Options {
	return &projection.Options{
		Handler: sqlite.TxHandler(store, func(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO `+table+` VALUES (?, ?) ON CONFLICT DO UPDATE SET total = total + excluded.total`,
				event.PersistenceID, factor*event.Message.(*wrapperspb.Int64Value).GetValue())
			return err
		}),
		Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park)),
	}
}

// A new version of a read model catches up beside the one that serves, and then takes over: it is a projection of its own,
// with its own name, table and offsets. Readers go through a view.
func ExampleEngine_RebuildProjection_withoutDowntime() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store, remove := openFile(ctx)
	defer remove()
	exec := func(query string) {
		err := store.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, query)
			return err
		})
		if err != nil {
			panic(err)
		}
	}
	exec(`CREATE TABLE totals_v1 (id TEXT PRIMARY KEY, total INTEGER); CREATE VIEW totals AS SELECT * FROM totals_v1`)
	exec(`CREATE TABLE totals_v2 (id TEXT PRIMARY KEY, total INTEGER)`)

	engine := ego.NewEngine("counters", store,
		ego.WithKinds(ego.EventSourcedKind("counter", newCounter)),
		ego.WithProjection("totals-v1", totals(store, "totals_v1", 1)),
		ego.WithProjection("totals-v2", totals(store, "totals_v2", 100)))
	if err := engine.Start(ctx); err != nil {
		panic(err)
	}
	defer func() { _ = engine.Stop(ctx) }()
	show := func() {
		var total int
		if err := store.DB().QueryRowContext(ctx, `SELECT total FROM totals WHERE id = 'a'`).Scan(&total); err != nil {
			panic(err)
		}
		fmt.Println("total", total)
	}
	add := func() (revision uint64) {
		if err := engine.Entity(ctx, newCounter("a")); err != nil {
			panic(err)
		}
		_, revision, err := engine.SendCommand(ctx, "a", wrapperspb.Int64(2), time.Second)
		if err != nil {
			panic(err)
		}
		return revision
	}

	_ = engine.StartProjection(ctx, "totals-v1")
	_ = engine.WaitForProjection(ctx, "totals-v1", "a", add())
	show()

	_ = engine.StartProjection(ctx, "totals-v2") // catches up from the first event, while totals-v1 goes on
	_ = engine.WaitForProjection(ctx, "totals-v1", "a", add())
	show()

	for behind := true; behind; {
		lags, err := engine.ProjectionLag(ctx, "totals-v2")
		behind = err != nil
		for _, lag := range lags {
			behind = behind || lag.Events > 0
		}
	}
	exec(`DROP VIEW totals; CREATE VIEW totals AS SELECT * FROM totals_v2`)
	_ = engine.StopProjection(ctx, "totals-v1")
	show()
	// Output:
	// total 2
	// total 4
	// total 400
}

// With the transactional handler of the store, the read model and the offset are committed together: every event takes
// effect exactly once, whatever crashes and whenever. A rebuild has all of them, or those since a time, handled again.
func ExampleEngine_RebuildProjection() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store, remove := openFile(ctx)
	defer remove()
	exec := func(query string) error {
		return store.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, query)
			return err
		})
	}
	_ = exec(`CREATE TABLE totals (id TEXT PRIMARY KEY, total INTEGER)`)
	engine := ego.NewEngine("counters", store,
		ego.WithKinds(ego.EventSourcedKind("counter", newCounter)),
		ego.WithProjection("totals", totals(store, "totals", 1)))
	if err := errors.Join(engine.Start(ctx), engine.StartProjection(ctx, "totals")); err != nil {
		panic(err)
	}
	defer func() { _ = engine.Stop(ctx) }()
	show := func(revision uint64) {
		var total int
		err := engine.WaitForProjection(ctx, "totals", "a", revision) // read your writes
		err = errors.Join(err, store.DB().QueryRowContext(ctx, `SELECT total FROM totals WHERE id = 'a'`).Scan(&total))
		fmt.Println("total", total, err)
	}

	_ = engine.Entity(ctx, newCounter("a"))
	_, revision, _ := engine.SendCommand(ctx, "a", wrapperspb.Int64(3), time.Second)
	show(revision)

	_ = engine.StopProjection(ctx, "totals")
	_ = exec(`DELETE FROM totals`)
	_ = engine.RebuildProjection(ctx, "totals", time.Time{}) // from the first event
	_ = engine.StartProjection(ctx, "totals")
	show(revision)
	// Output:
	// total 3 <nil>
	// total 3 <nil>
}
