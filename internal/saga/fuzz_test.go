package saga_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/internal/testpb"
)

// FuzzMachine gives a machine random inputs while its behaviour decides at random, and checks after each what must hold.
func FuzzMachine(f *testing.F) { // G7
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add([]byte{0, 0x12, 1, 0, 1, 0, 5, 1, 9, 2})
	f.Add([]byte{0, 0x31, 6, 0, 1, 9, 1, 9, 8, 1, 0, 1, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		next := func() byte {
			if len(script) == 0 {
				return 0
			}
			b := script[0]
			script = script[1:]
			return b
		}
		r := newRig(t, random(next))
		issued := map[string]bool{}
		for len(script) > 0 {
			before := r.state
			records := step(r, next())
			check(t, r, before, records, issued)
			if next()%3 == 0 {
				r.recover()
			}
		}
		r.recover()
	})
}

// random is a behaviour that decides by a script.
func random(next func() byte) *scripted {
	decide := func(*testpb.Account) (*saga.Action, error) {
		b := next()
		action := send(int(b & 3 % 3))
		if b&4 != 0 {
			action.Events = []proto.Message{note(strconv.Itoa(int(b)))}
		}
		if b&8 != 0 {
			action.Timers = []saga.Timer{{Name: "t" + strconv.Itoa(int(b>>4&1)), After: time.Duration(b>>5&1) * time.Second}}
		}
		action.Complete, action.Compensate = b&0xe0 == 0xe0, b&0xe0 == 0xc0
		switch b & 0xf8 {
		case 0xb8:
			return nil, errNo
		case 0xb0:
			panic("as asked")
		case 0xa8:
			return nil, nil
		}
		return action, nil
	}
	return &scripted{decide, decide, decide, decide, decide, func(*testpb.Account) ([]saga.Command, error) {
		b := next()
		if b&0xf0 == 0xf0 {
			return nil, errNo
		}
		return send(int(b & 3)).Commands, nil
	}}
}

// step makes one input. Those that a saga refuses come to nothing.
func step(r *rig, b byte) []proto.Message {
	var input proto.Message
	arg := int(b >> 4)
	switch b & 0xf {
	case 0, 1, 2, 3, 4:
		if len(r.state.Commands) == 0 {
			return nil
		}
		var failure error
		if arg%3 == 0 {
			failure = errNo
		}
		input = saga.NewResult(r.state.Commands[arg%len(r.state.Commands)], new(testpb.Account), failure)
	case 5:
		input = saga.NewTimer("deadline")
	case 6:
		input = saga.NewCancel("x")
	case 7:
		input = saga.NewRetry()
	case 8:
		input = saga.NewTimer("watchdog")
	case 9, 10:
		input = saga.NewTimer("timer/" + strconv.Itoa(arg) + "/t" + strconv.Itoa(arg&1))
	case 11:
		input = saga.NewStart(time.Second, nil)
	default:
		r.position += uint64(arg & 1)
		stored := &egopb.Event{PersistenceId: "a", Shard: 1, Position: r.position}
		input = saga.NewEvent(stored, nil, true)
	}
	records, err := r.input(input)
	if err != nil && !errors.Is(err, saga.ErrNotStarted) && !errors.Is(err, saga.ErrFinished) && !errors.Is(err, saga.ErrInDoubt) {
		require.NoError(r.t, err)
	}
	return records
}

func check(t *testing.T, r *rig, before *saga.State, records []proto.Message, issued map[string]bool) {
	t.Helper()
	if before.Status == saga.Completed || before.Status == saga.Compensated {
		require.Empty(t, records, "a finished saga goes on")
	}
	for _, record := range records {
		if c, ok := record.(*egopb.SagaCommandIssued); ok && before.Status != saga.Failed {
			require.False(t, issued[c.GetCommand().GetCommandId()], "a command id is used twice")
			issued[c.GetCommand().GetCommandId()] = true
		}
	}
	switch r.state.Status {
	case saga.Completed, saga.Compensated:
		require.Empty(t, r.state.Commands, "a saga ends with commands unanswered")
		require.Empty(t, r.state.Timers)
	case saga.Compensating:
		require.NotEmpty(t, r.state.Commands, "a saga that compensates waits for nothing")
		require.NotEmpty(t, r.state.Reason)
	case saga.Failed:
		require.NotEmpty(t, r.state.Reason)
	default:
	}
}
