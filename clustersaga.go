package ego

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/cluster"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/saga"
)

// bring brings an input to a saga on the node that owns it. What cannot travel is handled here: the store fences the node
// that runs the saga then, which costs time and nothing else.
func (c *clustered) bring(ctx context.Context, pid string, input proto.Message) error {
	reply, err := c.node.Do(ctx, &cluster.Call{
		EntityID:   pid,
		Repeatable: true, // a saga knows what it has handled
		Local:      func(ctx context.Context) error { return c.take(ctx, pid, input) },
		Request:    func() (*egopb.ClusterRequest, error) { return newSagaRequest(ctx, pid, input) },
	})
	if errors.Is(err, cluster.ErrTooLarge) {
		return c.local.sagas.insist(ctx, pid, input, inputTimeout)
	}
	if err != nil {
		return callError(ctx, err)
	}
	if failed := reply.GetFailure(); failed != nil {
		return openFailure(pid[len(saga.Prefix):], nil, failed)
	}
	return nil
}

// take handles an input on this node.
func (c *clustered) take(ctx context.Context, pid string, input proto.Message) error {
	err := c.local.sagas.ask(ctx, pid, input, inputTimeout)
	for _, known := range []error{saga.ErrNotStarted, saga.ErrFinished, saga.ErrInDoubt} {
		if errors.Is(err, known) {
			return known // a refusal has a code and a message on the far side, and no identity
		}
	}
	return again(err)
}

// handOver lets go of a saga that was started on this node and belongs to another: a start is handled where the behaviour
// is that it was given, and everything after it by the owner.
func (c *clustered) handOver(ctx context.Context, pid string) {
	if c.node.Owns(pid) {
		return
	}
	c.local.spawned.remove(pid)
	_ = c.local.host.Evict(ctx, pid) // when it is not at rest in time, it goes later
}

// serveSaga handles an input that another node has brought.
func (c *clustered) serveSaga(ctx context.Context, r *egopb.ClusterRequest) error {
	if c.local.sagas == nil {
		return ErrNoTimerStore
	}
	input, err := c.openSagaInput(ctx, r)
	if err != nil {
		return err
	}
	return c.take(travelled(ctx, r), r.GetEntityId(), input)
}

func newSagaRequest(ctx context.Context, pid string, input proto.Message) (*egopb.ClusterRequest, error) {
	r := &egopb.ClusterRequest{
		Operation: egopb.ClusterOperation_CLUSTER_OPERATION_SAGA,
		EntityId:  pid,
		Saga:      new(egopb.ClusterSagaInput),
	}
	if metadata := metadataOf(ctx); metadata != nil && metadata.TraceParent != "" {
		r.Trace = &egopb.TraceContext{Traceparent: metadata.TraceParent, Tracestate: metadata.TraceState}
	}
	switch in := input.(type) {
	case *saga.EventInput:
		r.Kind = in.Kind
		r.Saga.Input = &egopb.ClusterSagaInput_Event{Event: &egopb.ClusterSagaEvent{Stored: in.Stored, Start: in.Start, Late: in.Late}}
	case *saga.ResultInput:
		outcome, err := newSagaOutcome(in)
		if err != nil {
			return nil, err
		}
		r.Saga.Input = &egopb.ClusterSagaInput_Outcome{Outcome: outcome}
	case *saga.TimerInput:
		r.Saga.Input = &egopb.ClusterSagaInput_Timer{Timer: in.SagaTimerFired}
	case *saga.CancelInput:
		r.Saga.Input = &egopb.ClusterSagaInput_Cancel{Cancel: in.SagaCompensationBegun}
	case *saga.RetryInput:
		r.Saga.Input = &egopb.ClusterSagaInput_Retry{Retry: in.SagaResumed}
	default:
		return nil, fmt.Errorf("ego: %T does not travel", input)
	}
	return r, nil
}

func newSagaOutcome(in *saga.ResultInput) (*egopb.ClusterSagaOutcome, error) {
	outcome := &egopb.ClusterSagaOutcome{
		Answered: in.SagaCommandAnswered, EntityId: in.Command.GetEntityId(),
		Command: string(in.Command.GetCommand().MessageName()), Checked: in.Checked,
	}
	var err error
	switch {
	case in.Failure != nil:
		outcome.Failure = newFailure(in.Failure)
	case !entity.IsNil(in.State):
		outcome.State, err = anypb.New(in.State)
	}
	return outcome, err
}

func (c *clustered) openSagaInput(ctx context.Context, r *egopb.ClusterRequest) (proto.Message, error) {
	switch in := r.GetSaga().GetInput().(type) {
	case *egopb.ClusterSagaInput_Event:
		return c.local.sagas.openEvent(ctx, r.GetKind(), in.Event)
	case *egopb.ClusterSagaInput_Outcome:
		return openSagaOutcome(in.Outcome)
	case *egopb.ClusterSagaInput_Timer:
		return &saga.TimerInput{SagaTimerFired: in.Timer}, nil
	case *egopb.ClusterSagaInput_Cancel:
		return &saga.CancelInput{SagaCompensationBegun: in.Cancel}, nil
	case *egopb.ClusterSagaInput_Retry:
		return &saga.RetryInput{SagaResumed: in.Retry}, nil
	default:
		return nil, fmt.Errorf("ego: this node does not know the input %T of a saga", in)
	}
}

// openEvent makes an input of an event that travelled as it is stored.
func (ss *sagas) openEvent(ctx context.Context, kindName string, event *egopb.ClusterSagaEvent) (*saga.EventInput, error) {
	kind := ss.node.kinds.byName[kindName]
	if kind == nil || kind.saga == nil {
		return nil, fmt.Errorf("%w: %q", ErrKindNotRegistered, kindName)
	}
	opened, err := passErased(ss.node.codec.Open(ctx, event.GetStored()))
	if err != nil {
		return nil, err
	}
	input := newOffer(kindName, kind.saga, event.GetStored(), opened, event.GetStart())
	input.Late = event.GetLate()
	return input, nil
}

func openSagaOutcome(outcome *egopb.ClusterSagaOutcome) (*saga.ResultInput, error) {
	in := &saga.ResultInput{SagaCommandAnswered: outcome.GetAnswered(), Checked: outcome.GetChecked()}
	if outcome.GetState() != nil {
		var err error
		if in.State, err = outcome.GetState().UnmarshalNew(); err != nil {
			return nil, fmt.Errorf("ego: this program cannot read the state of entity %q: %w", outcome.GetEntityId(), err)
		}
	}
	if failed := outcome.GetFailure(); failed != nil {
		in.Failure = openOutcomeFailure(outcome, failed)
	}
	return in, nil
}

func openOutcomeFailure(outcome *egopb.ClusterSagaOutcome, failed *egopb.ClusterFailure) error {
	err := openFailure(outcome.GetEntityId(), nil, failed)
	if refused, ok := errors.AsType[*CommandError](err); ok {
		refused.Command = outcome.GetCommand()
		return refused
	}
	return &EntityError{EntityID: outcome.GetEntityId(), Command: outcome.GetCommand(), Err: err}
}
