package publishing_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/internal/publishing"
	"github.com/actorkeep/ego/projection"
	"github.com/actorkeep/ego/publisher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errOdd = errors.New("odd")

// A desk takes events, except those that it has an error for.
type desk struct {
	taken   []string
	calls   int
	fail    map[string]error
	timeout time.Duration // that the last call had
}

func (d *desk) publish(ctx context.Context, events []*egopb.Event) error {
	d.calls++
	if deadline, ok := ctx.Deadline(); ok {
		d.timeout = time.Until(deadline)
	}
	for _, event := range events {
		if err := d.fail[publisher.EventID(event)]; err != nil {
			return err
		}
	}
	for _, event := range events {
		d.taken = append(d.taken, publisher.EventID(event))
	}
	return nil
}

func (d *desk) config() publishing.Config {
	return publishing.Config{
		Publish: d.publish, Batch: d.publish, Timeout: time.Minute,
		Record: func(record *consumer.Record) ([]*egopb.Event, error) {
			if record.Stored.GetKind() == "cannot be opened" {
				return nil, publisher.Rejectf("sealed")
			}
			events := make([]*egopb.Event, len(record.Opened))
			for i := range events {
				events[i] = record.Stored
			}
			return events, nil
		},
	}
}

// newRecord returns the record of an entity's event, which opens to itself.
func newRecord(entity string, number, position uint64) *consumer.Record {
	return &consumer.Record{
		Stored: &egopb.Event{PersistenceId: entity, SequenceNumber: number, Position: position, Kind: "kind"},
		Opened: []*projection.Event{{PersistenceID: entity}},
	}
}

// isBrokers reports whether a sink says that the broker is at fault.
func isBrokers(err error) bool {
	return reflect.TypeOf(err) == reflect.TypeOf(consumer.Unavailable(errOdd))
}

func TestSinkSaysWhoseFaultItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err     error
		brokers bool
	}{
		"Nobodys":     {nil, false},
		"TheEvents":   {publisher.Reject(errOdd), false},
		"TheBrokers":  {publisher.Unavailable(errOdd), true},
		"ItIsClosed":  {publisher.ErrClosed, true},
		"NotKnownYet": {errOdd, true},
		"Timeout":     {context.DeadlineExceeded, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &desk{fail: map[string]error{"a/1": c.err}}
			err := publishing.New(d.config()).Handle(t.Context(), newRecord("a", 1, 1))
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.brokers, isBrokers(err))
			require.InDelta(t, time.Minute, d.timeout, float64(10*time.Second), "calls are bounded")
		})
	}
	t.Run("WhatCannotBeOpenedIsTheEvents", func(t *testing.T) {
		t.Parallel()
		d := &desk{}
		record := newRecord("a", 1, 1)
		record.Stored.Kind = "cannot be opened"
		sink := publishing.New(d.config())
		require.ErrorIs(t, sink.Handle(t.Context(), record), publisher.ErrRejected)
		batch, ok := sink.(consumer.BatchSink)
		require.True(t, ok)
		require.ErrorIs(t, batch.HandleBatch(t.Context(), []*consumer.Record{record}), publisher.ErrRejected)
		require.Zero(t, d.calls)
	})
	t.Run("NothingOpensToNoCall", func(t *testing.T) {
		t.Parallel()
		d := &desk{}
		record := newRecord("a", 1, 1)
		record.Opened = nil
		sink := publishing.New(d.config())
		require.NoError(t, sink.Handle(t.Context(), record))
		require.NoError(t, sink.(consumer.BatchSink).HandleBatch(t.Context(), []*consumer.Record{record, record}))
		require.Zero(t, d.calls)
	})
	t.Run("PartsOfAnEventStopAtTheOneThatFails", func(t *testing.T) {
		t.Parallel()
		d := &desk{}
		config := d.config()
		config.Record = func(*consumer.Record) ([]*egopb.Event, error) {
			return []*egopb.Event{{PersistenceId: "a", SequenceNumber: 1}, {PersistenceId: "a", SequenceNumber: 2}, {PersistenceId: "a", SequenceNumber: 3}}, nil
		}
		d.fail = map[string]error{"a/2": publisher.Reject(errOdd)}
		require.ErrorIs(t, publishing.New(config).Handle(t.Context(), newRecord("a", 1, 1)), errOdd)
		require.Equal(t, []string{"a/1"}, d.taken)
	})
}

func TestBatches(t *testing.T) {
	t.Parallel()
	d := &desk{fail: map[string]error{}}
	sink, ok := publishing.New(d.config()).(consumer.BatchSink)
	require.True(t, ok)
	records := []*consumer.Record{newRecord("a", 1, 1), newRecord("b", 1, 2), newRecord("a", 2, 3)}
	require.NoError(t, sink.HandleBatch(t.Context(), records))
	require.Equal(t, []string{"a/1", "b/1", "a/2"}, d.taken)
	require.Equal(t, 1, d.calls)

	d.fail["b/1"] = errOdd
	err := sink.HandleBatch(t.Context(), records)
	require.ErrorIs(t, err, errOdd)
	require.False(t, isBrokers(err), "it is offered one by one")
	d.fail["b/1"] = publisher.Unavailable(errOdd)
	require.True(t, isBrokers(sink.HandleBatch(t.Context(), records)), "the broker is waited for, with the batch")

	config := d.config()
	config.Batch = nil
	_, ok = publishing.New(config).(consumer.BatchSink)
	require.False(t, ok)
}

func TestProof(t *testing.T) {
	t.Parallel()

	t.Run("EventIsToBlameWhenOthersAreTakenTwiceMeanwhile", func(t *testing.T) { // G6
		t.Parallel()
		d := &desk{fail: map[string]error{"bad/1": errOdd}}
		sink := publishing.New(d.config())
		bad := newRecord("bad", 1, 1)
		for round := range 3 {
			err := sink.Handle(t.Context(), bad)
			require.Equal(t, round < 2, isBrokers(err), "round %d", round)
			require.NoError(t, sink.Handle(t.Context(), newRecord("good", uint64(round)+1, 2)))
		}
		require.True(t, isBrokers(sink.Handle(t.Context(), bad)), "and then it begins anew")
	})
	t.Run("OutageIsNeverTheEvents", func(t *testing.T) { // G6
		t.Parallel()
		d := &desk{fail: map[string]error{"a/1": errOdd, "b/1": errOdd}}
		sink := publishing.New(d.config())
		for range 10 {
			require.True(t, isBrokers(sink.Handle(t.Context(), newRecord("a", 1, 1))))
			require.True(t, isBrokers(sink.Handle(t.Context(), newRecord("b", 1, 2))))
		}
	})
	t.Run("SuccessForgetsWhatWasBefore", func(t *testing.T) {
		t.Parallel()
		d := &desk{fail: map[string]error{"a/1": errOdd}}
		sink, a := publishing.New(d.config()), newRecord("a", 1, 1)
		good := func() { require.NoError(t, sink.Handle(t.Context(), newRecord("good", 1, 2))) }
		require.True(t, isBrokers(sink.Handle(t.Context(), a)))
		good()
		require.True(t, isBrokers(sink.Handle(t.Context(), a)), "one strike")
		delete(d.fail, "a/1")
		require.NoError(t, sink.Handle(t.Context(), a))
		d.fail["a/1"] = errOdd
		require.True(t, isBrokers(sink.Handle(t.Context(), a)))
		good()
		require.True(t, isBrokers(sink.Handle(t.Context(), a)))
	})
	t.Run("EndOfTheContextIsNobodysFault", func(t *testing.T) {
		t.Parallel()
		d := &desk{fail: map[string]error{"a/1": errOdd}}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, publishing.New(d.config()).Handle(ctx, newRecord("a", 1, 1)), errOdd)
	})
}

// A page is a shard that is read in one go.
type page struct {
	consumer.Source
	events []*egopb.Event
	err    error
}

func (p *page) Read(_ context.Context, _ uint32, after uint64, limit int) ([]*egopb.Event, error) {
	var found []*egopb.Event
	for _, event := range p.events {
		if event.GetPosition() > after && len(found) < limit {
			found = append(found, event)
		}
	}
	return found, p.err
}

func TestAhead(t *testing.T) {
	t.Parallel()
	bad := newRecord("bad", 1, 1)
	at := func(position uint64, entity string, change ...func(event *egopb.Event)) *egopb.Event {
		event := newRecord(entity, 1, position).Stored
		for _, f := range change {
			f(event)
		}
		return event
	}
	for name, c := range map[string]struct {
		shard []*egopb.Event
		want  []string // what is published ahead, each time the event fails
	}{
		"NextOfAnotherEntity":   {[]*egopb.Event{at(2, "bad"), at(3, "good"), at(4, "other")}, []string{"good/1"}},
		"NothingElse":           {[]*egopb.Event{at(2, "bad")}, nil},
		"ParkedEntitiesAreLeft": {[]*egopb.Event{at(2, "parked"), at(3, "good")}, []string{"good/1"}},
		"FilteredOnesAreLeft":   {[]*egopb.Event{at(2, "x", func(e *egopb.Event) { e.Kind = "unwanted" }), at(3, "good")}, []string{"good/1"}},
		"DeletedOnesAreLeft":    {[]*egopb.Event{at(2, "x", func(e *egopb.Event) { e.Deleted = true }), at(3, "good")}, []string{"good/1"}},
		"NothingOvertakesWhatCannotBeOpened": {
			[]*egopb.Event{at(2, "sealed", func(e *egopb.Event) { e.KeyId = "lost" }), at(3, "sealed"), at(4, "good")}, []string{"good/1"},
		},
		"WhatIsDroppedIsLeft": {[]*egopb.Event{at(2, "x", func(e *egopb.Event) { e.KeyId = "dropped" }), at(3, "good")}, []string{"good/1"}},
	} {
		t.Run(name, func(t *testing.T) { // G6
			t.Parallel()
			d := &desk{fail: map[string]error{"bad/1": errOdd}}
			config := d.config()
			config.Ahead = newAhead(&page{events: c.shard})
			sink := publishing.New(config)
			require.True(t, isBrokers(sink.Handle(t.Context(), bad)))
			require.Empty(t, d.taken, "the first failure proves nothing")
			require.True(t, isBrokers(sink.Handle(t.Context(), bad)))
			require.Equal(t, c.want, d.taken)
			require.Equal(t, c.want == nil, isBrokers(sink.Handle(t.Context(), bad)), "with proof twice, it is to blame")
		})
	}
	t.Run("StoreThatFailsProvesNothing", func(t *testing.T) {
		t.Parallel()
		d := &desk{fail: map[string]error{"bad/1": errOdd}}
		config := d.config()
		config.Ahead = newAhead(&page{events: []*egopb.Event{at(2, "good")}, err: errOdd})
		sink := publishing.New(config)
		for range 5 {
			require.True(t, isBrokers(sink.Handle(t.Context(), bad)))
		}
	})
	t.Run("BrokerThatTakesNothingIsToBlame", func(t *testing.T) {
		t.Parallel()
		d := &desk{fail: map[string]error{"bad/1": errOdd, "good/1": errOdd}}
		config := d.config()
		config.Ahead = newAhead(&page{events: []*egopb.Event{at(2, "good")}})
		sink := publishing.New(config)
		for range 5 {
			require.True(t, isBrokers(sink.Handle(t.Context(), bad)))
		}
	})
}

func newAhead(source consumer.Source) *publishing.Ahead {
	return &publishing.Ahead{
		Source: source, Filter: projection.Filter{Kinds: []string{"kind"}},
		Open: consumer.OpenerFunc(func(_ context.Context, stored *egopb.Event) ([]*projection.Event, error) {
			switch stored.GetKeyId() {
			case "lost":
				return nil, fmt.Errorf("%s: no key", stored.GetPersistenceId())
			case "dropped":
				return nil, nil
			}
			return []*projection.Event{{PersistenceID: stored.GetPersistenceId()}}, nil
		}),
		Parked: func(context.Context, uint32) ([]string, error) { return slices.Clone([]string{"parked"}), nil },
	}
}
