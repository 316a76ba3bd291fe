package testkit_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/testkit"
)

// A bad arrangement fails the test where it is made, although the scenario goes on to expect an error of any sort.
func TestArrangement(t *testing.T) {
	t.Parallel()
	given := func(events ...proto.Message) func(tb testing.TB) {
		return func(tb testing.TB) {
			testkit.New(tb, testaccount.New("a")).Given(events...).When(&testpb.Withdraw{Amount: 1}).ThenError("e")
		}
	}
	behaves := func(a *account) func(tb testing.TB) {
		return func(tb testing.TB) { testkit.New(tb, a).When(&testpb.Withdraw{Amount: 1}).ThenError("e") }
	}
	for name, c := range map[string]struct {
		scenario func(tb testing.TB)
		want     string
	}{
		"RefusedEvent": {
			given(&testpb.Deposited{Amount: 1}, &testpb.Misbehaved{}),
			"Given: event 2: HandleEvent refused egotest.v1.Misbehaved: as asked",
		},
		"EventWithoutState": {
			given(&testpb.Misbehaved{How: "nil state"}),
			"Given: event 1: HandleEvent returned no state for egotest.v1.Misbehaved",
		},
		"UnknownEvent":  {given(&testpb.Legacy{}), "Given: event 1: HandleEvent refused egotest.v1.Legacy: unknown event *testpb.Legacy"},
		"NilEvent":      {given(&testpb.Deposited{}, nil), "Given: event 2 is nil"},
		"NilTypedEvent": {given((*testpb.Deposited)(nil)), "Given: event 1 is nil"},
		"InvalidEvent": {
			given(&testpb.Deposited{Note: "\xff"}),
			`Given: event 1 egotest.v1.Deposited cannot be marshalled: string field contains invalid UTF-8 (note: "\xff")`,
		},
		"NilState": {
			func(tb testing.TB) {
				testkit.New(tb, testaccount.New("a")).GivenState(nil).When(&testpb.Withdraw{}).ThenError("e")
			},
			"GivenState: the state is nil",
		},
		"InvalidState": {
			func(tb testing.TB) {
				testkit.New(tb, testaccount.New("a")).GivenState(&testpb.Account{Notes: []string{"a", "\xff"}})
			},
			`GivenState: the state egotest.v1.Account cannot be marshalled: string field contains invalid UTF-8 (notes[1]: "\xff")`,
		},
		"NilCommand": {
			func(tb testing.TB) { testkit.New(tb, testaccount.New("a")).When(nil).ThenError("nil") },
			"When: the command is nil",
		},
		"InvalidCommand": {
			func(tb testing.TB) {
				testkit.New(tb, testaccount.New("a")).When(&testpb.Deposit{Note: "\xff"}).ThenError("UTF-8")
			},
			`When(egotest.v1.Deposit): the command egotest.v1.Deposit cannot be marshalled: string field contains invalid UTF-8 (note: "\xff")`,
		},
		"NilBehaviour":      {func(tb testing.TB) { testkit.New(tb, nil).When(&testpb.Deposit{}).ThenError("nil") }, "New: the behaviour is nil"},
		"NilTypedBehaviour": {func(tb testing.TB) { testkit.New(tb, (*account)(nil)) }, "New: the behaviour is nil"},
		"NoID":              {func(tb testing.TB) { testkit.New(tb, testaccount.New("")) }, "New: ego: the entity id is empty"},
		"BadID":             {func(tb testing.TB) { testkit.New(tb, testaccount.New("a\x00")) }, `New: ego: the entity id is invalid: "a\x00" has a zero byte`},
		"NoInitialState": {
			behaves(&account{initial: func() proto.Message { return nil }}),
			"New: InitialState returned no state",
		},
		"InvalidInitialState": {
			behaves(&account{initial: func() proto.Message { return &testpb.Account{Owner: "\xff"} }}),
			`New: the initial state egotest.v1.Account cannot be marshalled: string field contains invalid UTF-8 (owner: "\xff")`,
		},
		"ChangingInitialState": {
			behaves(&account{initial: counting(func(n int) proto.Message { return &testpb.Account{Balance: int64(n)} })}),
			"New: InitialState is not repeatable:\n    balance: first 1, again 2",
		},
		"ModifiedInitialState": {
			func(tb testing.TB) {
				kept := &testpb.Account{}
				testkit.New(tb, &account{initial: func() proto.Message {
					kept.Balance++
					return kept
				}})
			},
			"New: InitialState is not repeatable:\n    balance: first 1, again 2",
		},
		"ChangingID": {
			behaves(&account{id: counting(func(n int) string { return strings.Repeat("a", n) })}),
			`When(egotest.v1.Withdraw): the id of the behaviour was "a" and is now "aa"; it must never change`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, failureOf(t, c.scenario))
		})
	}
}

// counting returns a function that tells another how often it was called.
func counting[T any](f func(n int) T) func() T {
	n := 0
	return func() T {
		n++
		return f(n)
	}
}

// A panic outside of commands fails the test where it happens, with the stack of what panicked.
func TestArrangementPanics(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scenario func(tb testing.TB)
		want     string
	}{
		"ID": {
			func(tb testing.TB) { testkit.New(tb, &account{id: func() string { panic("oops") }}) },
			"New: ID panicked: oops\n",
		},
		"IDLater": {
			func(tb testing.TB) {
				testkit.New(tb, &account{id: counting(func(n int) string {
					if n > 1 {
						panic("oops")
					}
					return "a"
				})}).When(&testpb.Deposit{})
			},
			"When(egotest.v1.Deposit): ID panicked: oops\n",
		},
		"InitialState": {
			func(tb testing.TB) { testkit.New(tb, &account{initial: func() proto.Message { panic("oops") }}) },
			"New: InitialState panicked: oops\n",
		},
		"InitialStateAgain": {
			func(tb testing.TB) {
				testkit.New(tb, &account{initial: counting(func(n int) proto.Message {
					if n > 1 {
						panic("oops")
					}
					return &testpb.Account{}
				})})
			},
			"New: InitialState panicked: oops\n",
		},
		"HandleEvent": {
			func(tb testing.TB) {
				testkit.New(tb, &account{event: func(context.Context, proto.Message, proto.Message) (proto.Message, error) {
					panic("oops")
				}}).Given(&testpb.Deposited{}).When(&testpb.Deposit{}).ThenError("oops")
			},
			"Given: event 1: HandleEvent refused egotest.v1.Deposited: HandleEvent panicked: oops\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			message := failureOf(t, c.scenario)
			require.True(t, strings.HasPrefix(message, c.want), message)
			first := strings.Split(message, "\n")[1]
			require.Regexp(t, `^    github\.com/actorkeep/ego/testkit_test\.`, first, "the stack begins with what panicked")
		})
	}
}

func TestUnexpectedError(t *testing.T) {
	t.Parallel()
	const refusal = `ego: entity "a" refused command egotest.v1.Withdraw: insufficient funds: balance is 0 [rejected]`
	refused := func(tb testing.TB) *testkit.Scenario {
		tb.Helper()
		return testkit.New(tb, testaccount.New("a")).When(&testpb.Withdraw{Amount: 5})
	}
	location := regexp.MustCompile(`of given_test\.go:\d+ failed`)

	t.Run("AtTheEnd", func(t *testing.T) {
		t.Parallel()
		message := failureOf(t, func(tb testing.TB) { refused(tb) })
		require.Equal(t, "the scenario ended: the command egotest.v1.Withdraw of HERE failed and no ThenError expects it: "+refusal,
			location.ReplaceAllString(message, "of HERE failed"))
	})
	t.Run("AtTheNextWhen", func(t *testing.T) {
		t.Parallel()
		message := failureOf(t, func(tb testing.TB) { refused(tb).When(&testpb.Deposit{}).ThenNoEvents() })
		require.Equal(t, "When(egotest.v1.Deposit): the command egotest.v1.Withdraw of HERE failed and no ThenError expects it: "+refusal,
			location.ReplaceAllString(message, "of HERE failed"))
	})
	t.Run("AtTheNextGiven", func(t *testing.T) {
		t.Parallel()
		message := failureOf(t, func(tb testing.TB) { refused(tb).Given() })
		require.Equal(t, "Given: the command egotest.v1.Withdraw of HERE failed and no ThenError expects it: "+refusal,
			location.ReplaceAllString(message, "of HERE failed"))
	})
	t.Run("AtTheNextGivenState", func(t *testing.T) {
		t.Parallel()
		message := failureOf(t, func(tb testing.TB) { refused(tb).GivenState(&testpb.Account{}) })
		require.Equal(t, "GivenState: the command egotest.v1.Withdraw of HERE failed and no ThenError expects it: "+refusal,
			location.ReplaceAllString(message, "of HERE failed"))
	})
	t.Run("NotWhenExpected", func(t *testing.T) {
		t.Parallel()
		requirePasses(t, func(tb testing.TB) { refused(tb).ThenError(testaccount.ErrInsufficient) })
		requirePasses(t, func(tb testing.TB) { refused(tb).ThenRejected("rejected").When(&testpb.Deposit{}) })
	})
	t.Run("NotAfterAnotherFailure", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "unrelated", failureOf(t, func(tb testing.TB) {
			refused(tb)
			tb.Fatalf("unrelated")
		}))
	})
	t.Run("WrongExpectationIsTheOnlyFailure", func(t *testing.T) {
		t.Parallel()
		message := failureOf(t, func(tb testing.TB) { refused(tb).ThenError(errors.New("other")) })
		require.Contains(t, message, "the error differs")
	})
}
