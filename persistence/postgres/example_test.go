package postgres_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/projection"
)

// databaseURL is the connection string of a server, "postgres://user:password@host/database" for example.
func databaseURL() string {
	url, err := pgtest.SharedURL()
	if err != nil {
		panic(err)
	}
	return url
}

func Example() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, databaseURL())
	if err != nil {
		panic(err)
	}
	defer pool.Close()

	store := postgres.NewStore(pool, postgres.WithSchema("example journal"))
	if err := store.Migrate(ctx); err != nil { // at deployment, or at every start
		panic(err)
	}
	if err := store.Connect(ctx); err != nil {
		panic(err)
	}

	// The engine does this for you: ego.NewEngine("bank", store, …).
	payload, err := anypb.New(wrapperspb.Int64(100))
	if err != nil {
		panic(err)
	}
	deposited := &egopb.Event{PersistenceId: "account-1", SequenceNumber: 1, Kind: "account", Payload: payload}
	if err := store.WriteEvents(ctx, []*egopb.Event{deposited}); err != nil {
		panic(err)
	}
	fmt.Println(store.WriteEvents(ctx, []*egopb.Event{deposited})) // a second writer of the same number

	if err := store.Disconnect(ctx); err != nil {
		panic(err)
	}
	dropExample(ctx, pool, "example journal")
	// Output: persistence: conflict on entity "account-1": writer tried number 1, highest stored is 1
}

func ExampleTxHandler() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, databaseURL())
	if err != nil {
		panic(err)
	}
	defer pool.Close()
	store := postgres.NewStore(pool, postgres.WithSchema("example projection"))
	if err := store.Migrate(ctx); err != nil {
		panic(err)
	}
	if _, err := pool.Exec(ctx, `CREATE TABLE "example projection".balances (account text PRIMARY KEY, cents bigint NOT NULL)`); err != nil {
		panic(err)
	}

	// The read model and the offset of the projection are committed together: each event counts once.
	handler := postgres.TxHandler(store, func(ctx context.Context, tx pgx.Tx, event *projection.Event) error {
		amount, ok := event.Message.(*wrapperspb.Int64Value)
		if !ok {
			return nil
		}
		_, err := tx.Exec(ctx, `INSERT INTO "example projection".balances AS b VALUES ($1, $2)
			ON CONFLICT (account) DO UPDATE SET cents = b.cents + excluded.cents`, event.PersistenceID, amount.GetValue())
		return err
	})

	// The engine does this for you: ego.WithProjection("balances", &projection.Options{Handler: handler}).
	deposited := &projection.Event{PersistenceID: "account-1", SequenceNumber: 1, Position: 1, Message: wrapperspb.Int64(100)}
	if err := handler.Handle(ctx, deposited); err != nil {
		panic(err)
	}
	var cents int64
	if err := pool.QueryRow(ctx, `SELECT cents FROM "example projection".balances WHERE account = 'account-1'`).Scan(&cents); err != nil {
		panic(err)
	}
	fmt.Println(cents)

	if err := store.Disconnect(ctx); err != nil {
		panic(err)
	}
	dropExample(ctx, pool, "example projection")
	// Output: 100
}

// dropExample leaves nothing behind on a server that others use too.
func dropExample(ctx context.Context, pool *pgxpool.Pool, schema string) {
	if _, err := pool.Exec(ctx, "DROP SCHEMA "+pgx.Identifier{schema}.Sanitize()+" CASCADE"); err != nil {
		panic(err)
	}
}
