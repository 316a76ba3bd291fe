package consumer_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/projection"
)

func TestStartAndRebuild(t *testing.T) {
	t.Parallel()

	// Events of one shard whose writers' clocks disagree: position → minute.
	minutes := []int{0, 1, 9, 2, 3, 4, 5, 1, 6}
	clocks := func(t *testing.T, test func(t *testing.T, r *rig, p *process, sink *log, at func(minute int) time.Time)) {
		t.Helper()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			origin := time.Now()
			at := func(minute int) time.Time { return origin.Add(time.Duration(minute) * time.Minute) }
			for _, minute := range minutes {
				r.write("x", 1, func(event *egopb.Event) { event.TimeUnixNano = at(minute).UnixNano() })
			}
			test(t, r, r.process("a"), &log{}, at)
		})
	}
	for minute, first := range map[int]int{0: 1, 1: 2, 2: 3, 8: 3, 9: 3, 10: 10} {
		t.Run(fmt.Sprintf("From/minute=%d", minute), func(t *testing.T) {
			t.Parallel()
			clocks(t, func(t *testing.T, r *rig, p *process, sink *log, at func(int) time.Time) {
				spec := p.spec(sink)
				spec.StartFrom = at(minute)
				p.start(spec)
				pass(time.Second)
				require.Equal(t, names("x", first, 9), sink.handled(), "all from the first that is not older")
			})
		})
		t.Run(fmt.Sprintf("Rebuild/minute=%d", minute), func(t *testing.T) {
			t.Parallel()
			clocks(t, func(t *testing.T, r *rig, p *process, sink *log, at func(int) time.Time) {
				p.start(p.spec(sink))
				pass(time.Second)
				require.NoError(t, p.group.Rebuild(t.Context(), p.spec(sink), at(minute)))
				pass(leaseTime)
				require.Equal(t, slices.Concat(names("x", 1, 9), names("x", first, 9)), sink.handled())
			})
		})
	}
	t.Run("FromNow", func(t *testing.T) {
		t.Parallel()
		clocks(t, func(t *testing.T, r *rig, p *process, sink *log, _ func(int) time.Time) {
			spec := p.spec(sink)
			spec.FromNow = true
			p.start(spec)
			r.append("x", 1) // at once, before anything else of the consumer has run
			pass(2 * time.Second)
			require.Equal(t, names("x", 10, 10), sink.handled())
			require.NoError(t, p.group.StopConsumer(t.Context(), "c"))
			r.append("x", 1)
			p.start(spec)
			pass(2 * time.Second)
			require.Equal(t, names("x", 10, 11), sink.handled(), "it counts only while there is no offset")
		})
	})
	t.Run("RebuildIsAllOrNothing", func(t *testing.T) {
		t.Parallel()
		clocks(t, func(t *testing.T, r *rig, p *process, sink *log, _ func(int) time.Time) {
			p.start(p.spec(sink))
			pass(time.Second)
			p.faults.On("ResetOffsets").First(1).Fail(persistence.DefinitelyNotWritten(errPoison))
			require.ErrorIs(t, p.group.Rebuild(t.Context(), p.spec(sink), time.Time{}), errPoison)
			pass(leaseTime)
			require.Equal(t, names("x", 1, 9), sink.handled())
			p.faults.On("ResetOffsets").First(1).FailAfterCommit(errPoison)
			require.ErrorIs(t, p.group.Rebuild(t.Context(), p.spec(sink), time.Time{}), errPoison)
			pass(leaseTime)
			require.Equal(t, slices.Concat(names("x", 1, 9), names("x", 1, 9)), sink.handled())
		})
	})
	t.Run("RebuildByAnotherProcess", func(t *testing.T) {
		t.Parallel()
		clocks(t, func(t *testing.T, r *rig, p *process, sink *log, _ func(int) time.Time) {
			p.start(withPolicy(p.spec(sink.do(failAt("x/4"))), projection.Park))
			pass(time.Second)
			require.Equal(t, names("x", 4, 9), r.letters())
			sink.do(nil)
			other := r.process("b")
			require.NoError(t, other.group.Rebuild(t.Context(), other.spec(&log{}), time.Time{}))
			pass(leaseTime)
			require.Empty(t, r.letters(), "what is delivered again is not set aside any more")
			require.Equal(t, slices.Concat(names("x", 1, 3), names("x", 1, 9)), sink.handled())
		})
	})
}

func TestLag(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, 2)
		p := r.process("a")
		id, other := entityIn(0, 2, 0), entityIn(1, 2, 0)
		spec := p.spec(&log{})
		lag := func(spec consumer.Spec) map[uint32]projection.Lag {
			t.Helper()
			lags, err := p.group.Lag(t.Context(), spec)
			require.NoError(t, err)
			return lags
		}
		require.Equal(t, map[uint32]projection.Lag{0: {}, 1: {}}, lag(spec), "nothing to do")

		r.append(id, 3)
		<-time.After(time.Minute)
		r.append(id, 1)
		require.Equal(t, map[uint32]projection.Lag{0: {Events: 4, Behind: time.Minute}, 1: {}}, lag(spec), "never ran")
		fromNow := spec
		fromNow.FromNow = true
		require.Equal(t, map[uint32]projection.Lag{0: {}, 1: {}}, lag(fromNow), "never ran, and has nothing to catch up with")

		r.write(other, 1, func(event *egopb.Event) { event.TimeUnixNano = time.Now().Add(5 * time.Minute).UnixNano() })
		require.Equal(t, projection.Lag{Events: 1}, lag(spec)[1], "a writer whose clock is ahead")

		p.start(spec)
		pass(time.Hour)
		require.Equal(t, map[uint32]projection.Lag{0: {}, 1: {}}, lag(spec), "caught up and idle")
		require.NoError(t, p.group.StopConsumer(t.Context(), "c"))
		r.append(id, 2)
		require.NoError(t, r.store.DeleteEvents(t.Context(), id, 5))
		<-time.After(time.Second)
		require.Equal(t, projection.Lag{Events: 2, Behind: time.Second}, lag(spec)[0], "stopped, and the oldest was deleted")
	})
}
