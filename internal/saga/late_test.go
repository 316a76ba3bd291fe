package saga_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/projection"
)

// A late event is handled although later ones were, unless the stream says that it was handled itself.
func TestLateEvents(t *testing.T) { // G7
	t.Parallel()
	setup := func(t *testing.T, handle func(*testpb.Account) (*saga.Action, error)) (r *rig, late func(position uint64) []proto.Message) {
		r = &rig{t: t, behavior: &scripted{event: handle}}
		c := config(r.behavior)
		c.Stream = func(context.Context) iter.Seq2[proto.Message, error] {
			return func(yield func(proto.Message, error) bool) {
				for _, record := range r.stream {
					if !yield(record, nil) {
						return
					}
				}
			}
		}
		r.machine = saga.NewMachine(c)
		r.state = r.machine.InitialState().(*saga.State)
		return r, func(position uint64) []proto.Message {
			input := saga.NewEvent(&egopb.Event{PersistenceId: "a", SequenceNumber: position, Shard: 1, Position: position},
				[]*projection.Event{{Message: new(testpb.Deposited)}}, false)
			input.Late = true
			return r.must(input)
		}
	}

	t.Run("AreHandledOnce", func(t *testing.T) {
		t.Parallel()
		r, late := setup(t, func(*testpb.Account) (*saga.Action, error) {
			return &saga.Action{Events: []proto.Message{note("handled")}}, nil
		})
		r.must(saga.NewStart(0, map[uint32]uint64{1: 10}))
		require.Len(t, r.offer(14), 2)
		require.Empty(t, r.offer(12), "the position has passed it")
		require.Len(t, late(12), 2)
		require.Empty(t, late(12), "the stream has it")
		require.Empty(t, late(14), "however it came the first time")
		require.Empty(t, late(10), "from before the start")
		require.Len(t, late(16), 2, "one that is not late at all")
		require.Empty(t, r.offer(16))
		require.Len(t, r.state.Message.(*testpb.Account).GetNotes(), 3)
		require.Empty(t, r.offer(15), "a late event takes no position back")
	})
	t.Run("AreForSagasThatRun", func(t *testing.T) {
		t.Parallel()
		r, late := setup(t, does(&saga.Action{Complete: true}))
		r.must(saga.NewStart(0, nil))
		r.offer(5)
		require.Equal(t, saga.Completed, r.state.Status)
		require.Empty(t, late(4))
	})
	t.Run("WaitForAStreamThatCannotBeRead", func(t *testing.T) {
		t.Parallel()
		c := config(new(scripted))
		down := errors.New("down")
		c.Stream = func(context.Context) iter.Seq2[proto.Message, error] {
			return func(yield func(proto.Message, error) bool) { yield(nil, down) }
		}
		r := &rig{t: t, behavior: new(scripted), machine: saga.NewMachine(c)}
		r.state = r.machine.InitialState().(*saga.State)
		r.must(saga.NewStart(0, map[uint32]uint64{1: 10}))
		input := saga.NewEvent(&egopb.Event{Shard: 1, Position: 9}, nil, false)
		input.Late = true
		_, err := r.input(input)
		require.ErrorIs(t, err, saga.ErrUnread)
		require.ErrorIs(t, err, down)
	})
}
