package consumer_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/projection"
)

func (r *rig) requireNoRequests() {
	r.t.Helper()
	for request, err := range r.store.DeadLetters(r.t.Context(), "ego.requests") {
		require.NoError(r.t, err)
		r.t.Fatalf("request %v is left", request)
	}
}

// Whoever asks another process for something has no end of its own: the context is one without a deadline.
func TestOwnerElsewhere(t *testing.T) { // G12
	t.Parallel()

	parked := func(t *testing.T, events int, test func(t *testing.T, r *rig, owner *process, sink *log)) {
		t.Helper()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			owner, sink := r.process("a"), new(log)
			sink.do(failAt("x/2"))
			r.append("x", events)
			owner.start(withPolicy(owner.spec(sink), projection.Park))
			pass(time.Second)
			require.Equal(t, names("x", 2, events), r.letters())
			test(t, r, owner, sink)
			r.requireNoRequests()
		})
	}
	t.Run("DiesAndTheCallerDoesIt", func(t *testing.T) {
		t.Parallel()
		parked(t, 3, func(t *testing.T, r *rig, owner *process, _ *log) {
			owner.kill()
			other, sink, begun := r.process("b"), new(log), time.Now()
			require.NoError(t, other.group.RetryLetters(context.Background(), other.spec(sink)))
			require.Less(t, time.Since(begun), 2*leaseTime)
			require.Equal(t, names("x", 2, 3), sink.handled())
			require.Empty(t, r.letters())
		})
	})
	t.Run("DiesAndTheNextOneDoesIt", func(t *testing.T) {
		t.Parallel()
		parked(t, 3, func(t *testing.T, r *rig, owner *process, _ *log) {
			next, other, sink := r.process("b"), r.process("c"), new(log)
			next.start(withPolicy(next.spec(sink), projection.Park))
			pass(time.Second)
			owner.kill()
			begun := time.Now()
			require.NoError(t, other.group.RetryLetters(context.Background(), other.spec(sink)))
			require.Less(t, time.Since(begun), 3*leaseTime)
			require.Equal(t, names("x", 1, 3), sortedOnce(append(sink.handled(), "x/1")))
			require.Empty(t, r.letters())
		})
	})
	t.Run("HangsAndTheCallerIsTold", func(t *testing.T) {
		t.Parallel()
		parked(t, 3, func(t *testing.T, r *rig, owner *process, sink *log) {
			release := make(chan struct{})
			sink.do(func(_ context.Context, _ string) error { <-release; return nil })
			r.append("y", 1, owner)
			pass(time.Second)
			other, begun := r.process("b"), time.Now()
			err := other.group.DiscardLetters(context.Background(), other.spec(new(log)))
			require.ErrorIs(t, err, consumer.ErrNoAnswer)
			require.ErrorContains(t, err, `shard 0 of consumer "c", for 24s`)
			require.Less(t, time.Since(begun), 4*leaseTime)
			close(release)
			pass(time.Second)
			require.Equal(t, []string{"x/1", "y/1"}, sink.handled())
			require.Equal(t, names("x", 2, 3), r.letters(), "nobody obeys what was withdrawn")
		})
	})
	t.Run("IsSlowAndTheCallerWaits", func(t *testing.T) {
		t.Parallel()
		parked(t, 60, func(t *testing.T, r *rig, _ *process, sink *log) {
			sink.do(func(context.Context, string) error { <-time.After(time.Second); return nil })
			other, begun := r.process("b"), time.Now()
			require.NoError(t, other.group.RetryLetters(context.Background(), other.spec(new(log))))
			require.Greater(t, time.Since(begun), 59*time.Second)
			require.Empty(t, r.letters())
			require.Equal(t, names("x", 1, 60), sink.handled())
		})
	})
}

func sortedOnce(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
