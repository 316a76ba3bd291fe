package testkit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/testkit"
)

// errLimit is a rejection that a behaviour keeps as a sentinel.
var errLimit = ego.Reject("limit", "above %d", 5)

// limitError is an error with data.
type limitError struct{ limit int }

func (e *limitError) Error() string { return fmt.Sprintf("above %d", e.limit) }

// failing returns a scenario whose command fails.
func failing(tb testing.TB, err error) *testkit.Scenario {
	tb.Helper()
	return testkit.New(tb, &account{command: func(context.Context, proto.Message, proto.Message) ([]proto.Message, error) {
		return nil, err
	}}).When(&testpb.Deposit{})
}

// panicking returns a scenario whose command makes a handler panic.
func panicking(tb testing.TB, value any) *testkit.Scenario {
	tb.Helper()
	return testkit.New(tb, &account{event: func(context.Context, proto.Message, proto.Message) (proto.Message, error) {
		panic(value)
	}}).When(&testpb.Deposit{Amount: 1})
}

func TestThenError(t *testing.T) {
	t.Parallel()

	t.Run("Matches", func(t *testing.T) {
		t.Parallel()
		requirePasses(t, func(tb testing.TB) {
			failing(tb, fmt.Errorf("no: %w", testaccount.ErrInsufficient)).
				ThenError(testaccount.ErrInsufficient).
				ThenError("no: insufficient").
				ThenError(`entity "a" refused command egotest.v1.Deposit`).
				ThenError(&ego.CommandError{}).
				ThenError(&ego.CommandError{EntityID: "a", Command: "egotest.v1.Deposit", Code: "rejected", Message: "no: insufficient funds"}).
				ThenRejected(ego.CodeRejected)
			failing(tb, ego.Reject("limit", "above %d", 5)).ThenError(ego.Reject("limit", "above 5")).ThenError("above 5").ThenRejected("limit")
			failing(tb, errLimit).ThenError(errLimit)
			failing(tb, fmt.Errorf("no: %w", errLimit)).ThenError(errLimit).ThenRejected("limit")
			panicking(tb, "oops").
				ThenError(&ego.PanicError{}).
				ThenError(&ego.PanicError{Handler: "HandleEvent", Value: "oops"}).
				ThenError("HandleEvent panicked: oops").
				ThenRejected(ego.CodePanic)
			panicking(tb, testaccount.ErrInsufficient).ThenError(testaccount.ErrInsufficient)
			panicking(tb, []int{1}).ThenError(&ego.PanicError{Value: []int{1}})
			failing(tb, nil).ThenError(nil)
		})
	})
	t.Run("SetsAVariable", func(t *testing.T) {
		t.Parallel()
		requirePasses(t, func(tb testing.TB) {
			var limit *limitError
			var refusal *ego.CommandError
			var code interface{ Unwrap() []error }
			failing(tb, fmt.Errorf("no: %w", &limitError{limit: 5})).ThenError(&limit).ThenError(&refusal).ThenError(&code)
			require.Equal(t, 5, limit.limit)
			require.Equal(t, "no: above 5", refusal.Message)
			require.NotNil(t, code)
		})
	})

	const prefix = "ThenError after egotest.v1.Deposit: "
	const refused = "\n    got  ego: entity \"a\" refused command egotest.v1.Deposit: no [rejected]"
	no := errors.New("no")
	for name, c := range map[string]struct {
		scenario func(tb testing.TB)
		want     string
	}{
		"OtherError": {
			func(tb testing.TB) { failing(tb, no).ThenError(testaccount.ErrInsufficient) },
			prefix + "the error differs:\n    want an error that is *errors.errorString \"insufficient funds\"" + refused,
		},
		"SameTextIsNotTheSameError": {
			func(tb testing.TB) { failing(tb, no).ThenError(errors.New("no")) },
			prefix + "the error differs:\n    want an error that is *errors.errorString \"no\"" + refused,
		},
		"OtherText": {
			func(tb testing.TB) { failing(tb, no).ThenError("funds") },
			prefix + "the error differs:\n    want an error that contains \"funds\"" + refused,
		},
		"OtherRefusal": {
			func(tb testing.TB) { failing(tb, no).ThenError(ego.Reject("limit", "no")) },
			prefix + "the error differs:\n    want a refusal like {EntityID:\"\" Command:\"\" Code:\"limit\" Message:\"no\"}" + refused,
		},
		"OtherMessage": {
			func(tb testing.TB) { failing(tb, no).ThenError(ego.Reject("rejected", "yes")) },
			prefix + "the error differs:\n    want a refusal like {EntityID:\"\" Command:\"\" Code:\"rejected\" Message:\"yes\"}" + refused,
		},
		"OtherEntity": {
			func(tb testing.TB) { failing(tb, no).ThenError(&ego.CommandError{EntityID: "b"}) },
			prefix + "the error differs:\n    want a refusal like {EntityID:\"b\" Command:\"\" Code:\"\" Message:\"\"}" + refused,
		},
		"OtherCommand": {
			func(tb testing.TB) { failing(tb, no).ThenError(&ego.CommandError{Command: "b"}) },
			prefix + "the error differs:\n    want a refusal like {EntityID:\"\" Command:\"b\" Code:\"\" Message:\"\"}" + refused,
		},
		"NoPanic": {
			func(tb testing.TB) { failing(tb, no).ThenError(&ego.PanicError{}) },
			prefix + "the error differs:\n    want a panic like {Handler:\"\" Value:<nil>}" + refused,
		},
		"OtherType": {
			func(tb testing.TB) { failing(tb, no).ThenError(new(*limitError)) },
			prefix + "the error differs:\n    want an error of type *testkit_test.limitError" + refused,
		},
		"FailureForSuccess": {
			func(tb testing.TB) { failing(tb, no).ThenError(nil) },
			prefix + "the error differs:\n    want success" + refused,
		},
		"Success": {
			func(tb testing.TB) { failing(tb, nil).ThenError(no) },
			prefix + "want an error that is *errors.errorString \"no\", got success, and nothing changed",
		},
		"SuccessForText": {
			func(tb testing.TB) { failing(tb, nil).ThenError("no") },
			prefix + "want an error that contains \"no\", got success, and nothing changed",
		},
		"SuccessWithEvents": {
			func(tb testing.TB) {
				testkit.New(tb, testaccount.New("a")).When(&testpb.Deposit{Amount: 1}).ThenError(ego.Reject("limit", "no"))
			},
			prefix + "want a refusal like {EntityID:\"\" Command:\"\" Code:\"limit\" Message:\"no\"}, got success\n" +
				"    event 1: egotest.v1.Deposited{amount:1}",
		},
		"SuccessForPanic": {
			func(tb testing.TB) { failing(tb, nil).ThenError(&ego.PanicError{}) },
			prefix + "want a panic like {Handler:\"\" Value:<nil>}, got success, and nothing changed",
		},
		"SuccessForVariable": {
			func(tb testing.TB) { failing(tb, nil).ThenError(new(*limitError)) },
			prefix + "want an error of type *testkit_test.limitError, got success, and nothing changed",
		},
		"NilVariable": {
			func(tb testing.TB) { failing(tb, no).ThenError((*limitError)(nil)) },
			prefix + "the *testkit_test.limitError to compare with is nil",
		},
		"NotAnError": {
			func(tb testing.TB) { failing(tb, no).ThenError(7) },
			prefix + "it takes an error, a text, or a pointer as errors.As does, not int",
		},
		"NotAPointerToAnError": {
			func(tb testing.TB) { failing(tb, no).ThenError(new(int)) },
			prefix + "it takes an error, a text, or a pointer as errors.As does, not *int",
		},
		"OtherCode": {
			func(tb testing.TB) { failing(tb, no).ThenRejected("limit") },
			"ThenRejected after egotest.v1.Deposit: the error differs:\n    want the code \"limit\"" + refused,
		},
		"SuccessForCode": {
			func(tb testing.TB) { failing(tb, nil).ThenRejected("limit") },
			"ThenRejected after egotest.v1.Deposit: want the code \"limit\", got success, and nothing changed",
		},
		"NoCode": {
			func(tb testing.TB) { failing(tb, no).ThenRejected("") },
			"ThenRejected after egotest.v1.Deposit: the code to compare with is empty",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, failureOf(t, c.scenario))
		})
	}

	t.Run("OtherPanicIsShownWithItsStack", func(t *testing.T) {
		t.Parallel()
		for _, target := range []*ego.PanicError{{Handler: "HandleCommand"}, {Value: "other"}} {
			message := failureOf(t, func(tb testing.TB) { panicking(tb, "oops").ThenError(target) })
			require.Contains(t, message, "got  ego: entity \"a\" refused command egotest.v1.Deposit: "+
				"HandleEvent refused egotest.v1.Deposited: HandleEvent panicked: oops [panic]\n")
			require.True(t, strings.HasPrefix(strings.Split(message, "\n")[3], "    github.com/actorkeep/ego/testkit_test.panicking."), message)
		}
	})
}
