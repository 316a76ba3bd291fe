package ego

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/saga"
)

func TestVerdictsAreTheSameOnTheFarSide(t *testing.T) { // G7
	t.Parallel()
	for _, err := range []error{
		ErrEntityNotFound, ErrKindNotRegistered, ErrKindMismatch, ErrConflict, ErrWriteFailed, ErrOutcomeUnknown, ErrRecovery,
		ErrOverloaded, ErrTimeout, ErrInvalidEntityID, ErrInvalidCommand, ErrInvalidBehavior, ErrErased,
		fmt.Errorf("%w: %w", ErrTimeout, ErrOutcomeUnknown), errors.New("who knows"),
		&entity.Refusal{Err: Reject("no-money", "balance is 3")}, &entity.Refusal{Err: &entity.PanicError{Handler: "h", Value: 1}, Code: CodePanic},
	} {
		require.Equal(t, verdictOf(err), verdictOf(across(t, err)), "%v", err)
	}
	require.Equal(t, saga.Refused, verdictOf(across(t, &entity.Refusal{Err: Reject("no-money", "balance is 3")})))
}

func TestSagaInputsCrossTheWire(t *testing.T) { // G7
	t.Parallel()
	packed, err := anypb.New(new(emptypb.Empty))
	require.NoError(t, err)
	command := &egopb.SagaCommand{CommandId: "s/1/1", EntityId: "a", Command: packed}
	over := func(input proto.Message) *egopb.ClusterRequest {
		request, err := newSagaRequest(t.Context(), "!saga/s", input)
		require.NoError(t, err)
		sent, err := proto.Marshal(request)
		require.NoError(t, err)
		received := new(egopb.ClusterRequest)
		require.NoError(t, proto.Unmarshal(sent, received))
		require.Equal(t, "!saga/s", received.GetEntityId())
		return received
	}
	open := func(input proto.Message) proto.Message {
		opened, err := new(clustered).openSagaInput(t.Context(), over(input))
		require.NoError(t, err)
		return opened
	}
	require.True(t, proto.Equal(saga.NewTimer("timer/3/x"), open(saga.NewTimer("timer/3/x"))))
	require.Equal(t, "why", open(saga.NewCancel("why")).(*saga.CancelInput).GetReason())
	require.True(t, open(saga.NewRetry()).(*saga.RetryInput).GetRetried())

	succeeded := open(saga.NewResult(command, wrapperspb.Int64(7), nil)).(*saga.ResultInput)
	require.True(t, proto.Equal(wrapperspb.Int64(7), succeeded.State))
	require.Equal(t, "s/1/1", succeeded.GetCommandId())
	require.NoError(t, succeeded.Failure)

	for _, failure := range []error{
		&CommandError{EntityID: "a", Command: "google.protobuf.Empty", Code: "no-money", Message: "balance is 3"},
		&EntityError{EntityID: "a", Command: "google.protobuf.Empty", Err: ErrEntityNotFound},
	} {
		in := saga.NewResult(command, nil, failure)
		in.Checked = true
		failed := open(in).(*saga.ResultInput)
		require.Equal(t, failure.Error(), failed.Failure.Error())
		require.Equal(t, failure.Error(), failed.GetReason())
		require.True(t, failed.Checked)
		require.Equal(t, errors.Is(failure, ErrEntityNotFound), errors.Is(failed.Failure, ErrEntityNotFound))
		require.Equal(t, verdictOf(failure), verdictOf(failed.Failure))
	}
	offered := over(newOffer("k", new(sagaConfig), &egopb.Event{PersistenceId: "a", Position: 5}, nil, true))
	require.Equal(t, "k", offered.GetKind())
	require.True(t, offered.GetSaga().GetEvent().GetStart())
	require.EqualValues(t, 5, offered.GetSaga().GetEvent().GetStored().GetPosition())
	_, err = newSagaRequest(t.Context(), "!saga/s", saga.NewStart(0, nil))
	require.Error(t, err, "a start does not travel: only the caller has the behaviour")
	_, err = new(clustered).openSagaInput(t.Context(), &egopb.ClusterRequest{Saga: new(egopb.ClusterSagaInput)})
	require.ErrorContains(t, err, "does not know")
}
