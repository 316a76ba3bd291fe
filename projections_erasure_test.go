package ego_test

import (
	"context"
	"database/sql"
	"slices"
	"sync"
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

func TestErasureDiscardsDeadLetters(t *testing.T) { // G10
	t.Parallel()
	eachStore(t, func(t *testing.T, store persistence.EventsStore) {
		handler := new(seen)
		handler.failWith(func(*projection.Event) error { return errDown })
		engine := startEngine(t, store, ego.WithProjection("p", &projection.Options{
			Handler: handler, Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park), projection.WithRetries(0)),
		}))
		letters := func() (ids []string) {
			for letter, err := range engine.DeadLetters(t.Context(), "p") {
				require.NoError(t, err)
				ids = append(ids, letter.Event.PersistenceID)
			}
			return ids
		}
		open(t, engine, "a")
		open(t, engine, "b")
		deposit(t, engine, "a", 3)
		deposit(t, engine, "b", 3)
		require.NoError(t, engine.StartProjection(t.Context(), "p"))
		require.Eventually(t, func() bool { return len(letters()) == 2 }, patience, time.Millisecond)
		require.NoError(t, engine.EraseEntity(t.Context(), "a"))
		require.Equal(t, []string{"b"}, letters())
	})
}
