package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

// The defaults of [Config].
const (
	DefaultLeaseTime   = 10 * time.Second
	DefaultCallTimeout = 5 * time.Second
)

// Config is what the consumers of a process share.
type Config struct {
	Offsets offsetstore.OffsetStore
	Letters offsetstore.DeadLetterStore // nil: no event can be parked
	Owner   string                      // names this run of this process; no other may have it

	// LeaseTime bounds how long the shards of a process that died stay without an owner. The default is 10 seconds.
	LeaseTime time.Duration

	// CallTimeout bounds one call to a store. The default is 5 seconds.
	CallTimeout time.Duration

	Logger    *slog.Logger
	Telemetry *telemetry.Recorder // nil: nothing
}

func (c Config) withDefaults() Config {
	if c.LeaseTime <= 0 {
		c.LeaseTime = DefaultLeaseTime
	}
	if c.CallTimeout <= 0 {
		c.CallTimeout = DefaultCallTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// The times of the lease protocol, from the one that users set. A lease ends before LeaseTime is over, so that there is time
// to notice and to take over.
func (c *Config) leaseTTL() time.Duration    { return c.LeaseTime * 3 / 4 }
func (c *Config) renewEvery() time.Duration  { return c.LeaseTime / 4 }
func (c *Config) rosterEvery() time.Duration { return c.LeaseTime / 8 }
func (c *Config) searchEvery() time.Duration { return c.LeaseTime / 20 }

// answerWithin is how long an owner may take to begin with a request: a shard has another owner a lease time after one has
// died, and that one may die too.
func (c *Config) answerWithin() time.Duration { return c.LeaseTime * 3 }

// A Spec describes a consumer.
type Spec struct {
	Name string
	Feed *Feed
	Sink Sink

	Open         Opener // nil: the sink gets stored events only
	Filter       projection.Filter
	BatchSize    int
	PullInterval time.Duration
	Parallelism  int
	Window       int
	RecordEvery  time.Duration // the offset may wait for so long to be recorded together with later ones
	Recovery     *projection.Recovery
	StartFrom    time.Time // see projection.Options
	FromNow      bool

	Erasure func(stored *egopb.Event) bool // tells the ends of erased entities, at which their dead letters go; nil: none
	Forgets bool                           // the sink gets these ends too, unopened

	heads map[uint32]uint64 // when the consumer was started, for FromNow

	// GaveUp is told of events that are parked or skipped. It may be nil.
	GaveUp func(ctx context.Context, letter *egopb.DeadLetter)

	Traces Traces // what a delivery is in a trace
	System string // what a publisher publishes to, for traces; empty: not known
}

func (s Spec) withDefaults() Spec {
	if s.BatchSize <= 0 {
		s.BatchSize = projection.DefaultBatchSize
	}
	if s.PullInterval <= 0 {
		s.PullInterval = projection.DefaultPullInterval
	}
	if s.Parallelism <= 0 {
		s.Parallelism = 1
	}
	if s.Window <= 0 {
		s.Window = projection.DefaultWindow(s.BatchSize, s.Parallelism)
		if s.RecordEvery > 0 {
			s.Window *= 2 // a page is read while the one before it waits to be recorded
		}
	}
	if s.Recovery == nil {
		s.Recovery = projection.NewRecovery()
	}
	return s
}

var (
	// ErrStopped reports a call to a group that has stopped.
	ErrStopped = errors.New("consumer: stopped")

	// ErrNotRunning reports a consumer that this process does not run.
	ErrNotRunning = errors.New("consumer: not running")

	errDrained = errors.New("consumer: drained")     // ended on request
	errHalted  = errors.New("consumer: halted")      // another lane of the shard has failed
	errLost    = errors.New("consumer: lease lost")  // it ran out before it could be renewed
	errForced  = errors.New("consumer: stopped now") // Stop had no more time
)

// A GapError reports that a source broke its promise: a position is missing, or came twice.
type GapError struct {
	Consumer string
	Shard    uint32
	After    uint64 // the position before
	Found    uint64
}

func (e *GapError) Error() string {
	return fmt.Sprintf("consumer: shard %d continues with position %d after %d: the store broke the order that consumer %q relies on",
		e.Shard, e.Found, e.After, e.Consumer)
}

// An EventError reports the event that stopped a shard.
type EventError struct {
	Consumer      string
	PersistenceID string
	Number        uint64
	Shard         uint32
	Position      uint64
	Attempts      int
	Err           error
}

func (e *EventError) Error() string {
	return fmt.Sprintf("consumer %q failed at event %d of entity %q (shard %d, position %d) after %d attempts: %v",
		e.Consumer, e.Number, e.PersistenceID, e.Shard, e.Position, e.Attempts, e.Err)
}

func (e *EventError) Unwrap() error { return e.Err }
