package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
)

// Writes whose contexts end at random moments: whatever was acknowledged is stored, whatever is said not to be is not.
func TestCanceledWrites(t *testing.T) { // G9
	t.Parallel()
	store, pool := connect(t, pgtest.Schema(t))
	var (
		mu                               sync.Mutex
		acknowledged, refused, undecided []string
		group                            sync.WaitGroup
	)
	for worker := range 8 {
		group.Go(func() {
			for i := range 40 {
				id := fmt.Sprintf("c-%d-%d", worker, i)
				batch := make([]*egopb.Event, 1+rand.IntN(100))
				for n := range batch {
					batch[n] = event(t, id, uint64(n)+1)
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(60_000))*time.Microsecond)
				err := store.WriteEvents(ctx, batch)
				cancel()
				mu.Lock()
				switch {
				case err == nil:
					acknowledged = append(acknowledged, id)
				case !errors.Is(err, context.DeadlineExceeded):
					t.Error(err)
				case persistence.NotWritten(err):
					refused = append(refused, id)
				default:
					undecided = append(undecided, id)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	numbers := requireGapless(t, store)
	for _, id := range acknowledged {
		require.NotZero(t, numbers[id], "%s was acknowledged", id)
	}
	for _, id := range refused {
		require.Zero(t, numbers[id], "%s was said not to be written", id)
	}
	require.NotEmpty(t, acknowledged)
	require.NotEmpty(t, refused)
	require.Less(t, len(undecided), 40, "the server is there to say what happened")
	t.Logf("%d acknowledged, %d not written, %d undecided, %d connections", len(acknowledged), len(refused), len(undecided), pool.Stat().NewConnsCount())
}

// A write that waits for a lock when its context ends is cancelled on the server, and the connection is kept.
func TestCanceledWhileItWaits(t *testing.T) { // G9, G12
	t.Parallel()
	schema := pgtest.Schema(t)
	store, pool := connect(t, schema)
	held, resume := pauseCommits(t, schema)
	defer resume()
	first := make(chan error, 1)
	one := []*egopb.Event{event(t, "a", 1)}
	go func() { first <- store.WriteEvents(context.Background(), one) }()
	<-held
	_, err := store.GetLatestEvent(t.Context(), "a") // makes the connection that the writes below use
	require.NoError(t, err)
	before := pool.Stat().NewConnsCount()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		start := time.Now()
		err := store.WriteEvents(ctx, []*egopb.Event{event(t, "a", 1)})
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, persistence.NotWritten(err), "the server has said that it did nothing: %v", err)
		require.Less(t, time.Since(start), 5*time.Second)
	}
	require.Less(t, pool.Stat().NewConnsCount(), before+3, "the connection was thrown away each time")
	resume()
	require.NoError(t, <-first)
	require.Equal(t, map[string]uint64{"a": 1}, requireGapless(t, store))
}

// A cutConn is a connection that breaks at the next request of an entity that is named for it.
type cutConn struct {
	net.Conn
	cut    *atomic.Int32
	broken bool
}

const (
	cutNothing = 0
	cutBefore  = 1 // the request never leaves
	cutAfter   = 2 // the request is carried out, and its answer lost

	cutID = "cut me"
)

func (c *cutConn) Write(b []byte) (int, error) {
	if !bytes.Contains(b, []byte(cutID)) {
		return c.Conn.Write(b)
	}
	if c.cut.CompareAndSwap(cutBefore, cutNothing) {
		return 0, errors.Join(io.ErrUnexpectedEOF, c.Close())
	}
	c.broken = c.cut.CompareAndSwap(cutAfter, cutNothing)
	return c.Conn.Write(b)
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.broken {
		return 0, errors.Join(io.ErrUnexpectedEOF, c.Close())
	}
	return n, err
}

func connectCut(t *testing.T) (*postgres.Store, *atomic.Int32) {
	t.Helper()
	cut := new(atomic.Int32)
	pool := pgtest.Pool(t, func(c *pgxpool.Config) {
		c.MaxConns = 1
		c.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return &cutConn{Conn: conn, cut: cut}, err
		}
	})
	return connectThrough(t, pool, pgtest.Schema(t)), cut
}

func TestLostConnections(t *testing.T) { // G9
	t.Parallel()

	t.Run("BeforeTheRequestIsTriedAgain", func(t *testing.T) {
		t.Parallel()
		store, cut := connectCut(t)
		cut.Store(cutBefore)
		require.NoError(t, store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: cutID, Revision: 1}))
	})
	t.Run("AfterTheCommitIsUnknown", func(t *testing.T) {
		t.Parallel()
		store, cut := connectCut(t)
		require.NoError(t, store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: cutID, Revision: 1}))
		for _, ctx := range []func() (context.Context, context.CancelFunc){
			func() (context.Context, context.CancelFunc) { return context.Background(), func() {} },
			func() (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), time.Minute) },
		} {
			limit, cancel := ctx()
			latest, err := store.GetLatestState(limit, cutID)
			require.NoError(t, err)
			cut.Store(cutAfter)
			err = store.WriteState(limit, &egopb.DurableState{PersistenceId: cutID, Revision: latest.GetRevision() + 1})
			require.ErrorIs(t, err, postgres.ErrUnavailable)
			require.False(t, persistence.NotWritten(err), "it was written: %v", err)
			now, err := store.GetLatestState(limit, cutID)
			require.NoError(t, err)
			require.Equal(t, latest.GetRevision()+1, now.GetRevision())
			cancel()
		}
	})
	t.Run("WhileReadingAreTriedAgain", func(t *testing.T) {
		t.Parallel()
		store, cut := connectCut(t)
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{event(t, cutID, 1), event(t, cutID, 2)}))
		latest, err := store.GetLatestEvent(t.Context(), cutID) // prepares the statement
		require.NoError(t, err)
		require.EqualValues(t, 2, latest.GetSequenceNumber())
		cut.Store(cutAfter)
		count := 0
		for _, err := range store.ReplayEvents(t.Context(), cutID, 1, 10) {
			require.NoError(t, err)
			count++
		}
		require.Equal(t, 2, count)
	})
}

// Serialization failures, which a database whose default isolation is stricter gives, are tried again.
func TestStrictIsolation(t *testing.T) { // G2, G3
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level[:4], func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["default_transaction_isolation"] = level })
			store := connectThrough(t, pool, pgtest.Schema(t), postgres.WithShards(1))
			var group sync.WaitGroup
			for writer := range 3 {
				group.Go(func() {
					for number := range uint64(15) {
						if err := store.WriteEvents(t.Context(), []*egopb.Event{event(t, fmt.Sprint("w", writer), number+1)}); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			require.Len(t, requireGapless(t, store), 3)
		})
	}
}
