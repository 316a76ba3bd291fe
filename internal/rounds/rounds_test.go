package rounds_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/internal/rounds"
	"github.com/actorkeep/ego/publisher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type entry = rounds.Entry[string]

func entries(names ...string) (all []*entry) {
	for _, name := range names {
		all = append(all, &entry{Message: name, Size: len(name)})
	}
	return all
}

// A wire remembers rounds, and holds each until it is let go.
type wire struct {
	mu   sync.Mutex
	sent [][]string
	hold chan struct{}
	fail map[string]error
}

func (w *wire) send(round []*entry) {
	var names []string
	for _, e := range round {
		names = append(names, e.Message)
		e.Err = w.fail[e.Message]
	}
	w.mu.Lock()
	w.sent = append(w.sent, names)
	w.mu.Unlock()
	if w.hold != nil {
		<-w.hold
	}
}

func TestRounds(t *testing.T) {
	t.Parallel()

	t.Run("CallersGatherWhileOneIsUnderWay", func(t *testing.T) { // G6
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := &wire{hold: make(chan struct{})}
			r := &rounds.Rounds[string]{Send: w.send}
			var calls sync.WaitGroup
			for _, name := range []string{"a", "b", "c"} {
				calls.Go(func() { require.NoError(t, r.Join(t.Context(), entries(name+"1", name+"2"))) })
				synctest.Wait()
			}
			require.Equal(t, [][]string{{"a1", "a2"}}, w.sent, "only one round is on its way")
			close(w.hold)
			calls.Wait()
			r.Wait()
			require.Equal(t, [][]string{{"a1", "a2"}, {"b1", "b2", "c1", "c2"}}, w.sent)
		})
	})
	t.Run("BoundsAreKept", func(t *testing.T) {
		t.Parallel()
		w := &wire{}
		r := &rounds.Rounds[string]{Send: w.send, Bytes: 6, Count: 3}
		require.NoError(t, r.Join(t.Context(), entries("aa", "bb", "cc", "dd", "e", "f", "g", "long enough", "h")))
		require.Equal(t, [][]string{{"aa", "bb", "cc"}, {"dd", "e", "f"}, {"g"}, {"long enough"}, {"h"}}, w.sent)
		require.NoError(t, r.Join(t.Context(), nil))
	})
	t.Run("NothingFollowsWhatFailed", func(t *testing.T) { // G6
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			odd := errors.New("odd")
			w := &wire{hold: make(chan struct{}), fail: map[string]error{"a2": odd}}
			r := &rounds.Rounds[string]{Send: w.send, Count: 2}
			var calls sync.WaitGroup
			calls.Go(func() { require.ErrorIs(t, r.Join(t.Context(), entries("a1", "a2", "a3")), odd) })
			synctest.Wait()
			calls.Go(func() { require.NoError(t, r.Join(t.Context(), entries("b1", "b2")), "the error is another's") })
			synctest.Wait()
			close(w.hold)
			calls.Wait()
			require.Equal(t, [][]string{{"a1", "a2"}, {"b1", "b2"}}, w.sent)
		})
	})
	t.Run("CallEndsWithItsContext", func(t *testing.T) { // G12
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := &wire{hold: make(chan struct{})}
			r := &rounds.Rounds[string]{Send: w.send}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- r.Join(ctx, entries("a")) }()
			synctest.Wait()
			cancel()
			err := <-done
			require.ErrorIs(t, err, publisher.ErrUnavailable)
			require.ErrorIs(t, err, context.Canceled)
			close(w.hold)
			r.Wait()
		})
	})
}
