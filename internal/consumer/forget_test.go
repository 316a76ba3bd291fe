package consumer_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

// forgetting is the spec of a sink that is told of the ends of erased entities, here the events of the kind "end".
func (p *process) forgetting(sink consumer.Sink, policy projection.RecoveryPolicy) consumer.Spec {
	spec := withPolicy(p.spec(sink), policy)
	spec.Erasure = func(stored *egopb.Event) bool { return stored.GetKind() == "end" }
	spec.Forgets = true
	return spec
}

// end ends the life of an entity.
func (r *rig) end(id string, tell ...*process) {
	r.t.Helper()
	r.write(id, 1, func(event *egopb.Event) { event.Kind = "end" })
	for _, p := range tell {
		p.feed.CommittedEntity(id)
	}
}

// sinks are the sorts of sinks, each with the log of what it handles.
func sinks(r *rig) map[string]struct {
	sink consumer.Sink
	log  *log
} {
	single, batch, book := new(log), new(batchLog), &ledger{store: r.store}
	return map[string]struct {
		sink consumer.Sink
		log  *log
	}{
		"Single":      {single, single},
		"Batch":       {batch, &batch.log},
		"Transaction": {book, &book.log},
	}
}

// eachSink runs a test with a process for each sort of sink.
func eachSink(t *testing.T, test func(t *testing.T, r *rig, p *process, sink consumer.Sink, log *log)) {
	t.Helper()
	for _, name := range []string{"Single", "Batch", "Transaction"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1)
				of := sinks(r)[name]
				test(t, r, r.process("a"), of.sink, of.log)
			})
		})
	}
}

func TestForgetting(t *testing.T) { // G10
	t.Parallel()

	t.Run("TheEndIsToldAndFreesTheEntity", func(t *testing.T) {
		t.Parallel()
		for _, after := range []bool{false, true} { // does the end come with the events or after them
			eachSink(t, func(t *testing.T, r *rig, p *process, sink consumer.Sink, log *log) {
				log.do(failAt("x/2"))
				r.append("x", 3)
				r.append("y", 1)
				if after {
					p.start(p.forgetting(sink, projection.Park))
					pass(time.Second)
					require.Equal(t, names("x", 2, 3), r.letters())
				}
				r.end("x", p)
				r.append("x", 2, p) // another life
				r.append("y", 1, p)
				if !after {
					p.start(p.forgetting(sink, projection.Park))
				}
				pass(time.Second)
				require.Empty(t, r.letters())
				require.Equal(t, []string{"x/1", "x/4", "x/5", "x/6"}, slices.Compact(ofEntity(log.handled(), "x")))
				require.Equal(t, names("y", 1, 2), ofEntity(log.handled(), "y"))
				require.EqualValues(t, 8, r.offset(0))
			})
		}
	})
	t.Run("SinkThatIsNotToldFreesTheEntityToo", func(t *testing.T) {
		t.Parallel()
		eachSink(t, func(t *testing.T, r *rig, p *process, sink consumer.Sink, log *log) {
			log.do(failAt("x/2"))
			spec := p.forgetting(sink, projection.Park)
			spec.Forgets = false
			p.start(spec)
			r.append("x", 3, p)
			pass(time.Second)
			require.Equal(t, names("x", 2, 3), r.letters())
			r.end("x", p)
			r.append("x", 1, p)
			pass(time.Second)
			require.Empty(t, r.letters())
			require.Equal(t, []string{"x/1", "x/5"}, slices.Compact(log.handled()))
			require.EqualValues(t, 5, r.offset(0))
		})
	})
	t.Run("TheEndIsParkedWhenTheSinkFailsAtIt", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink := r.process("a"), new(log)
			sink.do(failAt("x/2", "x/4"))
			p.start(p.forgetting(sink, projection.Park))
			r.append("x", 3, p)
			r.end("x", p)
			r.append("x", 1, p)
			pass(time.Second)
			require.Equal(t, names("x", 4, 5), r.letters(), "the life before it is gone, the one after it waits")

			require.NoError(t, p.group.ForgetLetters(t.Context(), p.forgetting(sink, projection.Park), "x", 4))
			require.Equal(t, names("x", 4, 5), r.letters(), "whoever erases leaves the end")
			r.append("x", 1, p)
			r.end("x", p) // of the second life
			pass(time.Second)
			require.Equal(t, []string{"x/4", "x/7"}, r.letters(), "the ends stay in order")

			sink.do(nil)
			require.NoError(t, p.group.RetryLetters(t.Context(), p.forgetting(sink, projection.Park)))
			require.Empty(t, r.letters())
			require.Equal(t, []string{"x/1", "x/4", "x/7"}, sink.handled())
		})
	})
	t.Run("RetriedInATransaction", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p := r.process("a")
			handler := &forgetter{store: r.store, fail: errPoison}
			spec := p.forgetting(consumer.HandlerSink(handler), projection.Park)
			p.start(spec)
			r.append("x", 1, p)
			r.end("x", p)
			pass(time.Second)
			require.Equal(t, []string{"x/2"}, r.letters())
			handler.fail = nil
			require.NoError(t, p.group.RetryLetters(t.Context(), spec))
			require.Empty(t, r.letters())
			require.Equal(t, []string{"x"}, handler.told)
		})
	})
	for _, name := range []string{"ByTheOwner", "FromAnotherProcess", "WhenNobodyIsTheOwner"} {
		t.Run("Ordered"+name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1)
				p, other, sink := r.process("a"), r.process("b"), new(log)
				sink.do(failAt("x/2", "y/1"))
				spec := p.forgetting(sink, projection.Park)
				p.start(spec)
				r.append("x", 3, p)
				r.append("y", 1, p)
				pass(time.Second)
				require.Equal(t, append(names("x", 2, 3), "y/1"), r.letters())
				by := p
				switch name {
				case "FromAnotherProcess":
					by = other
				case "WhenNobodyIsTheOwner":
					require.NoError(t, p.group.StopConsumer(t.Context(), "c"))
				}
				require.NoError(t, by.group.ForgetLetters(t.Context(), by.forgetting(sink, projection.Park), "x", 3))
				require.Equal(t, []string{"x/3", "y/1"}, r.letters(), "those below the end only")
				require.NoError(t, by.group.ForgetLetters(t.Context(), by.forgetting(sink, projection.Park), "x", 4))
				require.Equal(t, []string{"y/1"}, r.letters())
			})
		})
	}
}

func ofEntity(all []string, id string) (of []string) {
	for _, name := range all {
		if name[:len(id)] == id {
			of = append(of, name)
		}
	}
	return of
}

// A forgetter is a transactional handler that is told of erasures.
type forgetter struct {
	projection.Handler
	store interface {
		offsetstore.OffsetStore
		offsetstore.DeadLetterStore
	}
	fail error
	told []string
}

func (f *forgetter) OnErased(_ context.Context, id string) error {
	if f.fail == nil {
		f.told = append(f.told, id)
	}
	return f.fail
}

func (f *forgetter) HandleTransaction(ctx context.Context, lease offsetstore.Lease, _ []*projection.Event, position uint64) error {
	return f.store.CommitOffset(ctx, lease, position)
}

func (f *forgetter) RetryTransaction(ctx context.Context, lease offsetstore.Lease, _ []*projection.Event, position uint64) error {
	return f.store.DeleteDeadLetters(ctx, lease.Consumer, lease.Shard, position)
}
