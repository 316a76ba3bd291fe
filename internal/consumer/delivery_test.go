package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

func TestDelivery(t *testing.T) { // G4
	t.Parallel()

	t.Run("CommitWakesAtOnce", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 4)
			p, other, sink, late := r.process("a"), r.process("b"), &log{}, &log{}
			spec := p.spec(sink)
			spec.PullInterval = time.Hour
			p.start(spec)
			another := other.spec(late)
			another.Name, another.PullInterval = "d", time.Minute
			other.start(another)
			pass(leaseTime)
			r.append("x", 1, p)
			pass(0)
			require.Equal(t, names("x", 1, 1), sink.handled())
			require.Empty(t, late.handled())
			pass(time.Minute)
			require.Equal(t, names("x", 1, 1), late.handled(), "polling finds what nobody told of")
		})
	})
	t.Run("DeletedEventsArePassedOver", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink := r.process("a"), &log{}
			r.append("x", 5)
			require.NoError(t, r.store.DeleteEvents(t.Context(), "x", 3))
			p.start(p.spec(sink))
			pass(time.Second)
			require.Equal(t, names("x", 4, 5), sink.handled())
			require.Equal(t, projection.Counts{Handled: 2, Passed: 3}, p.group.Consumer("c").Status().Counts)
		})
	})
	t.Run("FilterPassesOver", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink := r.process("a"), &log{}
			spec := p.spec(sink)
			spec.Filter = projection.Filter{Kinds: []string{"k"}, Tags: []string{"red", "blue"}}
			for i, change := range []func(*egopb.Event){
				func(e *egopb.Event) { e.Kind = "k" },
				func(e *egopb.Event) { e.Kind, e.Tags = "k", []string{"green", "blue"} },
				func(e *egopb.Event) { e.Kind, e.Tags = "l", []string{"red"} },
			} {
				r.write(fmt.Sprint(i), 1, change)
			}
			p.start(spec)
			pass(time.Second)
			require.Equal(t, []string{"1/1"}, sink.handled())
			require.EqualValues(t, 3, r.offset(0))
		})
	})
	t.Run("BrokenOrderStopsTheShardVisibly", func(t *testing.T) { // G3
		t.Parallel()
		for name, breakIt := range map[string]func(page []*egopb.Event) []*egopb.Event{
			"gap":    func(page []*egopb.Event) []*egopb.Event { return slices.Delete(page, 2, 3) },
			"twice":  func(page []*egopb.Event) []*egopb.Event { return slices.Insert(page, 2, page[1]) },
			"turned": func(page []*egopb.Event) []*egopb.Event { page[2], page[3] = page[3], page[2]; return page },
		} {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1)
				p, sink := r.process("a"), &log{}
				r.append("x", 5)
				p.feed = p.group.Feed(brokenSource{consumer.Events(p.store), breakIt}, nil)
				p.start(withPolicy(p.spec(sink), projection.Skip))
				pass(time.Hour)
				require.Equal(t, names("x", 1, 2), sink.handled(), name)
				require.EqualValues(t, 2, r.offset(0))
				var gap *consumer.GapError
				require.ErrorAs(t, p.group.Health(), &gap)
				require.EqualValues(t, 2, gap.After)
				require.Equal(t, projection.Failed, p.group.Consumer("c").Status().State)
			})
		}
	})
	t.Run("BatchFallsBackToSingleEvents", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink := r.process("a"), &batchLog{}
			sink.do(failAt("x/3"))
			spec := withPolicy(p.spec(sink), projection.Skip)
			spec.BatchSize = 4
			r.append("x", 8)
			p.start(spec)
			pass(time.Second)
			require.Equal(t, []string{"x/1", "x/2", "x/1", "x/2", "x/4", "x/5", "x/6", "x/7", "x/8"}, sink.handled())
			require.Equal(t, []int{4, 4}, sink.sizes)
			require.Equal(t, 3, p.faults.Calls("CommitOffset"), "once per batch, and once to fix the start")
		})
	})
	t.Run("EntitiesSideBySide", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			var mu sync.Mutex
			busy, most := map[string]bool{}, 0
			sink := (&log{}).do(func(_ context.Context, name string) error {
				entity := name[:2]
				mu.Lock()
				if busy[entity] {
					t.Errorf("two events of %s at once", entity)
				}
				busy[entity] = true
				most = max(most, len(busy))
				mu.Unlock()
				<-time.After(time.Second)
				mu.Lock()
				delete(busy, entity)
				mu.Unlock()
				return failAt("e3/2")(nil, name)
			})
			for number := range 3 {
				for entity := range 8 {
					_ = number
					r.append(fmt.Sprintf("e%d", entity), 1)
				}
			}
			spec := p.spec(sink)
			spec.Parallelism = 16
			p.start(spec)
			pass(time.Minute)
			require.Greater(t, most, 2)
			byEntity := map[string][]string{}
			for _, name := range sink.handled() {
				byEntity[name[:2]] = append(byEntity[name[:2]], name)
			}
			for entity, handled := range byEntity { // those that share a lane with e3 may have stopped with it
				require.Equal(t, names(entity, 1, len(handled)), handled)
			}
			require.Equal(t, names("e3", 1, 1), byEntity["e3"])
			require.EqualValues(t, 11, r.offset(0), "the offset stands before the first event that is not done")
			require.ErrorIs(t, p.group.Health(), errPoison)
		})
	})
	t.Run("StatesHaveHoles", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink := r.process("a"), &log{}
			p.feed = p.group.Feed(consumer.States(p.store), p.store)
			put := func(id string, revision uint64) {
				require.NoError(t, r.store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: id, Revision: revision}))
				p.feed.CommittedEntity(id)
			}
			for revision := uint64(1); revision <= 3; revision++ {
				put("x", revision)
				put("y", revision)
			}
			p.start(p.spec(sink))
			pass(time.Second)
			require.Equal(t, []string{"x/3", "y/3"}, sink.handled())
			put("x", 4)
			pass(0)
			require.Equal(t, []string{"x/3", "y/3", "x/4"}, sink.handled())
			require.NoError(t, p.group.Health())
		})
	})
	t.Run("IdleCostIsFlat", func(t *testing.T) {
		t.Parallel()
		cost := func(consumers int) (calls map[string]int) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 4)
				p := r.process("a")
				for i := range consumers {
					spec := p.spec(&log{})
					spec.Name = fmt.Sprint("c", i)
					p.start(spec)
				}
				for i := range 100 {
					r.append(fmt.Sprint(i), 1)
				}
				pass(time.Minute)
				calls = map[string]int{}
				operations := []string{"ShardPositions", "GetShardEvents", "Leases", "RenewLeases", "AcquireLeases", "DeadLetters", "*"}
				for _, operation := range operations {
					calls[operation] = -p.faults.Calls(operation)
				}
				pass(time.Minute)
				for _, operation := range operations {
					calls[operation] += p.faults.Calls(operation)
				}
			})
			return calls
		}
		one, many := cost(1), cost(100)
		t.Logf("calls in a minute: 1 consumer %v, 100 consumers %v", one, many)
		require.Zero(t, many["GetShardEvents"])
		require.InDelta(t, one["ShardPositions"], many["ShardPositions"], 2)
		require.LessOrEqual(t, many["*"], one["*"]+many["RenewLeases"], "only renewals come in chunks of a thousand leases")
		require.LessOrEqual(t, many["RenewLeases"], 2*one["RenewLeases"]+2)
	})
}

// brokenSource breaks the pages of a source.
type brokenSource struct {
	consumer.Source
	breakIt func(page []*egopb.Event) []*egopb.Event
}

func (s brokenSource) Read(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
	page, err := s.Source.Read(ctx, shard, after, limit)
	if err != nil || len(page) < 5 {
		return page, err
	}
	return s.breakIt(page), nil
}

// batchLog is a log that takes batches.
type batchLog struct {
	log
	sizes []int
}

func (l *batchLog) HandleBatch(ctx context.Context, records []*consumer.Record) error {
	l.sizes = append(l.sizes, len(records))
	for _, record := range records {
		if err := l.Handle(ctx, record); err != nil {
			return err
		}
	}
	return nil
}

// ledger is a transactional sink on a memory store: what it writes and the offset become visible together.
type ledger struct {
	log
	store   offsetstore.OffsetStore
	outcome func() error // after the commit
}

func (l *ledger) HandleTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error {
	offsets, err := l.store.Offsets(ctx, lease.Consumer)
	if err != nil {
		return err
	}
	stored := uint64(0)
	for _, offset := range offsets {
		stored = offset.GetPosition()
	}
	var seen []string
	for _, event := range events {
		name := fmt.Sprintf("%s/%d", event.PersistenceID, event.SequenceNumber)
		if event.Position <= stored {
			continue
		}
		if l.before != nil {
			if err := l.before(ctx, name); err != nil {
				return &projection.EventError{Event: event, Err: err}
			}
		}
		seen = append(seen, name)
	}
	if position > stored {
		if err := l.store.CommitOffset(ctx, lease, position); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.seen = append(l.seen, seen...)
	l.mu.Unlock()
	if l.outcome != nil {
		return l.outcome()
	}
	return nil
}

func TestTransactions(t *testing.T) { // G4
	t.Parallel()

	t.Run("PoisonedEventCostsItsOwnTransactionOnly", func(t *testing.T) {
		t.Parallel()
		for policy, want := range map[projection.RecoveryPolicy][]string{
			projection.Fail: {"x/1", "y/1"}, projection.Skip: {"x/1", "y/1", "x/3", "y/2"}, projection.Park: {"x/1", "y/1", "y/2"},
		} {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1)
				p := r.process("a")
				sink := &ledger{store: r.store}
				sink.do(failAt("x/2"))
				for _, id := range []string{"x", "y", "x", "x", "y"} {
					r.append(id, 1)
				}
				p.start(withPolicy(p.spec(sink), policy))
				pass(time.Minute)
				require.Equal(t, want, sink.handled(), policy)
				require.EqualValues(t, map[bool]int{true: 2, false: 5}[policy == projection.Fail], r.offset(0))
			})
		}
	})
	t.Run("UnknownOutcomeIsRepeatedHarmlessly", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			sink := &ledger{store: r.store}
			fails := 3
			sink.outcome = func() error {
				if fails--; fails >= 0 {
					return errors.New("the outcome is unknown")
				}
				return nil
			}
			r.append("x", 3)
			p.start(withPolicy(p.spec(sink), projection.Skip))
			pass(1500 * time.Millisecond)
			require.Equal(t, projection.BackingOff, p.group.Consumer("c").Status().State)
			pass(time.Minute)
			require.Equal(t, names("x", 1, 3), sink.handled())
			require.EqualValues(t, 3, r.offset(0))
		})
	})
}
