package journal_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/journal"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
)

// nullStore accepts everything and keeps nothing, so what is measured is the journal.
type nullStore struct{ persistence.EventsStore }

func (nullStore) WriteEvents(ctx context.Context, _ []*egopb.Event) error { return ctx.Err() }

// syncedStore forces a file to its device in every write, so what is measured is how full the batches are. It counts its
// writes.
type syncedStore struct {
	persistence.EventsStore
	file   *os.File
	writes atomic.Int64
}

func newSyncedStore(b *testing.B) *syncedStore {
	file, err := os.Create(filepath.Join(b.TempDir(), "journal"))
	require.NoError(b, err)
	b.Cleanup(func() { _ = file.Close() })
	return &syncedStore{EventsStore: newMemoryStore(b), file: file}
}

func (s *syncedStore) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	s.writes.Add(1)
	if err := s.EventsStore.WriteEvents(ctx, events); err != nil {
		return err
	}
	if _, err := s.file.Write(make([]byte, 100*len(events))); err != nil {
		return err
	}
	return s.file.Sync()
}

func newMemoryStore(t testing.TB) *memory.Store {
	store := memory.NewStore()
	require.NoError(t, store.Connect(context.Background()))
	return store
}

// An entityWriter appends one event at a time of its own entity, in reused memory as an entity does.
type entityWriter struct{ events []*egopb.Event }

func newEntityWriter(t testing.TB, id string) *entityWriter {
	payload, err := anypb.New(&testpb.Account{Owner: "somebody", Balance: 12, Changes: 3})
	require.NoError(t, err)
	return &entityWriter{[]*egopb.Event{{PersistenceId: id, Kind: "account", CommandId: "0197-4f2e", WriterId: "w", Payload: payload}}}
}

func (w *entityWriter) append(ctx context.Context, appendEvents func(context.Context, []*egopb.Event) error) error {
	w.events[0].SequenceNumber++
	return appendEvents(ctx, w.events)
}

// run lets n appenders make b.N appends between them.
func run(b *testing.B, n int, appendEvents func(context.Context, []*egopb.Event) error) {
	writers := make([]*entityWriter, n)
	for i := range writers {
		writers[i] = newEntityWriter(b, "account-"+strconv.Itoa(i))
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var appenders sync.WaitGroup
	for _, w := range writers {
		appenders.Go(func() {
			for left.Add(-1) >= 0 {
				if err := w.append(ctx, appendEvents); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	appenders.Wait()
}

func BenchmarkAppend(b *testing.B) {
	stores := map[string]func(*testing.B) persistence.EventsStore{
		"null":   func(*testing.B) persistence.EventsStore { return nullStore{} },
		"memory": func(b *testing.B) persistence.EventsStore { return newMemoryStore(b) },
		"synced": func(b *testing.B) persistence.EventsStore { return newSyncedStore(b) },
	}
	for _, name := range []string{"null", "memory", "synced"} {
		for _, appenders := range []int{1, 2, 64, 256} {
			b.Run("store="+name+"/via=journal/appenders="+strconv.Itoa(appenders), func(b *testing.B) {
				store := stores[name](b)
				j := journal.New(journal.Config{Store: store})
				run(b, appenders, j.Append)
				require.NoError(b, j.Stop(context.Background()))
				if s, ok := store.(*syncedStore); ok {
					b.ReportMetric(float64(b.N)/float64(s.writes.Load()), "events/write")
				}
			})
			b.Run("store="+name+"/via=store/appenders="+strconv.Itoa(appenders), func(b *testing.B) {
				run(b, appenders, stores[name](b).WriteEvents)
			})
		}
	}
}
