package consumer_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/projection"
)

// lagOf returns what the status of the consumer says about shard 0, without asking the store.
func (p *process) lagOf() projection.Lag {
	p.rig.t.Helper()
	asked := p.faults.Calls("*")
	for _, status := range p.group.Statuses() {
		for _, shard := range status.Shards {
			if shard.Shard == 0 {
				require.Equal(p.rig.t, asked, p.faults.Calls("*"))
				require.NotNil(p.rig.t, shard.Lag)
				return *shard.Lag
			}
		}
	}
	p.rig.t.Fatal("the shard is not here")
	return projection.Lag{}
}

func TestLocalLag(t *testing.T) {
	t.Parallel()

	t.Run("OfAShardThatFailed", func(t *testing.T) {
		t.Parallel()
		for _, parallelism := range []int{1, 4} {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1)
				p := r.process("a")
				sink := (&log{}).do(failAt("x/3"))
				p.start(side(p.spec(sink), parallelism, 10, 0))
				pass(time.Second)
				r.append("x", 2, p)
				pass(time.Second)
				require.Zero(t, p.lagOf(), "it has caught up")
				r.append("x", 1, p)
				pass(time.Minute)
				require.Equal(t, projection.Lag{Events: 1, Behind: time.Minute}, p.lagOf())
				r.append("x", 4)
				pass(time.Minute)
				require.Equal(t, projection.Lag{Events: 5, Behind: 2 * time.Minute}, p.lagOf())
				status := p.group.Consumer("c").Status()
				require.Equal(t, "handler", status.Shards[0].Reason)
			})
		}
	})
	t.Run("OfASlowEntity", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink, release := r.process("a"), &log{}, newGate(t)
			sink.do(stuckAt("slow/1", release))
			p.start(side(p.spec(sink), 4, 10, 500))
			pass(time.Second)
			r.fill(2)
			pass(time.Hour)
			require.Equal(t, uint64(21), p.lagOf().Events)
			require.InDelta(t, time.Hour, p.lagOf().Behind, float64(2*time.Second))
			release.open()
			pass(time.Second)
			require.Zero(t, p.lagOf())
		})
	})
	t.Run("WhenClocksDisagree", func(t *testing.T) {
		t.Parallel()
		for _, step := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1)
				p := r.process("a")
				sink := (&log{}).do(failAt("x/1"))
				p.start(p.spec(sink))
				r.write("x", 1, func(e *egopb.Event) { e.TimeUnixNano = time.Now().Add(step).UnixNano() })
				p.feed.CommittedEntity("x")
				pass(time.Second)
				require.Equal(t, projection.Lag{Events: 1, Behind: max(time.Second-step, 0)}, p.lagOf())
			})
		}
	})
	t.Run("WhileTheStoreCannotBeRead", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink := r.process("a"), &log{}
			p.start(p.spec(sink))
			pass(time.Second)
			p.faults.On("GetShardEvents").Fail(errPoison)
			r.append("x", 3)
			pass(10 * time.Second)
			require.EqualValues(t, 3, p.lagOf().Events)
			require.InDelta(t, 10*time.Second, p.lagOf().Behind, float64(time.Second))
			require.Equal(t, "store", p.group.Consumer("c").Status().Shards[0].Reason)
			p.faults.Clear()
			pass(time.Minute)
			require.Zero(t, p.lagOf())
		})
	})
	t.Run("ReasonsOfPanicsAndExits", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			sink := (&log{}).do(func(context.Context, string) error { panic("boom") })
			p.start(p.spec(sink))
			r.append("x", 1, p)
			pass(time.Second)
			require.Equal(t, "panic", p.group.Consumer("c").Status().Shards[0].Reason)
		})
	})
}
