package consumer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/projection"
)

// A gate lets handlers wait until it is opened, at the latest at the end of the test.
type gate struct {
	opened chan struct{}
	open   func()
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{opened: make(chan struct{})}
	g.open = sync.OnceFunc(func() { close(g.opened) })
	t.Cleanup(g.open)
	return g
}

// stuckAt waits for a gate at an event.
func stuckAt(name string, release *gate) func(ctx context.Context, name string) error {
	return func(_ context.Context, at string) error {
		if at == name {
			<-release.opened
		}
		return nil
	}
}

// fill appends one event of the entity "slow", and then rounds of one event for each of ten others.
func (r *rig) fill(rounds int) {
	r.t.Helper()
	r.append("slow", 1)
	for range rounds {
		for entity := range 10 {
			r.append(fmt.Sprintf("e%d", entity), 1)
		}
	}
}

func side(spec consumer.Spec, parallelism, batch, window int) consumer.Spec {
	spec.Parallelism, spec.BatchSize, spec.Window = parallelism, batch, window
	return spec
}

func TestWindow(t *testing.T) { // G4
	t.Parallel()

	t.Run("SlowEntityHoldsUpOnlyItself", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink, release := r.process("a"), &log{}, newGate(t)
			sink.do(stuckAt("slow/1", release))
			r.fill(20)
			r.append("slow", 1)
			p.start(side(p.spec(sink), 4, 10, 500))
			pass(time.Minute)
			for entity := range 10 {
				require.Subset(t, sink.handled(), names(fmt.Sprintf("e%d", entity), 1, 20))
			}
			require.Zero(t, r.offset(0), "the offset waits for what is not done")
			require.NotContains(t, sink.handled(), "slow/2")
			release.open()
			pass(time.Second)
			require.EqualValues(t, 202, r.offset(0))
			require.Contains(t, sink.handled(), "slow/2")
			require.Len(t, sink.handled(), 202)
		})
	})
	t.Run("WindowIsBounded", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink, release := r.process("a"), &log{}, newGate(t)
			sink.do(stuckAt("slow/1", release))
			r.fill(20)
			p.start(side(p.spec(sink), 4, 10, 50))
			pass(time.Minute)
			require.Len(t, sink.handled(), 49)
			reads := p.faults.Calls("GetShardEvents")
			pass(time.Hour)
			require.Equal(t, reads, p.faults.Calls("GetShardEvents"), "a full window does not read")
			release.open()
			pass(time.Minute)
			require.EqualValues(t, 201, r.offset(0))
		})
	})
	t.Run("LowWaterMarkIsRecordedNowAndThen", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink, release := r.process("a"), &log{}, newGate(t)
			sink.do(stuckAt("slow/1", release))
			r.append("e0", 3)
			r.append("slow", 1)
			p.start(side(p.spec(sink), 4, 10, 50))
			pass(time.Second)
			require.EqualValues(t, 3, r.offset(0), "less than a batch")
			release.open()
		})
	})
	t.Run("CrashRepeatsWhatIsAboveTheOffset", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			dead, before, release := r.process("a"), &log{}, newGate(t)
			before.do(stuckAt("slow/1", release))
			r.append("e0", 5)
			r.fill(5)
			dead.start(side(dead.spec(before), 4, 10, 500))
			pass(time.Second)
			require.EqualValues(t, 5, r.offset(0))
			dead.kill()
			alive, after := r.process("b"), &log{}
			alive.start(side(alive.spec(after), 4, 10, 500))
			pass(2 * leaseTime)
			release.open()
			pass(time.Second)
			require.Len(t, after.handled(), 51)
			require.Equal(t, names("e0", 6, 10), of("e0", after.handled()))
			require.EqualValues(t, 56, r.offset(0))
			require.Equal(t, names("slow", 1, 1), of("slow", after.handled()))
		})
	})
	t.Run("FailureIsSeenWhileAnotherLaneIsSlow", func(t *testing.T) { // G12
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink, release := r.process("a"), &log{}, newGate(t)
			stuck := stuckAt("slow/1", release)
			sink.do(func(ctx context.Context, name string) error {
				if err := stuck(ctx, name); err != nil {
					return err
				}
				return failAt("e3/2")(ctx, name)
			})
			r.fill(5)
			p.start(side(p.spec(sink), 4, 10, 500))
			pass(time.Second)
			require.ErrorIs(t, p.group.Health(), errPoison)
			release.open()
			pass(time.Second)
			require.Less(t, r.offset(0), uint64(15), "before e3/2")
			require.Equal(t, projection.Failed, p.group.Consumer("c").Status().State)
		})
	})
	t.Run("FailureDoesNotWaitForRetriesOfAnotherLane", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			sink := (&log{}).do(func(_ context.Context, name string) error {
				switch name {
				case "slow/1":
					return consumer.Unavailable(errPoison)
				case "e3/2":
					return errPoison
				}
				return nil
			})
			r.fill(3)
			p.start(side(p.spec(sink), 4, 10, 500))
			pass(time.Minute)
			require.NoError(t, p.group.StopConsumer(t.Context(), "c"), "the lane that waits ends")
		})
	})
	t.Run("ParkedEntitiesWaitAndOthersGoOn", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			sink := (&log{}).do(failAt("e3/2"))
			r.fill(5)
			spec := withPolicy(side(p.spec(sink), 4, 10, 500), projection.Park)
			p.start(spec)
			pass(time.Second)
			require.Equal(t, names("e3", 2, 5), r.letters())
			require.EqualValues(t, 51, r.offset(0))
			sink.do(nil)
			require.NoError(t, p.group.RetryLetters(t.Context(), spec))
			require.Empty(t, r.letters())
			require.Equal(t, names("e3", 1, 5), of("e3", sink.handled()))
		})
	})
	t.Run("OrdersWaitForTheWindow", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink, release := r.process("a"), &log{}, newGate(t)
			sink.do(failAt("e3/2"))
			r.fill(5)
			spec := withPolicy(side(p.spec(sink), 4, 10, 500), projection.Park)
			p.start(spec)
			pass(time.Second)
			sink.do(stuckAt("slow/2", release))
			r.append("slow", 1, p)
			r.append("e3", 1, p)
			pass(0)
			settled := make(chan error, 1)
			go func() { settled <- p.group.RetryLetters(context.Background(), spec) }()
			pass(time.Minute)
			require.Equal(t, names("e3", 2, 6), r.letters())
			release.open()
			require.NoError(t, <-settled)
			require.Empty(t, r.letters())
			require.Equal(t, names("e3", 1, 6), of("e3", sink.handled()))
		})
	})
	t.Run("NoFurtherThanTheWindowFromTheOffset", func(t *testing.T) {
		t.Parallel()
		for window, handled := range map[int]int{0: 10, 10: 10, 20: 20, 25: 20} {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1)
				p, sink := r.process("a"), &log{}
				r.append("x", 50)
				p.faults.On("CommitOffset").From(2).Fail(errPoison) // the first fixes where it starts
				p.start(side(p.spec(sink), 1, 10, window))
				pass(time.Minute)
				require.Equal(t, names("x", 1, handled), sink.handled(), window)
				p.faults.Clear()
				pass(time.Minute)
				require.Equal(t, names("x", 1, 50), sink.handled())
				require.EqualValues(t, 50, r.offset(0))
			})
		}
	})
	t.Run("BatchesSideBySide", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink := r.process("a"), &parallelBatches{}
			r.fill(30)
			p.start(side(p.spec(sink), 3, 60, 500))
			pass(time.Minute)
			require.EqualValues(t, 301, r.offset(0))
			require.Greater(t, sink.most.Load(), int64(1), "batches run side by side")
			require.Less(t, sink.calls.Load(), int64(60), "and are no single events")
			for entity := range 10 {
				require.Equal(t, names(fmt.Sprintf("e%d", entity), 1, 30), of(fmt.Sprintf("e%d", entity), sink.handled()))
			}
		})
	})
	t.Run("HandledInOrderWhateverHappens", func(t *testing.T) {
		t.Parallel()
		for range 20 {
			seed := rand.Uint64()
			bubble(t, func(t *testing.T) { randomWindow(t, seed) })
		}
	})
}

// randomWindow has a consumer handle events of a few entities at random speed, with failures, while more are appended and
// processes come and go.
func randomWindow(t *testing.T, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	dice := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	r := newRig(t, 2)
	sink := (&log{}).do(func(context.Context, string) error {
		<-time.After(time.Duration(dice(50)) * time.Millisecond)
		if dice(10) == 0 {
			return errPoison
		}
		return nil
	})
	batch := 1 + dice(20)
	start := func(name string) *process {
		p := r.process(name)
		spec := side(p.spec(sink), 1+dice(8), batch, batch*(1+dice(4)))
		p.start(withPolicy(spec, projection.RetryAndFail, projection.WithRetries(1000), projection.WithRetryDelay(time.Millisecond)))
		return p
	}
	p := start("0")
	for round := range 5 {
		for range 40 {
			r.append(fmt.Sprintf("e%d", dice(7)), 1, p)
		}
		pass(time.Duration(dice(1000)) * time.Millisecond)
		switch dice(3) {
		case 0:
			p.kill()
			p = start(fmt.Sprint("killed", round))
		case 1:
			require.NoError(t, p.group.Stop(t.Context()))
			p = start(fmt.Sprint("stopped", round))
		}
	}
	pass(5 * time.Minute)
	for entity := range 7 {
		id := fmt.Sprintf("e%d", entity)
		latest, err := r.store.GetLatestEvent(t.Context(), id)
		require.NoError(t, err)
		next := 1
		for _, name := range of(id, sink.handled()) { // those that come again come in order too
			var number int
			_, err := fmt.Sscanf(strings.TrimPrefix(name, id+"/"), "%d", &number)
			require.NoError(t, err)
			require.LessOrEqual(t, number, next, "seed %d: %s", seed, name)
			next = number + 1
		}
		require.EqualValues(t, latest.GetSequenceNumber()+1, next, "seed %d: %s", seed, id)
	}
	heads, err := r.store.ShardPositions(t.Context())
	require.NoError(t, err)
	for shard, head := range heads {
		require.Equal(t, head, r.offset(shard), "seed %d", seed)
	}
}

// of returns the events of an entity.
func of(id string, handled []string) []string {
	return slices.DeleteFunc(slices.Clone(handled), func(name string) bool { return !strings.HasPrefix(name, id+"/") })
}

// parallelBatches takes batches, slowly.
type parallelBatches struct {
	log
	calls, running, most atomic.Int64
}

func (l *parallelBatches) HandleBatch(ctx context.Context, records []*consumer.Record) error {
	l.calls.Add(1)
	if now := l.running.Add(1); now > l.most.Load() {
		l.most.Store(now)
	}
	defer l.running.Add(-1)
	<-time.After(time.Second)
	for _, record := range records {
		if err := l.Handle(ctx, record); err != nil {
			return err
		}
	}
	return nil
}
