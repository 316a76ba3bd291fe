package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// The attributes of the semantic conventions for databases, which are stable.
const (
	keyDBSystem    = attribute.Key("db.system.name")
	keyDBOperation = attribute.Key("db.operation.name")
	keyDBBatch     = attribute.Key("db.operation.batch.size") // only of two and more
)

// Events returns a store whose writes are spans. A write of the events of one command is a child of its span. One of many
// commands is a span of its own that links to them, and each of them gets a child that links to the write. Without traces it
// is the store itself.
func (r *Recorder) Events(store persistence.EventsStore) persistence.EventsStore {
	if !r.traces() {
		return store
	}
	return &tracedEvents{EventsStore: store, recorder: r, system: systemOf(store)}
}

type tracedEvents struct {
	persistence.EventsStore
	recorder *Recorder
	system   []attribute.KeyValue
}

// WriteEvents implements [persistence.EventsStore].
func (s *tracedEvents) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	origins := originsOf(len(events), func(i int) Origin { return OriginOf(events[i].GetTrace()) })
	attributes := append([]attribute.KeyValue{keyDBOperation.String("append")}, s.system...)
	if len(events) > 1 {
		attributes = append(attributes, keyDBBatch.Int(len(events)))
	}
	began := time.Now()
	ctx, span := s.recorder.start(ctx, "append", trace.SpanKindClient, origins, attributes...)
	err := s.EventsStore.WriteEvents(ctx, events)
	end(span, err)
	if len(origins) > 1 {
		s.share(span.SpanContext(), origins, began, err)
	}
	return err
}

// share records a write of many commands in the trace of each.
func (s *tracedEvents) share(write trace.SpanContext, origins []trace.SpanContext, began time.Time, err error) {
	link := trace.Link{SpanContext: write}
	for _, origin := range origins {
		if !origin.IsSampled() {
			continue
		}
		ctx := trace.ContextWithRemoteSpanContext(context.Background(), origin)
		_, span := s.recorder.tracer.Start(ctx, "append", trace.WithTimestamp(began), trace.WithLinks(link))
		end(span, err)
	}
}

// States returns a store whose writes are spans, children of the spans of their commands. Without traces it is the store
// itself.
func (r *Recorder) States(store persistence.StateStore) persistence.StateStore {
	if !r.traces() || store == nil {
		return store
	}
	return &tracedStates{StateStore: store, recorder: r, system: systemOf(store)}
}

type tracedStates struct {
	persistence.StateStore
	recorder *Recorder
	system   []attribute.KeyValue
}

// WriteState implements [persistence.StateStore].
func (s *tracedStates) WriteState(ctx context.Context, state *egopb.DurableState) error {
	origins := originsOf(1, func(int) Origin { return OriginOf(state.GetTrace()) })
	attributes := append([]attribute.KeyValue{keyDBOperation.String("write state")}, s.system...)
	ctx, span := s.recorder.start(ctx, "write state", trace.SpanKindClient, origins, attributes...)
	err := s.StateStore.WriteState(ctx, state)
	end(span, err)
	return err
}

// systemOf names the database of a store that says so.
func systemOf(store any) []attribute.KeyValue {
	if named, ok := store.(persistence.SystemNamer); ok {
		return []attribute.KeyValue{keyDBSystem.String(named.DatabaseSystem())}
	}
	return nil
}

func end(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
