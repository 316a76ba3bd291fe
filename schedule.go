package ego

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/internal/timer"
)

const (
	scheduleKind = "ego.command" // of the timers of scheduled commands
	scheduleName = "command/"    // begins their names

	// scheduleAttempts is how often an entity that has no events is looked for: this process may not know one that another
	// has brought to life. There are 12 seconds between two attempts, the time of a claim.
	scheduleAttempts = 10
)

// A ScheduleOption configures a scheduled command.
type ScheduleOption interface{ applySchedule(c *scheduleConfig) }

type scheduleConfig struct{ id string }

type scheduleOption func(c *scheduleConfig)

func (o scheduleOption) applySchedule(c *scheduleConfig) { o(c) }

// WithScheduleID names a scheduled command among those of its entity. Scheduling another one of that name replaces it. The
// default is a name that no other has.
func WithScheduleID(id string) ScheduleOption {
	return scheduleOption(func(c *scheduleConfig) { c.id = id })
}

// ScheduleCommand sends a command to an entity at a time, once, whatever becomes of this process: it returns the id of the
// schedule once that is durable in the timer store, and any process that shares the store sends the command when it is due,
// at once when that is past. The metadata of the context goes with it, but for a command id: it is sent under one of its
// own, so that an entity handles it once within its dedup window, however often it is sent. [Engine.CancelScheduledCommand]
// takes it back.
//
// One that cannot be sent is sent again, every 12 seconds and for as long as it takes: nothing but a refusal ends it. A
// command that the entity refuses is gone; one whose entity is still [ErrEntityNotFound] at the tenth attempt, some two
// minutes after it was due, is too. Both are logged as a warning and counted by the metric ego.timer.delay with the outcome
// abandoned.
//
// Without a timer store it is [ErrNoTimerStore].
func (e *Engine) ScheduleCommand(ctx context.Context, entityID string, command Command, at time.Time, opts ...ScheduleOption) (string, error) {
	n, err := e.scheduling(entityID)
	if err != nil {
		return "", failure(entityID, command, err)
	}
	if entity.IsNil(command) {
		return "", &EntityError{EntityID: entityID, Err: ErrInvalidCommand}
	}
	config := scheduleConfig{id: rand.Text()}
	for _, opt := range opts {
		if opt != nil {
			opt.applySchedule(&config)
		}
	}
	row := &egopb.Timer{Owner: entityID, Name: scheduleName + config.id, Kind: scheduleKind, DueUnixNano: at.UnixNano()}
	if err := n.codec.PackTimer(ctx, row, command); err != nil {
		return "", failure(entityID, command, err)
	}
	if metadata := metadataOf(ctx); metadata != nil {
		row.CorrelationId, row.Metadata = metadata.CorrelationID, metadata.Values
		if metadata.TraceParent != "" {
			row.Trace = &egopb.TraceContext{Traceparent: metadata.TraceParent, Tracestate: metadata.TraceState}
		}
	}
	if err := n.sagas.timers.Schedule(ctx, []*egopb.Timer{row}); err != nil {
		return "", failure(entityID, command, err)
	}
	return config.id, nil
}

// CancelScheduledCommand takes a scheduled command back and returns once that is durable. One that has been sent, or is
// being sent, is not taken back; an unknown one is passed over.
func (e *Engine) CancelScheduledCommand(ctx context.Context, entityID, scheduleID string) error {
	n, err := e.scheduling(entityID)
	if err == nil {
		err = n.sagas.timers.CancelNow(ctx, entityID, scheduleName+scheduleID)
	}
	if err != nil {
		return failure(entityID, nil, err)
	}
	return nil
}

// scheduling returns the running node when it has a timer store.
func (e *Engine) scheduling(entityID string) (*node, error) {
	n, err := e.running()
	if err != nil {
		return nil, err
	}
	if n.sagas == nil {
		return nil, ErrNoTimerStore
	}
	return n, checkEntityID(entityID)
}

// fireScheduled sends a scheduled command that is due.
func (ss *sagas) fireScheduled(ctx context.Context, t *egopb.Timer) error {
	command, err := ss.node.codec.OpenTimer(ctx, t)
	if err != nil {
		return err
	}
	id := t.GetOwner() + "/" + t.GetName() + "/" + strconv.FormatUint(t.GetVersion(), 10)
	ctx = telemetry.Continue(ctx, t.GetTrace())
	ctx = WithMetadata(WithCommandID(ctx, id), t.GetMetadata())
	ctx = WithCorrelation(ctx, t.GetCorrelationId(), id)
	_, _, err = ss.node.recorded(ctx, t.GetOwner(), command, defaultCommandTimeout)
	if verdictOf(err) != saga.Refused {
		return err
	}
	log := ss.node.config.logger.With("entity", t.GetOwner(), "schedule", strings.TrimPrefix(t.GetName(), scheduleName), "error", err)
	switch {
	case !errors.Is(err, ErrEntityNotFound):
		log.WarnContext(ctx, "a scheduled command was refused", "kind", ss.node.kindOf(ctx, t.GetOwner()))
	case t.GetAttempts() < scheduleAttempts:
		return err
	default:
		log.WarnContext(ctx, "a scheduled command was given up: its entity stayed unknown", "attempts", t.GetAttempts())
	}
	return fmt.Errorf("%w: %w", timer.ErrAbandoned, err)
}
