package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"

	"github.com/actorkeep/ego/persistence/internal/lifecycle"
)

// readers is the size of the pool that the store reads with.
const readers = 4

// A session is what is open between Connect and Disconnect.
type session struct {
	lifecycle.Calls
	*config
	file os.FileInfo // the file as it was opened

	writer *sql.DB // one connection
	reader *sql.DB
	user   *sql.DB // handed out by Store.DB, so that rows which a user forgot to close cannot starve the store

	writes statements
	reads  statements

	slot     chan struct{} // held by the one who uses the writer
	unsynced bool          // its commits do not sync
}

// openSession opens the file and prepares it.
func openSession(ctx context.Context, c *config) (_ *session, err error) {
	if err := c.checkTarget(); err != nil {
		return nil, err
	}
	s := &session{config: c, slot: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.writer, err = c.pool(forWriting(), 1); err != nil {
		return nil, err
	}
	if err := s.prepareFile(ctx); err != nil {
		return nil, err
	}
	if s.file, err = os.Stat(c.path); err != nil {
		return nil, err
	}
	if s.reader, err = c.pool(forReading(c.busyTimeout), readers); err != nil {
		return nil, err
	}
	if s.user, err = c.pool(forReading(c.busyTimeout), 0); err != nil {
		return nil, err
	}
	return s, s.prepareStatements(ctx)
}

// pool returns a pool of at most n connections, or of any number when n is zero. None is opened yet.
func (c *config) pool(a access, n int) (*sql.DB, error) {
	connector, err := c.connect(a)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(max(n, 2))
	return db, nil
}

func (s *session) prepareStatements(ctx context.Context) error {
	var err error
	if s.writes, err = prepare(ctx, s.writer, writeStatements); err != nil {
		return err
	}
	s.reads, err = prepare(ctx, s.reader, readStatements)
	return err
}

// close closes what is open. The writer is the last, as closing the last connection that may write recycles the
// write-ahead log.
func (s *session) close() error {
	err := errors.Join(s.writes.close(), s.reads.close())
	for _, db := range []*sql.DB{s.user, s.reader, s.writer} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

// end has nothing to do, as no call waits for what never comes.
func (s *session) end() {}

// checkTarget refuses early what SQLite would refuse without a reason. It must not open the file: closing it again would
// drop the POSIX locks that other connections of this process hold on it.
func (c *config) checkTarget() error {
	info, err := os.Stat(c.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil // SQLite creates it
	case err != nil:
		return err
	case info.IsDir():
		return &Error{Op: "connect to", Path: c.path, Reason: ErrForeignFile, Err: errors.New("it is a directory")}
	case !info.Mode().IsRegular():
		return &Error{Op: "connect to", Path: c.path, Reason: ErrForeignFile, Err: errors.New("it is not a regular file")}
	case info.Size() == 1:
		return &Error{Op: "connect to", Path: c.path, Reason: ErrForeignFile,
			Err: errors.New("it has a single byte, and SQLite would take it for an empty file")}
	default:
		return nil
	}
}

// checkFile returns [ErrFileMoved] unless the path still names the file that was opened. An operating system lets a
// process write to a deleted file; what was acknowledged from then on would be gone with the process.
func (s *session) checkFile() error {
	info, err := os.Stat(s.path)
	if err != nil || !os.SameFile(info, s.file) {
		return &Error{Op: "use", Path: s.path, Reason: ErrFileMoved, Err: err}
	}
	return nil
}
