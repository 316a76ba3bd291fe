package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/actorkeep/ego/persistence"
)

// DefaultSchema is the schema of a store that is made without saying another.
const DefaultSchema = "ego"

// maxSchema is the longest name of a schema. PostgreSQL cuts names at 63 bytes; the name of the notification channel
// needs a few of them.
const maxSchema = 63 - len(channelPrefix)

// An Option changes how [NewStore] prepares a store. Of two that set the same, the last wins.
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

type config struct {
	pool     *pgxpool.Pool
	shards   uint32
	schema   string
	rewrites *sync.Map // statements for this schema, by their texts
	appends  [1 << groups]string
}

// WithShards sets the number of shards that a new store is created with, and that an existing one must have. The default
// is [persistence.DefaultShards]; Migrate and Connect reject zero and more than [persistence.MaxShards].
func WithShards(n uint32) Option {
	return optionFunc(func(c *config) { c.shards = n })
}

// WithSchema sets the schema that holds the tables of the store, so that several engines can share a database. The
// default is [DefaultSchema]. Any name is possible; Migrate and Connect reject one that is empty, longer than 59 bytes,
// has a zero byte or begins with pg_, which PostgreSQL keeps for itself.
func WithSchema(name string) Option {
	return optionFunc(func(c *config) { c.schema = name })
}

func newConfig(pool *pgxpool.Pool, opts []Option) config {
	c := config{pool: pool, shards: persistence.DefaultShards, schema: DefaultSchema, rewrites: new(sync.Map), appends: appendStatements()}
	for _, opt := range opts {
		opt.apply(&c)
	}
	return c
}

func (c *config) validate() error {
	var problems []error
	if c.pool == nil {
		problems = append(problems, invalid("the pool is nil"))
	}
	if c.shards == 0 || c.shards > persistence.MaxShards {
		problems = append(problems, invalid("%d shards, want 1 to %d", c.shards, persistence.MaxShards))
	}
	switch {
	case c.schema == "":
		problems = append(problems, invalid("the schema has no name"))
	case len(c.schema) > maxSchema:
		problems = append(problems, invalid("the name of the schema has %d bytes, more than %d", len(c.schema), maxSchema))
	case strings.HasPrefix(c.schema, "pg_"), strings.IndexByte(c.schema, 0) >= 0:
		problems = append(problems, invalid("the schema cannot be named %q", c.schema))
	}
	return errors.Join(problems...)
}

// sql returns a statement for the schema of the store. Statements are written for the default schema, as one would type
// them, and name their tables in full: a search path is a setting of a connection that belongs to the user.
func (c *config) sql(text string) string {
	if c.schema == DefaultSchema {
		return text
	}
	if known, ok := c.rewrites.Load(text); ok {
		return known.(string)
	}
	name := c.quotedSchema() + "."
	rewritten := strings.NewReplacer(
		"'"+DefaultSchema+".", "'"+strings.ReplaceAll(name, "'", "''"), // within a literal
		DefaultSchema+".", name,
	).Replace(text)
	c.rewrites.Store(text, rewritten)
	return rewritten
}

func (c *config) quotedSchema() string { return pgx.Identifier{c.schema}.Sanitize() }

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
	return fmt.Errorf("postgres: %w: %s", persistence.ErrInvalidArgument, fmt.Sprintf(format, args...))
}
