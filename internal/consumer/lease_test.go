package consumer_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

func TestLeases(t *testing.T) { // G5
	t.Parallel()

	t.Run("ProcessesShareFairly", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 10)
			var processes []*process
			for i, want := range [][]int{{10}, {5, 5}, {4, 3, 3}} {
				p := r.process(string(rune('a' + i)))
				processes = append(processes, p)
				p.start(p.spec(&log{}))
				pass(leaseTime)
				requireShares(t, processes, want)
			}
			require.NoError(t, processes[1].group.StopConsumer(t.Context(), "c"))
			pass(leaseTime / 2)
			requireShares(t, processes, []int{5, 0, 5})
			processes[1].start(processes[1].spec(&log{}))
			pass(leaseTime)
			requireShares(t, processes, []int{4, 3, 3})
		})
	})
	t.Run("MoreProcessesThanShards", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			processes := []*process{r.process("a"), r.process("b"), r.process("c")}
			for _, p := range processes {
				p.start(p.spec(&log{}))
			}
			pass(leaseTime)
			requireShares(t, processes, []int{1, 0, 0})
			processes[0].kill()
			pass(leaseTime)
			requireShares(t, processes[1:], []int{1, 0})
		})
	})
	t.Run("TakeOverWithinTheLeaseTime", func(t *testing.T) {
		t.Parallel()
		for after := range 8 { // whenever in the cycle of renewals it dies
			bubble(t, func(t *testing.T) {
				r := newRig(t, 4)
				dead, alive := r.process("a"), r.process("b")
				dead.start(dead.spec(&log{}))
				alive.start(alive.spec(&log{}))
				pass(2*leaseTime + time.Duration(after)*leaseTime/32)
				requireShares(t, []*process{dead, alive}, []int{2, 2})
				dead.kill()
				pass(leaseTime)
				require.Equal(t, []uint32{0, 1, 2, 3}, alive.shards())
			})
		}
	})
	t.Run("SlowHandlerKeepsItsLease", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			slow, other := r.process("a"), r.process("b")
			sink := (&log{}).do(func(ctx context.Context, _ string) error {
				<-time.After(10 * leaseTime)
				return ctx.Err()
			})
			slow.start(slow.spec(sink))
			pass(time.Second)
			other.start(other.spec(&log{}))
			r.append("x", 1, slow)
			pass(11 * leaseTime)
			require.Equal(t, names("x", 1, 1), sink.handled())
			require.EqualValues(t, 1, r.offset(0))
			require.Empty(t, other.shards())
		})
	})
	t.Run("HandlerIsCanceledBeforeTheLeaseRunsOut", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			cut, other := r.process("a"), r.process("b")
			ended := make(chan time.Time, 1)
			cut.start(withPolicy(cut.spec((&log{}).do(func(ctx context.Context, _ string) error {
				<-ctx.Done()
				ended <- time.Now()
				return errors.New("canceled")
			})), projection.Skip))
			pass(time.Second)
			rescue := &log{}
			taken := make(chan time.Time, 1)
			other.start(other.spec(rescue.do(func(context.Context, string) error {
				taken <- time.Now()
				return nil
			})))
			r.append("x", 1, cut)
			pass(time.Second)
			cut.kill()
			pass(leaseTime)
			require.False(t, (<-ended).After(<-taken), "two handlers at work at once")
			require.Equal(t, names("x", 1, 1), rescue.handled())
			require.Zero(t, cut.group.Consumer("c").Status().Counts.Skipped, "a handler that lost its lease proves nothing")
		})
	})
	t.Run("StoreThatHangsCannotKeepAHandler", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			var cause error
			p.start(p.spec((&log{}).do(func(ctx context.Context, _ string) error {
				if cause == nil {
					<-ctx.Done()
					cause = context.Cause(ctx)
				}
				return ctx.Err()
			})))
			pass(time.Second)
			r.append("x", 1, p)
			pass(0)
			p.faults.On("RenewLeases").Block()
			pass(leaseTime)
			require.ErrorContains(t, cause, "lease lost")
		})
	})
	t.Run("PausedOwnerCannotCommit", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			sink := &log{}
			p.start(p.spec(sink))
			pass(time.Second)
			r.append("x", 1, p)
			pass(0)
			rule := p.faults.On("CommitOffset").First(1)
			release := rule.Block()
			r.append("x", 1, p)
			<-rule.Entered() // between handler and commit
			require.NoError(t, r.store.ResetOffsets(t.Context(), "c", map[uint32]uint64{0: 0}))
			release()
			pass(leaseTime)
			require.Equal(t, slices.Concat(names("x", 1, 2), names("x", 1, 2)), sink.handled(), "the commit of the old epoch counted")
			require.EqualValues(t, 2, r.offset(0))
		})
	})
	t.Run("LostAcknowledgementOfAcquireIsFound", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 4)
			p := r.process("a")
			p.faults.On("AcquireLeases").First(2).FailAfterCommit(errors.New("lost")) // the seat, then the shards
			p.start(p.spec(&log{}))
			pass(leaseTime)
			require.Len(t, p.shards(), 4)
		})
	})
	t.Run("StopGivesEverythingBack", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 4)
			p := r.process("a")
			p.start(p.spec(&log{}))
			pass(time.Second)
			require.NoError(t, p.group.Stop(t.Context()))
			for _, name := range []string{"c", "ego.roster"} {
				leases, err := r.store.Leases(t.Context(), name)
				require.NoError(t, err)
				require.NotEmpty(t, leases)
				for _, lease := range leases {
					require.Empty(t, lease.Owner)
				}
			}
			_, err := p.group.Start(t.Context(), p.spec(&log{}))
			require.Error(t, err)
		})
	})
	t.Run("StopWaitsForTheEventAtHandAndNoMore", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			sink := (&log{}).do(func(context.Context, string) error {
				<-time.After(time.Second)
				return nil
			})
			r.append("x", 100)
			p.start(p.spec(sink))
			pass(2500 * time.Millisecond)
			require.NoError(t, p.group.Stop(t.Context()))
			require.Equal(t, names("x", 1, 3), sink.handled())
			require.EqualValues(t, 3, r.offset(0))
		})
	})
	t.Run("StopInAHurryCancelsHandlers", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			r.append("x", 1)
			p.start(withPolicy(p.spec((&log{}).do(func(ctx context.Context, _ string) error {
				<-ctx.Done()
				return ctx.Err()
			})), projection.Skip))
			pass(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, p.group.Stop(ctx), context.DeadlineExceeded)
			pass(0)
			require.Zero(t, r.offset(0), "an event was skipped because of Stop")
		})
	})
}

func requireShares(t *testing.T, processes []*process, want []int) {
	t.Helper()
	var shares []int
	seen := map[uint32]bool{}
	for _, p := range processes {
		shards := p.shards()
		shares = append(shares, len(shards))
		for _, shard := range shards {
			require.False(t, seen[shard], "shard %d has two owners", shard)
			seen[shard] = true
		}
	}
	require.Equal(t, want, shares)
	leases, err := processes[0].rig.store.Leases(t.Context(), "c")
	require.NoError(t, err)
	require.False(t, slices.ContainsFunc(leases, func(l offsetstore.Lease) bool { return l.Owner == "" }), "a shard without an owner")
}
