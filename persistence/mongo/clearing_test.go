package mongo_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
)

// A loss loses the updates that take the content out of superseded states, while it is on.
type loss struct{ on chan struct{} }

func (l *loss) judge(c mongotest.Command) mongotest.Verdict {
	select {
	case <-l.on: // closed: it is over
		return mongotest.Verdict{}
	default:
	}
	if c.Is("update", "ego_states") {
		return mongotest.Fails(steppedDown, "PrimarySteppedDown")
	}
	return mongotest.Verdict{}
}

// An owned purse remembers who opened it last.
type owned struct{ *testaccount.Purse }

func (owned) HandleCommand(_ context.Context, command, prior proto.Message, _ uint64) (proto.Message, error) {
	return &testpb.Account{Owner: command.(*testpb.OpenAccount).GetOwner(), Balance: prior.(*testpb.Account).GetBalance() + 1}, nil
}

// TestClearingOfStates has the content of superseded states stay where it was, as its removal failed, and clears it.
func TestClearingOfStates(t *testing.T) { // G10
	t.Parallel()
	const secret = "the-owner-of-the-purse"
	stateOf := func(id string, revision uint64) *egopb.DurableState {
		return &egopb.DurableState{PersistenceId: id, Revision: revision, Kind: "purse", State: &anypb.Any{TypeUrl: "t", Value: []byte(secret + id)}}
	}

	t.Run("TakesWhatLostUpdatesHaveLeft", func(t *testing.T) {
		t.Parallel()
		l := &loss{make(chan struct{})}
		name := mongotest.Database(t)
		store, client, _ := replicated(t, name, "&retryWrites=false", l.judge)
		database := client.Database(name)
		for revision := uint64(1); revision <= 3; revision++ {
			require.NoError(t, store.WriteState(t.Context(), stateOf("a", revision)))
			require.NoError(t, store.WriteState(t.Context(), stateOf("b", revision)))
		}
		require.Equal(t, 3, strings.Count(dump(t, database), secret+"a"))
		shard := persistence.ShardOf("a", store.ShardCount())
		states, err := store.GetShardStates(t.Context(), shard, 0, 10)
		require.NoError(t, err)
		for _, state := range states {
			require.Equal(t, uint64(3), state.GetRevision(), "what is superseded is passed over")
		}

		err = store.DeleteState(t.Context(), "a")
		require.Error(t, err)
		require.False(t, persistence.NotWritten(err), "the tombstone is there: %v", err)
		state, err := store.GetLatestState(t.Context(), "a")
		require.NoError(t, err)
		require.True(t, state.GetDeleted())
		require.Nil(t, state.GetState())
		require.Contains(t, dump(t, database), secret+"a")

		close(l.on)
		require.NoError(t, store.DeleteState(t.Context(), "a"), "finishes what was begun")
		require.NotContains(t, dump(t, database), secret+"a")
		require.Equal(t, 3, strings.Count(dump(t, database), secret+"b"), "nothing of another entity is touched")
		again, err := store.GetLatestState(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, state.GetRevision(), again.GetRevision())
		require.NoError(t, store.WriteState(t.Context(), stateOf("a", again.GetRevision()+1)))
	})
	t.Run("IsPartOfAnErasure", func(t *testing.T) {
		t.Parallel()
		l := &loss{make(chan struct{})}
		name := mongotest.Database(t)
		store, client, _ := replicated(t, name, "&retryWrites=false", l.judge)
		database := client.Database(name)
		engine := startEngine(t, store, ego.WithStateStore(store))
		for _, id := range []string{"victim", "other"} {
			require.NoError(t, engine.DurableStateEntity(t.Context(), owned{testaccount.NewPurse(id)}))
			for range 3 {
				_, _, err := engine.SendCommand(t.Context(), id, &testpb.OpenAccount{Owner: secret + id}, time.Minute)
				require.NoError(t, err)
			}
		}
		require.Equal(t, 3, strings.Count(dump(t, database), secret+"victim"))
		require.Error(t, engine.EraseEntity(t.Context(), "victim"), "something is left of it")
		require.Contains(t, dump(t, database), secret+"victim")
		close(l.on)
		require.NoError(t, engine.EraseEntity(t.Context(), "victim"))
		left := dump(t, database)
		require.NotContains(t, left, secret+"victim")
		require.Contains(t, left, secret+"other")
		_, _, err := engine.SendCommand(t.Context(), "victim", &testpb.OpenAccount{Owner: "another"}, time.Minute)
		require.ErrorIs(t, err, ego.ErrErased)
	})
}
