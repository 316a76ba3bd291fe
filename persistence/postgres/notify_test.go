package postgres_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
)

// A listener listens to a store until it ends.
type listener struct {
	woken  chan struct{}
	result chan error
}

func listen(ctx context.Context, store persistence.Notifier) *listener {
	l := &listener{woken: make(chan struct{}, 1000), result: make(chan error, 1)}
	go func() {
		l.result <- store.Listen(ctx, func() {
			select {
			case l.woken <- struct{}{}:
			default:
			}
		})
	}()
	return l
}

func (l *listener) await(t *testing.T) {
	t.Helper()
	select {
	case <-l.woken:
	case err := <-l.result:
		require.Fail(t, "the listener ended", "%v", err)
	case <-time.After(30 * time.Second):
		require.Fail(t, "no notification")
	}
}

func (l *listener) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-l.result:
		return err
	case <-time.After(30 * time.Second):
		require.Fail(t, "the listener does not end")
		return nil
	}
}

func TestListen(t *testing.T) {
	t.Parallel()

	t.Run("WakesOnCommitsOfOthers", func(t *testing.T) {
		t.Parallel()
		schema := pgtest.Schema(t)
		reader, _ := connect(t, schema)
		writer, _ := connect(t, schema)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		l := listen(ctx, reader)
		l.await(t) // it listens
		for number := range uint64(3) {
			require.NoError(t, writer.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", number+1)}))
			l.await(t)
			require.NoError(t, writer.WriteState(t.Context(), &egopb.DurableState{PersistenceId: "a", Revision: number + 1}))
			l.await(t)
		}
		cancel()
		require.ErrorIs(t, l.end(t), context.Canceled)
	})
	t.Run("EndsWithDisconnect", func(t *testing.T) { // G12
		t.Parallel()
		store, _ := connect(t, pgtest.Schema(t))
		l := listen(t.Context(), store)
		l.await(t)
		require.NoError(t, store.Disconnect(t.Context()))
		require.ErrorIs(t, l.end(t), persistence.ErrNotConnected)
		require.ErrorIs(t, store.Listen(t.Context(), func() {}), persistence.ErrNotConnected)
	})
	t.Run("SaysThatTheBackendIsLost", func(t *testing.T) { // G12
		t.Parallel()
		const name = "ego-listener"
		pool := pgtest.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = name })
		store := connectThrough(t, pool, pgtest.Schema(t))
		l := listen(t.Context(), store)
		l.await(t)
		terminate(t, name)
		require.ErrorIs(t, l.end(t), postgres.ErrUnavailable)
		again := listen(t.Context(), store)
		again.await(t)
		require.NoError(t, store.Disconnect(t.Context()))
		require.ErrorIs(t, again.end(t), persistence.ErrNotConnected)
	})
	t.Run("DoesNotTakeAConnectionOfThePool", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Pool(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
		store := connectThrough(t, pool, pgtest.Schema(t))
		l := listen(t.Context(), store)
		l.await(t)
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event(t, "a", 1)}))
		l.await(t)
		require.NoError(t, store.Disconnect(t.Context()))
		require.ErrorIs(t, l.end(t), persistence.ErrNotConnected)
	})
	t.Run("ManyCommitsAreFewNotifications", func(t *testing.T) {
		t.Parallel()
		schema := pgtest.Schema(t)
		store, _ := connect(t, schema)
		raw := dial(t)
		_, err := raw.Exec(t.Context(), "LISTEN "+pgx.Identifier{"ego." + schema}.Sanitize())
		require.NoError(t, err)
		start := time.Now()
		const writers, commits = 8, 20
		done := make(chan error, writers)
		for writer := range writers {
			var events []*egopb.Event
			for number := range uint64(commits) {
				events = append(events, event(t, string(rune('a'+writer)), number+1))
			}
			go func() {
				var err error
				for i := 0; i < commits && err == nil; i++ {
					err = store.WriteEvents(context.Background(), events[i:i+1])
				}
				done <- err
			}()
		}
		for range writers {
			require.NoError(t, <-done)
		}
		length := time.Since(start)
		require.NoError(t, store.Disconnect(t.Context())) // ends the sender
		var count atomic.Int64
		limit, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		for {
			if _, err := raw.WaitForNotification(limit); err != nil {
				break
			}
			count.Add(1)
		}
		require.NotZero(t, count.Load())
		require.LessOrEqual(t, count.Load(), 2+int64(length/(5*time.Millisecond)), "notifications are sent for each commit")
		t.Logf("%d commits in %v, %d notifications", writers*commits, length, count.Load())
	})
}
