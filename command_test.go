package ego_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
)

func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("account-%d", i)
	}
	return list
}

func TestSendCommand(t *testing.T) {
	t.Parallel()

	t.Run("AnswersStateAndRevision", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		open(t, engine, "a")

		account, revision, err := ego.Ask[*testpb.Account](t.Context(), engine, "a", &testpb.OpenAccount{Owner: "Ann"}, patience)
		require.NoError(t, err)
		require.Equal(t, "Ann", account.GetOwner())
		require.EqualValues(t, 1, revision)

		state, revision, err := engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 7}, patience)
		require.NoError(t, err)
		require.EqualValues(t, 7, state.(*testpb.Account).GetBalance())
		require.EqualValues(t, 2, revision)

		state, revision, err = engine.EntityState(t.Context(), "a", patience)
		require.NoError(t, err)
		require.EqualValues(t, 7, state.(*testpb.Account).GetBalance())
		require.EqualValues(t, 2, revision)
	})
	t.Run("NoOpLeavesTheRevision", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		engine := startEngine(t, store)
		open(t, engine, "a")
		deposit(t, engine, "a", 5)

		account, revision, err := ego.Ask[*testpb.Account](t.Context(), engine, "a", &testpb.Deposit{}, patience)

		require.NoError(t, err)
		require.EqualValues(t, 5, account.GetBalance())
		require.EqualValues(t, 1, revision)
		latest, err := store.GetLatestEvent(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 1, latest.GetSequenceNumber())
	})
	t.Run("RefusalIsTypedAndHasNoEffect", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		open(t, engine, "a")
		deposit(t, engine, "a", 5)

		_, _, err := engine.SendCommand(t.Context(), "a", &testpb.Withdraw{Amount: 6}, patience)

		var refusal *ego.CommandError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, "a", refusal.EntityID)
		require.Equal(t, "egotest.v1.Withdraw", refusal.Command)
		require.Equal(t, ego.CodeRejected, refusal.Code)
		require.Equal(t, "insufficient funds: balance is 5", refusal.Message)
		require.ErrorIs(t, err, testaccount.ErrInsufficient)
		require.EqualValues(t, 6, deposit(t, engine, "a", 1).GetBalance())
	})
	t.Run("RejectCarriesItsCode", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		require.NoError(t, engine.Entity(t.Context(), &scripted{id: "a", command: func() ([]ego.Event, error) {
			return nil, fmt.Errorf("checked twice: %w", ego.Reject("too_late", "it is %d o'clock", 7))
		}}))

		_, _, err := engine.SendCommand(t.Context(), "a", &emptypb.Empty{}, patience)

		var refusal *ego.CommandError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, "too_late", refusal.Code)
		require.Equal(t, "checked twice: it is 7 o'clock", refusal.Message)
		require.Equal(t, `ego: entity "a" refused command google.protobuf.Empty: checked twice: it is 7 o'clock [too_late]`, err.Error())
	})
	t.Run("CallersShareNoMemoryWithTheEntity", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		open(t, engine, "a")
		command := &testpb.Deposit{Amount: 1, Note: "x"}
		state, _, err := engine.SendCommand(t.Context(), "a", command, patience)
		require.NoError(t, err)

		command.Note = "changed"
		state.(*testpb.Account).Balance = 99
		state.(*testpb.Account).Notes[0] = "changed"

		state, _, err = engine.EntityState(t.Context(), "a", patience)
		require.NoError(t, err)
		require.True(t, proto.Equal(&testpb.Account{Balance: 1, Changes: 1, Notes: []string{"x"}}, state), "%v", state)
	})
	t.Run("BadArgumentsAreTyped", func(t *testing.T) { // G11
		t.Parallel()
		engine := startEngine(t, newStore(t))
		open(t, engine, "a")
		send := func(id string, command ego.Command) error {
			_, _, err := engine.SendCommand(t.Context(), id, command, patience)
			return err
		}
		require.ErrorIs(t, send("a", nil), ego.ErrInvalidCommand)
		require.ErrorIs(t, send("a", (*testpb.Deposit)(nil)), ego.ErrInvalidCommand)
		require.ErrorIs(t, send("", &testpb.Deposit{}), ego.ErrUndefinedEntityID)
		require.ErrorIs(t, send("a\x00", &testpb.Deposit{}), ego.ErrInvalidEntityID)
		require.ErrorIs(t, send("\xff", &testpb.Deposit{}), ego.ErrInvalidEntityID)
		require.ErrorIs(t, send(strings.Repeat("x", 5000), &testpb.Deposit{}), ego.ErrInvalidEntityID)
		require.ErrorContains(t, send("a", &emptypb.Empty{}), "unknown command *emptypb.Empty")

		err := send("nobody", &testpb.Deposit{Amount: 1})
		require.ErrorIs(t, err, ego.ErrEntityNotFound)
		var failure *ego.EntityError
		require.ErrorAs(t, err, &failure)
		require.Equal(t, "nobody", failure.EntityID)
		require.Equal(t, "egotest.v1.Deposit", failure.Command)
		require.Equal(t, `ego: entity "nobody", command egotest.v1.Deposit: the entity is not known`, err.Error())
	})
	t.Run("OddIdsWork", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		for _, id := range []string{" ", "a/b:c", "Ünïcödé 🙂", strings.Repeat("x", 1000), "%", "'; DROP", "-"} {
			open(t, engine, id)
			require.EqualValues(t, 1, deposit(t, engine, id, 1).GetBalance(), id)
		}
	})
	t.Run("AskOfAnotherStateIsAnError", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		open(t, engine, "a")
		_, revision, err := ego.Ask[*testpb.Deposit](t.Context(), engine, "a", &testpb.Deposit{Amount: 1}, patience)
		require.ErrorContains(t, err, "the state is a *testpb.Account, not a *testpb.Deposit")
		require.EqualValues(t, 1, revision, "the command has taken effect")
	})
	t.Run("LosesNoReplyUnderConcurrency", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		const senders, each = 64, 200
		accounts := ids(10)
		for _, id := range accounts {
			open(t, engine, id)
		}
		var group sync.WaitGroup
		for sender := range senders {
			group.Go(func() {
				for i := range each {
					id := accounts[(sender+i)%len(accounts)]
					if _, _, err := engine.SendCommand(t.Context(), id, &testpb.Deposit{Amount: 1}, patience); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		total := int64(0)
		for _, id := range accounts {
			state, revision, err := engine.EntityState(t.Context(), id, patience)
			require.NoError(t, err)
			require.EqualValues(t, revision, state.(*testpb.Account).GetBalance())
			total += state.(*testpb.Account).GetBalance()
		}
		require.EqualValues(t, senders*each, total)
	})
}

func TestHandlersThatMisbehave(t *testing.T) { // G11
	t.Parallel()
	for _, how := range []struct{ how, code, says string }{
		{"panic", ego.CodePanic, "HandleCommand panicked: as asked"},
		{"nil event", ego.CodeInvalid, "HandleCommand returned a nil event"},
		{"typed nil event", ego.CodeInvalid, "HandleCommand returned a nil event"},
		{"invalid utf8", ego.CodeInvalid, "cannot be stored"},
		{"apply", ego.CodeRejected, "HandleEvent refused egotest.v1.Misbehaved: as asked"},
		{"apply panic", ego.CodePanic, "HandleEvent panicked: as asked"},
		{"nil state", ego.CodeInvalid, "HandleEvent returned no state for egotest.v1.Misbehaved"},
	} {
		t.Run(how.how, func(t *testing.T) {
			t.Parallel()
			store := newStore(t)
			engine := startEngine(t, store)
			open(t, engine, "a")
			deposit(t, engine, "a", 5)

			_, _, err := engine.SendCommand(t.Context(), "a", &testpb.Misbehave{How: how.how}, patience)

			var refusal *ego.CommandError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, how.code, refusal.Code)
			require.ErrorContains(t, err, how.says)
			latest, err := store.GetLatestEvent(t.Context(), "a")
			require.NoError(t, err)
			require.EqualValues(t, 1, latest.GetSequenceNumber(), "nothing is stored")
			require.EqualValues(t, 6, deposit(t, engine, "a", 1).GetBalance(), "the next command finds the state of the store")
		})
	}
	t.Run("PanicUnwrapsToItsValue", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		require.NoError(t, engine.Entity(t.Context(), &scripted{id: "a", command: func() ([]ego.Event, error) {
			panic(testaccount.ErrInsufficient)
		}}))
		_, _, err := engine.SendCommand(t.Context(), "a", &emptypb.Empty{}, patience)
		require.ErrorIs(t, err, testaccount.ErrInsufficient)
		var panicked *ego.PanicError
		require.ErrorAs(t, err, &panicked)
		require.Contains(t, string(panicked.Stack), "command_test.go")
	})
	t.Run("NoInitialState", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		err := engine.Entity(t.Context(), &scripted{id: "a", noState: true})
		require.ErrorIs(t, err, ego.ErrRecovery)
		require.ErrorContains(t, err, "InitialState returned no state")
	})
}

func TestTimeouts(t *testing.T) { // G12
	t.Parallel()

	t.Run("AtWorkMayTakeEffect", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		entered, release := make(chan struct{}), make(chan struct{})
		require.NoError(t, engine.Entity(t.Context(), &scripted{id: "a", command: func() ([]ego.Event, error) {
			entered <- struct{}{}
			<-release
			return []ego.Event{&testpb.Deposited{Amount: 1}}, nil
		}}))
		go func() { <-entered }()

		_, _, err := engine.SendCommand(t.Context(), "a", &emptypb.Empty{}, 20*time.Millisecond)

		require.ErrorIs(t, err, ego.ErrTimeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, ego.ErrOutcomeUnknown)
		close(release)
		_, revision, err := engine.EntityState(t.Context(), "a", patience)
		require.NoError(t, err)
		require.EqualValues(t, 1, revision, "and it did")
	})
	t.Run("HandlersThatGiveUpRefuseNothing", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		var senders sync.WaitGroup
		for i := range 200 { // some are not awake yet when their handlers have returned
			id := fmt.Sprint("waiting-", i)
			require.NoError(t, engine.Entity(t.Context(), &waiting{testaccount.New(id)}))
			senders.Go(func() {
				for range 10 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					_, _, err := engine.SendCommand(ctx, id, &testpb.Deposit{Amount: 1}, patience)
					cancel()
					_, refused := errors.AsType[*ego.CommandError](err)
					assert.False(t, refused, "%v", err)
					assert.ErrorIs(t, err, ego.ErrTimeout)
				}
			})
		}
		senders.Wait()
	})
	t.Run("StillQueuedNeverRuns", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		entered, release := make(chan struct{}), make(chan struct{})
		require.NoError(t, engine.Entity(t.Context(), &scripted{id: "a", command: func() ([]ego.Event, error) {
			entered <- struct{}{}
			<-release
			return []ego.Event{&testpb.Deposited{Amount: 1}}, nil
		}}))
		first := make(chan error, 1)
		go func() {
			_, _, err := engine.SendCommand(t.Context(), "a", &emptypb.Empty{}, patience)
			first <- err
		}()
		<-entered

		_, _, err := engine.SendCommand(t.Context(), "a", &emptypb.Empty{}, 10*time.Millisecond)
		require.ErrorIs(t, err, ego.ErrTimeout)
		require.NotErrorIs(t, err, ego.ErrOutcomeUnknown)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err = engine.SendCommand(ctx, "a", &emptypb.Empty{}, patience)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ego.ErrTimeout)

		_, _, err = engine.SendCommand(t.Context(), "a", &emptypb.Empty{}, -1)
		require.ErrorIs(t, err, ego.ErrTimeout)

		close(release)
		require.NoError(t, <-first)
		_, revision, err := engine.EntityState(t.Context(), "a", patience)
		require.NoError(t, err)
		require.EqualValues(t, 1, revision)
	})
	t.Run("FullMailboxSheds", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t), ego.WithMailboxSize(1))
		entered, release := make(chan struct{}), make(chan struct{})
		require.NoError(t, engine.Entity(t.Context(), &scripted{id: "a", command: func() ([]ego.Event, error) {
			entered <- struct{}{}
			<-release
			return nil, nil
		}}))
		first := make(chan error, 1)
		go func() {
			_, _, err := engine.SendCommand(t.Context(), "a", &emptypb.Empty{}, patience)
			first <- err
		}()
		<-entered
		_, _, err := engine.SendCommand(t.Context(), "a", &emptypb.Empty{}, 10*time.Millisecond)
		require.ErrorIs(t, err, ego.ErrTimeout, "queued, then abandoned")
		waiting := make(chan error, 2)
		for range 2 {
			go func() {
				_, _, err := engine.SendCommand(t.Context(), "a", &emptypb.Empty{}, patience)
				waiting <- err
			}()
		}
		require.ErrorIs(t, <-waiting, ego.ErrOverloaded, "one takes the place of the abandoned one, the other finds none")
		go func() { <-entered }()
		close(release)
		require.NoError(t, <-first)
		require.NoError(t, <-waiting)
	})
}

// scripted is a behaviour that does what a test says.
type scripted struct {
	id      string
	command func() ([]ego.Event, error)
	noState bool
}

func (s *scripted) ID() string { return s.id }

func (s *scripted) InitialState() ego.State {
	if s.noState {
		return nil
	}
	return new(testpb.Account)
}

func (s *scripted) HandleCommand(context.Context, ego.Command, ego.State) ([]ego.Event, error) {
	return s.command()
}

func (s *scripted) HandleEvent(_ context.Context, _ ego.Event, prior ego.State) (ego.State, error) {
	return proto.Clone(prior), nil
}

// waiting is an account that waits for the end of its callers.
type waiting struct{ *testaccount.Account }

func (*waiting) HandleCommand(ctx context.Context, _ ego.Command, _ ego.State) ([]ego.Event, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
