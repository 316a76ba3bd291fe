package postgres

import (
	"context"
	"sync"
)

// A session is what runs between Connect and Disconnect.
type session struct {
	*config
	calls sync.WaitGroup // calls under way

	ended    chan struct{} // closed by Disconnect, ends what waits for the backend
	notifier *notifier
}

func openSession(c *config) *session {
	s := &session{config: c, ended: make(chan struct{})}
	s.notifier = startNotifier(c)
	return s
}

// leave ends a call.
func (s *session) leave() { s.calls.Done() }

// close waits for the calls under way and stops what runs beside them.
func (s *session) close(ctx context.Context) error {
	close(s.ended)
	done := make(chan struct{})
	go func() {
		s.calls.Wait()
		s.notifier.stop()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
