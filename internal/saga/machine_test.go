package saga_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/internal/testpb"
)

var errNo = errors.New("no")

func TestMachine(t *testing.T) {
	t.Parallel()

	t.Run("TimeoutLosesToCompletion", func(t *testing.T) { // G7
		t.Parallel()
		r := newRig(t, &scripted{start: sends(1), result: does(&saga.Action{Complete: true}), compensate: takesBack(1)})
		r.must(saga.NewStart(time.Second, nil))
		r.answer(nil)
		require.Equal(t, saga.Completed, r.state.Status)
		require.Empty(t, r.must(saga.NewTimer("deadline")))
		require.Equal(t, saga.Completed, r.state.Status)
	})
	t.Run("CompletionLosesToTimeout", func(t *testing.T) { // G7
		t.Parallel()
		r := newRig(t, &scripted{
			start:      sends(1),
			result:     does(&saga.Action{Events: []proto.Message{note("done")}, Complete: true, Commands: send(1).Commands}),
			compensate: takesBack(1),
		})
		r.must(saga.NewStart(time.Second, nil))
		r.must(saga.NewTimer("deadline"))
		require.Equal(t, saga.Compensating, r.state.Status)
		require.True(t, r.state.Draining(), "what the command did is not known yet")
		r.recover()
		r.answer(nil)
		require.Equal(t, saga.Compensating, r.state.Status)
		require.Equal(t, []string{"done"}, r.state.Message.(*testpb.Account).GetNotes(), "its event counts")
		require.Equal(t, []string{"s/c/1"}, ids(r.state), "its command does not")
		r.answer(nil)
		require.Equal(t, saga.Compensated, r.state.Status)
	})
	t.Run("FinishedNeverRunsAgain", func(t *testing.T) { // G7
		t.Parallel()
		r := newRig(t, &scripted{start: does(&saga.Action{Complete: true}), event: sends(1), timeout: sends(1)})
		r.must(saga.NewStart(0, nil))
		r.recover()
		for _, input := range []proto.Message{
			saga.NewStart(0, nil), saga.NewTimer("watchdog"), saga.NewTimer("deadline"), saga.NewTimer("timer/1/x"),
			saga.NewResult(&egopb.SagaCommand{CommandId: "s/1/1"}, nil, nil), saga.NewResult(&egopb.SagaCommand{CommandId: "s/1/1"}, nil, errNo),
		} {
			require.Empty(t, r.must(input))
		}
		require.Empty(t, r.offer(1))
		_, err := r.input(saga.NewCancel("x"))
		require.ErrorIs(t, err, saga.ErrFinished)
		_, err = r.input(saga.NewRetry())
		require.ErrorIs(t, err, saga.ErrFinished)
	})
	t.Run("NothingBeforeTheStart", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, new(scripted))
		for _, input := range []proto.Message{
			saga.NewTimer("watchdog"), saga.NewResult(&egopb.SagaCommand{CommandId: "s/1/1"}, nil, nil), saga.NewCancel("x"), saga.NewRetry(),
			saga.NewEvent(new(egopb.Event), nil, false),
		} {
			_, err := r.input(input)
			require.ErrorIs(t, err, saga.ErrNotStarted)
		}
	})
	t.Run("EventsAreHandledOnce", func(t *testing.T) { // G7
		t.Parallel()
		handled := 0
		r := newRig(t, &scripted{event: func(*testpb.Account) (*saga.Action, error) {
			if handled++; handled == 3 {
				return &saga.Action{Events: []proto.Message{note("third")}}, nil
			}
			return nil, nil
		}})
		r.must(saga.NewStart(0, map[uint32]uint64{1: 10}))
		require.Empty(t, r.offer(10), "from before the start")
		require.Empty(t, r.offer(11), "one without use is not recorded")
		require.Empty(t, r.offer(11))
		r.offer(12)
		require.Len(t, r.offer(13), 2)
		require.Equal(t, 3, handled)
		r.recover()
		for position := uint64(11); position <= 13; position++ {
			require.Empty(t, r.offer(position), "known to the stream")
		}
		require.Equal(t, 3, handled)
	})
	t.Run("OtherStepsRecordWhatWasOffered", func(t *testing.T) { // G7
		t.Parallel()
		r := newRig(t, &scripted{start: sends(1)})
		r.must(saga.NewStart(0, nil))
		r.offer(5)
		records := r.answer(nil)
		require.IsType(t, new(egopb.SagaEventsPassed), records[0])
		r.recover()
		r.behavior.event = sends(1)
		require.Empty(t, r.offer(5), "it met the state before the answer")
	})
	t.Run("RefusedCompensationIsAFailure", func(t *testing.T) { // G7
		t.Parallel()
		r := newRig(t, &scripted{compensate: takesBack(3)})
		r.must(saga.NewStart(0, nil))
		r.must(saga.NewCancel("enough"))
		require.Equal(t, []string{"s/c/1"}, ids(r.state), "one after the other")
		r.answer(nil)
		require.Equal(t, []string{"s/c/2"}, ids(r.state))
		r.answer(errNo)
		require.Equal(t, saga.Failed, r.state.Status)
		require.Equal(t, "no", r.state.Reason)
		r.recover()
		require.Empty(t, r.must(saga.NewTimer("watchdog")))
		r.must(saga.NewRetry())
		require.Equal(t, saga.Compensating, r.state.Status)
		require.Equal(t, []string{"s/c/2"}, ids(r.state), "where it stopped, under the same id")
		require.Empty(t, r.must(saga.NewRetry()), "it is at work")
		r.answer(nil)
		r.recover()
		r.answer(nil)
		require.Equal(t, saga.Compensated, r.state.Status)
	})
	t.Run("HandlersThatFailMakeItCompensate", func(t *testing.T) { // G11
		t.Parallel()
		for name, start := range map[string]func(*testpb.Account) (*saga.Action, error){
			"Error":  func(*testpb.Account) (*saga.Action, error) { return send(1), errNo },
			"Panic":  func(*testpb.Account) (*saga.Action, error) { panic("as asked") },
			"Nil":    does(&saga.Action{Events: []proto.Message{nil}}),
			"Both":   does(&saga.Action{Complete: true, Compensate: true}),
			"UTF8":   does(&saga.Action{Events: []proto.Message{note("\xff")}}),
			"Poison": does(&saga.Action{Events: []proto.Message{note("poison")}}),
			"Entity": does(&saga.Action{Commands: []saga.Command{{Command: new(testpb.Deposit)}}}),
			"Timer":  does(&saga.Action{Timers: []saga.Timer{{Name: "", After: 1}}}),
		} {
			r := newRig(t, &scripted{start: start})
			r.must(saga.NewStart(0, nil))
			require.Equal(t, saga.Compensated, r.state.Status, name)
			require.Contains(t, r.state.Reason, "Start failed", name)
			require.Empty(t, r.state.Commands, name)
			r.recover()
		}
		r := newRig(t, &scripted{compensate: func(*testpb.Account) ([]saga.Command, error) { panic("as asked") }})
		r.must(saga.NewStart(0, nil))
		r.must(saga.NewCancel("enough"))
		require.Equal(t, saga.Failed, r.state.Status)
		r.behavior.compensate = nil
		r.must(saga.NewRetry())
		require.Equal(t, saga.Compensated, r.state.Status)
	})
	t.Run("TimersFireOnceAndOnlyTheNewest", func(t *testing.T) { // G7
		t.Parallel()
		set := &saga.Action{Timers: []saga.Timer{{Name: "a/b", After: time.Second}}}
		r := newRig(t, &scripted{start: does(set), event: does(set), timeout: does(&saga.Action{Events: []proto.Message{note("fired")}})})
		r.must(saga.NewStart(0, nil))
		r.offer(1)
		resumed := r.must(saga.NewTimer("timer/1/a/b"))
		require.IsType(t, new(egopb.SagaResumed), resumed[len(resumed)-1], "replaced; whoever says so must be up to date")
		require.Empty(t, r.state.Message.(*testpb.Account).GetNotes())
		r.recover()
		r.must(saga.NewTimer("timer/2/a/b"))
		r.must(saga.NewTimer("timer/2/a/b"))
		require.Equal(t, []string{"fired"}, r.state.Message.(*testpb.Account).GetNotes())
	})
	t.Run("CompletesOnceCommandsAreAnswered", func(t *testing.T) {
		t.Parallel()
		action := send(2)
		action.Complete = true
		r := newRig(t, &scripted{start: does(action)})
		r.must(saga.NewStart(0, nil))
		require.Equal(t, saga.Running, r.state.Status)
		r.answer(nil)
		r.recover()
		require.Equal(t, saga.Running, r.state.Status)
		r.answer(nil)
		require.Equal(t, saga.Completed, r.state.Status)
	})
	t.Run("TimersAreSetBeforeAStep", func(t *testing.T) { // G7
		t.Parallel()
		action := send(1)
		action.Timers = []saga.Timer{{Name: "x", After: time.Second}}
		r := newRig(t, &scripted{start: does(action)})
		_, err := r.machine.HandleCommand(t.Context(), saga.NewStart(time.Hour, nil), r.state)
		require.NoError(t, err)
		var names []string
		for _, row := range r.machine.Rows() {
			names = append(names, row.GetName())
			require.Equal(t, "!saga/s", row.GetOwner())
		}
		require.Equal(t, []string{"watchdog", "deadline", "timer/1/x"}, names)
	})
}

func TestFailureAtAnotherProcess(t *testing.T) { // G7
	t.Parallel()
	issued := func(t *testing.T) *rig {
		r := newRig(t, &scripted{start: sends(2), failure: does(nil)})
		r.must(saga.NewStart(0, nil))
		r.recover() // the process that has issued the commands goes on sending them, and this one takes the answers
		return r
	}
	t.Run("CountsWhenNobodyElseCanHaveSentTheCommand", func(t *testing.T) {
		t.Parallel()
		r := issued(t)
		r.answer(errNo)
		require.Equal(t, []string{"s/1/2"}, ids(r.state))
	})
	t.Run("IsInDoubtAfterAnotherStep", func(t *testing.T) {
		t.Parallel()
		r := issued(t)
		r.must(saga.NewTimer("watchdog")) // from here on this process sends them as well
		failed := saga.NewResult(r.state.Commands[0], nil, errNo)
		_, err := r.input(failed)
		require.ErrorIs(t, err, saga.ErrInDoubt)
		failed.Checked = true
		r.must(failed)
	})
}

// An event adapter may drop or split what the saga itself has said; its commands have ids of their own all the same.
func TestCommandIDsDoNotDependOnTheSagasEvents(t *testing.T) { // G7, G8
	t.Parallel()
	chatty := send(1)
	chatty.Events = []proto.Message{note("x"), note("y"), note("z")}
	r := newRig(t, &scripted{start: sends(1), result: does(chatty), event: does(chatty), timeout: sends(1)})
	r.must(saga.NewStart(0, nil))
	seen := map[string]bool{}
	for position := range uint64(20) {
		for _, id := range ids(r.state) {
			seen[id] = true
		}
		issued := len(seen)
		r.stream = slices.DeleteFunc(r.stream, func(record proto.Message) bool {
			_, own := record.(*testpb.Deposited)
			return own
		})
		r.machine = saga.NewMachine(config(r.behavior))
		state := r.machine.InitialState()
		for _, record := range r.stream {
			var err error
			state, err = r.machine.HandleEvent(t.Context(), record, state)
			require.NoError(t, err)
		}
		r.state = state.(*saga.State)
		r.offer(position + 1)
		for _, id := range ids(r.state) {
			seen[id] = true
		}
		require.Len(t, seen, issued+1)
		r.answer(nil)
	}
}
