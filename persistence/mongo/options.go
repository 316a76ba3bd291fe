package mongo

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/actorkeep/ego/persistence"
)

// An Option changes how [NewStore] prepares a store. Of two that set the same, the last wins.
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

type config struct {
	client       *driver.Client
	database     string
	shards       uint32
	pollInterval time.Duration
}

// WithShards sets the number of shards that a new store is created with, and that an existing one must have. The default
// is [persistence.DefaultShards]; Migrate and Connect reject zero and more than [persistence.MaxShards]. Every batch of
// events records the positions of all shards, in two to four bytes each.
func WithShards(n uint32) Option {
	return optionFunc(func(c *config) { c.shards = n })
}

// WithPollInterval sets how often [Store.Listen] looks for new events on a deployment without change streams. The default
// is 20 milliseconds; Migrate and Connect reject d <= 0.
func WithPollInterval(d time.Duration) Option {
	return optionFunc(func(c *config) { c.pollInterval = d })
}

func newConfig(client *driver.Client, database string, opts []Option) config {
	c := config{client: client, database: database, shards: persistence.DefaultShards, pollInterval: 20 * time.Millisecond}
	for _, opt := range opts {
		opt.apply(&c)
	}
	return c
}

func (c *config) validate() error {
	var problems []error
	if c.client == nil {
		problems = append(problems, invalid("the client is nil"))
	}
	if c.database == "" || len(c.database) > 63 || strings.ContainsAny(c.database, "/\\. \"$*<>:|?\x00") {
		problems = append(problems, invalid("a database cannot be named %q", c.database))
	}
	if c.shards == 0 || c.shards > persistence.MaxShards {
		problems = append(problems, invalid("%d shards, want 1 to %d", c.shards, persistence.MaxShards))
	}
	if c.pollInterval <= 0 {
		problems = append(problems, invalid("poll interval %v is not positive", c.pollInterval))
	}
	return errors.Join(problems...)
}

// The collections of a store.
const (
	metaCollection     = "ego_meta"
	logCollection      = "ego_log"
	turnCollection     = "ego_turns"
	entityCollection   = "ego_entities"
	deletionCollection = "ego_deletions"
	stateCollection    = "ego_states"
	snapshotCollection = "ego_snapshots"
	timerCollection    = "ego_timers"
	claimCollection    = "ego_timer_claims"
	batchCollection    = "ego_timer_batches"
	consumerCollection = "ego_consumers"
	keyringCollection  = "ego_keyrings"
	letterCollection   = "ego_dead_letters"
)

// db returns the database of the store. A write to it is acknowledged when a majority of the members have it in their journals,
// reads see only what can no longer be rolled back, and both go to the primary. What the client is set to does not count, in
// this nor in how documents are encoded.
func (c *config) db() *driver.Database {
	return c.client.Database(c.database, options.Database().
		SetWriteConcern(durable()).
		SetReadConcern(readconcern.Majority()).
		SetReadPreference(readpref.Primary()).
		SetBSONOptions(&options.BSONOptions{}).
		SetRegistry(bson.NewRegistry()))
}

func durable() *writeconcern.WriteConcern {
	journaled := true
	return &writeconcern.WriteConcern{W: "majority", Journal: &journaled}
}

func (c *config) collection(name string) *driver.Collection { return c.db().Collection(name) }

// checkPage returns the error for the arguments of a read of a shard.
func (c *config) checkPage(shard uint32, limit int) error {
	if shard >= c.shards {
		return invalid("shard %d of %d", shard, c.shards)
	}
	if limit < 1 {
		return invalid("limit %d is below one", limit)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("mongo: %w: %s", persistence.ErrInvalidArgument, fmt.Sprintf(format, args...))
}
