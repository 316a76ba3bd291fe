package mongo_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/persistence/mongo"
	"github.com/actorkeep/ego/projection"
)

// streams stand in for the change streams of a replica set, which the server of the tests does not have. What they tell is up
// to the test.
type streams struct {
	recorder
	database string
	asked    chan struct{} // one for each time that a client waits for changes
	opening  chan struct{} // one for each time that a client opens a stream
	changes  chan bson.D   // answers to those who wait
	gate     chan bson.D   // answers to those who open; nil opens a stream
	done     <-chan struct{}

	mu     sync.Mutex
	opened int
}

func newStreams(t *testing.T) (*streams, *mongo.Store) {
	t.Helper()
	s := &streams{
		database: mongotest.Database(t), asked: make(chan struct{}, 100), opening: make(chan struct{}, 100),
		changes: make(chan bson.D), gate: make(chan bson.D), done: t.Context().Done(),
	}
	store, _, _ := replicated(t, s.database, "", s.judge, mongo.WithPollInterval(time.Microsecond)) // were it to poll, it would be seen
	return s, store
}

func (s *streams) judge(c mongotest.Command) mongotest.Verdict {
	s.note(c)
	switch c.Name() {
	case "aggregate":
		s.opening <- struct{}{}
		select {
		case answer := <-s.gate:
			if answer == nil {
				answer = s.open()
			}
			return mongotest.Verdict{Answer: answer}
		case <-s.done:
			return mongotest.Fails(1, "TheTestHasEnded")
		}
	case "getMore":
		if c.Collection() != "$cmd.aggregate" {
			return mongotest.Verdict{}
		}
		s.asked <- struct{}{}
		select {
		case answer := <-s.changes:
			return mongotest.Verdict{Answer: answer}
		case <-s.done:
			return mongotest.Fails(1, "TheTestHasEnded")
		}
	case "killCursors":
		return mongotest.Verdict{Answer: bson.D{{Key: "ok", Value: 1.0}}}
	default:
		return mongotest.Verdict{}
	}
}

// batch is the answer of a stream with some changes.
func (s *streams) batch(field string, changes ...string) bson.D {
	s.mu.Lock()
	defer s.mu.Unlock()
	documents := bson.A{}
	for _, name := range changes {
		documents = append(documents, bson.D{{Key: "_id", Value: bson.D{{Key: "_data", Value: name}}}, {Key: "operationType", Value: "insert"}})
	}
	return bson.D{{Key: "ok", Value: 1.0}, {Key: "cursor", Value: bson.D{
		{Key: "id", Value: int64(s.opened)}, {Key: "ns", Value: s.database + ".$cmd.aggregate"}, {Key: field, Value: documents},
		{Key: "postBatchResumeToken", Value: bson.D{{Key: "_data", Value: fmt.Sprint("after ", changes)}}},
	}}}
}

func (s *streams) open() bson.D {
	s.mu.Lock()
	s.opened++
	s.mu.Unlock()
	return s.batch("firstBatch")
}

// tell answers the one who waits, and returns when it waits again.
func (s *streams) tell(changes ...string) {
	s.changes <- s.batch("nextBatch", changes...)
	<-s.asked
}

// A listener is a call of Listen.
type listener struct {
	woken chan struct{}
	ended chan error
}

// listen listens, and returns when a stream is open and the listener has been woken for what was before it.
func listen(t *testing.T, s *streams, store *mongo.Store) *listener {
	t.Helper()
	l := &listener{make(chan struct{}, 100), make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { l.ended <- store.Listen(ctx, func() { l.woken <- struct{}{} }) }()
	t.Cleanup(cancel)
	<-s.opening
	require.Len(t, l.woken, 1, "before the stream begins")
	s.gate <- nil
	<-s.asked
	require.Len(t, l.woken, 2, "and once it has begun")
	<-l.woken
	<-l.woken
	return l
}

func TestChangeStreams(t *testing.T) {
	t.Parallel()

	t.Run("WakeInPlaceOfPolling", func(t *testing.T) {
		t.Parallel()
		s, store := newStreams(t)
		l := listen(t, s, store)
		before := len(s.all("find"))
		beside, _ := connect(t, s.database)
		require.NoError(t, beside.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 1)}))
		for range 3 {
			s.tell()
		}
		require.Empty(t, l.woken, "nothing has changed, says the stream")
		s.tell("1")
		require.Len(t, l.woken, 1)
		s.tell("2", "3", "4")
		require.Len(t, l.woken, 2, "once for all that came together")
		require.Zero(t, len(s.all("find"))-before, "nobody has looked at the log")
	})
	t.Run("AskForInsertsOfTheLogAndTheStates", func(t *testing.T) {
		t.Parallel()
		s, store := newStreams(t)
		listen(t, s, store)
		c := s.all("aggregate")[0]
		require.Equal(t, "majority", c.Get("readConcern", "level"))
		stages := c.Get("pipeline").(bson.A)
		require.Contains(t, stages[0].(bson.D)[0].Key, "$changeStream")
		require.Equal(t, bson.D{
			{Key: "operationType", Value: "insert"},
			{Key: "ns.coll", Value: bson.D{{Key: "$in", Value: bson.A{"ego_log", "ego_states"}}}},
		}, mongotest.Command(stages[1].(bson.D)).Get("$match"))
	})
	for name, code := range map[string]int32{"CappedPositionLost": 136, "ChangeStreamFatalError": 280, "ChangeStreamHistoryLost": 286} {
		t.Run("EndWith"+name, func(t *testing.T) { // G12
			t.Parallel()
			s, store := newStreams(t)
			l := listen(t, s, store)
			s.changes <- mongotest.Failure(code, name)
			err := <-l.ended
			var failure *mongo.Error
			require.ErrorAs(t, err, &failure)
			require.ErrorContains(t, err, name)
			l = listen(t, s, store) // anew, and not from where nothing can go on
			require.Nil(t, mongotest.Command(s.all("aggregate")[1].Get("pipeline").(bson.A)[0].(bson.D)).Get("$changeStream", "resumeAfter"))
			s.tell("1")
			require.Len(t, l.woken, 1)
		})
	}
	t.Run("GoOnAfterAFailover", func(t *testing.T) {
		t.Parallel()
		s, store := newStreams(t)
		l := listen(t, s, store)
		s.tell("1")
		<-l.woken
		s.changes <- mongotest.Failure(steppedDown, "PrimarySteppedDown", "ResumableChangeStreamError")
		<-s.opening
		s.gate <- nil
		<-s.asked
		again := s.all("aggregate")[1].Get("pipeline").(bson.A)[0].(bson.D)
		require.Equal(t, "after [1]", mongotest.Command(again).Get("$changeStream", "resumeAfter", "_data"))
		s.tell("2")
		require.Len(t, l.woken, 1)
	})
	t.Run("AreReplacedByPollingWhileTheyFail", func(t *testing.T) { // G4, G12
		t.Parallel()
		s, store := newStreams(t)
		beside, _ := connect(t, s.database)
		handled := make(chan uint64, 100)
		engine := ego.NewEngine("test", store,
			ego.WithKinds(ego.EventSourcedKind("account", func(id string) ego.EventSourcedBehavior { return testaccount.New(id) })),
			ego.WithProjection("p", &projection.Options{Handler: projection.HandlerFunc(func(_ context.Context, e *projection.Event) error {
				handled <- e.SequenceNumber
				return nil
			})}))
		require.NoError(t, engine.Start(t.Context()))
		t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })
		require.NoError(t, engine.StartProjection(t.Context(), "p"))
		write := func(number uint64) {
			payload, err := anypb.New(wrapperspb.Int64(1))
			require.NoError(t, err)
			require.NoError(t, beside.WriteEvents(t.Context(), []*egopb.Event{{PersistenceId: "a", SequenceNumber: number, Kind: "account", Payload: payload}}))
			require.Equal(t, number, <-handled)
		}
		<-s.opening
		s.gate <- nil
		<-s.asked
		s.changes <- mongotest.Failure(280, "ChangeStreamFatalError")
		<-s.opening // and there it stays
		write(1)
		s.gate <- mongotest.Failure(280, "ChangeStreamFatalError")
		write(2)
		<-s.opening
		s.gate <- nil // it is back
		<-s.asked
		s.changes <- s.batch("nextBatch", "1")
		<-s.asked
		write(3)
	})
}
