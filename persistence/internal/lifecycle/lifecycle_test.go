package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type session struct {
	lifecycle.Calls
	ended, closed bool
}

// A store has what the stores have, and nothing else.
type store struct {
	*lifecycle.Lifecycle[*session]
	opened []*session
	fail   error
}

func newStore() *store { return &store{Lifecycle: lifecycle.New[*session]()} }

func (s *store) connect(ctx context.Context) error {
	return s.Open(ctx, func() (*session, error) {
		if s.fail != nil {
			return nil, s.fail
		}
		s.opened = append(s.opened, new(session))
		return s.opened[len(s.opened)-1], nil
	})
}

func (s *store) disconnect(ctx context.Context) error {
	return s.Close(ctx, func(c *session) { c.ended = true }, func(c *session) error {
		c.closed = true
		return nil
	})
}

func TestLifecycle(t *testing.T) {
	t.Parallel()

	t.Run("FirstCallConnectsOnce", func(t *testing.T) {
		t.Parallel()
		s := newStore()
		for range 2 {
			c, err := s.Enter(t.Context(), s.connect)
			require.NoError(t, err)
			c.Leave()
		}
		require.NoError(t, s.connect(t.Context()))
		require.Len(t, s.opened, 1)
		require.NoError(t, s.disconnect(t.Context()))
	})
	t.Run("FirstCallTriesAgainAfterAFailure", func(t *testing.T) {
		t.Parallel()
		s := newStore()
		s.fail = errors.New("not yet")
		err := s.Check(t.Context(), s.connect)
		require.ErrorIs(t, err, s.fail)
		require.True(t, persistence.NotWritten(err))
		s.fail = nil
		require.NoError(t, s.Check(t.Context(), s.connect))
		require.NoError(t, s.disconnect(t.Context()))
	})
	t.Run("NothingIsEnteredAfterTheEnd", func(t *testing.T) {
		t.Parallel()
		for _, connected := range []bool{false, true} {
			s := newStore()
			if connected {
				require.NoError(t, s.connect(t.Context()))
			}
			require.NoError(t, s.disconnect(t.Context()))
			require.NoError(t, s.disconnect(t.Context()))
			require.ErrorIs(t, s.Check(t.Context(), s.connect), persistence.ErrNotConnected)
			require.NoError(t, s.connect(t.Context()))
			require.NoError(t, s.Check(t.Context(), s.connect))
			require.NoError(t, s.disconnect(t.Context()))
		}
	})
	t.Run("EndWaitsForCalls", func(t *testing.T) { // G12
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newStore()
			c, err := s.Enter(t.Context(), s.connect)
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() { done <- s.disconnect(t.Context()) }()
			synctest.Wait()
			require.True(t, c.ended, "what waits in it is told")
			require.False(t, c.closed)
			require.ErrorIs(t, s.Check(t.Context(), s.connect), persistence.ErrNotConnected)
			c.Leave()
			require.NoError(t, <-done)
			require.True(t, c.closed)
		})
	})
	t.Run("EndsWithItsContext", func(t *testing.T) { // G12
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newStore()
			c, err := s.Enter(t.Context(), s.connect)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.disconnect(ctx) }()
			synctest.Wait()
			waiting, stop := context.WithCancel(t.Context())
			go func() { done <- s.connect(waiting) }()
			synctest.Wait()
			stop()
			err = <-done
			require.ErrorIs(t, err, context.Canceled)
			require.True(t, persistence.NotWritten(err))
			cancel()
			require.ErrorIs(t, <-done, context.Canceled)
			require.False(t, c.closed)
			c.Leave()
			synctest.Wait()
			require.True(t, c.closed, "the rest happens all the same")
			require.ErrorIs(t, s.Check(ctx, s.connect), context.Canceled)
		})
	})
}
