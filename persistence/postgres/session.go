package postgres

import "github.com/actorkeep/ego/persistence/internal/lifecycle"

// A session is what runs between Connect and Disconnect.
type session struct {
	lifecycle.Calls
	*config

	ended    chan struct{} // closed by Disconnect, ends what waits for the backend
	notifier *notifier
}

func openSession(c *config) *session {
	s := &session{config: c, ended: make(chan struct{})}
	s.notifier = startNotifier(c)
	return s
}

// end ends what waits for the backend.
func (s *session) end() { close(s.ended) }

// close stops what runs beside the calls.
func (s *session) close() error {
	s.notifier.stop()
	return nil
}
