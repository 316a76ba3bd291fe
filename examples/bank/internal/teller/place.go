package teller

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
	"github.com/actorkeep/ego/persistence/sqlite"
)

const file = "bank.db"

// A Place is where the books of a bank are: in a directory, or in a MongoDB database when there is a connection string.
type Place struct{ Dir, Mongo, Database string }

func (p Place) String() string {
	if p.Mongo != "" {
		return "database " + p.Database + " of MongoDB"
	}
	return p.Dir
}

// Path returns the file of a place that is a directory.
func (p Place) Path() string { return filepath.Join(p.Dir, file) }

// open connects to the store of a place, which is made when there is none.
func (p Place) open(ctx context.Context) (persistence.EventsStore, error) {
	if p.Mongo != "" {
		return p.openMongo(ctx)
	}
	if err := os.MkdirAll(p.Dir, 0o750); err != nil {
		return nil, err
	}
	store, err := sqlite.Open(p.Path())
	if err != nil {
		return nil, err
	}
	return store, store.Connect(ctx)
}

// owning is a MongoDB store with a client of its own.
type owning struct {
	*mongo.Store
	client *driver.Client
}

func (p Place) openMongo(ctx context.Context) (persistence.EventsStore, error) {
	client, err := driver.Connect(options.Client().ApplyURI(p.Mongo))
	if err != nil {
		return nil, err
	}
	store := &owning{mongo.NewStore(client, p.Database), client}
	if err := errors.Join(store.Migrate(ctx), store.Connect(ctx)); err != nil {
		return nil, errors.Join(err, store.Disconnect(ctx))
	}
	return store, nil
}

// Disconnect disconnects the client as well.
func (o *owning) Disconnect(ctx context.Context) error {
	return errors.Join(o.Store.Disconnect(ctx), o.client.Disconnect(ctx))
}
