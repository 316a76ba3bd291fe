package postgres

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// grace is how long a call whose context ends waits for the server to say what became of it. A cancelled statement
// answers within a millisecond or two, and an outcome that is known spares the entity a recovery.
const grace = 500 * time.Millisecond

// A watch carries the end of a context to the server. The driver would cut the connection when a context ends, which
// costs a new one and leaves the outcome of a write open. Instead the server is asked to cancel the statement, and its
// answer counts: a statement that was cancelled has written nothing, and one that was faster has succeeded. Only when no
// answer comes within the grace, the connection is given up.
type watch struct {
	work    context.Context //nolint:containedctx // of one call, which the watch does not outlive
	abandon context.CancelFunc
	stop    func() bool
	asked   chan error    // what became of the request to cancel
	over    chan struct{} // closed when the watch has ended after the context
}

func startWatch(ctx context.Context, conn *pgconn.PgConn) *watch {
	w := &watch{asked: make(chan error, 1), over: make(chan struct{})}
	w.work, w.abandon = context.WithCancel(context.WithoutCancel(ctx))
	w.stop = context.AfterFunc(ctx, func() { w.cancel(conn) })
	return w
}

func (w *watch) cancel(conn *pgconn.PgConn) {
	defer close(w.over)
	defer w.abandon()
	limit, end := context.WithTimeout(w.work, grace)
	defer end()
	err := cmp.Or(conn.CancelRequest(limit), limit.Err()) // the driver does not say that it heard nothing back
	w.asked <- err
	if err == nil {
		<-limit.Done()
	}
}

// end ends the watch. It closes a connection that must not be used again.
func (w *watch) end(conn *pgx.Conn) {
	defer w.abandon()
	if w.stop() {
		return
	}
	// The request must not reach a statement of the next call. It has been delivered when the server closed the connection
	// that it came by, and an empty query takes it if the statement was already over. One of which nothing was heard may
	// still be under way.
	err := <-w.asked
	limit, end := context.WithTimeout(context.WithoutCancel(w.work), grace)
	defer end()
	if err != nil || !absorb(limit, conn) {
		_ = conn.Close(limit)
	}
	w.abandon()
	<-w.over
}

// absorb reports whether a connection that a request to cancel was sent for is idle again.
func absorb(ctx context.Context, conn *pgx.Conn) bool {
	if conn.IsClosed() || conn.PgConn().IsBusy() {
		return false
	}
	err := conn.PgConn().Ping(ctx)
	return err == nil || sqlState(err) == codeQueryCanceled
}
