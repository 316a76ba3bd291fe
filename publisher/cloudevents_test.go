package publisher_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

// TestSpecificationExamples encodes what the examples of CloudEvents 1.0 hold: in section 3.2 of its JSON format, and in
// sections 3.1 and 3.2 of its Kafka binding, whose headers ours become. What is not ours to choose is as there.
func TestSpecificationExamples(t *testing.T) {
	t.Parallel()
	data, err := structpb.NewStruct(map[string]any{"appinfoA": "abc", "appinfoB": 123, "appinfoC": true})
	require.NoError(t, err)
	payload, err := anypb.New(data)
	require.NoError(t, err)
	event := &egopb.Event{
		PersistenceId: "C234-1234", SequenceNumber: 1234, Payload: payload,
		TimeUnixNano: time.Date(2018, 4, 5, 17, 31, 0, 0, time.UTC).UnixNano(),
	}

	t.Run("StructuredJSON", func(t *testing.T) {
		t.Parallel()
		encoder, err := publisher.CloudEvents("/mycontext", publisher.CloudEventsStructured)
		require.NoError(t, err)
		m, err := encoder.EncodeEvent(event)
		require.NoError(t, err)
		require.JSONEq(t, `{
			"specversion": "1.0",
			"type": "google.protobuf.Struct",
			"source": "/mycontext",
			"id": "C234-1234/1234",
			"time": "2018-04-05T17:31:00Z",
			"datacontenttype": "application/json",
			"data": {"appinfoA": "abc", "appinfoB": 123, "appinfoC": true},
			"subject": "C234-1234", "partitionkey": "C234-1234", "egonumber": "1234"
		}`, string(m.Body))
		require.Equal(t, []publisher.Header{{Name: "content-type", Value: "application/cloudevents+json; charset=UTF-8"}}, m.Headers)
	})
	t.Run("BinaryJSON", func(t *testing.T) {
		t.Parallel()
		encoder, err := publisher.CloudEvents("/mycontext/subcontext", publisher.CloudEventsBinaryJSON)
		require.NoError(t, err)
		m, err := encoder.EncodeEvent(event)
		require.NoError(t, err)
		require.JSONEq(t, `{"appinfoA": "abc", "appinfoB": 123, "appinfoC": true}`, string(m.Body))
		require.Equal(t, []publisher.Header{
			{Name: "ce-specversion", Value: "1.0"},
			{Name: "ce-id", Value: "C234-1234/1234"},
			{Name: "ce-source", Value: "/mycontext/subcontext"},
			{Name: "ce-type", Value: "google.protobuf.Struct"},
			{Name: "ce-subject", Value: "C234-1234"},
			{Name: "ce-time", Value: "2018-04-05T17:31:00Z"},
			{Name: "content-type", Value: "application/json"},
			{Name: "ce-partitionkey", Value: "C234-1234"},
			{Name: "ce-egonumber", Value: "1234"},
		}, m.Headers, "data is the body as it is, its media type the content type, all else a header")
	})
}
