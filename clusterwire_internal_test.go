package ego

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/persistence"
)

// across takes an error over the wire and returns what a caller there sees.
func across(t *testing.T, err error) error {
	t.Helper()
	command := new(emptypb.Empty)
	sent, marshalErr := proto.Marshal(newReply("a", command, nil, 0, err))
	require.NoError(t, marshalErr)
	reply := new(egopb.ClusterReply)
	require.NoError(t, proto.Unmarshal(sent, reply))
	_, _, opened := openReply("a", command, reply)
	require.Error(t, opened)
	return failure("a", command, opened)
}

func TestErrorsCrossTheWire(t *testing.T) { // G9, G11, G12
	t.Parallel()

	t.Run("Sentinels", func(t *testing.T) {
		t.Parallel()
		for _, w := range wireErrors() {
			err := across(t, fmt.Errorf("%w: because", w.match))
			require.ErrorIs(t, err, w.match)
			for _, other := range wireErrors() {
				require.Equal(t, other.code == w.code, errors.Is(err, other.match), "%v as %v", w.match, other.match)
			}
			var of *EntityError
			require.ErrorAs(t, err, &of)
			require.Equal(t, "a", of.EntityID)
			require.Equal(t, failure("a", new(emptypb.Empty), fmt.Errorf("%w: because", w.match)).Error(), err.Error())
		}
	})
	t.Run("SeveralAtOnce", func(t *testing.T) {
		t.Parallel()
		err := across(t, fmt.Errorf("%w: %w", ErrTimeout, ErrOutcomeUnknown))
		require.ErrorIs(t, err, ErrTimeout)
		require.ErrorIs(t, err, ErrOutcomeUnknown)
	})
	t.Run("Conflict", func(t *testing.T) {
		t.Parallel()
		err := across(t, &persistence.ConflictError{PersistenceID: "a", Expected: 3, Actual: 5})
		require.ErrorIs(t, err, ErrConflict)
		var conflict *persistence.ConflictError
		require.ErrorAs(t, err, &conflict)
		require.EqualValues(t, 5, conflict.Actual)
	})
	t.Run("Rejection", func(t *testing.T) {
		t.Parallel()
		err := across(t, &entity.Refusal{Err: Reject("no-money", "balance is %d", 3)})
		var refused *CommandError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, CommandError{EntityID: "a", Command: "google.protobuf.Empty", Code: "no-money", Message: "balance is 3"}, *refused)
	})
	t.Run("PlainErrorOfAHandler", func(t *testing.T) {
		t.Parallel()
		err := across(t, &entity.Refusal{Err: errors.New("no")})
		var refused *CommandError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, CodeRejected, refused.Code)
		require.Equal(t, "no", refused.Message)
	})
	t.Run("Panic", func(t *testing.T) {
		t.Parallel()
		err := across(t, &entity.Refusal{Code: CodePanic, Err: &PanicError{Handler: "HandleCommand", Value: 42}})
		var panicked *PanicError
		require.ErrorAs(t, err, &panicked)
		require.Equal(t, "HandleCommand panicked: 42", panicked.Error())
		var refused *CommandError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, CodePanic, refused.Code)
	})
	t.Run("UnknownCodeKeepsItsMessage", func(t *testing.T) { // of a newer version
		t.Parallel()
		err := openFailure("a", nil, &egopb.ClusterFailure{Errors: []egopb.ClusterError{9999}, Message: "new"})
		require.EqualError(t, err, "new")
	})
}

func TestMetadataCrossesTheWire(t *testing.T) {
	t.Parallel()
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	state, err := trace.ParseTraceState("vendor=1")
	require.NoError(t, err)
	ctx := trace.ContextWithSpanContext(context.Background(), span.WithTraceState(state))
	ctx = WithTags(WithCorrelation(WithMetadata(WithCommandID(ctx, "id"), map[string]string{"k": "v"}), "correlation", "causation"), "t1", "t2")
	want := CommandMetadata(ctx)

	request, err := new(clustered).newRequest("a", new(emptypb.Empty), metadataOf(ctx))
	require.NoError(t, err)
	record, err := telemetry.New(nil, nil)
	require.NoError(t, err)
	arrived := func() context.Context { // as in [clustered.serve]
		ctx, ended := record.Serve(context.Background(), request)
		ended(nil, nil)
		return travelled(ctx, request)
	}
	far := arrived()

	require.Equal(t, want, CommandMetadata(far))
	require.Equal(t, span.TraceID(), trace.SpanContextFromContext(far).TraceID())
	require.Equal(t, span.SpanID(), trace.SpanContextFromContext(far).SpanID())
	require.True(t, trace.SpanContextFromContext(far).IsSampled())
	require.Equal(t, "id", want.CommandID)
	require.NotEmpty(t, want.TraceParent)
	for _, broken := range []string{"", "00", want.TraceParent[:54], "00-zz" + want.TraceParent[5:], "00_" + want.TraceParent[3:]} {
		request.Trace.Traceparent = broken
		require.False(t, trace.SpanContextFromContext(arrived()).IsValid(), broken)
	}
}
