package journal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/journal"
	"github.com/actorkeep/ego/persistence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errDown = persistence.DefinitelyNotWritten(errors.New("the store is down"))
	errLost = errors.New("the connection was lost")
)

// A fate is what becomes of one write. It may call write, which stores the events as the memory store does.
type fate func(ctx context.Context, write func() error) error

func fails(err error) fate { return func(context.Context, func() error) error { return err } }

// losesReply writes and fails all the same.
func losesReply(_ context.Context, write func() error) error {
	if err := write(); err != nil {
		return err
	}
	return errLost
}

func panics(value any) fate {
	return func(context.Context, func() error) error { panic(value) }
}

// A gate holds a write back until it is opened.
type gate chan struct{}

func (g gate) open() { close(g) }

// obedient is a write that takes until the gate opens, or until its context ends.
func (g gate) obedient(ctx context.Context, write func() error) error {
	select {
	case <-g:
		return write()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deaf is a write that takes until the gate opens, whatever its context says.
func (g gate) deaf(_ context.Context, write func() error) error {
	<-g
	return write()
}

// then holds a write back and lets another fate decide.
func (g gate) then(next fate) fate {
	return func(ctx context.Context, write func() error) error {
		<-g
		return next(ctx, write)
	}
}

// scriptedStore is a memory store whose next writes have the fates given to them. It remembers what it was asked to write.
type scriptedStore struct {
	persistence.EventsStore

	refuse func(events []*egopb.Event) error // decides about every write that has no fate; may be nil

	mu     sync.Mutex
	script []fate
	calls  []string // "a1 a2 b1" for each write
}

func (s *scriptedStore) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	next := s.begin(events)
	write := func() error { return s.EventsStore.WriteEvents(context.WithoutCancel(ctx), events) }
	switch {
	case next != nil:
		return next(ctx, write)
	case s.refuse != nil:
		if err := s.refuse(events); err != nil {
			return err
		}
	}
	return write()
}

func (s *scriptedStore) begin(events []*egopb.Event) fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, describe(events))
	if len(s.script) == 0 {
		return nil
	}
	next := s.script[0]
	s.script = s.script[1:]
	return next
}

func (s *scriptedStore) writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.calls...)
}

func describe(events []*egopb.Event) string {
	names := make([]string, len(events))
	for i, e := range events {
		if names[i] = "nil"; e != nil {
			names[i] = fmt.Sprint(e.GetPersistenceId(), e.GetSequenceNumber())
		}
	}
	return strings.Join(names, " ")
}

// A harness is a journal on a scripted store. It lives in a synctest bubble.
type harness struct {
	*journal.Journal
	store   *scriptedStore
	commits []string // what OnCommit saw
}

// inBubble runs a test with a journal. It ends with Stop.
func inBubble(t *testing.T, test func(t *testing.T, h *harness)) {
	t.Helper()
	withConfig(t, journal.Config{}, test)
}

func withConfig(t *testing.T, config journal.Config, test func(t *testing.T, h *harness)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &harness{store: &scriptedStore{EventsStore: newMemoryStore(t)}}
		config.Store = h.store
		config.OnCommit = func(events []*egopb.Event) { h.commits = append(h.commits, describe(events)) }
		h.Journal = journal.New(config)
		test(t, h)
		require.NoError(t, h.Stop(context.WithoutCancel(t.Context())))
		status := h.Status()
		status.FailingSince, status.FailingWith = time.Time{}, nil
		require.Equal(t, journal.Status{Stopped: true}, status)
	})
}

// script sets the fates of the next writes. Those after them, and nil ones, simply succeed.
func (h *harness) script(fates ...fate) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	h.store.script = fates
}

// behind lets appends gather behind a write of their own, in order, and returns them once they have all been written.
func (h *harness) behind(t *testing.T, names ...string) []*call {
	t.Helper()
	first := make(gate)
	h.store.mu.Lock()
	h.store.script = append([]fate{first.obedient}, h.store.script...)
	h.store.mu.Unlock()
	h.append(t, "_1")
	calls := make([]*call, len(names))
	for i, name := range names {
		calls[i] = h.append(t, name)
	}
	first.open()
	synctest.Wait()
	return calls
}

// writes returns what the store was asked to write since the write of behind.
func (h *harness) writes() []string { return h.store.writes()[1:] }

// events makes events from names such as "a1 a2 b7".
func events(names string) []*egopb.Event {
	var list []*egopb.Event
	for name := range strings.FieldsSeq(names) {
		e := &egopb.Event{}
		if name != "nil" {
			_, _ = fmt.Sscanf(name[1:], "%d", &e.SequenceNumber)
			e.PersistenceId = name[:1]
		} else {
			e = nil
		}
		list = append(list, e)
	}
	return list
}

// A call is an append under way.
type call struct {
	answer chan error
	cancel context.CancelFunc
}

// append starts an append and returns once it waits, or is done.
func (h *harness) append(t *testing.T, names string) *call {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &call{make(chan error, 1), cancel}
	go func() { c.answer <- h.Append(ctx, events(names)) }()
	synctest.Wait()
	return c
}

// wait returns the answer, however long it takes.
func (c *call) wait() error {
	defer c.cancel()
	return <-c.answer
}

// waits reports whether the append is still under way.
func (c *call) waits() bool {
	synctest.Wait()
	return len(c.answer) == 0
}

// stored returns the highest number of an entity.
func (h *harness) stored(t *testing.T, id string) uint64 {
	t.Helper()
	latest, err := h.store.GetLatestEvent(t.Context(), id)
	require.NoError(t, err)
	return latest.GetSequenceNumber()
}

func requireConflict(t *testing.T, err error, id string, actual uint64) {
	t.Helper()
	var conflict *persistence.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, id, conflict.PersistenceID)
	require.Equal(t, actual, conflict.Actual)
	require.True(t, persistence.NotWritten(err))
	require.NotErrorIs(t, err, journal.ErrOutcomeUnknown)
}

func requireUnknown(t *testing.T, err, cause error) {
	t.Helper()
	require.ErrorIs(t, err, journal.ErrOutcomeUnknown)
	require.ErrorIs(t, err, cause)
	require.False(t, persistence.NotWritten(err))
}

func requireNotWritten(t *testing.T, err, cause error) {
	t.Helper()
	require.ErrorIs(t, err, cause)
	require.True(t, persistence.NotWritten(err))
	require.NotErrorIs(t, err, journal.ErrOutcomeUnknown)
}
