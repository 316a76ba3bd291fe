package consumer

import (
	"context"
	"errors"

	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

// Traces says how deliveries of a consumer are traced.
type Traces int

// What a delivery is in a trace.
const (
	Untraced  Traces = iota // the sink sees to it
	Processes               // by a handler
	Publishes               // to a broker
)

// traced returns a sink whose calls are spans. It can do what the sink can.
func (g *Group) traced(spec *Spec) Sink {
	if g.config.Telemetry == nil || spec.Traces == Untraced {
		return spec.Sink
	}
	t := tracedSink{Sink: spec.Sink, name: spec.Name, publish: spec.Traces == Publishes, system: spec.System, telemetry: g.config.Telemetry}
	switch inner := spec.Sink.(type) {
	case transactionalSink:
		return tracedTransactions{t, inner}
	case BatchSink:
		return tracedBatches{t, inner}
	default:
		return t
	}
}

type tracedSink struct {
	Sink
	name      string
	publish   bool
	system    string
	telemetry *telemetry.Recorder
}

// Handle hands a record to the sink.
func (s tracedSink) Handle(ctx context.Context, record *Record) error {
	return s.records(ctx, []*Record{record}, func(ctx context.Context) error { return s.Sink.Handle(ctx, record) })
}

// records calls for what is done with records.
func (s *tracedSink) records(ctx context.Context, records []*Record, call func(ctx context.Context) error) error {
	first := records[0].Stored
	d := &telemetry.Delivery{
		Consumer: s.name, Publish: s.publish, System: s.system, Shard: first.GetShard(), Events: len(records),
		Origin: func(i int) telemetry.Origin { return telemetry.OriginOf(records[i].Stored.GetTrace()) },
	}
	if len(records) == 1 {
		d.Entity = first.GetPersistenceId()
	}
	return s.deliver(ctx, d, call)
}

// events calls for what is done with opened events.
func (s *tracedSink) events(ctx context.Context, events []*projection.Event, call func(ctx context.Context) error) error {
	if len(events) == 0 {
		return call(ctx)
	}
	d := &telemetry.Delivery{
		Consumer: s.name, Publish: s.publish, System: s.system, Shard: events[0].Shard, Events: len(events),
		Origin: func(i int) telemetry.Origin {
			return telemetry.Origin{TraceParent: events[i].Metadata.TraceParent, TraceState: events[i].Metadata.TraceState}
		},
	}
	if len(events) == 1 {
		d.Entity = events[0].PersistenceID
	}
	return s.deliver(ctx, d, call)
}

// errLeft is what became of a call that did not return.
var errLeft = errors.New("the handler panicked, or ended its goroutine")

// deliver ends the span even when the call panics or ends its goroutine.
func (s *tracedSink) deliver(ctx context.Context, d *telemetry.Delivery, call func(ctx context.Context) error) (err error) {
	ctx, end := s.telemetry.Deliver(ctx, d)
	err = errLeft
	defer func() { end(err) }()
	err = call(ctx)
	return err
}

type tracedBatches struct {
	tracedSink
	batch BatchSink
}

// HandleBatch hands records to the sink.
func (s tracedBatches) HandleBatch(ctx context.Context, records []*Record) error {
	return s.records(ctx, records, func(ctx context.Context) error { return s.batch.HandleBatch(ctx, records) })
}

type tracedTransactions struct {
	tracedSink
	inner transactionalSink
}

// HandleTransaction hands events to the sink, which commits the offset.
func (s tracedTransactions) HandleTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error {
	return s.events(ctx, events, func(ctx context.Context) error {
		return s.inner.HandleTransaction(ctx, lease, events, position)
	})
}

func (s tracedTransactions) retrier() (projection.TransactionalRetrier, bool) {
	retrier, ok := s.inner.retrier()
	return tracedRetrier{&s.tracedSink, retrier}, ok
}

type tracedRetrier struct {
	traced *tracedSink
	inner  projection.TransactionalRetrier
}

// RetryTransaction implements [projection.TransactionalRetrier].
func (r tracedRetrier) RetryTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error {
	return r.traced.events(ctx, events, func(ctx context.Context) error {
		return r.inner.RetryTransaction(ctx, lease, events, position)
	})
}
