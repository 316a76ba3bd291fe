package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/actorkeep/ego/egopb"
)

// maxLinks bounds the links of one span; a batch may carry more commands than that.
const maxLinks = 64

// An Origin is the W3C trace context that is stored with something. It is empty when there is none.
type Origin struct{ TraceParent, TraceState string }

// OriginOf returns a stored trace context, which may be nil.
func OriginOf(stored *egopb.TraceContext) Origin {
	return Origin{stored.GetTraceparent(), stored.GetTracestate()}
}

// Stored returns the trace context of the span of a context as it is stored, nil when there is none.
func Stored(ctx context.Context) *egopb.TraceContext {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return nil
	}
	return &egopb.TraceContext{Traceparent: TraceParent(span), Tracestate: span.TraceState().String()}
}

// TraceParent returns a span as W3C trace contexts name it.
func TraceParent(span trace.SpanContext) string {
	return "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-" + span.TraceFlags().String()
}

// Continue returns a context in which spans are children of the span that was stored, and the context itself when there is
// none, or when it has a span already.
func Continue(ctx context.Context, stored *egopb.TraceContext) context.Context {
	if stored.GetTraceparent() == "" || trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	if origin := SpanContext(stored.GetTraceparent(), stored.GetTracestate()); origin.IsValid() {
		return trace.ContextWithRemoteSpanContext(ctx, origin)
	}
	return ctx
}

// originsOf returns the spans that n things come from, each once.
func originsOf(n int, at func(i int) Origin) []trace.SpanContext {
	var origins []trace.SpanContext
	var seen map[Origin]struct{}
	last := Origin{}
	for i := range n {
		o := at(i)
		if o.TraceParent == "" || o == last {
			continue
		}
		if _, again := seen[o]; again {
			continue
		}
		if last != (Origin{}) {
			if seen == nil {
				seen = map[Origin]struct{}{last: {}}
			}
			seen[o] = struct{}{}
		}
		last = o
		if origin := SpanContext(o.TraceParent, o.TraceState); origin.IsValid() {
			origins = append(origins, origin)
		}
	}
	return origins
}

// start begins a span: a child of its only origin, or else one of a trace of its own that links to its origins.
func (r *Recorder) start(ctx context.Context, name string, kind trace.SpanKind, origins []trace.SpanContext, attributes ...attribute.KeyValue,
) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attributes...)}
	if len(origins) == 1 {
		return r.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, origins[0]), name, options...) //nolint:spancheck // ended by the caller
	}
	links := make([]trace.Link, min(len(origins), maxLinks))
	for i := range links {
		links[i].SpanContext = origins[i]
	}
	return r.tracer.Start(ctx, name, append(options, trace.WithNewRoot(), trace.WithLinks(links...))...) //nolint:spancheck // ended by the caller
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
