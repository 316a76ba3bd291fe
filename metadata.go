package ego

import (
	"context"
	"maps"

	"go.opentelemetry.io/otel/trace"

	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/projection"
)

// Metadata is what is known of a command besides the command itself. It is stored with every event the command causes.
type Metadata = projection.Metadata

type metadataKey struct{}

// WithCommandID names the command that is sent with the context. An entity handles a command id once within its dedup
// window: a repeat is answered with the recorded revision and adds no event, so a command with an id may be sent again
// whenever its outcome is unknown.
func WithCommandID(ctx context.Context, id string) context.Context {
	metadata := CommandMetadata(ctx)
	metadata.CommandID = id
	return context.WithValue(ctx, metadataKey{}, &metadata)
}

// WithMetadata adds the user's own pairs to the events of commands sent with the context. Pairs of the same key replace
// earlier ones.
func WithMetadata(ctx context.Context, kv map[string]string) context.Context {
	metadata := CommandMetadata(ctx)
	values := make(map[string]string, len(metadata.Values)+len(kv))
	maps.Copy(values, metadata.Values)
	maps.Copy(values, kv)
	metadata.Values = values
	return context.WithValue(ctx, metadataKey{}, &metadata)
}

// WithCorrelation sets the correlation and causation ids of commands sent with the context: the first is shared by
// everything that one cause set in motion, the second names what caused the command directly.
func WithCorrelation(ctx context.Context, correlationID, causationID string) context.Context {
	metadata := CommandMetadata(ctx)
	metadata.CorrelationID, metadata.CausationID = correlationID, causationID
	return context.WithValue(ctx, metadataKey{}, &metadata)
}

// WithTags labels the events of commands sent with the context; consumers can select events by tag. It replaces tags set
// before.
func WithTags(ctx context.Context, tags ...string) context.Context {
	metadata := CommandMetadata(ctx)
	metadata.Tags = append([]string(nil), tags...)
	return context.WithValue(ctx, metadataKey{}, &metadata)
}

// CommandMetadata returns the metadata of the command that a handler is called for. Its trace context is that of the
// current span, when there is one. The caller may read it, not modify its maps and slices.
func CommandMetadata(ctx context.Context) Metadata {
	if metadata := metadataOf(ctx); metadata != nil {
		return *metadata
	}
	return Metadata{}
}

// metadataOf returns what the context says of a command, nil when it says nothing.
func metadataOf(ctx context.Context) *Metadata {
	metadata, _ := ctx.Value(metadataKey{}).(*Metadata)
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return metadata
	}
	var traced Metadata
	if metadata != nil {
		traced = *metadata
	}
	traced.TraceParent = telemetry.TraceParent(span)
	traced.TraceState = span.TraceState().String()
	return &traced
}
