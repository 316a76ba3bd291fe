package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego/persistence"
)

// layout is the version of the documents and indexes that this release works with.
const layout = 1

// A storeRecord is the only document of the collection that says what the database holds.
type storeRecord struct {
	ID     string `bson:"_id"`
	Layout int    `bson:"layout"`
	Shards uint32 `bson:"shards"`
}

const storeID = "store"

// An index of a collection.
type index struct {
	collection string
	keys       bson.D
	unique     bool
}

// indexes returns the indexes of the layout, besides those on _id.
func indexes() []index {
	asc := func(names ...string) bson.D {
		keys := make(bson.D, len(names))
		for i, name := range names {
			keys[i] = bson.E{Key: name, Value: 1}
		}
		return keys
	}
	return []index{
		{collection: logCollection, keys: asc("i", "_id")}, // batches of an entity, in order
		{collection: logCollection, keys: asc("c")},        // batches that begin entities
		{collection: deletionCollection, keys: asc("i", "q")},
		{collection: stateCollection, keys: asc("i", "v"), unique: true}, // the fence of states
		{collection: stateCollection, keys: asc("i", "l", "v")},
		{collection: stateCollection, keys: asc("x")},
		{collection: snapshotCollection, keys: asc("i", "q")},
		{collection: timerCollection, keys: asc("o", "n", "v")},
		{collection: timerCollection, keys: asc("d", "o", "n")},
		{collection: timerCollection, keys: asc("w")},
		{collection: claimCollection, keys: asc("t", "k")},
		{collection: consumerCollection, keys: asc("c", "y", "s", "q")},
		{collection: letterCollection, keys: asc("c", "s", "p")},
		{collection: letterCollection, keys: asc("w")},
		{collection: keyringCollection, keys: asc("i", "l", "q")},
		{collection: keyringCollection, keys: asc("ph", "i")},
	}
}

// Migrate creates the indexes, or brings the layout up to date, and records the shard count. Any number of processes may
// do so at once, as every step may be repeated. It never goes back: [ErrNewerLayout] reports a database that a later
// release has migrated. It needs no Connect. The user needs the role readWrite on the database.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.validate(); err != nil {
		return err
	}
	return s.fail(ctx, "migrate", s.migrate(ctx))
}

func (s *Store) migrate(ctx context.Context) error {
	err := s.checkLayout(ctx)
	if err == nil || !errors.Is(err, ErrNotMigrated) {
		return err
	}
	for _, i := range indexes() {
		model := driver.IndexModel{Keys: i.keys, Options: options.Index().SetUnique(i.unique)}
		if _, err := s.collection(i.collection).Indexes().CreateOne(ctx, model); err != nil {
			return fmt.Errorf("index %v of %s: %w", i.keys, i.collection, err)
		}
	}
	// The record comes last: a database that has it has everything.
	_, err = s.collection(metaCollection).InsertOne(ctx, storeRecord{ID: storeID, Layout: layout, Shards: s.shards})
	if err != nil && !driver.IsDuplicateKeyError(err) {
		return err
	}
	return s.checkLayout(ctx)
}

// checkLayout compares what the database holds with what this store expects.
func (s *Store) checkLayout(ctx context.Context) error {
	var stored storeRecord
	err := s.collection(metaCollection).FindOne(ctx, bson.D{{Key: "_id", Value: storeID}}).Decode(&stored)
	if errors.Is(err, driver.ErrNoDocuments) {
		return &Error{Op: "use", Database: s.database, Reason: ErrNotMigrated}
	}
	if err != nil {
		return err
	}
	if stored.Layout != layout {
		why := ErrNotMigrated
		if stored.Layout > layout {
			why = ErrNewerLayout
		}
		return &Error{Op: "use", Database: s.database, Reason: why,
			Err: fmt.Errorf("it has layout %d, this release works with %d", stored.Layout, layout)}
	}
	if stored.Shards != s.shards {
		return fmt.Errorf("mongo: use database %s: %w", s.database,
			&persistence.ShardCountError{Stored: stored.Shards, Configured: s.shards})
	}
	return nil
}
