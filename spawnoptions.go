package ego

import (
	"errors"
	"fmt"
	"time"

	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/snapshot"
)

const (
	defaultPassivateAfter = 2 * time.Minute
	defaultDedupWindow    = 128
)

// spawnConfig is what the spawn options of an entity add up to.
type spawnConfig struct {
	passivateAfter time.Duration
	settings       entity.Settings
}

func defaultSpawnConfig() spawnConfig {
	return spawnConfig{
		passivateAfter: defaultPassivateAfter,
		settings:       entity.Settings{DedupWindow: defaultDedupWindow},
	}
}

// with returns the configuration with options over it.
func (c spawnConfig) with(opts []SpawnOption) (spawnConfig, error) {
	for _, opt := range opts {
		if opt != nil {
			opt.applyEntity(&c)
		}
	}
	return c, c.validate()
}

func (c *spawnConfig) validate() error {
	var problems []error
	if c.passivateAfter < 0 {
		problems = append(problems, fmt.Errorf("passivation after %v is below zero", c.passivateAfter))
	}
	if n := c.settings.DedupWindow; n < 0 {
		problems = append(problems, fmt.Errorf("dedup window %d is below zero", n))
	}
	if n := c.settings.BatchThreshold; n < 0 {
		problems = append(problems, fmt.Errorf("batch threshold %d is below zero", n))
	}
	if d := c.settings.BatchFlushWindow; d < 0 {
		problems = append(problems, fmt.Errorf("batch flush window %v is below zero", d))
	}
	if d := c.settings.Directive; d < entity.Restart || d > entity.Stop {
		problems = append(problems, fmt.Errorf("supervisor directive %d is not known", d))
	}
	return errors.Join(problems...)
}

type spawnOption func(c *spawnConfig)

func (o spawnOption) applyEntity(c *spawnConfig) { o(c) }

type sharedOption func(c *spawnConfig)

func (o sharedOption) applyEngine(c *config)      { o(&c.entities) }
func (o sharedOption) applyEntity(c *spawnConfig) { o(c) }

// WithPassivateAfter lets go of an entity that was sent no command for that long; the next one recovers it from the store.
// Zero keeps entities live for ever. The default is 2 minutes; Start, or the spawn, rejects d < 0.
func WithPassivateAfter(d time.Duration) SharedOption {
	return sharedOption(func(c *spawnConfig) { c.passivateAfter = d })
}

// WithSnapshotInterval takes a snapshot of an event-sourced entity whenever n events have become durable since the last
// one. It is written beside the commands. Zero, the default, takes none; 1,000 to 2,000 keep a recovery below about 10 ms.
// It needs a snapshot store.
func WithSnapshotInterval(n uint64) SharedOption {
	return sharedOption(func(c *spawnConfig) { c.settings.SnapshotInterval = n })
}

// WithSnapshotVersion sets the schema version of the states in snapshots. Snapshots of another version are not used: the
// state is rebuilt from the events. Raise it when the meaning of the state changes. The default is zero.
func WithSnapshotVersion(version uint32) SpawnOption {
	return spawnOption(func(c *spawnConfig) { c.settings.SchemaVersion = version })
}

// WithDedupWindow sets how many command ids an entity remembers, see [WithCommandID]. Zero remembers none. The default is
// 128; the spawn rejects n < 0.
func WithDedupWindow(n int) SpawnOption {
	return spawnOption(func(c *spawnConfig) { c.settings.DedupWindow = n })
}

// WithBatchThreshold writes the events of successive commands of an event-sourced entity together, up to n events at once.
// Commands are still handled one after the other, each on the state after the one before, and answered only when their
// events are durable; when the write fails, all commands of the batch fail and the state goes back to what is durable.
// Without [WithBatchFlushWindow] a batch is what has queued up when the entity gets to it, so nothing waits for more.
// Zero and one, the default, write each command by itself; the spawn rejects n < 0.
func WithBatchThreshold(n int) SpawnOption {
	return spawnOption(func(c *spawnConfig) { c.settings.BatchThreshold = n })
}

// WithBatchFlushWindow lets a batch that has not reached its threshold wait that long for more commands. The default is
// not to wait; the spawn rejects d < 0. It has no effect without [WithBatchThreshold].
func WithBatchFlushWindow(d time.Duration) SpawnOption {
	return spawnOption(func(c *spawnConfig) { c.settings.BatchFlushWindow = d })
}

// A RetentionPolicy says what is deleted once a snapshot of an event-sourced entity is durable. The entity itself never
// needs what is deleted, unless the snapshot it rests on cannot be read any more.
type RetentionPolicy struct {
	DeleteEventsOnSnapshot    bool
	DeleteSnapshotsOnSnapshot bool   // older snapshots
	EventsRetentionCount      uint64 // events kept below the snapshot
}

// WithRetentionPolicy deletes old events and snapshots after each snapshot, beside the commands. What cannot be deleted is
// tried again and reported by [Engine.Health]. The default deletes nothing.
func WithRetentionPolicy(policy RetentionPolicy) SpawnOption {
	return spawnOption(func(c *spawnConfig) {
		c.settings.Retention = snapshot.Retention{
			Events:    policy.DeleteEventsOnSnapshot,
			Snapshots: policy.DeleteSnapshotsOnSnapshot,
			Keep:      policy.EventsRetentionCount,
		}
	})
}

// A SupervisorDirective says what becomes of an entity whose handler panicked or broke its contract. Its command has
// failed and nothing of it is stored, whatever the directive.
type SupervisorDirective = entity.Directive

const (
	// RestartDirective drops the state in memory; the next command recovers it from the store. It is the default.
	RestartDirective = entity.Restart
	// ResumeDirective keeps the state in memory. It trusts the handler not to have modified it.
	ResumeDirective = entity.Resume
	// StopDirective lets go of the entity and its actor; the next command brings it to life anew.
	StopDirective = entity.Stop
)

// WithSupervisorDirective sets what becomes of an entity whose handler panicked or broke its contract. The spawn rejects
// an unknown directive.
func WithSupervisorDirective(directive SupervisorDirective) SpawnOption {
	return spawnOption(func(c *spawnConfig) { c.settings.Directive = directive })
}
