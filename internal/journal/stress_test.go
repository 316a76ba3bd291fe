package journal_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/journal"
	"github.com/actorkeep/ego/persistence"
)

// TestStress lets appenders, a second process and a store that fails in every way it may work against each other, and
// compares what the appenders were told with what is stored in the end. It proves G1, G2 and G9.
func TestStress(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run("seed="+strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { stress(t, seed) })
		})
	}
}

func stress(t *testing.T, seed uint64) {
	const appenders, appendsEach = 64, 40
	store := &chaoticStore{EventsStore: newMemoryStore(t), random: newRandom(seed, 0)}
	m := &model{appends: make(map[string]*attempt)}
	j := journal.New(journal.Config{Store: store, MaxEvents: 24, MaxPendingEvents: 48, OnCommit: m.committed})

	ctx, cancel := context.WithCancel(t.Context())
	var workers, rivals sync.WaitGroup
	for i := range appenders {
		a := &appender{journal: j, store: store.EventsStore, model: m, random: newRandom(seed, uint64(i+1)), name: strconv.Itoa(i)}
		workers.Go(func() {
			for n := range appendsEach {
				a.step(ctx, n)
			}
		})
	}
	for i := range 2 { // another process on the same store
		name := "rival" + strconv.Itoa(i)
		r := &appender{journal: direct{store.EventsStore}, store: store.EventsStore, model: m, random: newRandom(seed, uint64(900+i)), name: name}
		rivals.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				r.step(ctx, n)
				<-time.After(200 * time.Millisecond)
			}
		})
	}
	workers.Wait()
	cancel()
	rivals.Wait()
	require.NoError(t, j.Stop(t.Context()))
	m.check(t, store.EventsStore)
}

func newRandom(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// A chaoticStore fails in every way that a store may, and panics, and ignores its context.
type chaoticStore struct {
	persistence.EventsStore
	mu     sync.Mutex
	random *rand.Rand
}

func (s *chaoticStore) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	write := func() error { return s.EventsStore.WriteEvents(context.WithoutCancel(ctx), events) }
	die, delay := s.roll()
	switch {
	case die < 3:
		return errDown
	case die < 6:
		return losesReply(ctx, write)
	case die < 8:
		return errLost
	case die < 10:
		panic(persistence.ErrNotConnected)
	case die < 12:
		err := write()
		panic(fmt.Sprint("after the write: ", err))
	case die < 14:
		return persistence.ErrInvalidRecord
	case die < 17: // ends with its context
		<-ctx.Done()
		return ctx.Err()
	case die < 20: // commits although its context has ended
		<-ctx.Done()
		return write()
	case die < 22: // sleeps through the grace as well
		<-time.After(7*time.Second + 4*delay)
		return write()
	case die < 50:
		<-time.After(delay)
	}
	return write()
}

func (s *chaoticStore) roll() (die int, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(100), time.Duration(s.random.Int64N(int64(2 * time.Second)))
}

// direct appends to the store without a journal.
type direct struct{ persistence.EventsStore }

func (d direct) Append(ctx context.Context, events []*egopb.Event) error {
	return d.WriteEvents(ctx, events)
}

// An appender makes appends of one or two entities that it shares with others, in memory that it reuses as soon as it may.
type appender struct {
	name    string
	journal interface {
		Append(ctx context.Context, events []*egopb.Event) error
	}
	store  persistence.EventsStore
	model  *model
	random *rand.Rand
	memory []*egopb.Event
}

func (a *appender) step(ctx context.Context, n int) {
	attempt := a.attempt(ctx, a.name+"/"+strconv.Itoa(n))
	a.model.begin(attempt)
	if a.random.IntN(5) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(a.random.Int64N(int64(3*time.Second))))
		defer cancel()
	}
	attempt.err = a.journal.Append(ctx, a.memory[:len(attempt.events)])
	if errors.Is(attempt.err, journal.ErrOutcomeUnknown) {
		a.memory = nil // the store may still read it
	}
	if errors.Is(attempt.err, journal.ErrStuck) {
		<-time.After(time.Second)
	}
}

// attempt prepares an append. Most continue what is stored.
func (a *appender) attempt(ctx context.Context, id string) *attempt {
	at := &attempt{id: id}
	first := a.random.IntN(40)
	for e := range 1 + a.random.IntN(2) {
		entity := "entity-" + strconv.Itoa((first+e*17)%40)
		latest, err := a.store.GetLatestEvent(context.WithoutCancel(ctx), entity)
		if err != nil {
			panic(err)
		}
		number := latest.GetSequenceNumber() + 1
		if a.random.IntN(12) == 0 {
			number = a.random.Uint64N(number + 3) // stale, invalid or from the future
		}
		for range 1 + a.random.IntN(3) {
			at.events = append(at.events, name{entity, number})
			number++
		}
	}
	for i, n := range at.events {
		if i == len(a.memory) {
			a.memory = append(a.memory, &egopb.Event{})
		}
		e := a.memory[i]
		e.PersistenceId, e.SequenceNumber, e.CommandId = n.entity, n.number, id
	}
	return at
}

// A name is what identifies an event.
type name struct {
	entity string
	number uint64
}

// An attempt is an append and what its appender was told.
type attempt struct {
	id       string
	events   []name
	err      error
	onCommit int // events of it that OnCommit saw
	stored   int // events of it that are stored
}

// A model knows all attempts.
type model struct {
	mu      sync.Mutex
	appends map[string]*attempt
}

func (m *model) begin(a *attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.appends[a.id] = a
}

func (m *model) committed(events []*egopb.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range events {
		m.appends[e.GetCommandId()].onCommit++
	}
}

// check holds what is stored against what was told.
func (m *model) check(t *testing.T, store persistence.EventsStore) {
	m.readBack(t, store)
	seen := make(map[string]int)
	for _, a := range m.appends {
		rival := a.id[0] == 'r'
		switch {
		case a.err == nil:
			seen["acknowledged"]++
			require.Equal(t, len(a.events), a.stored, "%s was acknowledged and is lost", a.id) // G1
			require.True(t, rival || a.onCommit == a.stored, "no consumer was woken for %s", a.id)
		case persistence.NotWritten(a.err):
			require.Zero(t, a.stored, "%s was not written, says %v", a.id, a.err)
		default:
			seen["unknown"]++ // G9
			require.ErrorIs(t, a.err, journal.ErrOutcomeUnknown)
			require.Contains(t, []int{0, len(a.events)}, a.stored, "%s was torn apart", a.id)
		}
		if errors.As(a.err, new(*journal.PanicError)) {
			seen["panic"]++
		}
		for what, target := range map[string]error{
			"conflict": persistence.ErrConflict, "invalid": persistence.ErrInvalidRecord, "stuck": journal.ErrStuck,
			"withdrawn": context.DeadlineExceeded, "down": errDown, "lost": errLost,
		} {
			if !rival && errors.Is(a.err, target) {
				seen[what]++
			}
		}
	}
	t.Log(seen)
	require.Len(t, seen, 9, "not all of the store's failures took place")
}

// readBack counts the stored events of each attempt and checks that no journal forked and no position is missing.
func (m *model) readBack(t *testing.T, store persistence.EventsStore) {
	total, positions := 0, 0
	for i := range 40 {
		entity, next := "entity-"+strconv.Itoa(i), uint64(1)
		for e, err := range store.ReplayEvents(t.Context(), entity, 1, math.MaxInt64) {
			require.NoError(t, err)
			require.Equal(t, next, e.GetSequenceNumber(), "%s has a gap", entity) // G2
			a := m.appends[e.GetCommandId()]
			require.Contains(t, a.events, name{entity, next}, "it is not what %s wrote", a.id)
			a.stored++
			next, total = next+1, total+1
		}
	}
	shards, err := store.ShardPositions(t.Context())
	require.NoError(t, err)
	for _, position := range shards {
		positions += int(position)
	}
	require.Equal(t, total, positions)
}
