package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/projection"
)

const leaseTime = 8 * time.Second

var errPoison = errors.New("poison")

// A rig is a store that several processes share.
type rig struct {
	t     *testing.T
	store *memory.Store
}

// newRig returns a rig with a shard count.
func newRig(t *testing.T, shards uint32) *rig {
	return &rig{t: t, store: memory.NewStore(memory.WithShards(shards))}
}

// append commits events of an entity and tells the processes given.
func (r *rig) append(id string, count int, tell ...*process) {
	r.t.Helper()
	r.write(id, count, func(*egopb.Event) {})
	for _, p := range tell {
		p.feed.CommittedEntity(id)
	}
}

func (r *rig) write(id string, count int, change func(event *egopb.Event)) {
	r.t.Helper()
	latest, err := r.store.GetLatestEvent(r.t.Context(), id)
	require.NoError(r.t, err)
	for i := range count {
		event := &egopb.Event{
			PersistenceId:  id,
			SequenceNumber: latest.GetSequenceNumber() + uint64(i) + 1,
			Kind:           "kind",
			TimeUnixNano:   time.Now().UnixNano(),
		}
		change(event)
		require.NoError(r.t, r.store.WriteEvents(r.t.Context(), []*egopb.Event{event}))
	}
}

// offset returns the offset of the consumer "c" in a shard.
func (r *rig) offset(shard uint32) uint64 {
	r.t.Helper()
	offsets, err := r.store.Offsets(r.t.Context(), "c")
	require.NoError(r.t, err)
	for _, offset := range offsets {
		if offset.GetShard() == shard {
			return offset.GetPosition()
		}
	}
	return 0
}

func (r *rig) letters() (letters []string) {
	r.t.Helper()
	for letter, err := range r.store.DeadLetters(r.t.Context(), "c") {
		require.NoError(r.t, err)
		letters = append(letters, fmt.Sprintf("%s/%d", letter.GetEvent().GetPersistenceId(), letter.GetEvent().GetSequenceNumber()))
	}
	return letters
}

// A process runs consumers on the store of a rig, which can fail for it alone.
type process struct {
	rig    *rig
	name   string
	faults *persistencetest.Faults
	store  persistencetest.Backend
	group  *consumer.Group
	feed   *consumer.Feed
}

func (r *rig) process(name string) *process {
	faults := persistencetest.NewFaults()
	store := faults.Backend(r.store)
	p := &process{rig: r, name: name, faults: faults, store: store}
	p.group = consumer.New(consumer.Config{Offsets: store, Letters: store, Owner: name, LeaseTime: leaseTime})
	p.feed = p.group.Feed(consumer.Events(store), store)
	r.t.Cleanup(func() {
		faults.Clear()
		require.NoError(r.t, p.group.Stop(context.Background()))
	})
	return p
}

// spec is a consumer named "c" with a sink.
func (p *process) spec(sink consumer.Sink) consumer.Spec {
	return consumer.Spec{Name: "c", Feed: p.feed, Sink: sink, Open: opener{}, PullInterval: time.Second}
}

func (p *process) start(spec consumer.Spec) *consumer.Consumer {
	p.rig.t.Helper()
	c, err := p.group.Start(p.rig.t.Context(), spec)
	require.NoError(p.rig.t, err)
	return c
}

// kill makes every call of the process to the store fail, as if it were cut off.
func (p *process) kill() {
	p.faults.On(persistencetest.AnyOperation).Fail(errors.New("cut off"))
}

// shards returns the shards of the consumer "c" that the process owns.
func (p *process) shards() (shards []uint32) {
	c := p.group.Consumer("c")
	if c == nil {
		return nil
	}
	for _, shard := range c.Status().Shards {
		shards = append(shards, shard.Shard)
	}
	return shards
}

// opener opens an event without looking at its payload.
type opener struct{}

func (opener) Open(_ context.Context, stored *egopb.Event) ([]*projection.Event, error) {
	return []*projection.Event{{
		PersistenceID: stored.GetPersistenceId(), SequenceNumber: stored.GetSequenceNumber(), Kind: stored.GetKind(),
		Shard: stored.GetShard(), Position: stored.GetPosition(), Message: stored.GetPayload(),
	}}, nil
}

// A log is a sink that remembers what it handled, and does before it what a test says.
type log struct {
	mu     sync.Mutex
	seen   []string
	before func(ctx context.Context, name string) error
}

func (l *log) Handle(ctx context.Context, record *consumer.Record) error {
	return l.note(ctx, nameOf(record))
}

func (l *log) note(ctx context.Context, name string) error {
	l.mu.Lock()
	before := l.before
	l.mu.Unlock()
	if before != nil {
		if err := before(ctx, name); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, name)
	return nil
}

// do sets what happens before an event is handled.
func (l *log) do(before func(ctx context.Context, name string) error) *log {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = before
	return l
}

func (l *log) handled() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.seen)
}

func nameOf(record *consumer.Record) string {
	return fmt.Sprintf("%s/%d", record.Stored.GetPersistenceId(), record.Stored.GetSequenceNumber())
}

// failAt fails the events named.
func failAt(names ...string) func(ctx context.Context, name string) error {
	return func(_ context.Context, name string) error {
		if slices.Contains(names, name) {
			return errPoison
		}
		return nil
	}
}

// names are the events of an entity.
func names(id string, from, to int) (all []string) {
	for number := from; number <= to; number++ {
		all = append(all, fmt.Sprintf("%s/%d", id, number))
	}
	return all
}

// bubble runs a test in time of its own.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// entityIn returns an entity of a shard.
func entityIn(shard, shards uint32, n int) string {
	for i := 0; ; i++ {
		id := fmt.Sprintf("e%d", i)
		if persistence.ShardOf(id, shards) == shard {
			if n == 0 {
				return id
			}
			n--
		}
	}
}
