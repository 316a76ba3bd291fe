package mongo_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
)

// document is the most that the server takes.
const document = 16 << 20

// A told account tells of every command before it decides on it.
type told struct {
	*testaccount.Account
	commands chan<- string
}

func (a told) HandleCommand(ctx context.Context, command, prior proto.Message) ([]proto.Message, error) {
	a.commands <- a.ID()
	return a.Account.HandleCommand(ctx, command, prior)
}

func TestSizesOfBatches(t *testing.T) {
	t.Parallel()

	t.Run("AlmostSixteenMegabytesAreKept", func(t *testing.T) { // G1
		t.Parallel()
		database := mongotest.Database(t)
		store, _ := connect(t, database)
		large := newEvent("a", 1)
		large.Payload.Value = make([]byte, document-(64<<10)-512)
		large.Payload.Value[len(large.Payload.Value)-1] = 7
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{large}))
		beside, _ := connect(t, database) // has nothing of it in memory
		latest, err := beside.GetLatestEvent(t.Context(), "a")
		require.NoError(t, err)
		require.True(t, proto.Equal(large.GetPayload(), latest.GetPayload()))

		larger := newEvent("b", 1)
		larger.Payload.Value = make([]byte, document-(64<<10))
		var invalid *persistence.InvalidRecordError
		require.ErrorAs(t, store.WriteEvents(t.Context(), []*egopb.Event{larger}), &invalid)
		require.Equal(t, "b", invalid.PersistenceID)
		require.NoError(t, store.DeleteEvents(t.Context(), "a", 1))
		require.Empty(t, replay(t, beside, "a", 1))
	})
	t.Run("StatesAndSnapshotsAreKeptUpToTheLimit", func(t *testing.T) { // G1
		t.Parallel()
		const limit = document - (64+8)<<10
		database := mongotest.Database(t)
		store, _ := connect(t, database)
		beside, _ := connect(t, database)
		state := &egopb.DurableState{PersistenceId: "a", Revision: 1, State: newEvent("a", 1).GetPayload()}
		snapshot := &egopb.Snapshot{PersistenceId: "a", SequenceNumber: 1, State: newEvent("a", 1).GetPayload()}
		for record, payload := range map[proto.Message]*anypb.Any{state: state.GetState(), snapshot: snapshot.GetState()} {
			payload.Value = make([]byte, limit-100)
			payload.Value = make([]byte, len(payload.GetValue())+limit-proto.Size(record)+1) // one byte too many
		}
		for _, err := range []error{store.WriteState(t.Context(), state), store.WriteSnapshot(t.Context(), snapshot)} {
			var invalid *persistence.InvalidRecordError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, "a", invalid.PersistenceID)
			require.ErrorContains(t, err, fmt.Sprintf("the record of %d bytes", limit+1))
			require.True(t, persistence.NotWritten(err))
		}
		for _, payload := range []*anypb.Any{state.GetState(), snapshot.GetState()} {
			payload.Value = payload.GetValue()[1:]
		}
		require.NoError(t, store.WriteState(t.Context(), state))
		require.NoError(t, store.WriteSnapshot(t.Context(), snapshot))
		kept, err := beside.GetLatestState(t.Context(), "a")
		require.NoError(t, err)
		require.Len(t, kept.GetState().GetValue(), len(state.GetState().GetValue()))
		taken, err := beside.GetLatestSnapshot(t.Context(), "a")
		require.NoError(t, err)
		require.Len(t, taken.GetState().GetValue(), len(snapshot.GetState().GetValue()))
	})
	t.Run("WhatGathersIsSplit", func(t *testing.T) { // G1
		t.Parallel()
		const senders, size = 8, 3 << 20
		gate, commands := make(chan struct{}), make(chan string, senders+1)
		var inserts recorder
		store, client, _ := replicated(t, mongotest.Database(t), "", func(c mongotest.Command) mongotest.Verdict {
			if c.Is("insert", "ego_log") {
				<-gate
				inserts.note(c)
			}
			return mongotest.Verdict{}
		})
		engine := startEngine(t, store)
		send := func(id string) error {
			_, _, err := engine.SendCommand(t.Context(), id, &testpb.Deposit{Amount: 1, Note: strings.Repeat(id, size)}, time.Minute)
			return err
		}
		for n := range senders {
			require.NoError(t, engine.Entity(t.Context(), told{testaccount.New(fmt.Sprint(n)), commands}))
		}
		errs := make(chan error, senders)
		var group sync.WaitGroup
		for n := range senders {
			group.Go(func() { errs <- send(fmt.Sprint(n)) })
		}
		for range senders { // all have decided while the first is on its way
			<-commands
		}
		close(gate)
		group.Wait()
		for range senders {
			require.NoError(t, <-errs)
		}
		require.GreaterOrEqual(t, len(inserts.all()), 1+(senders-1)*size/document)
		require.Less(t, len(inserts.all()), senders, "some went together")
		for n := range senders {
			require.Equal(t, []uint64{1}, replay(t, store, fmt.Sprint(n), 1))
		}
		cursor, err := client.Database(databaseOf(inserts.all()[0])).Collection("ego_log").Find(t.Context(), bson.D{})
		require.NoError(t, err)
		for cursor.Next(t.Context()) {
			require.Less(t, len(cursor.Current), document)
		}
		require.NoError(t, cursor.Err())
	})
	t.Run("WhatIsTooLargeIsRefusedAlone", func(t *testing.T) { // G11
		t.Parallel()
		store, _ := connect(t, mongotest.Database(t))
		engine := startEngine(t, store)
		for _, id := range []string{"a", "b"} {
			require.NoError(t, engine.Entity(t.Context(), testaccount.New(id)))
		}
		send := func(id string, size int) error {
			_, _, err := engine.SendCommand(t.Context(), id, &testpb.Deposit{Amount: 1, Note: strings.Repeat("x", size)}, time.Minute)
			return err
		}
		require.NoError(t, send("a", 1))
		err := send("a", document)
		require.ErrorIs(t, err, persistence.ErrInvalidRecord)
		require.ErrorContains(t, err, "event 2 of 16777")
		require.ErrorContains(t, err, `"a"`)
		require.NotErrorIs(t, err, ego.ErrOutcomeUnknown)
		require.Equal(t, []uint64{1}, replay(t, store, "a", 1))
		require.NoError(t, send("a", 2))
		require.NoError(t, send("b", 2))
		require.Equal(t, []uint64{1, 2}, replay(t, store, "a", 1))
	})
}

// databaseOf returns the database that a command is for.
func databaseOf(c mongotest.Command) string { return c.Get("$db").(string) }

func startEngine(t *testing.T, store persistence.EventsStore, opts ...ego.Option) *ego.Engine {
	t.Helper()
	engine := ego.NewEngine("test", store, opts...)
	require.NoError(t, engine.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })
	return engine
}
