package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/actorkeep/ego/persistence"
)

// ErrNoNotifications reports that LISTEN works, but that no notification arrives: the connection goes through a pooler
// such as pgbouncer in transaction mode. Consumers poll then.
var ErrNoNotifications = errors.New("notifications do not arrive through this connection")

const (
	// probeTimeout is how long the first notification may take.
	probeTimeout = 5 * time.Second

	// silence is how long a listener waits before it asks whether the server is still there.
	silence = 15 * time.Second
)

// Listen implements [persistence.Notifier] on a connection of its own, which is made as those of the pool are and does not
// count against it. It returns the error of the context, [persistence.ErrNotConnected] after Disconnect, or an [Error]
// that matches [ErrUnavailable] or [ErrNoNotifications]; the caller may call it again.
func (s *Store) Listen(ctx context.Context, wake func()) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer c.Leave()
	listening, end := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-c.ended:
			end(persistence.ErrNotConnected)
		case <-listening.Done():
		}
	})
	defer watching.Wait()
	defer end(nil)
	err = s.listen(listening, wake)
	if cause := context.Cause(listening); cause != nil {
		return cause
	}
	return s.fail("listen to", err)
}

func (s *Store) listen(ctx context.Context, wake func()) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(limit)
		<-conn.PgConn().CleanupDone()
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return err
	}
	if err := s.probe(ctx, conn); err != nil {
		return err
	}
	for {
		wake() // first for what was committed before
		if err := waitForNotification(ctx, conn); err != nil {
			return err
		}
	}
}

// dial opens a connection as the pool would.
func (s *Store) dial(ctx context.Context) (*pgx.Conn, error) {
	config := s.pool.Config()
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
			return nil, err
		}
	}
	// Waiting with a limit must leave the connection as it is.
	config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()}
	}
	return pgx.ConnectConfig(ctx, config.ConnConfig)
}

// probe sends a notification through the pool and waits for it.
func (s *Store) probe(ctx context.Context, conn *pgx.Conn) error {
	limit, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := s.call(limit, "notify", true, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, notifyStatement, s.channel())
		return err
	})
	if err != nil {
		return err
	}
	_, err = conn.WaitForNotification(limit)
	if err != nil && limit.Err() != nil && ctx.Err() == nil {
		return &Error{Op: "listen to", Schema: s.schema, Reason: ErrNoNotifications}
	}
	return err
}

// waitForNotification waits for ever on a server that is there, and fails on one that is not.
func waitForNotification(ctx context.Context, conn *pgx.Conn) error {
	for {
		limit, cancel := context.WithTimeout(ctx, silence)
		_, err := conn.WaitForNotification(limit)
		cancel()
		if err == nil || ctx.Err() != nil || limit.Err() == nil {
			return err
		}
		limit, cancel = context.WithTimeout(ctx, probeTimeout)
		err = conn.Ping(limit)
		cancel()
		if err != nil {
			return err
		}
	}
}
