package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/actorkeep/ego/persistence"
)

// An Option changes how [Open] prepares a store. Of two that set the same, the last wins.
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

type config struct {
	path        string // absolute
	shards      uint32
	busyTimeout time.Duration
	connector   func(dsn string) (driver.Connector, error)
	now         func() time.Time
}

// WithShards sets the number of shards that a new file is created with, and that an existing file must have. The default
// is [persistence.DefaultShards]; Open rejects zero and more than [persistence.MaxShards].
func WithShards(n uint32) Option {
	return optionFunc(func(c *config) { c.shards = n })
}

// WithBusyTimeout bounds how long a call waits for a lock that another process, or another store of this process, holds
// on the file. When it is over, the call fails with [ErrLocked]; the context of the call may end the wait earlier. The
// default is 5 seconds; Open rejects d <= 0.
func WithBusyTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) { c.busyTimeout = d })
}

func newConfig(path string, opts []Option) (config, error) {
	c := config{
		shards:      persistence.DefaultShards,
		busyTimeout: 5 * time.Second,
		connector:   newConnector,
		now:         time.Now,
	}
	for _, opt := range opts {
		opt.apply(&c)
	}
	absolute, err := checkPath(path)
	if err != nil {
		return c, err
	}
	c.path = absolute
	return c, c.validate()
}

func (c *config) validate() error {
	var problems []error
	if c.shards == 0 || c.shards > persistence.MaxShards {
		problems = append(problems, invalid("%d shards, want 1 to %d", c.shards, persistence.MaxShards))
	}
	if c.busyTimeout <= 0 {
		problems = append(problems, invalid("busy timeout %v is not positive", c.busyTimeout))
	}
	return errors.Join(problems...)
}

// checkPath makes a path absolute, so that it names the same file after the process changes its directory.
func checkPath(path string) (string, error) {
	switch {
	case path == "":
		return "", invalid("the path is empty")
	case strings.HasPrefix(path, ":memory:"), strings.HasPrefix(path, "file:"):
		return "", invalid("%q is not the path of a file; for a store in memory take package memory", path)
	case strings.IndexByte(path, 0) >= 0:
		return "", invalid("the path %q has a zero byte", path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	return absolute, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("sqlite: %w: %s", persistence.ErrInvalidArgument, fmt.Sprintf(format, args...))
}
