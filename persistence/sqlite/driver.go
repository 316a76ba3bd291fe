package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"time"

	modernc "modernc.org/sqlite"
)

// This file holds all that depends on the driver under database/sql: how a file is named, how a connection is prepared,
// and what its errors mean.

// newConnector returns connections of modernc.org/sqlite.
func newConnector(dsn string) (driver.Connector, error) { return modernc.NewConnector(dsn) }

// An access says what a connection is for.
type access struct {
	name    string
	query   url.Values
	pragmas []string
}

// pragmas that every connection of the store has. With the WAL and synchronous=FULL a commit returns after its part of
// the WAL was synced. Statement journals and sorts stay in memory. A WAL that a long read let grow is cut again.
func commonPragmas() []string {
	return []string{
		"PRAGMA synchronous = FULL",
		"PRAGMA wal_autocheckpoint = 10000",
		"PRAGMA journal_size_limit = 67108864",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA cache_size = -16000",
	}
}

// forWriting takes the write lock when a transaction begins. It does not wait for locks: the store does that itself, so
// that the wait obeys the context whatever the driver.
func forWriting() access {
	return access{"write", url.Values{"_txlock": {"immediate"}}, append(commonPragmas(), "PRAGMA busy_timeout = 0", "PRAGMA secure_delete = ON")}
}

// forReading opens the file read-only, so that not even PRAGMA query_only could make it write.
func forReading(busyTimeout time.Duration) access {
	wait := fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds())
	return access{"read", url.Values{"mode": {"ro"}}, append(commonPragmas(), wait)}
}

// connect returns the connector for an access to the file.
func (c *config) connect(a access) (driver.Connector, error) {
	// The path is escaped, as a question mark in it would begin the parameters.
	dsn := url.URL{Scheme: "file", Path: c.path, RawQuery: a.query.Encode()}
	inner, err := c.connector(dsn.String())
	if err != nil {
		return nil, err
	}
	return &connector{inner, a.pragmas}, nil
}

// A connector runs pragmas on every connection that it opens.
type connector struct {
	driver.Connector
	pragmas []string
}

// Connect implements [driver.Connector].
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(fmt.Errorf("sqlite: driver connection %T cannot execute statements", conn), conn.Close())
	}
	for _, pragma := range c.pragmas {
		if _, err := execer.ExecContext(ctx, pragma, nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

// Primary result codes, see https://www.sqlite.org/rescode.html.
const (
	codePermission   = 3
	codeBusy         = 5
	codeLocked       = 6
	codeReadOnly     = 8
	codeInterrupt    = 9
	codeFull         = 13
	codeCannotOpen   = 14
	codeProtocol     = 15
	codeTooBig       = 18
	codeConstraint   = 19
	codeNotADatabase = 26
)

// primaryCode returns the primary result code of an error of the driver, or 0.
func primaryCode(err error) int {
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		return coded.Code() & 0xff
	}
	return 0
}

// locked reports whether an error only says that somebody else holds a lock.
func locked(err error) bool {
	switch primaryCode(err) {
	case codeBusy, codeLocked, codeProtocol:
		return true
	default:
		return false
	}
}

// provenByCode reports whether an error of COMMIT proves that the transaction was not committed. The codes here are those
// that SQLite gives before the last frame of a transaction is in the WAL, complete with its commit mark: after them it
// has rolled back. A failed sync is not among them, as the frames that were to be synced are there.
func provenByCode(err error) bool {
	switch primaryCode(err) {
	case codeBusy, codeLocked, codeReadOnly, codeInterrupt, codeFull, codeTooBig, codeConstraint:
		return true
	default:
		return false
	}
}
