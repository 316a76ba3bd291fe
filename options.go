package ego

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/eventadapter"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

// An Option configures an [Engine]. Of two options for the same thing the last one wins.
type Option interface{ applyEngine(c *config) }

// A SpawnOption configures an entity, or all entities of a kind.
type SpawnOption interface{ applyEntity(c *spawnConfig) }

// A SharedOption is both: as an [Option] it is the default of every entity, as a [SpawnOption] it wins over that.
type SharedOption interface {
	Option
	SpawnOption
}

const (
	defaultWriteTimeout    = 5 * time.Second
	defaultRecoveryTimeout = 2 * time.Minute
	defaultCommandTimeout  = 5 * time.Second
	defaultMailboxSize     = 16_384
	defaultMemoryTime      = 5 * time.Second
)

// config is what the options of an engine add up to.
type config struct {
	kinds           []Kind
	snapshots       persistence.SnapshotStore
	states          persistence.StateStore
	offsets         offsetstore.OffsetStore
	timers          persistence.TimerStore
	resumeAfter     time.Duration
	projections     []registration
	leaseTime       time.Duration
	logger          *slog.Logger
	telemetry       *Telemetry
	writeTimeout    time.Duration
	recoveryTimeout time.Duration
	encryptor       encryption.Encryptor
	adapters        []eventadapter.EventAdapter
	erasure         ErasurePolicy
	mailboxSize     int
	memoryTime      time.Duration
	entities        spawnConfig
	cluster         *ClusterConfig // nil: none
}

func newConfig(opts []Option) config {
	c := config{
		logger:          slog.New(slog.DiscardHandler),
		writeTimeout:    defaultWriteTimeout,
		recoveryTimeout: defaultRecoveryTimeout,
		mailboxSize:     defaultMailboxSize,
		memoryTime:      defaultMemoryTime,
		leaseTime:       defaultLeaseTime,
		resumeAfter:     defaultResumeAfter,
		entities:        defaultSpawnConfig(),
	}
	for _, opt := range opts {
		if opt != nil {
			opt.applyEngine(&c)
		}
	}
	return c
}

// encrypted reports whether there is an encryptor.
func (c *config) encrypted() bool { return !isNil(c.encryptor) }

// validate returns all that is wrong with the configuration.
func (c *config) validate() error {
	var problems []error
	if c.writeTimeout <= 0 {
		problems = append(problems, fmt.Errorf("ego: write timeout %v is not above zero", c.writeTimeout))
	}
	if c.recoveryTimeout <= 0 {
		problems = append(problems, fmt.Errorf("ego: recovery timeout %v is not above zero", c.recoveryTimeout))
	}
	if c.memoryTime <= 0 {
		problems = append(problems, fmt.Errorf("ego: memory time %v is not above zero", c.memoryTime))
	}
	if c.mailboxSize <= 0 {
		problems = append(problems, fmt.Errorf("ego: mailbox size %d is not above zero", c.mailboxSize))
	}
	if err := c.entities.validate(); err != nil {
		problems = append(problems, fmt.Errorf("ego: %w", err))
	}
	if err := c.validateProjections(); err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, c.validateSagas()...)
	names := make(map[string]bool, len(c.kinds))
	for i := range c.kinds {
		kind := &c.kinds[i]
		if err := kind.validate(); err != nil {
			problems = append(problems, err)
		}
		if kind.name != "" && names[kind.name] {
			problems = append(problems, fmt.Errorf("ego: kind %q is registered twice", kind.name))
		}
		names[kind.name] = true
	}
	return errors.Join(problems...)
}

type engineOption func(c *config)

func (o engineOption) applyEngine(c *config) { o(c) }

// WithKinds registers what builds the behaviours of entities that come back to life by a command. Start rejects two kinds
// of one name, a kind without a name and one without a factory. Kinds of several calls add up.
func WithKinds(kinds ...Kind) Option {
	return engineOption(func(c *config) { c.kinds = append(c.kinds, kinds...) })
}

// WithSnapshotStore keeps snapshots in a store of their own. The default is the events store, when it is a snapshot store
// as well. The store must be connected before Start.
func WithSnapshotStore(store persistence.SnapshotStore) Option {
	return engineOption(func(c *config) { c.snapshots = store })
}

// WithStateStore keeps the states of durable-state entities. The default is the events store, when it is a state store as
// well. The store must be connected before Start.
func WithStateStore(store persistence.StateStore) Option {
	return engineOption(func(c *config) { c.states = store })
}

// WithLogger makes the engine log to logger. The default logs nothing; a nil logger is ignored.
//
// An error is what a person must look at, such as a projection that has stopped or a panic in ego; a warning is a failure that
// ego goes on after by itself; information is a change of the engine or its cluster; the rest is for debugging. A command
// that fails is answered and not logged. GoAkt logs here as well, one level lower than it would and with the attribute
// component=goakt. Entities are named by the attribute entity, with kind unless nobody knows the entity. Payloads, states and keys are never
// logged; the text of an error that comes from a handler, a store or a broker is.
func WithLogger(logger *slog.Logger) Option {
	return engineOption(func(c *config) {
		if logger != nil {
			c.logger = logger
		}
	})
}

// Telemetry is where an engine reports traces and metrics to. A nil provider is one that it does not use; the globals of
// OpenTelemetry are never used. docs/metrics.md lists what is measured.
type Telemetry struct {
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// WithTelemetry makes the engine report traces and metrics. The default, and nil, report nothing and cost nothing.
func WithTelemetry(telemetry *Telemetry) Option {
	return engineOption(func(c *config) { c.telemetry = telemetry })
}

// WithWriteTimeout bounds one write to the store. A write that takes longer has an unknown outcome: its commands fail with
// [ErrOutcomeUnknown] and the entity recovers from the store before it handles the next one. The default is 5 seconds;
// Start rejects d <= 0.
func WithWriteTimeout(d time.Duration) Option {
	return engineOption(func(c *config) { c.writeTimeout = d })
}

// WithRecoveryTimeout bounds one attempt to recover an entity from the store. The default is 2 minutes; Start rejects
// d <= 0.
func WithRecoveryTimeout(d time.Duration) Option {
	return engineOption(func(c *config) { c.recoveryTimeout = d })
}

// WithMemoryTime bounds for how long a live entity answers from memory in which the store had no say. Writes are checked by the
// store in any case. An answer that writes nothing, such as that of [Engine.EntityState] or a refusal, is given after a look
// at the store when the last write, recovery or look was longer ago than d: what another process wrote or erased is noticed
// within that time, and while the store does not answer, such answers fail with [ErrRecovery]. The default is 5 seconds;
// Start rejects d <= 0. In a cluster the store is asked every time, see [ClusterConfig].UncheckedAnswers.
func WithMemoryTime(d time.Duration) Option {
	return engineOption(func(c *config) { c.memoryTime = d })
}

// WithMailboxSize bounds how many commands may wait for one entity; one more fails with [ErrOverloaded]. The default is
// 16,384; Start rejects n <= 0.
func WithMailboxSize(n int) Option {
	return engineOption(func(c *config) { c.mailboxSize = n })
}
