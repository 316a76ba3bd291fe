package testkit_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/testkit"
)

// reminder is a saga that writes to a mailbox a day after it was started, unless that is refused.
type reminder struct{}

func (reminder) ID() string              { return "reminder" }
func (reminder) InitialState() ego.State { return wrapperspb.String("waiting") }

func (reminder) Start(context.Context, ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Timers: []ego.SagaTimer{{Name: "tomorrow", After: 24 * time.Hour}}}, nil
}

func (reminder) HandleTimeout(context.Context, string, ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{
		Events:   []ego.Event{wrapperspb.String("written")},
		Commands: []ego.SagaCommand{{EntityID: "mailbox", Command: wrapperspb.String("do not forget")}},
	}, nil
}

func (reminder) HandleEvent(context.Context, ego.Event, ego.State) (*ego.SagaAction, error) {
	return nil, nil
}

func (reminder) HandleResult(context.Context, string, ego.State, ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Complete: true}, nil
}

func (reminder) HandleError(context.Context, string, error, ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Compensate: true}, nil
}

func (reminder) ApplyEvent(_ context.Context, event ego.Event, _ ego.State) (ego.State, error) {
	return event, nil
}

func (reminder) Compensate(context.Context, ego.State) ([]ego.SagaCommand, error) {
	return []ego.SagaCommand{{EntityID: "mailbox", Command: wrapperspb.String("never mind")}}, nil
}

func ExampleNewSaga() {
	var t printer // in a test, its *testing.T

	testkit.NewSaga(t, reminder{}).
		WhenStarted().
		ThenTimers(ego.SagaTimer{Name: "tomorrow", After: 24 * time.Hour}).
		ThenNoCommands().
		WhenTimeout("tomorrow").
		ThenEvents(wrapperspb.String("written")).
		ThenCommands(ego.SagaCommand{EntityID: "mailbox", Command: wrapperspb.String("do not forget")}).
		WhenError("mailbox", ego.Reject("full", "the mailbox is full")).
		ThenCompensated(ego.SagaCommand{EntityID: "mailbox", Command: wrapperspb.String("never mind")})

	fmt.Println("as expected")
	// Output: as expected
}
