package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/projection"
)

func withPolicy(spec consumer.Spec, policy projection.RecoveryPolicy, opts ...projection.RecoveryOption) consumer.Spec {
	spec.Recovery = projection.NewRecovery(append([]projection.RecoveryOption{projection.WithRecoveryPolicy(policy)}, opts...)...)
	return spec
}

func TestPolicies(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		policy   projection.RecoveryPolicy
		attempts int
		handled  []string
		state    projection.State
	}{
		{projection.Fail, 1, names("x", 1, 1), projection.Failed},
		{projection.RetryAndFail, 4, names("x", 1, 1), projection.Failed},
		{projection.Skip, 1, []string{"x/1", "x/3"}, projection.Running},
		{projection.RetryAndSkip, 4, []string{"x/1", "x/3"}, projection.Running},
		{projection.Park, 4, []string{"x/1"}, projection.Running},
	} {
		t.Run(c.policy.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1)
				p := r.process("a")
				attempts := 0
				sink := (&log{}).do(func(ctx context.Context, name string) error {
					if name == "x/2" {
						attempts++
					}
					return failAt("x/2")(ctx, name)
				})
				r.append("x", 3)
				p.start(withPolicy(p.spec(sink), c.policy, projection.WithRetries(3), projection.WithRetryDelay(time.Minute)))
				pass(time.Hour)
				require.Equal(t, c.attempts, attempts)
				require.Equal(t, c.handled, sink.handled())
				status := p.group.Consumer("c").Status()
				require.Equal(t, c.state, status.State)
				require.EqualValues(t, c.attempts-1, status.Counts.Retries)
				if c.state != projection.Failed {
					require.NoError(t, p.group.Health())
					require.EqualValues(t, 3, r.offset(0))
					return
				}
				require.EqualValues(t, 1, r.offset(0))
				require.ErrorIs(t, status.Err, errPoison)
				require.ErrorIs(t, p.group.Health(), errPoison)
				var failed *consumer.EventError
				require.ErrorAs(t, status.Err, &failed)
				require.Equal(t, "x", failed.PersistenceID)
				require.EqualValues(t, 2, failed.Number)
				require.Equal(t, []uint32{0}, p.shards(), "a failed shard stays where its failure is seen")
			})
		})
	}
	t.Run("OtherShardsGoOn", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 2)
			p := r.process("a")
			bad, good := entityIn(0, 2, 0), entityIn(1, 2, 0)
			sink := (&log{}).do(failAt(bad + "/1"))
			p.start(p.spec(sink))
			r.append(bad, 1)
			r.append(good, 2)
			pass(time.Minute)
			require.Equal(t, names(good, 1, 2), sink.handled())
		})
	})
	t.Run("PanicIsAFailureOfTheEvent", func(t *testing.T) { // G11
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			sink := (&log{}).do(func(_ context.Context, name string) error {
				if name == "x/2" {
					panic("boom")
				}
				return nil
			})
			r.append("x", 3)
			p.start(withPolicy(p.spec(sink), projection.Skip))
			pass(time.Second)
			require.Equal(t, []string{"x/1", "x/3"}, sink.handled())
			require.EqualValues(t, 1, p.group.Consumer("c").Status().Counts.Skipped)
		})
	})
	t.Run("EventThatCannotBeOpenedIsOne", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			sink := &log{}
			var gaveUp []string
			spec := withPolicy(p.spec(sink), projection.Skip)
			spec.Open = consumer.OpenerFunc(func(ctx context.Context, stored *egopb.Event) ([]*projection.Event, error) {
				switch stored.GetSequenceNumber() {
				case 2:
					return nil, errPoison
				case 3:
					return nil, nil // erased
				case 4:
					panic("boom")
				}
				return opener{}.Open(ctx, stored)
			})
			spec.GaveUp = func(_ context.Context, letter *egopb.DeadLetter) {
				gaveUp = append(gaveUp, fmt.Sprintf("%d %s", letter.GetEvent().GetSequenceNumber(), letter.GetReason()))
				panic("the callback panics too")
			}
			r.append("x", 5)
			p.start(spec)
			pass(time.Second)
			require.Equal(t, []string{"x/1", "x/5"}, sink.handled())
			require.Equal(t, []string{"2 poison", "4 projection: the handler panicked: boom"}, gaveUp)
			counts := p.group.Consumer("c").Status().Counts
			require.Equal(t, projection.Counts{Handled: 2, Passed: 1, Skipped: 2}, counts)
		})
	})
	t.Run("UnavailableSinkIsWaitedFor", func(t *testing.T) { // G6
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			var tried []time.Duration
			started := time.Now()
			sink := (&log{}).do(func(context.Context, string) error {
				if tried = append(tried, time.Since(started)); len(tried) < 9 {
					return consumer.Unavailable(errPoison)
				}
				return nil
			})
			r.append("x", 1)
			p.start(withPolicy(p.spec(sink), projection.Skip))
			pass(20 * time.Second)
			require.ErrorIs(t, p.group.Health(), errPoison)
			require.Equal(t, projection.BackingOff, p.group.Consumer("c").Status().State)
			pass(time.Hour)
			require.Equal(t, names("x", 1, 1), sink.handled())
			var waits []time.Duration
			for i := 1; i < len(tried); i++ {
				waits = append(waits, (tried[i]-tried[i-1])/time.Second)
			}
			require.Equal(t, []time.Duration{1, 2, 4, 8, 16, 30, 30, 30}, waits)
			require.NoError(t, p.group.Health())
		})
	})
	t.Run("StoreErrorsBackOffAndRecover", func(t *testing.T) { // G12
		t.Parallel()
		for _, operation := range []string{"GetShardEvents", "CommitOffset", "Offsets", "ParkedEntities", "Leases", "AcquireLeases", "ShardPositions"} {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1)
				p := r.process("a")
				down := errors.New("down")
				p.faults.On(operation).First(5).Fail(down)
				sink := &log{}
				r.append("x", 1)
				p.start(p.spec(sink))
				pass(1500 * time.Millisecond)
				require.ErrorIs(t, p.group.Health(), down, operation)
				pass(time.Minute)
				require.NoError(t, p.group.Health(), operation)
				require.Contains(t, sink.handled(), "x/1")
				require.EqualValues(t, 1, r.offset(0))
			})
		}
	})
}

func TestParking(t *testing.T) {
	t.Parallel()

	parking := func(t *testing.T, shards uint32, test func(t *testing.T, r *rig, p *process, sink *log)) {
		t.Helper()
		bubble(t, func(t *testing.T) {
			r := newRig(t, shards)
			p := r.process("a")
			sink := (&log{}).do(failAt("x/2"))
			r.append("x", 3)
			r.append("y", 2)
			p.start(withPolicy(p.spec(sink), projection.Park))
			pass(time.Second)
			require.Equal(t, slices.Concat(names("x", 1, 1), names("y", 1, 2)), sink.handled())
			require.Equal(t, names("x", 2, 3), r.letters())
			test(t, r, p, sink)
		})
	}
	t.Run("HoldsLaterEventsOfTheEntity", func(t *testing.T) {
		t.Parallel()
		parking(t, 1, func(t *testing.T, r *rig, p *process, sink *log) {
			r.append("x", 1, p)
			r.append("y", 1, p)
			pass(0)
			require.Equal(t, names("x", 2, 4), r.letters())
			require.Equal(t, slices.Concat(names("x", 1, 1), names("y", 1, 3)), sink.handled())
		})
	})
	t.Run("RetryInOrderThenGoesOn", func(t *testing.T) {
		t.Parallel()
		parking(t, 1, func(t *testing.T, r *rig, p *process, sink *log) {
			sink.do(nil)
			require.NoError(t, p.group.RetryLetters(t.Context(), p.spec(sink)))
			require.Empty(t, r.letters())
			r.append("x", 1, p)
			pass(0)
			require.Equal(t, slices.Concat(names("x", 1, 1), names("y", 1, 2), names("x", 2, 4)), sink.handled())
		})
	})
	t.Run("RetryThatFailsGoesBackInPlace", func(t *testing.T) {
		t.Parallel()
		parking(t, 1, func(t *testing.T, r *rig, p *process, sink *log) {
			sink.do(failAt("x/3"))
			require.NoError(t, p.group.RetryLetters(t.Context(), p.spec(sink), "x", "unknown"))
			require.Equal(t, names("x", 3, 3), r.letters())
			r.append("x", 1, p)
			pass(0)
			require.Equal(t, names("x", 3, 4), r.letters())
			for letter, err := range r.store.DeadLetters(t.Context(), "c") {
				require.NoError(t, err)
				if letter.GetEvent().GetSequenceNumber() == 3 {
					require.EqualValues(t, 1, letter.GetAttempts())
					require.Equal(t, "poison", letter.GetReason())
				}
			}
		})
	})
	t.Run("DiscardLetsTheEntityGo", func(t *testing.T) {
		t.Parallel()
		parking(t, 1, func(t *testing.T, r *rig, p *process, sink *log) {
			require.NoError(t, p.group.DiscardLetters(t.Context(), p.spec(sink), "x"))
			require.Empty(t, r.letters())
			r.append("x", 1, p)
			pass(0)
			require.Equal(t, slices.Concat(names("x", 1, 1), names("y", 1, 2), names("x", 4, 4)), sink.handled())
		})
	})
	t.Run("FromAnotherProcess", func(t *testing.T) {
		t.Parallel()
		parking(t, 1, func(t *testing.T, r *rig, p *process, sink *log) {
			other := r.process("b")
			sink.do(nil)
			never := (&log{}).do(failAt(names("x", 1, 9)...))
			require.NoError(t, other.group.RetryLetters(t.Context(), other.spec(never)))
			require.Empty(t, never.handled(), "only the owner handles")
			require.Empty(t, r.letters())
			require.Equal(t, slices.Concat(names("x", 1, 1), names("y", 1, 2), names("x", 2, 3)), sink.handled())
			for request, err := range r.store.DeadLetters(t.Context(), "ego.requests") {
				require.NoError(t, err)
				t.Fatalf("request %v is left", request)
			}
		})
	})
	t.Run("WhenNobodyIsTheOwner", func(t *testing.T) {
		t.Parallel()
		parking(t, 1, func(t *testing.T, r *rig, p *process, sink *log) {
			require.NoError(t, p.group.StopConsumer(t.Context(), "c"))
			sink.do(nil)
			require.NoError(t, p.group.RetryLetters(t.Context(), p.spec(sink)))
			require.Empty(t, r.letters())
			require.Equal(t, slices.Concat(names("x", 1, 1), names("y", 1, 2), names("x", 2, 3)), sink.handled())
			p.start(withPolicy(p.spec(sink), projection.Park))
			r.append("x", 1)
			pass(2 * time.Second)
			require.Equal(t, "x/4", sink.handled()[5])
		})
	})
	t.Run("NextOwnerHoldsThemToo", func(t *testing.T) {
		t.Parallel()
		parking(t, 1, func(t *testing.T, r *rig, p *process, sink *log) {
			require.NoError(t, p.group.StopConsumer(t.Context(), "c"))
			r.append("x", 1)
			other, next := r.process("b"), &log{}
			other.start(withPolicy(other.spec(next), projection.Fail)) // whatever its policy
			pass(time.Second)
			require.Empty(t, next.handled())
			require.Equal(t, names("x", 2, 4), r.letters())
		})
	})
	t.Run("CrashBetweenParkingAndOffset", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			dead := r.process("a")
			r.append("x", 3)
			r.append("y", 1)
			dead.faults.On("CommitOffset").From(2).Fail(errPoison) // the first fixes where it starts
			dead.start(withPolicy(dead.spec((&log{}).do(failAt("x/2"))), projection.Park))
			pass(100 * time.Millisecond)
			require.Equal(t, names("x", 2, 3), r.letters())
			require.Zero(t, r.offset(0))
			dead.kill()
			alive, sink := r.process("b"), &log{}
			alive.start(withPolicy(alive.spec(sink), projection.Park))
			pass(2 * leaseTime)
			require.Equal(t, names("y", 1, 1), sink.handled(), "what follows a dead letter waits, and so does what comes again before it")
			require.NoError(t, alive.group.RetryLetters(t.Context(), alive.spec(sink)))
			require.Equal(t, slices.Concat(names("y", 1, 1), names("x", 1, 3)), sink.handled())
			require.Empty(t, r.letters())
		})
	})
	t.Run("RetryWhileTheStoreFails", func(t *testing.T) {
		t.Parallel()
		parking(t, 1, func(t *testing.T, r *rig, p *process, sink *log) {
			sink.do(nil)
			p.faults.On("DeleteDeadLetters").First(2).Fail(errPoison)
			require.NoError(t, p.group.RetryLetters(t.Context(), p.spec(sink)))
			require.Empty(t, r.letters())
			require.Equal(t, slices.Concat(names("x", 1, 1), names("y", 1, 2), names("x", 2, 3)), sink.handled())
		})
	})
}
