package publisher_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

func TestRounds(t *testing.T) {
	t.Parallel()
	var messages []*publisher.Message
	for _, id := range []string{"a1", "b1", "a2", "c1", "a3", "d1"} {
		messages = append(messages, &publisher.Message{ID: id, Key: id[:1]})
	}
	var got [][]string
	for _, round := range publisher.Rounds(messages, 3) {
		var ids []string
		for _, m := range round {
			ids = append(ids, m.ID)
		}
		got = append(got, ids)
	}
	require.Equal(t, [][]string{{"a1", "b1", "c1"}, {"a2", "d1"}, {"a3"}}, got)
	require.Empty(t, publisher.Rounds(nil, 3))
}

func TestEncodeAllLeavesOutWhatFollowsAFailure(t *testing.T) {
	t.Parallel()
	events := []*egopb.Event{
		{PersistenceId: "a", SequenceNumber: 1}, {PersistenceId: "b", SequenceNumber: 1}, {PersistenceId: "a", SequenceNumber: 2},
		{PersistenceId: "a", SequenceNumber: 3}, {PersistenceId: "b", SequenceNumber: 2},
	}
	messages, err := publisher.EncodeAll(events, func(event *egopb.Event) (*publisher.Message, error) {
		if publisher.EventID(event) == "a/2" {
			return nil, publisher.Reject(errors.New("odd"))
		}
		return publisher.Protobuf().EncodeEvent(event)
	})
	require.ErrorIs(t, err, publisher.ErrRejected)
	var ids []string
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	require.Equal(t, []string{"a/1", "b/1", "b/2"}, ids)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	require.ErrorIs(t, publisher.Reject(cause), publisher.ErrRejected)
	require.ErrorIs(t, publisher.Reject(cause), cause)
	require.NotErrorIs(t, publisher.Reject(cause), publisher.ErrUnavailable)
	require.EqualError(t, publisher.Unavailable(cause), "publisher: broker unavailable: cause")
	require.EqualError(t, publisher.Reject(nil), "publisher: rejected")
}

func TestCursor(t *testing.T) {
	t.Parallel()
	c := publisher.Cursor{3: 5, 0: 17, 1: 0}
	require.Equal(t, "0:17,3:5", c.String())
	parsed, err := publisher.ParseCursor(c.String())
	require.NoError(t, err)
	require.Equal(t, publisher.Cursor{0: 17, 3: 5}, parsed)
	for _, bad := range []string{"x", "1", "1:", ":1", "1:2,", "4294967296:1", "1:-1", "1:2:3"} {
		_, err := publisher.ParseCursor(bad)
		require.Error(t, err, bad)
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{"", "0:17,3:5", "0:0", "1:2,1:3", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := publisher.ParseCursor(text)
		if err != nil {
			return
		}
		again, err := publisher.ParseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c.String(), again.String())
	})
}

func TestOptionsKeepBatches(t *testing.T) {
	t.Parallel()
	options := publisher.Options{FromNow: true}
	_, batch := publisher.WithOptions(batches{}, options).(publisher.EventBatchPublisher)
	require.True(t, batch)
	_, batch = publisher.WithOptions(single{}, options).(publisher.EventBatchPublisher)
	require.False(t, batch)
	require.True(t, publisher.OptionsOf(publisher.WithOptions(single{}, options)).FromNow)
	require.False(t, publisher.OptionsOf(single{}).FromNow)
}

type single struct{ publisher.EventPublisher }

type batches struct{ publisher.EventBatchPublisher }
