package testkit_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/testkit"
)

type (
	commandHandler = func(ctx context.Context, command, prior proto.Message) ([]proto.Message, error)
	eventHandler   = func(ctx context.Context, event, prior proto.Message) (proto.Message, error)
)

func TestPurity(t *testing.T) {
	t.Parallel()
	const rule = "; a handler must not modify what it was given or has returned:\n"
	original := testaccount.New("a")
	command := func(f commandHandler) func(tb testing.TB) {
		return func(tb testing.TB) {
			testkit.New(tb, &account{command: f}).GivenState(&testpb.Account{Balance: 10}).
				When(&testpb.Deposit{Amount: 5}).ThenError("e")
		}
	}
	event := func(f eventHandler) func(tb testing.TB) {
		return func(tb testing.TB) {
			testkit.New(tb, &account{event: f}).GivenState(&testpb.Account{Balance: 10}).
				When(&testpb.Deposit{Amount: 5}).ThenError("e")
		}
	}
	for name, c := range map[string]struct {
		scenario func(tb testing.TB)
		want     string
	}{
		"CommandHandlerModifiesState": {
			command(func(_ context.Context, _, prior proto.Message) ([]proto.Message, error) {
				prior.(*testpb.Account).Balance++
				return nil, nil
			}),
			"When(egotest.v1.Deposit): HandleCommand modified the prior state" + rule + "    balance: was 10, is now 11",
		},
		"CommandHandlerModifiesCommand": {
			command(func(_ context.Context, command, _ proto.Message) ([]proto.Message, error) {
				command.(*testpb.Deposit).Note = "seen"
				return nil, nil
			}),
			"When(egotest.v1.Deposit): HandleCommand modified the command" + rule + `    note: was "", is now "seen"`,
		},
		"CommandHandlerModifiesAndRefuses": {
			command(func(_ context.Context, _, prior proto.Message) ([]proto.Message, error) {
				prior.(*testpb.Account).Balance++
				return nil, errors.New("no")
			}),
			"When(egotest.v1.Deposit): HandleCommand modified the prior state (and failed: no)" + rule + "    balance: was 10, is now 11",
		},
		"CommandHandlerModifiesAndPanics": {
			func(tb testing.TB) {
				testkit.New(tb, original).When(&testpb.Misbehave{How: "panic"}).ThenError("as asked")
			},
			"When(egotest.v1.Misbehave): HandleCommand modified the prior state (and failed: HandleCommand panicked: as asked)" + rule +
				"    balance: was 0, is now -1",
		},
		"EventHandlerModifiesState": {
			event(func(_ context.Context, _, prior proto.Message) (proto.Message, error) {
				prior.(*testpb.Account).Balance++
				return prior, nil
			}),
			"When(egotest.v1.Deposit): HandleEvent modified the prior state when it was called for event 1 (egotest.v1.Deposited)" + rule +
				"    balance: was 10, is now 11",
		},
		"EventHandlerModifiesEvent": {
			event(func(ctx context.Context, event, prior proto.Message) (proto.Message, error) {
				event.(*testpb.Deposited).Amount = 0
				return original.HandleEvent(ctx, event, prior)
			}),
			"When(egotest.v1.Deposit): HandleEvent modified event 1 (egotest.v1.Deposited) when it was called for event 1 (egotest.v1.Deposited)" +
				rule + "    amount: was 5, is now 0",
		},
		"EventHandlerModifiesAndRefuses": {
			event(func(_ context.Context, event, _ proto.Message) (proto.Message, error) {
				event.(*testpb.Deposited).Amount = 0
				return nil, errors.New("no")
			}),
			"When(egotest.v1.Deposit): HandleEvent modified event 1 (egotest.v1.Deposited) when it was called for event 1 (egotest.v1.Deposited)" +
				" (and failed: no)" + rule + "    amount: was 5, is now 0",
		},
		"EventHandlerModifiesStateWhenGiven": {
			func(tb testing.TB) {
				testkit.New(tb, &account{event: func(_ context.Context, event, prior proto.Message) (proto.Message, error) {
					next := prior.(*testpb.Account)
					next.Balance += event.(*testpb.Deposited).GetAmount()
					return next, nil
				}}).Given(&testpb.Deposited{}, &testpb.Deposited{Amount: 1})
			},
			"Given: event 2: HandleEvent modified the prior state when it was called for event 2 (egotest.v1.Deposited)" + rule +
				"    balance: was 0, is now 1",
		},
		"EventHandlerKeepsItsState": { // and returns the same message again and again
			func(tb testing.TB) {
				kept := &testpb.Account{}
				testkit.New(tb, &account{event: func(context.Context, proto.Message, proto.Message) (proto.Message, error) {
					kept.Changes = min(kept.Changes+1, 2)
					return kept, nil
				}}).Given(&testpb.Deposited{}, &testpb.Deposited{})
			},
			"Given: event 2: HandleEvent modified the prior state when it was called for event 2 (egotest.v1.Deposited)" + rule +
				"    changes: was 1, is now 2",
		},
		"EventHandlerModifiesWhatItReturned": {
			func(tb testing.TB) {
				var returned *testpb.Account
				testkit.New(tb, &account{event: func(context.Context, proto.Message, proto.Message) (proto.Message, error) {
					if returned != nil {
						returned.Balance = 7
					}
					returned = &testpb.Account{Balance: 1}
					return returned, nil
				}}).Given(&testpb.Deposited{})
			},
			"Given: HandleEvent modified the state that it had returned for event 1 (egotest.v1.Deposited) " +
				"when the same events were folded again" + rule + "    balance: was 1, is now 7",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, failureOf(t, c.scenario))
		})
	}

	t.Run("SharingIsNotModifying", func(t *testing.T) {
		t.Parallel()
		requirePasses(t, func(tb testing.TB) {
			testkit.New(tb, &account{
				command: func(_ context.Context, command, _ proto.Message) ([]proto.Message, error) {
					return []proto.Message{command, command}, nil
				},
				event: func(_ context.Context, _, prior proto.Message) (proto.Message, error) { return prior, nil },
			}).When(&testpb.Deposit{Amount: 1}).ThenEvents(&testpb.Deposit{Amount: 1}, &testpb.Deposit{Amount: 1}).
				ThenState(&testpb.Account{})
		})
	})
}

func TestRepeatable(t *testing.T) {
	t.Parallel()
	const again = "HandleEvent is not repeatable: when the same events are folded again, "
	original := testaccount.New("a")
	// from returns an event handler that is the original until it was called so often.
	from := func(call int, then eventHandler) eventHandler {
		n := 0
		return func(ctx context.Context, event, prior proto.Message) (proto.Message, error) {
			if n++; n >= call {
				return then(ctx, event, prior)
			}
			return original.HandleEvent(ctx, event, prior)
		}
	}
	given := func(f eventHandler) func(tb testing.TB) {
		return func(tb testing.TB) {
			testkit.New(tb, &account{event: f}).Given(&testpb.Deposited{Amount: 1}, &testpb.Deposited{Amount: 2})
		}
	}
	for name, c := range map[string]struct {
		scenario func(tb testing.TB)
		want     string
	}{
		"OtherState": {
			given(from(4, func(context.Context, proto.Message, proto.Message) (proto.Message, error) {
				return &testpb.Account{Balance: 7, Changes: 2}, nil
			})),
			"Given: " + again + "the state after event 2 (egotest.v1.Deposited) of the history differs:\n    balance: first 3, again 7",
		},
		"Refused": {
			given(from(4, func(context.Context, proto.Message, proto.Message) (proto.Message, error) {
				return nil, errors.New("no")
			})),
			"Given: " + again + "it refuses event 2 (egotest.v1.Deposited) of the history: no",
		},
		"NoState": {
			given(from(3, func(context.Context, proto.Message, proto.Message) (proto.Message, error) { return nil, nil })),
			"Given: " + again + "it returns no state for event 1 (egotest.v1.Deposited) of the history",
		},
		"CommandAsHiddenInput": {
			func(tb testing.TB) {
				var latest string
				testkit.New(tb, &account{
					command: func(ctx context.Context, command, prior proto.Message) ([]proto.Message, error) {
						latest = command.(*testpb.Deposit).GetNote()
						return original.HandleCommand(ctx, command, prior)
					},
					event: func(context.Context, proto.Message, proto.Message) (proto.Message, error) {
						return &testpb.Account{Owner: latest}, nil
					},
				}).When(&testpb.Deposit{Amount: 1, Note: "a"}).When(&testpb.Deposit{Amount: 1, Note: "b"})
			},
			"When(egotest.v1.Deposit): " + again + "the state after event 1 (egotest.v1.Deposited) of the history differs:\n" +
				`    owner: first "a", again "b"`,
		},
		"ContextAsHiddenInput": {
			func(tb testing.TB) {
				type key struct{}
				testkit.New(tb, &account{event: func(ctx context.Context, _, _ proto.Message) (proto.Message, error) {
					owner, _ := ctx.Value(key{}).(string)
					return &testpb.Account{Owner: owner}, nil
				}}).WithContext(context.WithValue(tb.Context(), key{}, "a")).When(&testpb.Deposit{Amount: 1})
			},
			"When(egotest.v1.Deposit): " + again + "the state after event 1 (egotest.v1.Deposited) of the history differs:\n" +
				`    owner: first "a", again ""`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, failureOf(t, c.scenario))
		})
	}
}
