package house

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// A Place is where the books of a house are: in a directory, or in a PostgreSQL database when there is a connection string.
type Place struct{ Dir, Postgres string }

func (p Place) String() string {
	if p.Postgres != "" {
		return "PostgreSQL"
	}
	return p.Dir
}

// A Store is what a house works on.
type Store interface {
	persistence.EventsStore
	persistence.TimerStore
}

// Open connects to the store of a place, which is made when there is none.
func (p Place) Open(ctx context.Context) (Store, error) {
	if p.Postgres != "" {
		return openPostgres(ctx, p.Postgres)
	}
	if err := os.MkdirAll(p.Dir, 0o750); err != nil {
		return nil, err
	}
	store, err := sqlite.Open(filepath.Join(p.Dir, "house.db"))
	if err != nil {
		return nil, err
	}
	return store, store.Connect(ctx)
}

// pooled is a PostgreSQL store with a pool of its own.
type pooled struct {
	*postgres.Store
	pool *pgxpool.Pool
}

func openPostgres(ctx context.Context, url string) (Store, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	store := &pooled{postgres.NewStore(pool, postgres.WithSchema("house")), pool}
	if err := errors.Join(store.Migrate(ctx), store.Connect(ctx)); err != nil {
		return nil, errors.Join(err, store.Disconnect(ctx))
	}
	return store, nil
}

// Disconnect closes the pool as well.
func (p *pooled) Disconnect(ctx context.Context) error {
	err := p.Store.Disconnect(ctx)
	p.pool.Close()
	return err
}
