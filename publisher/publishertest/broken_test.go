package publishertest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/publishertest"
)

// A broken publisher does one thing wrong.
type broken struct {
	name  string
	fails []string // the cases that find it out
	open  func(q *queue) publisher.EventPublisher
}

// taking returns a publisher whose broker takes messages in another way.
func taking(take func(q *queue, ctx context.Context, m *publisher.Message) error) func(q *queue) publisher.EventPublisher {
	return func(q *queue) publisher.EventPublisher {
		s := newSound("events", q)
		s.take = func(ctx context.Context, m *publisher.Message) error { return take(q, ctx, m) }
		return s
	}
}

// A liar overrides what a sound publisher does.
type liar struct {
	*sound
	publish func(ctx context.Context, s *sound, event *egopb.Event) error
	batch   func(ctx context.Context, s *sound, events []*egopb.Event) error
	close   func(ctx context.Context, s *sound) error
	name    func() string
}

func (l *liar) ID() string {
	if l.name != nil {
		return l.name()
	}
	return l.sound.ID()
}

func (l *liar) Publish(ctx context.Context, event *egopb.Event) error {
	if l.publish != nil {
		return l.publish(ctx, l.sound, event)
	}
	return l.sound.Publish(ctx, event)
}

func (l *liar) PublishBatch(ctx context.Context, events []*egopb.Event) error {
	if l.batch != nil {
		return l.batch(ctx, l.sound, events)
	}
	return batches{l.sound}.PublishBatch(ctx, events)
}

func (l *liar) Close(ctx context.Context) error {
	if l.close != nil {
		return l.close(ctx, l.sound)
	}
	return l.sound.Close(ctx)
}

func lying(l liar) func(q *queue) publisher.EventPublisher {
	return func(q *queue) publisher.EventPublisher {
		c := l
		c.sound = newSound("events", q)
		return &c
	}
}

func allBroken() []broken {
	var ids sync.Map
	return []broken{
		{"DropsTheTrace", []string{"Events/ArriveWhole"}, lying(liar{publish: func(ctx context.Context, s *sound, event *egopb.Event) error {
			return s.Publish(ctx, changed(event, func(e *egopb.Event) { e.Trace = nil }))
		}})},
		{"HasNoKey", []string{"Events/ArriveWhole", "Events/KeepTheOrderOfAnEntity"}, taking(func(q *queue, ctx context.Context, m *publisher.Message) error {
			m.Key = ""
			return q.take(ctx, m)
		})},
		{"SortsBatchesBackwards", []string{"Events/BatchKeepsTheOrderOfAnEntity", "Events/ConcurrentUse"}, lying(liar{
			batch: func(ctx context.Context, s *sound, events []*egopb.Event) error {
				turned := slices.Clone(events)
				slices.Reverse(turned)
				return batches{s}.PublishBatch(ctx, turned)
			},
		})},
		{"MakesUpIDs", []string{"Events/HaveTheSameIDWhenRepeated"}, taking(func(q *queue, ctx context.Context, m *publisher.Message) error {
			m.ID += fmt.Sprint("#", len(q.received()))
			return q.take(ctx, m)
		})},
		{"ChangesTheEvent", []string{"Events/ArgumentsAreLeftAlone"}, lying(liar{publish: func(ctx context.Context, s *sound, event *egopb.Event) error {
			err := s.Publish(ctx, event)
			event.WriterId = "me"
			return err
		}})},
		{"FailsEmptyBatches", []string{"Events/EmptyBatch"}, lying(liar{batch: func(ctx context.Context, s *sound, events []*egopb.Event) error {
			if len(events) == 0 {
				return errors.New("nothing to do")
			}
			return batches{s}.PublishBatch(ctx, events)
		}})},
		{"ForgetsItsID", []string{"Publisher/IDIsStable"}, lying(liar{name: func() string {
			n, _ := ids.LoadOrStore("n", new(int))
			*n.(*int)++
			return fmt.Sprint("events", *n.(*int))
		}})},
		{"SwallowsWhatIsTooLarge", []string{"Failures/OversizedIsRejected"}, taking(func(q *queue, ctx context.Context, m *publisher.Message) error {
			if len(m.Body) > limit {
				return nil
			}
			return q.take(ctx, m)
		})},
		{"OvertakesWhatWasRejected", []string{"Failures/OversizedInABatchKeepsTheOrder"}, lying(liar{
			batch: func(ctx context.Context, s *sound, events []*egopb.Event) (err error) {
				for _, event := range events {
					err = errors.Join(err, s.Publish(ctx, event))
				}
				return err
			},
		})},
		{"PanicsWithoutAPayload", []string{"Failures/MissingPayload"}, lying(liar{publish: func(ctx context.Context, s *sound, event *egopb.Event) error {
			_ = event.Payload.Value[0]
			return s.Publish(ctx, event)
		}})},
		{"IgnoresItsContext", []string{"Failures/CanceledContext"}, taking(func(q *queue, ctx context.Context, m *publisher.Message) error {
			return q.take(context.WithoutCancel(ctx), m)
		})},
		{"ClosesOnce", []string{"Close/MayBeRepeated"}, lying(liar{close: func(ctx context.Context, s *sound) error {
			s.mu.Lock()
			closed := s.closed
			s.mu.Unlock()
			if closed {
				return errors.New("closed twice")
			}
			return s.Close(ctx)
		}})},
		{"PublishesWhenClosed", []string{"Close/EndsPublishing"}, lying(liar{close: func(context.Context, *sound) error { return nil }})},
		{"BlamesTheEventForAnOutage", []string{"Outage/IsNobodysFault"}, taking(func(q *queue, ctx context.Context, m *publisher.Message) error {
			if err := q.take(ctx, m); errors.Is(err, errDown) {
				return publisher.Reject(errDown)
			}
			return q.take(ctx, m)
		})},
		{"LosesAnEvent", []string{"Events/KeepTheOrderOfAnEntity", "Events/ConcurrentUse"}, taking(func(q *queue, ctx context.Context, m *publisher.Message) error {
			if strings.HasSuffix(m.ID, "/2") {
				return nil
			}
			return q.take(ctx, m)
		})},
	}
}

// A recorder stands in for the testing.TB of a case that is expected to fail.
type recorder struct {
	testing.TB
	ctx context.Context

	mu       sync.Mutex
	messages []string
	cleanups []func()
}

func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Helper()                  {}
func (r *recorder) Log(...any)               {}
func (r *recorder) Logf(string, ...any)      {}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Errorf(f string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, fmt.Sprintf(f, args...))
}

func (r *recorder) FailNow() {
	r.Errorf("failed")
	runtime.Goexit()
}

// try runs a case in a bubble, so that no time passes while it waits, and returns what it reported.
func try(t *testing.T, c publishertest.Case, b publishertest.Broker) (failure string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		r := &recorder{TB: t, ctx: ctx}
		run := func(f func()) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() {
					if p := recover(); p != nil {
						r.Errorf("panic: %v", p)
					}
				}()
				f()
			}()
			<-done
		}
		run(func() { c.Run(r, b) })
		cancel()
		for _, cleanup := range slices.Backward(r.cleanups) {
			run(cleanup)
		}
		failure = strings.Join(r.messages, "\n")
	})
	return failure
}

func TestCasesFailBrokenPublishers(t *testing.T) { // G6
	t.Parallel()
	cases := make(map[string]publishertest.Case)
	for _, c := range publishertest.Cases() {
		require.NotContains(t, cases, c.Name, "names must be unique")
		cases[c.Name] = c
	}
	for _, b := range allBroken() {
		for _, name := range b.fails {
			t.Run(b.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				require.Contains(t, cases, name)
				q := new(queue)
				failure := try(t, cases[name], brokerOf(q, func() publisher.EventPublisher { return b.open(q) }))
				require.NotEmpty(t, failure, "the case does not see what is broken")
			})
		}
	}
}
