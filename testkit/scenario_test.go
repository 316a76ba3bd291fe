package testkit_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/testkit"
)

func TestScenario(t *testing.T) {
	t.Parallel()

	t.Run("GivenWhenThen", func(t *testing.T) {
		t.Parallel()
		testkit.New(t, testaccount.New("a")).
			Given(&testpb.AccountOpened{Owner: "Ann"}, &testpb.Deposited{Amount: 10, Note: "gift"}).
			When(&testpb.Withdraw{Amount: 4}).
			ThenEvents(&testpb.Withdrawn{Amount: 4}).
			ThenState(&testpb.Account{Owner: "Ann", Balance: 6, Changes: 3, Notes: []string{"gift"}})
	})
	t.Run("GoesOnAfterThen", func(t *testing.T) {
		t.Parallel()
		testkit.New(t, testaccount.New("a")).
			When(&testpb.OpenAccount{Owner: "Ann"}).ThenEvents(&testpb.AccountOpened{Owner: "Ann"}).
			When(&testpb.Deposit{Amount: 5}).
			When(&testpb.Deposit{}).ThenNoEvents().ThenEvents().
			When(&testpb.Withdraw{Amount: 6}).ThenError(testaccount.ErrInsufficient).ThenNoEvents().ThenEvents().
			ThenState(&testpb.Account{Owner: "Ann", Balance: 5, Changes: 2}).
			Given(&testpb.Deposited{Amount: 1}).
			When(&testpb.Withdraw{Amount: 6}).ThenState(&testpb.Account{Owner: "Ann", Changes: 4})
	})
	t.Run("GivenState", func(t *testing.T) {
		t.Parallel()
		given := &testpb.Account{Balance: 5}
		s := testkit.New(t, testaccount.New("a")).Given(&testpb.AccountOpened{Owner: "gone"}).GivenState(given)
		given.Balance = 100 // the scenario has its own
		s.Given(&testpb.Deposited{Amount: 1}).
			When(&testpb.Withdraw{Amount: 2}).ThenState(&testpb.Account{Balance: 4, Changes: 2})
	})
	t.Run("WithContext", func(t *testing.T) {
		t.Parallel()
		type key struct{}
		var ids []string
		behavior := &account{command: func(ctx context.Context, _, _ proto.Message) ([]proto.Message, error) {
			ids = append(ids, ego.CommandMetadata(ctx).CommandID)
			require.Equal(t, "v", ctx.Value(key{}))
			return nil, nil
		}}
		ctx := context.WithValue(t.Context(), key{}, "v")
		testkit.New(t, behavior).
			WithContext(ego.WithCommandID(ctx, "1")).When(&testpb.Deposit{}).ThenNoEvents().When(&testpb.Deposit{}).
			WithContext(ego.WithCommandID(ctx, "2")).When(&testpb.Deposit{})
		require.Equal(t, []string{"1", "1", "2"}, ids)
	})
	t.Run("GivenEventsHaveNoContext", func(t *testing.T) {
		t.Parallel()
		behavior := &account{event: func(ctx context.Context, _, prior proto.Message) (proto.Message, error) {
			require.Empty(t, ego.CommandMetadata(ctx).CommandID)
			return prior, nil
		}}
		testkit.New(t, behavior).WithContext(ego.WithCommandID(t.Context(), "1")).Given(&testpb.Deposited{})
	})
	t.Run("HandlersGetWhatTheyGetInAnEngine", func(t *testing.T) {
		t.Parallel()
		command, given := &testpb.Deposit{Amount: 1}, &testpb.Deposited{Amount: 1}
		var returned proto.Message
		behavior := &account{
			command: func(_ context.Context, received, prior proto.Message) ([]proto.Message, error) {
				require.NotSame(t, command, received) // the sender's stays the sender's
				require.Same(t, returned, prior)      // memory is not copied
				return []proto.Message{received}, nil
			},
			event: func(_ context.Context, event, _ proto.Message) (proto.Message, error) {
				require.NotSame(t, given, event)
				if returned == nil {
					returned = &testpb.Account{}
					return returned, nil
				}
				return &testpb.Account{}, nil
			},
		}
		testkit.New(t, behavior).Given(given).When(command)
	})
	t.Run("GoesNoFurtherWhenFatalfReturns", func(t *testing.T) {
		t.Parallel()
		tb := &lenient{TB: t}
		behavior := &account{command: func(context.Context, proto.Message, proto.Message) ([]proto.Message, error) {
			t.Error("a command came after a failure")
			return nil, nil
		}}
		testkit.New(tb, behavior).Given(nil).When(&testpb.Deposit{}).ThenNoEvents().ThenError("x")
		require.Equal(t, 1, tb.failures)

		testkit.New(tb, testaccount.New("a")).When(&testpb.Withdraw{Amount: 1}).ThenNoEvents() // is told once
		require.Equal(t, 2, tb.failures)
	})
}

// lenient is a test that goes on after Fatalf.
type lenient struct {
	testing.TB
	failures int
}

func (l *lenient) Fatalf(string, ...any) { l.failures++ }

func TestThen(t *testing.T) {
	t.Parallel()
	deposit := func(tb testing.TB) *testkit.Scenario {
		tb.Helper()
		return testkit.New(tb, testaccount.New("a")).When(&testpb.Deposit{Amount: 5})
	}
	refused := func(tb testing.TB) *testkit.Scenario {
		tb.Helper()
		return testkit.New(tb, testaccount.New("a")).When(&testpb.Withdraw{Amount: 5})
	}
	for name, c := range map[string]struct {
		scenario func(tb testing.TB)
		want     string
	}{
		"OtherEvent": {
			func(tb testing.TB) { deposit(tb).ThenEvents(&testpb.Deposited{Amount: 6, Note: "x"}) },
			"ThenEvents after egotest.v1.Deposit: the events differ:\n" +
				"    event 1, amount: want 6, got 5\n" +
				"    event 1, note: want \"x\", got \"\"",
		},
		"OtherTypeOfEvent": {
			func(tb testing.TB) { deposit(tb).ThenEvents(&testpb.Withdrawn{Amount: 5}) },
			"ThenEvents after egotest.v1.Deposit: the events differ:\n" +
				"    event 1: want egotest.v1.Withdrawn{amount:5}, got egotest.v1.Deposited{amount:5}",
		},
		"TooFewEvents": {
			func(tb testing.TB) { deposit(tb).ThenEvents(&testpb.Deposited{Amount: 5}, &testpb.Withdrawn{}) },
			"ThenEvents after egotest.v1.Deposit: the events differ:\n    event 2: want egotest.v1.Withdrawn{}, got nothing",
		},
		"TooManyEvents": {
			func(tb testing.TB) { deposit(tb).ThenEvents() },
			"ThenEvents after egotest.v1.Deposit: the events differ:\n    event 1: want nothing, got egotest.v1.Deposited{amount:5}",
		},
		"EventsOfRefusedCommand": {
			func(tb testing.TB) { refused(tb).ThenError("").ThenEvents(&testpb.Withdrawn{Amount: 5}) },
			"ThenError after egotest.v1.Withdraw: the text to look for is empty",
		},
		"EventsAfterError": {
			func(tb testing.TB) { refused(tb).ThenError("funds").ThenEvents(&testpb.Withdrawn{Amount: 5}) },
			"ThenEvents after egotest.v1.Withdraw: the events differ:\n    event 1: want egotest.v1.Withdrawn{amount:5}, got nothing\n" +
				`the command was refused: ego: entity "a" refused command egotest.v1.Withdraw: insufficient funds: balance is 0 [rejected]`,
		},
		"NilEvent": {
			func(tb testing.TB) { deposit(tb).ThenEvents(&testpb.Deposited{Amount: 5}, nil) },
			"ThenEvents after egotest.v1.Deposit: the event 2 to compare with is nil",
		},
		"UnwantedEvents": {
			func(tb testing.TB) { deposit(tb).ThenNoEvents() },
			"ThenNoEvents after egotest.v1.Deposit: want no events, got 1:\n    event 1: egotest.v1.Deposited{amount:5}",
		},
		"OtherState": {
			func(tb testing.TB) { deposit(tb).ThenState(&testpb.Account{Balance: 6, Changes: 1}) },
			"ThenState after egotest.v1.Deposit: the state differs:\n    balance: want 6, got 5",
		},
		"StateThatFailureLeaves": {
			func(tb testing.TB) { refused(tb).ThenError("funds").ThenState(&testpb.Account{Balance: -5}) },
			"ThenState after egotest.v1.Withdraw: the state differs:\n    balance: want -5, got 0",
		},
		"NilState": {
			func(tb testing.TB) { deposit(tb).ThenState((*testpb.Account)(nil)) },
			"ThenState after egotest.v1.Deposit: the state to compare with is nil",
		},
		"FailureBeforeEvents": {
			func(tb testing.TB) { refused(tb).ThenEvents(&testpb.Withdrawn{Amount: 5}) },
			"ThenEvents after egotest.v1.Withdraw: the command failed (if it should, say so with ThenError first): " +
				`ego: entity "a" refused command egotest.v1.Withdraw: insufficient funds: balance is 0 [rejected]`,
		},
		"FailureBeforeNoEvents": {
			func(tb testing.TB) { refused(tb).ThenNoEvents() },
			"ThenNoEvents after egotest.v1.Withdraw: the command failed (if it should, say so with ThenError first): " +
				`ego: entity "a" refused command egotest.v1.Withdraw: insufficient funds: balance is 0 [rejected]`,
		},
		"FailureBeforeState": {
			func(tb testing.TB) { refused(tb).ThenState(&testpb.Account{}) },
			"ThenState after egotest.v1.Withdraw: the command failed (if it should, say so with ThenError first): " +
				`ego: entity "a" refused command egotest.v1.Withdraw: insufficient funds: balance is 0 [rejected]`,
		},
		"EventsWithoutWhen":   {func(tb testing.TB) { testkit.New(tb, testaccount.New("a")).ThenEvents() }, "ThenEvents: there is no When before it"},
		"NoEventsWithoutWhen": {func(tb testing.TB) { testkit.New(tb, testaccount.New("a")).ThenNoEvents() }, "ThenNoEvents: there is no When before it"},
		"StateWithoutWhen":    {func(tb testing.TB) { testkit.New(tb, testaccount.New("a")).ThenState(&testpb.Account{}) }, "ThenState: there is no When before it"},
		"ErrorWithoutWhen":    {func(tb testing.TB) { testkit.New(tb, testaccount.New("a")).ThenError("x") }, "ThenError: there is no When before it"},
		"RejectedWithoutWhen": {func(tb testing.TB) { testkit.New(tb, testaccount.New("a")).ThenRejected("x") }, "ThenRejected: there is no When before it"},
		"GivenAfterWhen": {
			func(tb testing.TB) { deposit(tb).Given(&testpb.Deposited{Amount: 1}).ThenState(&testpb.Account{}) },
			"ThenState: there is no When before it",
		},
		"NilContext": {
			func(tb testing.TB) { testkit.New(tb, testaccount.New("a")).WithContext(nil) }, //nolint:staticcheck // what is tested
			"WithContext: the context is nil",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, failureOf(t, c.scenario))
		})
	}
}
