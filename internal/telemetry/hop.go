package telemetry

import (
	"context"
	"net"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/actorkeep/ego/egopb"
)

// The attributes of the semantic conventions for the far side of a call, which are stable.
const (
	keyServerAddress = attribute.Key("server.address")
	keyServerPort    = attribute.Key("server.port")
)

// Asker returns what records the requests of this node to others, nil without traces: each attempt is a span of the client, in
// whose trace the other node goes on. The function that it returns ends it.
func (r *Recorder) Asker() func(ctx context.Context, address string, request *egopb.ClusterRequest) func(*egopb.ClusterReply, error) {
	if !r.traces() {
		return nil
	}
	return r.ask
}

func (r *Recorder) ask(ctx context.Context, address string, request *egopb.ClusterRequest) func(*egopb.ClusterReply, error) {
	host, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	ctx, span := r.hop(ctx, "ask ", trace.SpanKindClient, request)
	span.SetAttributes(keyServerAddress.String(host), keyServerPort.Int(number))
	request.Trace = Stored(ctx)
	return func(reply *egopb.ClusterReply, err error) { endHop(span, reply, err) }
}

// Serve begins what this node does about a request of another. The span is a child of the one that the request names. The
// function that is returned ends it.
func (r *Recorder) Serve(ctx context.Context, request *egopb.ClusterRequest) (context.Context, func(*egopb.ClusterReply, error)) {
	ctx = Continue(ctx, request.GetTrace())
	if !r.traces() {
		return ctx, func(*egopb.ClusterReply, error) {}
	}
	ctx, span := r.hop(ctx, "serve ", trace.SpanKindServer, request)
	return ctx, func(reply *egopb.ClusterReply, err error) { endHop(span, reply, err) }
}

func (r *Recorder) hop(ctx context.Context, side string, kind trace.SpanKind, request *egopb.ClusterRequest) (context.Context, trace.Span) {
	name := "request"
	attributes := []attribute.KeyValue{keyEntity.String(request.GetEntityId())}
	switch request.GetOperation() {
	case egopb.ClusterOperation_CLUSTER_OPERATION_COMMAND:
		command := string(request.GetCommand().MessageName())
		name, attributes = "command "+command, append(attributes, keyCommand.String(command))
	case egopb.ClusterOperation_CLUSTER_OPERATION_STATE:
		name = "state"
	case egopb.ClusterOperation_CLUSTER_OPERATION_ACTIVATE:
		name = "activate"
	case egopb.ClusterOperation_CLUSTER_OPERATION_ERASE:
		name = "erase"
	case egopb.ClusterOperation_CLUSTER_OPERATION_SAGA:
		name = "saga"
	case egopb.ClusterOperation_CLUSTER_OPERATION_UNSPECIFIED:
	}
	return r.tracer.Start(ctx, side+name, trace.WithSpanKind(kind), trace.WithAttributes(attributes...)) //nolint:spancheck // ended by the caller
}

// endHop ends a span with what the owner answered. A refusal is no error of a span, nor is an entity that has moved.
func endHop(span trace.Span, reply *egopb.ClusterReply, err error) {
	failed := reply.GetFailure()
	outcome := "ok"
	switch {
	case reply.GetMoved():
		outcome = "moved"
	case failed.GetRejection() != nil:
		outcome = "refused"
	case failed != nil:
		outcome = "failed"
		span.SetStatus(codes.Error, failed.GetMessage())
	case err != nil:
		outcome = "failed"
		span.SetStatus(codes.Error, err.Error())
	}
	span.SetAttributes(keyOutcome.String(outcome))
	span.End()
}
