package consumer_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/projection"
)

// exitAt ends the goroutine at the events named, and counts how often.
func exitAt(count *atomic.Int64, names ...string) func(ctx context.Context, name string) error {
	fails := failAt(names...)
	return func(ctx context.Context, name string) error {
		if fails(ctx, name) != nil {
			count.Add(1)
			runtime.Goexit()
		}
		return nil
	}
}

// TestGoexit has code of the user end the goroutine that it runs in, as t.FailNow does. That is a failure of the event.
func TestGoexit(t *testing.T) { // G11
	t.Parallel()

	for _, c := range []struct {
		policy  projection.RecoveryPolicy
		tries   int
		handled []string
	}{
		{projection.Fail, 1, names("x", 1, 1)},
		{projection.RetryAndFail, 4, names("x", 1, 1)},
		{projection.RetryAndSkip, 4, []string{"x/1", "x/3"}},
		{projection.Park, 4, []string{"x/1"}},
	} {
		for name, parallelism := range map[string]int{"OneByOne": 1, "SideBySide": 4} {
			t.Run(c.policy.String()+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					r := newRig(t, 1)
					p, tries := r.process("a"), new(atomic.Int64)
					sink := (&log{}).do(exitAt(tries, "x/2"))
					r.append("x", 3)
					spec := side(p.spec(sink), parallelism, 10, 0)
					p.start(withPolicy(spec, c.policy, projection.WithRetries(3), projection.WithRetryDelay(time.Minute)))
					pass(time.Second)
					require.EqualValues(t, 1, tries.Load(), "it waits before it tries again")
					pass(10 * time.Minute)
					require.EqualValues(t, c.tries, tries.Load())
					require.Equal(t, c.handled, sink.handled())
					require.Equal(t, 2, p.faults.Calls("AcquireLeases"), "a seat, and the shard once")
					if c.policy == projection.Fail || c.policy == projection.RetryAndFail {
						require.ErrorIs(t, p.group.Health(), projection.ErrGoexit)
						require.EqualValues(t, 1, r.offset(0))
						return
					}
					require.NoError(t, p.group.Health())
					require.EqualValues(t, 3, r.offset(0))
				})
			})
		}
	}
	t.Run("InABatch", func(t *testing.T) {
		t.Parallel()
		for _, parallelism := range []int{1, 4} {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1)
				p, sink, tries := r.process("a"), &batchLog{}, new(atomic.Int64)
				sink.do(exitAt(tries, "x/2"))
				r.append("x", 3)
				p.start(withPolicy(side(p.spec(sink), parallelism, 10, 0), projection.Skip))
				pass(time.Second)
				require.EqualValues(t, 2, tries.Load(), "with the others, and by itself")
				require.Equal(t, []string{"x/1", "x/1", "x/3"}, sink.handled())
				require.EqualValues(t, 3, r.offset(0))
			})
		}
	})
	t.Run("InATransaction", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, tries := r.process("a"), new(atomic.Int64)
			sink := &ledger{store: r.store}
			sink.do(exitAt(tries, "x/2"))
			r.append("x", 3)
			p.start(withPolicy(p.spec(sink), projection.Skip))
			pass(time.Second)
			require.EqualValues(t, 2, tries.Load())
			require.Equal(t, []string{"x/1", "x/3"}, sink.handled())
			require.EqualValues(t, 3, r.offset(0))
		})
	})
	t.Run("WhileAnEventIsOpened", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink := r.process("a"), &log{}
			spec := withPolicy(p.spec(sink), projection.RetryAndSkip, projection.WithRetries(2))
			opens := 0
			spec.Open = consumer.OpenerFunc(func(ctx context.Context, stored *egopb.Event) ([]*projection.Event, error) {
				if stored.GetSequenceNumber() == 2 {
					opens++
					runtime.Goexit()
				}
				return opener{}.Open(ctx, stored)
			})
			var gaveUp []string
			spec.GaveUp = func(_ context.Context, letter *egopb.DeadLetter) {
				gaveUp = append(gaveUp, letter.GetReason())
				runtime.Goexit() // the callback does it too
			}
			r.append("x", 3)
			p.start(spec)
			pass(time.Minute)
			require.Equal(t, []string{"x/1", "x/3"}, sink.handled())
			require.Equal(t, []string{projection.ErrGoexit.Error()}, gaveUp)
			require.LessOrEqual(t, opens, 4)
			require.EqualValues(t, 3, r.offset(0))
		})
	})
	t.Run("InARetryOfADeadLetter", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, tries := r.process("a"), new(atomic.Int64)
			sink := (&log{}).do(exitAt(tries, "x/2"))
			r.append("x", 3)
			spec := withPolicy(p.spec(sink), projection.Park)
			p.start(spec)
			pass(time.Second)
			require.NoError(t, p.group.RetryLetters(t.Context(), spec))
			require.EqualValues(t, 2, tries.Load())
			require.Equal(t, names("x", 2, 3), r.letters())
			sink.do(nil)
			require.NoError(t, p.group.RetryLetters(t.Context(), spec))
			require.Equal(t, names("x", 1, 3), sink.handled())
			require.NoError(t, p.group.Health())
		})
	})
}
