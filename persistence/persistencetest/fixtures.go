package persistencetest

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// patience bounds how long a case waits for what must happen soon.
const patience = 2 * time.Minute

// payload returns a payload that can be told from all others.
func payload(id string, number uint64) *anypb.Any {
	return &anypb.Any{TypeUrl: "type.googleapis.com/ego.test.v1.Payload", Value: fmt.Appendf(nil, "%s/%d", id, number)}
}

// newEvent returns an event as the engine would write it.
func newEvent(id string, number uint64) *egopb.Event {
	return &egopb.Event{
		PersistenceId:  id,
		SequenceNumber: number,
		Kind:           "account",
		Payload:        payload(id, number),
		TimeUnixNano:   1_700_000_000_000_000_000 + int64(number),
		CommandId:      "command-" + strconv.FormatUint(number, 10),
		Tags:           []string{"blue", "green"},
		Metadata:       map[string]string{"tenant": "one"},
		WriterId:       "writer",
	}
}

// eventsOf returns the events of one entity, both bounds inclusive.
func eventsOf(id string, from, to uint64) []*egopb.Event {
	var events []*egopb.Event
	for number := from; number <= to; number++ {
		events = append(events, newEvent(id, number))
	}
	return events
}

func newState(id string, revision uint64) *egopb.DurableState {
	return &egopb.DurableState{
		PersistenceId: id,
		Revision:      revision,
		Kind:          "account",
		State:         payload(id, revision),
		TimeUnixNano:  1_700_000_000_000_000_000 + int64(revision),
		CommandId:     "command-" + strconv.FormatUint(revision, 10),
		Tags:          []string{"blue", "green"},
		Metadata:      map[string]string{"tenant": "one"},
	}
}

func newSnapshot(id string, number uint64) *egopb.Snapshot {
	return &egopb.Snapshot{
		PersistenceId:  id,
		SequenceNumber: number,
		Kind:           "account",
		State:          payload(id, number),
	}
}

func newTimer(owner, name string, due int64) *egopb.Timer {
	return &egopb.Timer{
		Owner:       owner,
		Name:        name,
		DueUnixNano: due,
		Kind:        "timeout",
		Payload:     payload(owner+"/"+name, uint64(due)),
	}
}

// write stores events.
func write(t testing.TB, s Stores, events ...*egopb.Event) {
	t.Helper()
	require.NoError(t, s.Events.WriteEvents(t.Context(), events))
}

// writeState stores states one after another.
func writeStates(t testing.TB, s Stores, states ...*egopb.DurableState) {
	t.Helper()
	for _, state := range states {
		require.NoError(t, s.States.WriteState(t.Context(), state))
	}
}

// replay returns the events of an entity.
func replay(t testing.TB, s Stores, id string, from, to uint64) []*egopb.Event {
	t.Helper()
	var events []*egopb.Event
	for event, err := range s.Events.ReplayEvents(t.Context(), id, from, to) {
		require.NoError(t, err)
		require.NotNil(t, event)
		events = append(events, event)
	}
	return events
}

// latest returns the latest event of an entity, nil when it is unknown.
func latest(t testing.TB, s Stores, id string) *egopb.Event {
	t.Helper()
	event, err := s.Events.GetLatestEvent(t.Context(), id)
	require.NoError(t, err)
	return event
}

// shardEvents returns all events of a shard, read in pages, and checks what every read of a shard must hold to.
func shardEvents(t testing.TB, s Stores, shard uint32, page int) []*egopb.Event {
	t.Helper()
	var events []*egopb.Event
	for position := uint64(0); ; {
		next, err := s.Events.GetShardEvents(t.Context(), shard, position, page)
		require.NoError(t, err)
		require.LessOrEqual(t, len(next), page, "more events than asked for")
		for _, event := range next {
			require.Equal(t, position+1, event.GetPosition(), "position in shard %d", shard)
			require.Equal(t, shard, event.GetShard())
			position++
		}
		events = append(events, next...)
		if len(next) < page {
			return events
		}
	}
}

// requireProto checks that two messages are equal.
func requireProto(t testing.TB, want, got proto.Message) {
	t.Helper()
	if !proto.Equal(want, got) {
		require.Fail(t, "records differ", "want: %s\ngot:  %s", clip(prototext.Format(want)), clip(prototext.Format(got)))
	}
}

// clip shortens what nobody would read.
func clip(text string) string {
	const longest = 4_000
	if len(text) <= longest {
		return text
	}
	return fmt.Sprintf("%s … (%d bytes)", text[:longest], len(text))
}

// requireEvents checks events that were read against those that were written.
func requireEvents(t testing.TB, s Stores, want, got []*egopb.Event) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, event := range got {
		requireEvent(t, s, want[i], event)
	}
}

func requireEvent(t testing.TB, s Stores, want, got *egopb.Event) {
	t.Helper()
	require.NotNil(t, got)
	require.Equal(t, persistence.ShardOf(want.GetPersistenceId(), s.Events.ShardCount()), got.GetShard())
	require.NotZero(t, got.GetPosition())
	want = proto.CloneOf(want)
	want.Shard, want.Position = got.GetShard(), got.GetPosition()
	requireProto(t, want, got)
}

// requireNothing checks that no entity is known to the events store.
func requireNothing(t testing.TB, s Stores, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.Nil(t, latest(t, s, id), "entity %q", id)
		require.Empty(t, replay(t, s, id, 0, 1_000), "entity %q", id)
	}
}

// requireConflict checks an error that must be a conflict.
func requireConflict(t testing.TB, err error, want persistence.ConflictError) {
	t.Helper()
	var conflict *persistence.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, want, *conflict)
	require.ErrorIs(t, err, persistence.ErrConflict)
	require.True(t, persistence.NotWritten(err), "a conflict must prove that nothing was written")
}

// idsInShard returns ids of entities that fall into shard zero.
func idsInShard(shards uint32, count int) []string {
	var ids []string
	for i := 0; len(ids) < count; i++ {
		if id := fmt.Sprintf("entity-%d", i); persistence.ShardOf(id, shards) == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// async runs a function beside the case.
func async[T any](run func() T) <-chan T {
	done := make(chan T, 1)
	go func() { done <- run() }()
	return done
}

// await waits for the result of something that must end soon.
func await[T any](t testing.TB, done <-chan T, what string) T {
	t.Helper()
	select {
	case result := <-done:
		return result
	case <-time.After(patience):
		require.Fail(t, "timed out", what)
		panic("unreachable")
	}
}

// eventually tries until it succeeds.
func eventually(t testing.TB, what string, try func() bool) {
	t.Helper()
	require.True(t, within(patience, try), "timed out: %s", what)
}

// within reports whether a try succeeded within a time.
func within(limit time.Duration, try func() bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !try() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			return false
		}
	}
	return true
}

// together calls a function n times at once and returns its errors joined.
func together(n int, run func(i int) error) error {
	start, results := make(chan struct{}), make(chan error, n)
	for i := range n {
		go func() {
			<-start
			results <- run(i)
		}()
	}
	close(start)
	var all []error
	for range n {
		all = append(all, <-results)
	}
	return errors.Join(all...)
}
