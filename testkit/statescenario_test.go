package testkit_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/testkit"
)

type stateHandler = func(ctx context.Context, command, prior proto.Message, revision uint64) (proto.Message, error)

// with returns a purse with another handler.
func with(handler stateHandler) *purse {
	p := newPurse()
	p.command = handler
	return p
}

func TestStateScenario(t *testing.T) {
	t.Parallel()

	t.Run("GivenWhenThen", func(t *testing.T) {
		t.Parallel()
		testkit.NewDurableState(t, testaccount.NewPurse("p")).
			Given(&testpb.Account{Owner: "Ann", Balance: 10, Changes: 7}, 7).
			When(&testpb.Withdraw{Amount: 4}).
			ThenState(&testpb.Account{Owner: "Ann", Balance: 6, Changes: 8}).
			ThenRevision(8)
	})
	t.Run("GoesOnAfterThen", func(t *testing.T) {
		t.Parallel()
		testkit.NewDurableState(t, testaccount.NewPurse("p")).
			When(&testpb.Deposit{Amount: 5}).ThenRevision(1).
			When(&testpb.Deposit{}).ThenNoChange().ThenRevision(1).
			When(&testpb.Withdraw{Amount: 6}).ThenError(testaccount.ErrInsufficient).ThenRejected(ego.CodeRejected).ThenNoChange().
			ThenRevision(1).ThenState(&testpb.Account{Balance: 5, Changes: 1}).
			When(&testpb.Withdraw{Amount: 5}).ThenState(&testpb.Account{Changes: 2}).ThenRevision(2).
			Given(&testpb.Account{Balance: 1, Changes: 5}, 5).
			When(&testpb.Deposit{Amount: 1}).ThenState(&testpb.Account{Balance: 2, Changes: 6}).ThenRevision(6)
	})
	t.Run("WithContext", func(t *testing.T) {
		t.Parallel()
		var id string
		behavior := with(func(ctx context.Context, _, _ proto.Message, _ uint64) (proto.Message, error) {
			id = ego.CommandMetadata(ctx).CommandID
			return (*testpb.Account)(nil), nil // no change either
		})
		testkit.NewDurableState(t, behavior).WithContext(ego.WithCommandID(t.Context(), "1")).When(&testpb.Deposit{}).ThenNoChange()
		require.Equal(t, "1", id)
	})
	t.Run("PanicLeavesTheState", func(t *testing.T) {
		t.Parallel()
		testkit.NewDurableState(t, with(func(context.Context, proto.Message, proto.Message, uint64) (proto.Message, error) {
			panic("oops")
		})).When(&testpb.Deposit{}).ThenError(&ego.PanicError{Handler: "HandleCommand", Value: "oops"}).
			ThenState(&testpb.Account{}).ThenRevision(0)
	})
}

func TestStateThen(t *testing.T) {
	t.Parallel()
	deposit := func(tb testing.TB) *testkit.StateScenario {
		tb.Helper()
		return testkit.NewDurableState(tb, newPurse()).Given(&testpb.Account{Changes: 3}, 3).When(&testpb.Deposit{Amount: 5})
	}
	refused := func(tb testing.TB) *testkit.StateScenario {
		tb.Helper()
		return testkit.NewDurableState(tb, newPurse()).When(&testpb.Withdraw{Amount: 5})
	}
	const refusal = "the command failed (if it should, say so with ThenError first): " +
		`ego: entity "p" refused command egotest.v1.Withdraw: insufficient funds: balance is 0 [rejected]`
	const rule = "; a handler must not modify what it was given or has returned:\n"
	for name, c := range map[string]struct {
		scenario func(tb testing.TB)
		want     string
	}{
		"OtherState": {
			func(tb testing.TB) { deposit(tb).ThenState(&testpb.Account{Balance: 6, Changes: 4}) },
			"ThenState after egotest.v1.Deposit: the state differs:\n    balance: want 6, got 5",
		},
		"NilState":      {func(tb testing.TB) { deposit(tb).ThenState(nil) }, "ThenState after egotest.v1.Deposit: the state to compare with is nil"},
		"OtherRevision": {func(tb testing.TB) { deposit(tb).ThenRevision(3) }, "ThenRevision after egotest.v1.Deposit: want revision 3, got 4"},
		"Change": {
			func(tb testing.TB) { deposit(tb).ThenNoChange() },
			"ThenNoChange after egotest.v1.Deposit: want no change, got revision 4 after 3\n" +
				"    new state: egotest.v1.Account{balance:5 changes:4}",
		},
		"ChangeToTheSame": {
			func(tb testing.TB) {
				testkit.NewDurableState(tb, with(func(_ context.Context, _, prior proto.Message, _ uint64) (proto.Message, error) {
					return prior, nil
				})).When(&testpb.Deposit{}).ThenNoChange()
			},
			"ThenNoChange after egotest.v1.Deposit: want no change, got revision 1 after 0\n    new state: egotest.v1.Account{}\n" +
				"it equals the state before; to change nothing, HandleCommand must return no state",
		},
		"Success": {
			func(tb testing.TB) { deposit(tb).ThenError("e") },
			"ThenError after egotest.v1.Deposit: want an error that contains \"e\", got success\n" +
				"    new state: egotest.v1.Account{balance:5 changes:4}",
		},
		"OtherCode": {
			func(tb testing.TB) { refused(tb).ThenRejected("limit") },
			"ThenRejected after egotest.v1.Withdraw: the error differs:\n    want the code \"limit\"\n" +
				`    got  ego: entity "p" refused command egotest.v1.Withdraw: insufficient funds: balance is 0 [rejected]`,
		},
		"FailureBeforeState":    {func(tb testing.TB) { refused(tb).ThenState(&testpb.Account{}) }, "ThenState after egotest.v1.Withdraw: " + refusal},
		"FailureBeforeRevision": {func(tb testing.TB) { refused(tb).ThenRevision(0) }, "ThenRevision after egotest.v1.Withdraw: " + refusal},
		"FailureBeforeNoChange": {func(tb testing.TB) { refused(tb).ThenNoChange() }, "ThenNoChange after egotest.v1.Withdraw: " + refusal},
		"StateWithoutWhen":      {func(tb testing.TB) { testkit.NewDurableState(tb, newPurse()).ThenState(&testpb.Account{}) }, "ThenState: there is no When before it"},
		"RevisionWithoutWhen":   {func(tb testing.TB) { testkit.NewDurableState(tb, newPurse()).ThenRevision(0) }, "ThenRevision: there is no When before it"},
		"NoChangeWithoutWhen":   {func(tb testing.TB) { testkit.NewDurableState(tb, newPurse()).ThenNoChange() }, "ThenNoChange: there is no When before it"},
		"ErrorWithoutWhen":      {func(tb testing.TB) { testkit.NewDurableState(tb, newPurse()).ThenError("e") }, "ThenError: there is no When before it"},
		"RejectedWithoutWhen":   {func(tb testing.TB) { testkit.NewDurableState(tb, newPurse()).ThenRejected("e") }, "ThenRejected: there is no When before it"},
		"NilBehaviour":          {func(tb testing.TB) { testkit.NewDurableState(tb, nil).When(&testpb.Deposit{}).ThenError("e") }, "NewDurableState: the behaviour is nil"},
		"NoID":                  {func(tb testing.TB) { testkit.NewDurableState(tb, testaccount.NewPurse("")) }, "NewDurableState: ego: the entity id is empty"},
		"NilGiven": {func(tb testing.TB) {
			testkit.NewDurableState(tb, newPurse()).Given(nil, 1).When(&testpb.Deposit{}).ThenError("e")
		}, "Given: the state is nil"},
		"NilCommand": {func(tb testing.TB) { testkit.NewDurableState(tb, newPurse()).When(nil).ThenError("e") }, "When: the command is nil"},
		"NilContext": {
			func(tb testing.TB) { testkit.NewDurableState(tb, newPurse()).WithContext(nil) }, //nolint:staticcheck // what is tested
			"WithContext: the context is nil",
		},
		"ModifiedState": {
			func(tb testing.TB) {
				testkit.NewDurableState(tb, with(func(_ context.Context, _, prior proto.Message, _ uint64) (proto.Message, error) {
					prior.(*testpb.Account).Balance++
					return prior, nil
				})).When(&testpb.Deposit{}).ThenError("e")
			},
			"When(egotest.v1.Deposit): HandleCommand modified the prior state" + rule + "    balance: was 0, is now 1",
		},
		"ModifiedCommand": {
			func(tb testing.TB) {
				testkit.NewDurableState(tb, with(func(_ context.Context, command, _ proto.Message, _ uint64) (proto.Message, error) {
					command.(*testpb.Deposit).Amount++
					return nil, errors.New("no")
				})).When(&testpb.Deposit{}).ThenError("e")
			},
			"When(egotest.v1.Deposit): HandleCommand modified the command (and failed: no)" + rule + "    amount: was 0, is now 1",
		},
		"ModifiedAndPanicked": {
			func(tb testing.TB) {
				testkit.NewDurableState(tb, testaccount.NewPurse("p")).When(&testpb.Misbehave{}).ThenError(&ego.PanicError{})
			},
			"When(egotest.v1.Misbehave): HandleCommand modified the prior state (and failed: HandleCommand panicked: as asked)" + rule +
				"    balance: was 0, is now -1",
		},
		"ModifiedWhatItReturned": {
			func(tb testing.TB) {
				kept := &testpb.Account{}
				testkit.NewDurableState(tb, with(func(context.Context, proto.Message, proto.Message, uint64) (proto.Message, error) {
					kept.Changes++
					return kept, nil
				})).When(&testpb.Deposit{}).When(&testpb.Deposit{})
			},
			"When(egotest.v1.Deposit): HandleCommand modified the prior state" + rule + "    changes: was 1, is now 2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, failureOf(t, c.scenario))
		})
	}

	t.Run("UnexpectedError", func(t *testing.T) {
		t.Parallel()
		for want, scenario := range map[string]func(tb testing.TB){
			"the scenario ended":       func(tb testing.TB) { refused(tb) },
			"When(egotest.v1.Deposit)": func(tb testing.TB) { refused(tb).When(&testpb.Deposit{}) },
			"Given":                    func(tb testing.TB) { refused(tb).Given(&testpb.Account{}, 1) },
		} {
			message := failureOf(t, scenario)
			require.True(t, strings.HasPrefix(message, want+": the command egotest.v1.Withdraw of statescenario_test.go:"), message)
		}
	})
	t.Run("ChangingID", func(t *testing.T) {
		t.Parallel()
		message := failureOf(t, func(tb testing.TB) { testkit.NewDurableState(tb, &renamed{}).When(&testpb.Deposit{}) })
		require.Equal(t, `When(egotest.v1.Deposit): the id of the behaviour was "a" and is now "aa"; it must never change`, message)
	})
}

// renamed is a purse with another id whenever it is asked.
type renamed struct {
	purse
	id string
}

func (r *renamed) ID() string {
	r.id += "a"
	return r.id
}

func (r *renamed) HandleCommand(context.Context, proto.Message, proto.Message, uint64) (proto.Message, error) {
	return nil, nil
}
