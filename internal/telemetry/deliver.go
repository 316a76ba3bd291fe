package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// A Delivery is events on their way to the handler of a projection or to a publisher.
type Delivery struct {
	Consumer string
	Publish  bool   // a publisher, not a projection
	System   string // that it publishes to; empty when that is not known
	Shard    uint32
	Entity   string // whose the only event is; empty for a batch
	Events   int
	Origin   func(i int) Origin // of each event
}

// Deliver begins a delivery. A delivery of what one command caused is a child of the command's span; one of many commands is a
// span of its own that links to them. The function that is returned ends it.
func (r *Recorder) Deliver(ctx context.Context, d *Delivery) (context.Context, func(error)) {
	if !r.traces() {
		return ctx, func(error) {}
	}
	operation, kind := operationProcess, trace.SpanKindConsumer
	if d.Publish {
		operation, kind = operationSend, trace.SpanKindProducer
	}
	attributes := append(messagingAttributes(operation, d), keyConsumer.String(d.Consumer))
	if d.Entity != "" {
		attributes = append(attributes, keyEntity.String(d.Entity))
	}
	ctx, span := r.start(ctx, operation+" "+d.Consumer, kind, originsOf(d.Events, d.Origin), attributes...)
	return ctx, func(err error) { end(span, err) }
}

// Step begins what a saga does about an input, whose name is one of a few. The span is a child of that of the context. The
// function that is returned ends it.
func (r *Recorder) Step(ctx context.Context, saga, input string) (context.Context, func(error)) {
	if !r.traces() {
		return ctx, func(error) {}
	}
	ctx, span := r.tracer.Start(ctx, "saga "+input, trace.WithAttributes(keySaga.String(saga), keyInput.String(input))) //nolint:spancheck // ended by the caller
	return ctx, func(err error) { end(span, err) }                                                                      //nolint:spancheck // by the caller
}

// The attributes of the spans of sagas.
const (
	keySaga  = attribute.Key("ego.saga")
	keyInput = attribute.Key("ego.saga.input")
)
