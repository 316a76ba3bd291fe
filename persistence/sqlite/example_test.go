package sqlite_test

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

// counter counts: its commands and events are the numbers to add, its state is their sum.
type counter struct{ id string }

func newCounter(id string) ego.EventSourcedBehavior { return &counter{id: id} }

func (c *counter) ID() string              { return c.id }
func (c *counter) InitialState() ego.State { return wrapperspb.Int64(0) }

func (c *counter) HandleCommand(_ context.Context, command ego.Command, _ ego.State) ([]ego.Event, error) {
	return []ego.Event{command}, nil
}

func (c *counter) HandleEvent(_ context.Context, event ego.Event, prior ego.State) (ego.State, error) {
	return wrapperspb.Int64(prior.(*wrapperspb.Int64Value).GetValue() + event.(*wrapperspb.Int64Value).GetValue()), nil
}

// An engine on a file goes on where the one before it ended.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "ego")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	for range 2 {
		store, err := sqlite.Open(filepath.Join(dir, "counters.db"))
		if err != nil {
			panic(err)
		}
		engine := ego.NewEngine("counters", store, ego.WithKinds(ego.EventSourcedKind("counter", newCounter)))
		if err := errors.Join(engine.Start(ctx), engine.Entity(ctx, newCounter("visits"))); err != nil {
			panic(err)
		}
		fmt.Println(engine.SendCommand(ctx, "visits", wrapperspb.Int64(5), time.Second))
		if err := errors.Join(engine.Stop(ctx), store.Disconnect(ctx)); err != nil {
			panic(err)
		}
	}
	// Output:
	// value:5 1 <nil>
	// value:10 2 <nil>
}

// The read model and the offset are written in one transaction, so every event takes effect once.
func ExampleTxHandler() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "ego")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := sqlite.Open(filepath.Join(dir, "counters.db"))
	if err != nil {
		panic(err)
	}
	defer store.Disconnect(ctx) //nolint:errcheck // an example
	handler := sqlite.TxHandler(store, func(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO totals (counter, total) VALUES (?, ?)
			ON CONFLICT (counter) DO UPDATE SET total = total + excluded.total`,
			event.PersistenceID, event.Message.(*wrapperspb.Int64Value).GetValue())
		return err
	})
	engine := ego.NewEngine("counters", store,
		ego.WithKinds(ego.EventSourcedKind("counter", newCounter)),
		ego.WithProjection("totals", &projection.Options{Handler: handler}))
	if err := errors.Join(engine.Start(ctx), engine.Entity(ctx, newCounter("visits"))); err != nil {
		panic(err)
	}
	defer engine.Stop(ctx) //nolint:errcheck // an example
	err = store.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE totals (counter TEXT PRIMARY KEY, total INTEGER NOT NULL)`)
		return err
	})
	if err != nil {
		panic(err)
	}

	if err := engine.StartProjection(ctx, "totals"); err != nil {
		panic(err)
	}
	_, revision, err := engine.SendCommand(ctx, "visits", wrapperspb.Int64(5), time.Second)
	if err != nil {
		panic(err)
	}
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := engine.WaitForProjection(waiting, "totals", "visits", revision); err != nil {
		panic(err)
	}
	var total int64
	err = store.DB().QueryRowContext(ctx, `SELECT total FROM totals WHERE counter = 'visits'`).Scan(&total)
	fmt.Println(total, err)
	// Output: 5 <nil>
}
