package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/actorkeep/ego/persistence"
)

// grace is how long a write whose context ends during COMMIT waits on for the outcome. A sync takes a few milliseconds on
// most disks, and an outcome that is known spares the entity a recovery.
const grace = 100 * time.Millisecond

// A tx is a write transaction. Its statements run without the context of the call: a driver interrupts a statement whose
// context ends, and SQLite may then end the transaction by itself. Code that runs for long asks the context between
// statements instead.
type tx struct {
	*sql.Tx
	session *session
	opened  map[string]*sql.Stmt // prepared statements, bound to this transaction
	done    bool
}

// A write is what [Store.write] does in one transaction.
type write struct {
	op  string // for errors: "write events to"
	run func(ctx context.Context, t *tx) error

	// unsynced returns after COMMIT without syncing the write-ahead log: see [session.sync].
	unsynced bool

	// stored reports, in a later transaction, whether this one was committed. It is asked when the driver left that open.
	// Without it the outcome of such a write is unknown to the caller too.
	stored func(t *tx) (bool, error)
}

// write runs a write in a transaction. It returns nil after COMMIT, which syncs the write-ahead log unless the write says
// otherwise. Any error for which
// [persistence.NotWritten] does not hold leaves the outcome open.
func (s *Store) write(ctx context.Context, w write) error {
	if err := s.checkOutside(ctx); err != nil {
		return err
	}
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	t, err := c.begin(ctx, w.unsynced)
	if err != nil {
		c.Leave()
		return persistence.DefinitelyNotWritten(s.fail(w.op, err))
	}
	defer t.abandon() // when run panics
	if err := w.run(ctx, t); err != nil {
		t.rollback()
		if errors.Is(err, errTransactionLost) {
			return s.fail(w.op, err)
		}
		return persistence.DefinitelyNotWritten(s.fail(w.op, err))
	}
	return s.fail(w.op, t.commit(ctx, w))
}

// begin takes the writer and the write lock of the file.
func (s *session) begin(ctx context.Context, unsynced bool) (*tx, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	if err := s.checkFile(); err != nil {
		s.unlock()
		return nil, err
	}
	var begun *sql.Tx
	err := s.sync(!unsynced)
	if err == nil {
		err = s.whileLocked(ctx, func() (err error) {
			begun, err = s.writer.BeginTx(context.Background(), nil)
			return err
		})
	}
	if err != nil {
		s.unlock()
		return nil, err
	}
	return &tx{Tx: begun, session: s}, nil
}

// sync sets whether commits sync the write-ahead log. One that is not synced survives the end of this process, however
// sudden; a loss of power may undo it, but never without what was committed after it, as the log is one sequence of
// transactions and the next sync covers all of it. The writer is held. A connection that is opened anew syncs.
func (s *session) sync(on bool) error {
	if s.unsynced != on {
		return nil
	}
	pragma := "PRAGMA synchronous = FULL"
	if !on {
		pragma = "PRAGMA synchronous = NORMAL"
	}
	_, err := s.writer.ExecContext(context.Background(), pragma)
	if err == nil {
		s.unsynced = !on
	}
	return err
}

// end gives the writer back and ends the call.
func (t *tx) end() {
	t.session.unlock()
	t.session.Leave()
}

func (t *tx) abandon() {
	if !t.done {
		t.rollback()
	}
}

// rollback ends the transaction. It cannot fail: a connection that does not roll back is closed, which does it.
func (t *tx) rollback() {
	t.done = true
	defer t.end()
	if err := ignoreDone(t.Rollback()); err != nil {
		t.session.dropConnection()
	}
}

// dropConnection closes the connection of the writer; the pool opens another.
func (s *session) dropConnection() {
	conn, err := s.writer.Conn(context.Background())
	if err != nil {
		return
	}
	// The pool closes a connection that is reported bad; that report is the error that comes back.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}

// commit commits. COMMIT is never interrupted, as only its end says what became of the transaction; when the context ends
// and the grace is over, the caller goes without knowing, and the writer is given back when COMMIT returns.
func (t *tx) commit(ctx context.Context, w write) error {
	t.done = true // from here on, t belongs to the one who waits for COMMIT
	if ctx.Done() == nil {
		defer t.end()
		return t.finish(w)
	}
	result := make(chan error, 1)
	go func() {
		err := t.finish(w)
		t.end()
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-result:
		return err
	case <-timer.C:
	}
	return fmt.Errorf("the outcome of COMMIT is still open: %w", ctx.Err())
}

// finish commits and finds out what an error of COMMIT means.
func (t *tx) finish(w write) error {
	err := t.Commit()
	if err == nil {
		return nil
	}
	if provenByCode(err) {
		return persistence.DefinitelyNotWritten(t.session.fail(w.op, err))
	}
	if w.stored == nil {
		return fmt.Errorf("the outcome of COMMIT is unknown: %w", err)
	}
	stored, fenceErr := t.session.fence(w.stored)
	switch {
	case fenceErr != nil:
		return fmt.Errorf("the outcome of COMMIT is unknown: %w", errors.Join(err, fenceErr))
	case stored:
		return nil
	default:
		return persistence.DefinitelyNotWritten(t.session.fail(w.op, err))
	}
}

const bumpFences = `UPDATE ego_meta SET fences = fences + 1`

// fence makes the outcome of the transaction before it certain, and tells it. SQLite rolls back in memory when it cannot
// write or sync the frames of a transaction, but the frames may be in the write-ahead log all the same, commit mark
// included, and a recovery after a crash would bring them back. A commit that succeeds overwrites them, and syncs what is
// before them. So what is not there in the same transaction will never be.
func (s *session) fence(stored func(t *tx) (bool, error)) (bool, error) {
	var begun *sql.Tx
	err := s.whileLocked(context.Background(), func() (err error) {
		begun, err = s.writer.BeginTx(context.Background(), nil)
		return err
	})
	if err != nil {
		return false, err
	}
	t := &tx{Tx: begun, session: s}
	found, err := stored(t)
	if err == nil {
		err = t.exec(bumpFences)
	}
	if err != nil {
		return false, errors.Join(err, ignoreDone(t.Rollback()))
	}
	return found, t.Commit()
}

// checkEvery returns the error of the context at every 64th step of a loop of statements.
func checkEvery(ctx context.Context, step int) error {
	if step%64 != 0 {
		return nil
	}
	return ctx.Err()
}

// stmt returns the prepared statement of a query in this transaction, or nil.
func (t *tx) stmt(query string) *sql.Stmt {
	if stmt := t.opened[query]; stmt != nil {
		return stmt
	}
	prepared := t.session.writes.prepared[query]
	if prepared == nil {
		return nil
	}
	if t.opened == nil {
		t.opened = make(map[string]*sql.Stmt, 4)
	}
	stmt := t.StmtContext(context.Background(), prepared)
	t.opened[query] = stmt
	return stmt
}

// exec executes a query.
func (t *tx) exec(query string, args ...any) error {
	_, err := t.execResult(query, args...)
	return err
}

func (t *tx) execResult(query string, args ...any) (sql.Result, error) {
	if stmt := t.stmt(query); stmt != nil { //nolint:sqlclosecheck // closed with the transaction
		return stmt.ExecContext(context.Background(), args...)
	}
	return t.ExecContext(context.Background(), query, args...)
}

// query calls scan for each row of a query.
func (t *tx) query(query string, scan func(rows *sql.Rows) error, args ...any) error {
	rows, err := t.rows(query, args)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

func (t *tx) rows(query string, args []any) (*sql.Rows, error) {
	if stmt := t.stmt(query); stmt != nil { //nolint:sqlclosecheck // closed with the transaction
		return stmt.QueryContext(context.Background(), args...)
	}
	return t.QueryContext(context.Background(), query, args...)
}

// queryOne reads the only row of a query, and reports whether there is one.
func (t *tx) queryOne(query string, args []any, dest ...any) (bool, error) {
	found := false
	err := t.query(query, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(dest...)
	}, args...)
	return found, err
}
