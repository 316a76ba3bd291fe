package telemetry_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/telemetry"
)

func TestHop(t *testing.T) { // G12
	t.Parallel()
	command, err := anypb.New(wrapperspb.Int64(1))
	require.NoError(t, err)
	gone := errors.New("gone")
	for name, outcome := range map[string]struct {
		reply   *egopb.ClusterReply
		err     error
		status  codes.Code
		outcome string
	}{
		"Ok":      {new(egopb.ClusterReply), nil, codes.Unset, "ok"},
		"Moved":   {&egopb.ClusterReply{Moved: true}, nil, codes.Unset, "moved"},
		"Refused": {&egopb.ClusterReply{Failure: &egopb.ClusterFailure{Rejection: new(egopb.ClusterRejection)}}, gone, codes.Unset, "refused"},
		"Failed":  {&egopb.ClusterReply{Failure: &egopb.ClusterFailure{Message: "no"}}, nil, codes.Error, "failed"},
		"Lost":    {nil, gone, codes.Error, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spans := tracetest.NewInMemoryExporter()
			recorder, err := telemetry.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)), nil)
			require.NoError(t, err)
			request := &egopb.ClusterRequest{Operation: egopb.ClusterOperation_CLUSTER_OPERATION_COMMAND, EntityId: "a", Command: command}

			asked := recorder.Asker()(t.Context(), "[::1]:4000", request)
			ctx, served := recorder.Serve(t.Context(), request)
			served(outcome.reply, outcome.err)
			asked(outcome.reply, outcome.err)

			recorded := spans.GetSpans()
			require.Len(t, recorded, 2)
			server, client := recorded[0], recorded[1]
			require.Equal(t, "serve command google.protobuf.Int64Value", server.Name)
			require.Equal(t, trace.SpanKindServer, server.SpanKind)
			require.Equal(t, client.SpanContext.SpanID(), server.Parent.SpanID())
			require.Equal(t, server.SpanContext.SpanID(), trace.SpanContextFromContext(ctx).SpanID())
			require.Equal(t, trace.SpanKindClient, client.SpanKind)
			require.Subset(t, client.Attributes, []attribute.KeyValue{attribute.String("server.address", "::1"), attribute.Int("server.port", 4000)})
			for _, span := range recorded {
				require.Equal(t, outcome.status, span.Status.Code)
				require.Contains(t, span.Attributes, attribute.String("ego.outcome", outcome.outcome))
			}
		})
	}
}

// A node without traces hands on those of the others.
func TestHopWithoutTraces(t *testing.T) { // G12
	t.Parallel()
	var recorder *telemetry.Recorder
	require.Nil(t, recorder.Asker())
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	ctx, served := recorder.Serve(t.Context(), &egopb.ClusterRequest{Trace: &egopb.TraceContext{Traceparent: parent}})
	served(nil, nil)
	require.Equal(t, parent, telemetry.TraceParent(trace.SpanContextFromContext(ctx)))
}
