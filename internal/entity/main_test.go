package entity_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/snapshot"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/projection"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errStoreDown = errors.New("the store is down")
	errLostReply = errors.New("the connection was lost after the commit")
)

// fakeJournal writes to a store and fails as it is told. It stands where the group commit stands in an engine.
type fakeJournal struct {
	store  persistence.EventsStore
	next   []func(write func() error) error // what becomes of the next appends
	writes [][]uint64                       // numbers of each append that reached the store
}

func (j *fakeJournal) Append(ctx context.Context, events []*egopb.Event) error {
	write := func() error {
		numbers := make([]uint64, len(events))
		for i, event := range events {
			numbers[i] = event.GetSequenceNumber()
		}
		j.writes = append(j.writes, numbers)
		return j.store.WriteEvents(ctx, events)
	}
	if len(j.next) == 0 {
		return write()
	}
	fate := j.next[0]
	j.next = j.next[1:]
	return fate(write)
}

// The fates of an append.
func storeDown(func() error) error { return persistence.DefinitelyNotWritten(errStoreDown) }
func neverSent(func() error) error { return errLostReply }

func lostReply(write func() error) error {
	if err := write(); err != nil {
		return err
	}
	return errLostReply
}

// snapshots writes snapshots at once, and deletes what the retention says.
type snapshots struct {
	store *memory.Store
	full  bool
	taken []uint64
}

func (s *snapshots) Offer(job *snapshot.Job) bool {
	if s.full {
		return false
	}
	ctx, number := context.Background(), job.Snapshot.GetSequenceNumber()
	s.taken = append(s.taken, number)
	if err := s.store.WriteSnapshot(ctx, job.Snapshot); err != nil {
		return false
	}
	if job.Retention.Events && number > job.Retention.Keep {
		_ = s.store.DeleteEvents(ctx, job.Snapshot.GetPersistenceId(), number-job.Retention.Keep)
	}
	return true
}

// fixture is an entity on a memory store.
type fixture struct {
	store     *memory.Store
	journal   *fakeJournal
	snapshots *snapshots
	shared    *entity.Shared
	settings  entity.Settings
	entity    *entity.Entity
	requests  entity.Requests
}

func newFixture(t require.TestingT, settings entity.Settings) *fixture {
	store := memory.NewStore()
	require.NoError(t, store.Connect(context.Background()))
	f := &fixture{store: store, journal: &fakeJournal{store: store}, snapshots: &snapshots{store: store}, settings: settings}
	f.shared = &entity.Shared{
		Journal:         f.journal,
		Events:          store,
		SnapshotStore:   store,
		Snapshots:       f.snapshots,
		States:          store,
		Codec:           new(envelope.Codec),
		WriterID:        "test",
		Logger:          slog.New(slog.DiscardHandler),
		Now:             time.Now,
		WriteTimeout:    time.Minute,
		RecoveryTimeout: time.Minute,
	}
	f.restart()
	return f
}

// restart replaces the entity by a cold one, as a crash does.
func (f *fixture) restart() {
	f.entity = entity.NewEventSourced("a", "account", testaccount.New("a"), &f.settings, f.shared)
}

// outcome is what a caller gets.
type outcome struct {
	account  *testpb.Account
	revision uint64
	err      error
}

// process hands commands over in one queue and returns their outcomes. A nil command asks for the state.
func (f *fixture) process(commands ...*sent) []outcome {
	var head, tail *entity.Request
	requests := make([]*entity.Request, len(commands))
	for i, c := range commands {
		r := f.requests.New(context.Background(), c.command, &projection.Metadata{CommandID: c.id})
		requests[i] = r
		if tail == nil {
			head = r
		} else {
			tail.Next = r
		}
		tail = r
	}
	for wait := f.entity.Process(context.Background(), head); wait > 0; {
		wait = f.entity.Process(context.Background(), nil)
	}
	outcomes := make([]outcome, len(requests))
	for i, r := range requests {
		<-r.Done()
		state, revision, err := r.Answer()
		account, _ := state.(*testpb.Account)
		outcomes[i] = outcome{account, revision, err}
	}
	return outcomes
}

// sent is a command and its id.
type sent struct {
	command proto.Message
	id      string
}

func deposits(amounts ...int64) []*sent {
	list := make([]*sent, len(amounts))
	for i, amount := range amounts {
		list[i] = &sent{command: &testpb.Deposit{Amount: amount}}
	}
	return list
}
