package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// A Command is a command, or a question for the state, on its way.
type Command struct {
	recorder *Recorder
	ctx      context.Context //nolint:containedctx // the caller's, which the command does not outlive
	name     string
	started  time.Time
	span     trace.Span
}

// Command begins a command. What follows from it belongs to the trace of the context that is returned. The recorder must
// not be nil.
func (r *Recorder) Command(ctx context.Context, entity, name string) (context.Context, Command) {
	c := Command{recorder: r, ctx: ctx, name: name, started: time.Now()}
	if r.traces() {
		title := "command " + name
		if name == "" {
			title = "state"
		}
		ctx, c.span = r.tracer.Start(ctx, title, trace.WithAttributes(keyEntity.String(entity), keyCommand.String(name))) //nolint:spancheck // ended by End
	}
	return ctx, c
}

// End ends a command with its outcome. The error of one that was refused is no error of the span.
func (c *Command) End(kind, outcome string, refused bool, err error) {
	r := c.recorder
	if r.measures() {
		r.instruments.commands.Record(c.ctx, time.Since(c.started).Seconds(),
			r.with(attributes{kind: kind, command: c.name, outcome: outcome}))
	}
	if c.span == nil {
		return
	}
	c.span.SetAttributes(keyKind.String(kind), keyOutcome.String(outcome))
	if err != nil && !refused {
		c.span.SetStatus(codes.Error, err.Error())
	}
	c.span.End()
}
