package testkit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/testkit"
)

// clumsy is an account that fails in more ways than one, without modifying anything.
func clumsy() *account {
	original := testaccount.New("a")
	return &account{command: func(ctx context.Context, command, prior proto.Message) ([]proto.Message, error) {
		misbehave, ok := command.(*testpb.Misbehave)
		if !ok {
			return original.HandleCommand(ctx, command, prior)
		}
		switch how := misbehave.GetHow(); how {
		case "reject":
			return nil, ego.Reject("limit", "above %d", 5)
		case "wrapped reject":
			return nil, fmt.Errorf("no: %w", ego.Reject("limit", "above %d", 5))
		case "plain":
			return nil, errors.New("no")
		case "panic":
			panic("oops")
		case "panic with a rejection":
			panic(ego.Reject("limit", "above %d", 5))
		case "panic with an error":
			panic(testaccount.ErrInsufficient)
		default:
			return original.HandleCommand(ctx, command, prior)
		}
	}}
}

// The testkit answers a command as an engine does: the same error, the same state.
func TestSameAsEngine(t *testing.T) {
	t.Parallel()
	engine := ego.NewEngine("testkit", memory.NewStore(), ego.WithStateStore(memory.NewStore()))
	require.NoError(t, engine.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })

	commands := []proto.Message{
		&testpb.OpenAccount{Owner: "Ann"}, &testpb.OpenAccount{Owner: "Bob"}, &testpb.Deposit{Amount: 5, Note: "gift"}, &testpb.Deposit{},
		&testpb.Deposit{Amount: -1}, &testpb.Withdraw{Amount: 6}, &testpb.Withdraw{Amount: 4}, &testpb.Legacy{},
	}
	for _, how := range []string{
		"nil event", "typed nil event", "apply", "apply panic", "nil state",
		"reject", "wrapped reject", "plain", "panic", "panic with a rejection", "panic with an error",
	} {
		commands = append(commands, &testpb.Misbehave{How: how})
	}
	commands = append(commands, &testpb.Withdraw{Amount: 1}, &testpb.Withdraw{Amount: 1})

	t.Run("EventSourced", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, engine.Entity(t.Context(), clumsy()))
		scenario := testkit.New(t, clumsy())
		for _, command := range commands {
			state, _, err := engine.SendCommand(t.Context(), "a", command, time.Minute)
			requireSameError(t, err, scenario.When(command).ThenError)
			if err == nil {
				scenario.ThenState(state)
			}
		}
	})
	t.Run("DurableState", func(t *testing.T) {
		t.Parallel()
		behavior := func() *purse {
			original := testaccount.NewPurse("p")
			return with(func(ctx context.Context, command, prior proto.Message, revision uint64) (proto.Message, error) {
				if misbehave, ok := command.(*testpb.Misbehave); ok && misbehave.GetHow() == "panic" {
					panic("oops")
				} else if ok {
					return nil, ego.Reject("limit", "above %d", 5)
				}
				return original.HandleCommand(ctx, command, prior, revision)
			})
		}
		require.NoError(t, engine.DurableStateEntity(t.Context(), behavior()))
		scenario := testkit.NewDurableState(t, behavior())
		for _, command := range commands {
			state, revision, err := engine.SendCommand(t.Context(), "p", command, time.Minute)
			requireSameError(t, err, scenario.When(command).ThenError)
			if err == nil {
				scenario.ThenState(state).ThenRevision(revision)
			}
		}
	})
}

// requireSameError compares an error of the engine with that of a scenario, which only its ThenError tells.
func requireSameError[S any](t *testing.T, want error, thenError func(target any) S) {
	t.Helper()
	if want == nil {
		thenError(nil)
		return
	}
	var got, refusal *ego.CommandError
	thenError(&got)
	require.ErrorAs(t, want, &refusal)
	require.Equal(t, refusal.EntityID, got.EntityID)
	require.Equal(t, refusal.Command, got.Command)
	require.Equal(t, refusal.Code, got.Code)
	require.Equal(t, refusal.Message, got.Message)
	thenError(want.Error()) // all of the text
	for _, cause := range []error{testaccount.ErrInsufficient} {
		if errors.Is(want, cause) {
			thenError(cause)
		}
	}
	if panicked, ok := errors.AsType[*ego.PanicError](want); ok {
		thenError(&ego.PanicError{Handler: panicked.Handler, Value: panicked.Value})
	}
}
