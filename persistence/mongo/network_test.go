package mongo_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
)

// TestInsertsThatArriveTwice has the server get every insert twice and the client hear of the second only, as when a driver
// repeats a command whose answer was lost: what the server refuses as a duplicate is the store's own.
func TestInsertsThatArriveTwice(t *testing.T) { // G1, G9
	t.Parallel()
	store, proxy, beside := storeBehind(t)
	repeated, stop := proxy.RepeatInserts()
	defer stop()
	for number := uint64(1); number <= 3; number++ {
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", number), newEvent(fmt.Sprint("b", number), 1)}))
		require.NoError(t, store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: "a", Revision: number}))
		require.NoError(t, store.ScheduleTimers(t.Context(), []*egopb.Timer{{Owner: "a", Name: fmt.Sprint(number), DueUnixNano: int64(number)}}))
	}
	<-repeated
	leases, err := store.AcquireLeases(t.Context(), "c", "one", []uint32{3}, time.Minute)
	require.NoError(t, err)
	require.Len(t, leases, 1)
	require.Equal(t, uint64(1), leases[0].Epoch)
	require.NoError(t, store.CommitOffset(t.Context(), leases[0], 4))

	require.Equal(t, []uint64{1, 2, 3}, replay(t, beside, "a", 1))
	state, err := beside.GetLatestState(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, uint64(3), state.GetRevision())
	require.Equal(t, uint64(3), state.GetPosition(), "each revision has one position")
	timers, err := beside.OwnerTimers(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, timers, 3)
	offsets, err := beside.Offsets(t.Context(), "c")
	require.NoError(t, err)
	require.Equal(t, uint64(4), offsets[0].GetPosition())
	require.ErrorIs(t, store.CommitOffset(t.Context(), offsetstore.Lease{Consumer: "c", Shard: 3}, 9), offsetstore.ErrStaleLease)
	require.ErrorIs(t, store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 3)}), persistence.ErrConflict)
}

// A fight is several writers of the same entities whose connections are lost, cut and repeated.
type fight struct {
	mu      sync.Mutex
	acked   map[string]uint64 // command → number
	refused map[string]bool   // commands that were said not to have been written
	unknown int
}

func (f *fight) note(command string, number uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.acked[command] = number
	case persistence.NotWritten(err):
		f.refused[command] = true
	default:
		f.unknown++
	}
}

// write appends to an entity until so many appends were acknowledged, each attempt under a command of its own.
func (f *fight) write(t *testing.T, store *mongo.Store, name, id string, times int, written chan<- struct{}) {
	for attempt := 0; times > 0 && t.Context().Err() == nil; attempt++ {
		latest, err := store.GetLatestEvent(t.Context(), id)
		if err != nil {
			continue // the connection
		}
		event := newEvent(id, latest.GetSequenceNumber()+1)
		event.CommandId = fmt.Sprintf("%s/%d", name, attempt)
		err = store.WriteEvents(t.Context(), []*egopb.Event{event, newEvent(fmt.Sprint("beside/", event.CommandId), 1)})
		f.note(event.GetCommandId(), event.GetSequenceNumber(), err)
		if err == nil {
			times--
		}
		select {
		case written <- struct{}{}:
		default:
		}
	}
}

// trouble makes one fault after another, each until it has happened, and lets a write pass between them.
func trouble(proxy *mongotest.Proxy, written <-chan struct{}, end <-chan struct{}) {
	for n := 0; ; n++ {
		faults := []func() (<-chan struct{}, func()){proxy.LoseAnswers, proxy.CutRequests, proxy.RepeatInserts}
		begun, stop := faults[n%len(faults)]()
		select {
		case <-begun:
		case <-end:
		}
		stop()
		if n%5 == 4 {
			proxy.Cut()
		}
		select {
		case <-written:
		case <-end:
			return
		}
	}
}

func TestFightOverBrokenConnections(t *testing.T) { // G1, G2, G3, G9
	t.Parallel()
	const each = 12
	database := mongotest.Database(t)
	beside, _ := connect(t, database)
	one, proxyOne := anotherBehind(t, database)
	two, proxyTwo := anotherBehind(t, database)
	f := &fight{acked: make(map[string]uint64), refused: make(map[string]bool)}
	end := make(chan struct{})
	var writers, troubles sync.WaitGroup
	for s, store := range []*mongo.Store{one, two} {
		proxy, written := []*mongotest.Proxy{proxyOne, proxyTwo}[s], make(chan struct{}, 1)
		troubles.Go(func() { trouble(proxy, written, end) })
		for w := range 2 {
			writers.Go(func() { f.write(t, store, fmt.Sprint(s, w), fmt.Sprint("entity-", w), each, written) })
		}
	}
	writers.Wait()
	close(end)
	troubles.Wait()

	commands := make(map[string]uint64)
	for w := range 2 {
		last := uint64(0)
		for event, err := range beside.ReplayEvents(t.Context(), fmt.Sprint("entity-", w), 1, 1<<40) {
			require.NoError(t, err)
			last++
			require.Equal(t, last, event.GetSequenceNumber())
			require.NotContains(t, commands, event.GetCommandId(), "written twice")
			commands[event.GetCommandId()] = last
		}
	}
	require.Len(t, f.acked, 4*each)
	for command, number := range f.acked {
		require.Equal(t, number, commands[command], "%s was acknowledged", command)
	}
	for command := range f.refused {
		require.NotContains(t, commands, command, "it was said not to be written")
	}
	require.LessOrEqual(t, len(commands), len(f.acked)+f.unknown)
	total := 0
	for shard := range beside.ShardCount() {
		total += len(follow(t, beside, shard, 100))
	}
	require.Equal(t, 2*len(commands), total, "each command with the event beside it")
	t.Logf("%d acknowledged, %d refused, %d unknown", len(f.acked), len(f.refused), f.unknown)
}

func TestSizes(t *testing.T) {
	t.Parallel()

	t.Run("OneEventTooMuchIsRefused", func(t *testing.T) {
		t.Parallel()
		store, _ := connect(t, mongotest.Database(t))
		large := newEvent("a", 2)
		large.Payload.Value = make([]byte, 16<<20)
		for _, events := range [][]*egopb.Event{{newEvent("b", 1), newEvent("a", 1), large}, {newEvent("a", 1), large, newEvent("a", 3)}} {
			err := store.WriteEvents(t.Context(), events)
			var invalid *persistence.InvalidRecordError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, "a", invalid.PersistenceID)
			require.Contains(t, err.Error(), "event 2 of 16777")
			require.True(t, persistence.NotWritten(err))
		}
		for _, id := range []string{"a", "b"} {
			require.Empty(t, replay(t, store, id, 1))
		}
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 1)}))
	})
	t.Run("ManyEventsOfNothingCanBeDeleted", func(t *testing.T) { // G10
		t.Parallel()
		store, _ := connect(t, mongotest.Database(t))
		events := make([]*egopb.Event, 1_000)
		for i := range events {
			events[i] = &egopb.Event{PersistenceId: "a", SequenceNumber: uint64(i + 1)}
		}
		require.NoError(t, store.WriteEvents(t.Context(), events))
		require.NoError(t, store.DeleteEvents(t.Context(), "a", 999))
		require.Equal(t, []uint64{1_000}, replay(t, store, "a", 1))
		latest, err := store.GetLatestEvent(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, uint64(1_000), latest.GetSequenceNumber())
		huge := make([]*egopb.Event, 1<<18)
		for i := range huge {
			huge[i] = &egopb.Event{PersistenceId: "a", SequenceNumber: uint64(1_001 + i), Kind: "a kind of some length"}
		}
		var invalid *persistence.InvalidRecordError
		err = store.WriteEvents(t.Context(), huge)
		require.ErrorAs(t, err, &invalid, "what is left of them would not fit")
	})
}
