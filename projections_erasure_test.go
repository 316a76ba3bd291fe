package ego_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

// forgetful is a handler that is told of erasures. It takes single events, batches or transactions as a test says.
type forgetful struct {
	projection.Handler

	mu     sync.Mutex
	told   []string // what was handled and erased, in order
	amount int64
}

func (f *forgetful) handle(event *projection.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, event.PersistenceID)
	if deposited, ok := event.Message.(*testpb.Deposited); ok {
		f.amount += deposited.GetAmount()
	}
	return nil
}

func (f *forgetful) OnErased(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, "erased "+id)
	return nil
}

func (f *forgetful) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.told)
}

type forgetfulBatch struct{ *forgetful }

func (f forgetfulBatch) HandleBatch(_ context.Context, events []*projection.Event) error {
	for _, event := range events {
		if err := f.handle(event); err != nil {
			return err
		}
	}
	return nil
}

// forgetfulTx is transactional and told of erasures.
type forgetfulTx struct {
	projection.TransactionalHandler
	*forgetful
}

func (f forgetfulTx) Handle(ctx context.Context, event *projection.Event) error {
	return f.TransactionalHandler.Handle(ctx, event)
}

func TestProjectionsOfSealedAndErasedEvents(t *testing.T) { // G4, G10
	t.Parallel()
	for name, make := range map[string]func(store persistence.EventsStore, f *forgetful) projection.Handler{
		"Single": func(_ persistence.EventsStore, f *forgetful) projection.Handler {
			f.Handler = projection.HandlerFunc(func(_ context.Context, event *projection.Event) error { return f.handle(event) })
			return f
		},
		"Batch": func(_ persistence.EventsStore, f *forgetful) projection.Handler {
			f.Handler = projection.HandlerFunc(func(_ context.Context, event *projection.Event) error { return f.handle(event) })
			return forgetfulBatch{f}
		},
		"Transaction": func(store persistence.EventsStore, f *forgetful) projection.Handler {
			handler := sqlite.TxHandler(store.(*sqlite.Store), func(_ context.Context, _ *sql.Tx, event *projection.Event) error {
				return f.handle(event)
			})
			return forgetfulTx{handler.(projection.TransactionalHandler), f}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, f := newFile(t), new(forgetful)
			engine := startEngine(t, store, ego.WithEncryption(encryption.NewAESEncryptor(store)),
				ego.WithProjection("before", &projection.Options{Handler: make(store, f)}),
				ego.WithProjection("after", &projection.Options{Handler: new(seen)}))
			open(t, engine, "a")
			open(t, engine, "b")
			deposit(t, engine, "a", 3)
			deposit(t, engine, "a", 4)
			require.NoError(t, engine.StartProjection(t.Context(), "before"))
			awaitProjection(t, engine, "before", "a", 2)
			require.EqualValues(t, 7, f.amount, "events are opened")

			require.NoError(t, engine.EraseEntity(t.Context(), "a"))
			deposit(t, engine, "b", 5)
			awaitProjection(t, engine, "before", "b", 1)
			require.Eventually(t, func() bool { return slices.Contains(f.seen(), "erased a") }, patience, time.Millisecond)

			// A projection that starts when the events are gone passes over them.
			require.NoError(t, engine.StartProjection(t.Context(), "after"))
			awaitProjection(t, engine, "after", "b", 1)
			require.Eventually(t, func() bool {
				lag, err := engine.ProjectionLag(t.Context(), "after")
				if err != nil {
					return false
				}
				for _, l := range lag {
					if l.Events > 0 {
						return false
					}
				}
				return true
			}, patience, time.Millisecond)
			require.NoError(t, engine.Health(t.Context()))
		})
	}
}

// What a projection has parked of an entity goes when the entity is erased, and the handler is told, whichever process erases
// and whether the projection runs or not.
func TestErasureOfParkedEntities(t *testing.T) { // G10
	t.Parallel()
	for name, when := range map[string]struct{ running, sealed, failing, disk bool }{
		"Running":        {running: true},
		"RunningSealed":  {running: true, sealed: true, disk: true},
		"Stopped":        {disk: true},
		"StoppedSealed":  {sealed: true},
		"FailingAtFirst": {running: true, failing: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each := eachStore
			if !when.disk {
				each = func(t *testing.T, test func(t *testing.T, store persistence.EventsStore)) { test(t, newStore(t)) }
			}
			each(t, func(t *testing.T, store persistence.EventsStore) {
				f := new(forgetful)
				down := errDown
				f.Handler = projection.HandlerFunc(func(_ context.Context, event *projection.Event) error {
					if event.PersistenceID == "a" {
						return errDown
					}
					return f.handle(event)
				})
				told := &refusing{forgetful: f}
				if when.failing {
					told.err.Store(&down)
				}
				var opts []ego.Option
				if when.sealed {
					opts = append(opts, ego.WithEncryption(encryption.NewAESEncryptor(store.(encryption.KeyStore))))
				}
				engine := startEngine(t, store, append(opts, ego.WithProjection("p", &projection.Options{
					Handler: told, Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park), projection.WithRetries(0)),
				}))...)
				letters := func() (all []*projection.DeadLetter) {
					for letter, err := range engine.DeadLetters(t.Context(), "p") {
						require.NoError(t, err)
						all = append(all, letter)
					}
					return all
				}
				open(t, engine, "a")
				open(t, engine, "b")
				deposit(t, engine, "a", 3)
				deposit(t, engine, "a", 3)
				deposit(t, engine, "b", 3)
				require.NoError(t, engine.StartProjection(t.Context(), "p"))
				require.Eventually(t, func() bool { return len(letters()) == 2 }, patience, 20*time.Millisecond)
				awaitProjection(t, engine, "p", "b", 1)
				if !when.running {
					require.NoError(t, engine.StopProjection(t.Context(), "p"))
				}
				require.NoError(t, engine.EraseEntity(t.Context(), "a"))
				if when.failing {
					require.Eventually(t, func() bool {
						left := letters()
						return len(left) == 1 && left[0].SequenceNumber == 3 && left[0].Event == nil
					}, patience, time.Millisecond, "only the end, which opens to nothing")
					told.err.Store(nil)
					require.NoError(t, engine.RetryDeadLetters(t.Context(), "p"))
				} else {
					require.Empty(t, letters())
				}
				if !when.running {
					require.NoError(t, engine.StartProjection(t.Context(), "p"))
				}
				require.Eventually(t, func() bool { return slices.Contains(f.seen(), "erased a") }, patience, time.Millisecond)
				require.Empty(t, letters())
				deposit(t, engine, "b", 1)
				awaitProjection(t, engine, "p", "b", 2)
				require.Equal(t, []string{"b", "b"}, slices.DeleteFunc(f.seen(), func(s string) bool { return s == "erased a" }))
			})
		})
	}
	t.Run("InAnotherProcess", func(t *testing.T) {
		t.Parallel()
		for _, sealed := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), "shared.db")
			var engines []*ego.Engine
			f := new(forgetful)
			f.Handler = projection.HandlerFunc(func(context.Context, *projection.Event) error { return errDown })
			project := ego.WithProjection("p", &projection.Options{
				Handler: f, PullInterval: 10 * time.Millisecond,
				Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park), projection.WithRetries(0)),
			})
			var reader *sqlite.Store
			for _, opts := range [][]ego.Option{{project}, nil} {
				reader = openShared(t, path)
				if sealed {
					opts = append(opts, ego.WithEncryption(encryption.NewAESEncryptor(reader)))
				}
				engines = append(engines, startEngine(t, reader, opts...))
			}
			open(t, engines[1], "a")
			deposit(t, engines[1], "a", 1)
			require.NoError(t, engines[0].StartProjection(t.Context(), "p"))
			parked := func() (n int) {
				for _, err := range reader.DeadLetters(t.Context(), "p") {
					require.NoError(t, err)
					n++
				}
				return n
			}
			require.Eventually(t, func() bool { return parked() == 1 }, patience, time.Millisecond)
			require.NoError(t, engines[1].EraseEntity(t.Context(), "a"), "it knows nothing of the projection")
			require.Eventually(t, func() bool { return parked() == 0 }, patience, time.Millisecond)
			require.Eventually(t, func() bool { return slices.Contains(f.seen(), "erased a") }, patience, time.Millisecond)
		}
	})
	t.Run("CountedAndDiscarded", func(t *testing.T) {
		t.Parallel()
		// The letters of an entity whose key is gone while its end is not reached: what an erasure leaves that was cut off.
		store := newFile(t)
		keys := encryption.NewAESEncryptor(store)
		engine := startEngine(t, store, ego.WithEncryption(keys), ego.WithProjection("p", &projection.Options{
			Handler:  projection.HandlerFunc(func(context.Context, *projection.Event) error { return errDown }),
			Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park), projection.WithRetries(0)),
		}))
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		deposit(t, engine, "a", 1)
		require.NoError(t, engine.StartProjection(t.Context(), "p"))
		letters := func() (all []*projection.DeadLetter) {
			for letter, err := range engine.DeadLetters(t.Context(), "p") {
				require.NoError(t, err)
				all = append(all, letter)
			}
			return all
		}
		require.Eventually(t, func() bool { return len(letters()) == 2 }, patience, 20*time.Millisecond)
		require.NotNil(t, letters()[0].Event)
		require.NoError(t, keys.BeginErasure(t.Context(), "a"))
		for _, letter := range letters() {
			require.Nil(t, letter.Event, "nothing to see")
			require.Equal(t, "a", letter.PersistenceID)
		}
		require.Len(t, letters(), 2)
		require.NoError(t, engine.DiscardDeadLetters(t.Context(), "p", "a"))
		require.Empty(t, letters())
	})
}

// refusing is told of erasures and may fail then.
type refusing struct {
	*forgetful
	err atomic.Pointer[error]
}

func (r *refusing) OnErased(ctx context.Context, id string) error {
	if err := r.err.Load(); err != nil {
		return *err
	}
	return r.forgetful.OnErased(ctx, id)
}
