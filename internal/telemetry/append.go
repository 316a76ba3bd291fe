package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// maxLinks bounds the links of one span; a batch may carry more commands than that.
const maxLinks = 64

// Events returns a store whose writes are spans. The events of a write come from many commands, so its span is no child of
// theirs and links to them. Without traces it is the store itself.
func (r *Recorder) Events(store persistence.EventsStore) persistence.EventsStore {
	if !r.traces() {
		return store
	}
	return &tracedEvents{EventsStore: store, tracer: r.tracer}
}

type tracedEvents struct {
	persistence.EventsStore
	tracer trace.Tracer
}

// WriteEvents implements [persistence.EventsStore].
func (s *tracedEvents) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	ctx, span := s.tracer.Start(ctx, "append", trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(linksOf(events)...),
		trace.WithAttributes(attribute.Int("ego.append.events", len(events))))
	defer span.End()
	err := s.EventsStore.WriteEvents(ctx, events)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}

// linksOf returns a link for each command behind the events.
func linksOf(events []*egopb.Event) []trace.Link {
	var links []trace.Link
	last := ""
	for _, event := range events {
		parent := event.GetTrace().GetTraceparent()
		if parent == "" || parent == last {
			continue
		}
		last = parent
		if origin := SpanContext(parent, event.GetTrace().GetTracestate()); origin.IsValid() {
			links = append(links, trace.Link{SpanContext: origin})
		}
		if len(links) == maxLinks {
			break
		}
	}
	return links
}

// SpanContext returns the span that a W3C trace context names; it is not valid when the text is not.
func SpanContext(traceparent, tracestate string) trace.SpanContext {
	parts := strings.Split(traceparent, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || len(parts[3]) != 2 {
		return trace.SpanContext{}
	}
	id, err := trace.TraceIDFromHex(parts[1])
	if err != nil {
		return trace.SpanContext{}
	}
	span, err := trace.SpanIDFromHex(parts[2])
	if err != nil {
		return trace.SpanContext{}
	}
	flags := trace.TraceFlags(0)
	if c := parts[3][1]; c >= '0' && c <= '9' && (c-'0')&1 == 1 || c == 'b' || c == 'd' || c == 'f' {
		flags = trace.FlagsSampled
	}
	state, _ := trace.ParseTraceState(tracestate) // without it the span is the same
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: flags, TraceState: state, Remote: true})
}
