package persistencetest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func recordCases() []Case {
	return []Case{
		{"Events/AllFields", eventAllFields, needEvents},
		{"Events/EmptyFields", eventEmptyFields, needEvents},
		{"Events/LargePayloads", eventLargePayloads, needEvents},
		{"Events/StoreSetsShardAndPosition", eventPlacement, needEvents},
	}
}

// fullEvent returns an event with all fields set but those that are not the writer's.
func fullEvent(number uint64) *egopb.Event {
	event := fill(new(egopb.Event), "shard", "position", "deleted")
	event.PersistenceId, event.SequenceNumber = "a", number
	return event
}

// requireOnEveryPath checks an event on every way that it can be read.
func requireOnEveryPath(t testing.TB, s Stores, want *egopb.Event) {
	t.Helper()
	id, number := want.GetPersistenceId(), want.GetSequenceNumber()
	requireEvent(t, s, want, latest(t, s, id))
	requireEvents(t, s, []*egopb.Event{want}, replay(t, s, id, number, number))
	events := shardEvents(t, s, persistence.ShardOf(id, s.Events.ShardCount()), 100)
	requireEvent(t, s, want, events[len(events)-1])
}

func eventAllFields(t testing.TB, s Stores) {
	for number := uint64(1); number <= 3; number++ {
		write(t, s, fullEvent(number))
		requireOnEveryPath(t, s, fullEvent(number))
	}
}

func eventEmptyFields(t testing.TB, s Stores) {
	bare := &egopb.Event{PersistenceId: "a", SequenceNumber: 1}
	write(t, s, bare)
	requireOnEveryPath(t, s, bare)
	require.Nil(t, latest(t, s, "a").GetPayload(), "a payload that was absent is there")
	require.Nil(t, latest(t, s, "a").GetTrace())

	empty := &egopb.Event{
		PersistenceId: "a", SequenceNumber: 2,
		Payload: &anypb.Any{}, Trace: &egopb.TraceContext{}, Tags: []string{}, Metadata: map[string]string{},
	}
	write(t, s, empty)
	requireOnEveryPath(t, s, empty)
	require.NotNil(t, latest(t, s, "a").GetPayload(), "a payload that was there is absent")

	blank := &egopb.Event{
		PersistenceId: "a", SequenceNumber: 3,
		Payload: &anypb.Any{TypeUrl: "type.googleapis.com/ego.test.v1.Empty"},
		Tags:    []string{"", ""}, Metadata: map[string]string{"": "", "k": ""}, TimeUnixNano: -1,
	}
	write(t, s, blank)
	requireOnEveryPath(t, s, blank)
}

func eventLargePayloads(t testing.TB, s Stores) {
	var batch []*egopb.Event
	for number := uint64(1); number <= 4; number++ {
		event := newEvent("a", number)
		event.Payload.Value = bytes.Repeat([]byte{byte(number), 0, 0xff}, 1<<20/3)
		batch = append(batch, event)
	}
	write(t, s, batch...)
	requireEvents(t, s, batch, replay(t, s, "a", 1, 10))
	requireOnEveryPath(t, s, batch[3])
}

// eventPlacement writes events that claim a shard and a position.
func eventPlacement(t testing.TB, s Stores) {
	for number := uint64(1); number <= 3; number++ {
		event := newEvent("a", number)
		event.Shard, event.Position = 1<<20, 77
		write(t, s, event)
	}
	shard := persistence.ShardOf("a", s.Events.ShardCount())
	for _, event := range [][]*egopb.Event{shardEvents(t, s, shard, 10), replay(t, s, "a", 1, 10)} {
		requireEvents(t, s, eventsOf("a", 1, 3), event)
		for i := range event {
			require.Equal(t, uint64(i+1), event[i].GetPosition())
		}
	}
}
