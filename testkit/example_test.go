package testkit_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/testkit"
)

// counter counts to ten: its commands and events are the numbers to add, its state is their sum.
type counter struct{}

func (counter) ID() string              { return "visits" }
func (counter) InitialState() ego.State { return wrapperspb.Int64(0) }

func (counter) HandleCommand(_ context.Context, command ego.Command, prior ego.State) ([]ego.Event, error) {
	number := command.(*wrapperspb.Int64Value).GetValue()
	if sum := prior.(*wrapperspb.Int64Value).GetValue() + number; sum > 10 {
		return nil, ego.Reject("too_many", "%d is more than 10", sum)
	}
	if number == 0 {
		return nil, nil
	}
	return []ego.Event{wrapperspb.Int64(number)}, nil
}

func (counter) HandleEvent(_ context.Context, event ego.Event, prior ego.State) (ego.State, error) {
	return wrapperspb.Int64(prior.(*wrapperspb.Int64Value).GetValue() + event.(*wrapperspb.Int64Value).GetValue()), nil
}

// printer stands for the *testing.T that an example does not have. It prints what that would report.
type printer struct{ testing.TB }

func (printer) Helper()                           {}
func (printer) Cleanup(func())                    {}
func (printer) Fatalf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func ExampleNew() {
	var t printer // in a test, its *testing.T

	testkit.New(t, counter{}).
		Given(wrapperspb.Int64(3), wrapperspb.Int64(4)).
		When(wrapperspb.Int64(2)).
		ThenEvents(wrapperspb.Int64(2)).
		ThenState(wrapperspb.Int64(9)).
		When(wrapperspb.Int64(2)).
		ThenRejected("too_many").
		ThenState(wrapperspb.Int64(9)).
		When(wrapperspb.Int64(0)).
		ThenNoEvents()

	fmt.Println("as expected")
	// Output: as expected
}

// What a failure looks like.
func ExampleScenario_ThenState() {
	var t printer // in a test, its *testing.T

	testkit.New(t, counter{}).
		Given(wrapperspb.Int64(3)).
		When(wrapperspb.Int64(2)).
		ThenState(wrapperspb.Int64(6))
	// Output:
	// ThenState after google.protobuf.Int64Value: the state differs:
	//     value: want 6, got 5
}

func ExampleScenario_ThenError() {
	var t printer // in a test, its *testing.T

	var refusal *ego.CommandError
	testkit.New(t, counter{}).
		When(wrapperspb.Int64(11)).
		ThenError("more than 10").
		ThenError(ego.Reject("too_many", "11 is more than 10")).
		ThenError(&refusal)

	fmt.Println(refusal.EntityID, refusal.Code, refusal.Message)
	// Output: visits too_many 11 is more than 10
}

// careless is a counter that adds in place.
type careless struct{ counter }

func (careless) HandleEvent(_ context.Context, event ego.Event, prior ego.State) (ego.State, error) {
	sum := prior.(*wrapperspb.Int64Value)
	sum.Value += event.(*wrapperspb.Int64Value).GetValue()
	return sum, nil
}

// A handler that modifies the state it is given fails every test, whatever the test expects.
func ExampleNew_purity() {
	var t printer // in a test, its *testing.T

	testkit.New(t, careless{}).
		When(wrapperspb.Int64(2)).
		ThenState(wrapperspb.Int64(2))
	// Output:
	// When(google.protobuf.Int64Value): HandleEvent modified the prior state when it was called for event 1 (google.protobuf.Int64Value); a handler must not modify what it was given or has returned:
	//     value: was 0, is now 2
}

// greeting is a durable-state behaviour: commands replace the text.
type greeting struct{}

func (greeting) ID() string              { return "door" }
func (greeting) InitialState() ego.State { return wrapperspb.String("hello") }

func (greeting) HandleCommand(_ context.Context, command ego.Command, prior ego.State, _ uint64) (ego.State, error) {
	switch text := command.(*wrapperspb.StringValue).GetValue(); text {
	case "":
		return nil, ego.Reject("empty", "a greeting has words")
	case prior.(*wrapperspb.StringValue).GetValue():
		return nil, nil
	default:
		return wrapperspb.String(text), nil
	}
}

func ExampleNewDurableState() {
	var t printer // in a test, its *testing.T

	testkit.NewDurableState(t, greeting{}).
		Given(wrapperspb.String("hi"), 4).
		When(wrapperspb.String("welcome")).
		ThenState(wrapperspb.String("welcome")).
		ThenRevision(5).
		When(wrapperspb.String("welcome")).
		ThenNoChange().
		When(wrapperspb.String("")).
		ThenRejected("empty").
		ThenRevision(5)

	fmt.Println("as expected")
	// Output: as expected
}
