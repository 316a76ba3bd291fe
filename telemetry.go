package ego

import (
	"context"
	"errors"
	"time"

	"github.com/actorkeep/ego/internal/journal"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/persistence"
)

// recorder returns what records the telemetry of the engine, nil when it has none.
func (c *config) recorder() (*telemetry.Recorder, error) {
	if c.telemetry == nil {
		return nil, nil
	}
	return telemetry.New(c.telemetry.TracerProvider, c.telemetry.MeterProvider)
}

// journalConfig returns how the journal writes to a store.
func (n *node) journalConfig(store persistence.EventsStore) journal.Config {
	c := journal.Config{Store: store, WriteTimeout: n.config.writeTimeout, OnCommit: n.consumers.committed()}
	if n.record != nil {
		c.Store = n.record.Events(store)
		c.Observe = func(w journal.Write) { n.record.Wrote(w.Outcome.String(), w.Appends, w.Events, w.Duration) }
	}
	return c
}

// gauges are what is asked for when metrics are collected.
func (n *node) gauges() telemetry.Gauges {
	g := telemetry.Gauges{Entities: func() int64 { return int64(n.host.Count()) }}
	if n.journal != nil {
		g.Pending = func() int64 {
			status := n.journal.Status()
			return int64(status.PendingAppends + status.WaitingAppends)
		}
	}
	if n.consumers != nil {
		g.Consumers = n.consumers.group.Statuses
	}
	if n.writer != nil {
		g.Snapshots = func() int64 { return int64(n.writer.Status().Pending) }
	}
	if n.sagas != nil {
		g.Commands = func() int64 { return int64(n.sagas.dispatcher.Pending()) }
	}
	if n.cluster != nil {
		g.Cluster = n.cluster.gauges
	}
	return g
}

func (n *node) passivated(id string, revision uint64) {
	n.record.Passivated()
	n.spawned.passivated(id, revision)
}

// recorded sends a request to the node that owns the entity and records what becomes of it.
func (n *node) recorded(ctx context.Context, id string, command Command, timeout time.Duration) (State, uint64, error) {
	if n.record == nil {
		return n.dispatch(ctx, id, command, timeout)
	}
	ctx, recorded := n.record.Command(ctx, id, commandName(command))
	state, revision, err := n.dispatch(ctx, id, command, timeout)
	kind := ""
	if cell := n.host.Cell(id); cell != nil {
		kind, _ = cell.Live()
	}
	if err == nil {
		recorded.End(kind, "ok", false, nil)
		return state, revision, nil
	}
	failed := failure(id, command, err)
	outcome := outcomeOf(failed)
	recorded.End(kind, outcome, outcome == outcomeRefused, failed)
	return nil, 0, err
}

const outcomeRefused = "refused"

// outcomeOf names what became of a command that failed.
func outcomeOf(err error) string {
	if refused, ok := errors.AsType[*CommandError](err); ok {
		if refused.Code == CodePanic {
			return "panic"
		}
		return outcomeRefused
	}
	for _, known := range []struct {
		err  error
		name string
	}{
		{ErrTimeout, "timeout"}, {context.Canceled, "canceled"}, {ErrConflict, "conflict"}, {ErrOutcomeUnknown, "unknown"},
		{ErrWriteFailed, "write_failed"}, {ErrEntityNotFound, "not_found"}, {ErrRecovery, "recovery"},
		{ErrOverloaded, "overloaded"}, {ErrEngineNotStarted, "stopping"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	return "failed"
}
