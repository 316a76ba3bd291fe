package publisher_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

func newEvent(t testing.TB) *egopb.Event {
	t.Helper()
	payload, err := anypb.New(wrapperspb.String(`say "hi"`))
	require.NoError(t, err)
	return &egopb.Event{
		PersistenceId: "a/ö", SequenceNumber: 7, Shard: 2, Position: 9, Kind: "account", Payload: payload,
		TimeUnixNano: 1_700_000_000_123_456_789, CommandId: "cmd", CorrelationId: "cor", CausationId: "cau",
		Trace: &egopb.TraceContext{Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tracestate: "a=b"},
	}
}

func TestRecordEncoders(t *testing.T) {
	t.Parallel()
	event := newEvent(t)
	for name, c := range map[string]struct {
		encoder   publisher.Encoder
		unmarshal func(b []byte, m proto.Message) error
	}{
		"Protobuf": {publisher.Protobuf(), proto.Unmarshal},
		"JSON":     {publisher.JSON(), protojson.Unmarshal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := c.encoder.EncodeEvent(event)
			require.NoError(t, err)
			got := new(egopb.Event)
			require.NoError(t, c.unmarshal(m.Body, got))
			require.True(t, proto.Equal(event, got))
			require.Equal(t, "a/ö/7", m.ID)
			require.Equal(t, "a/ö", m.Key)
			for header, want := range map[string]string{
				publisher.HeaderEventID: "a/ö/7", publisher.HeaderType: "google.protobuf.StringValue", publisher.HeaderNumber: "7",
				publisher.HeaderTime: "2023-11-14T22:13:20.123456789Z", publisher.HeaderCorrelation: "cor",
				publisher.HeaderTraceParent: event.GetTrace().GetTraceparent(), publisher.HeaderCommandID: "cmd",
			} {
				require.Equal(t, want, m.Header(header), header)
			}
			state := &egopb.DurableState{PersistenceId: "s", Revision: 3, State: event.GetPayload()}
			m, err = c.encoder.EncodeState(state)
			require.NoError(t, err)
			require.Equal(t, "s/3", m.ID)
			require.Empty(t, m.Header(publisher.HeaderCorrelation))
		})
	}
	unknown := newEvent(t)
	unknown.Payload.TypeUrl = "type.googleapis.com/unknown.Type"
	_, err := publisher.JSON().EncodeEvent(unknown)
	require.ErrorIs(t, err, publisher.ErrRejected)
}

// TestCloudEvents checks what CloudEvents 1.0 demands of the context attributes and of the JSON format.
func TestCloudEvents(t *testing.T) {
	t.Parallel()

	t.Run("StructuredIsTheJSONFormat", func(t *testing.T) {
		t.Parallel()
		encoder, err := publisher.CloudEvents("/bank?region=eu", publisher.CloudEventsStructured)
		require.NoError(t, err)
		m, err := encoder.EncodeEvent(newEvent(t))
		require.NoError(t, err)
		require.Equal(t, "application/cloudevents+json; charset=UTF-8", m.Header(publisher.HeaderContentType))
		var got map[string]any
		require.NoError(t, json.Unmarshal(m.Body, &got))
		require.Equal(t, map[string]any{
			"specversion": "1.0", "id": "a/ö/7", "source": "/bank?region=eu", "type": "google.protobuf.StringValue", "subject": "a/ö",
			"time": "2023-11-14T22:13:20.123456789Z", "datacontenttype": "application/json", "data": `say "hi"`,
			"partitionkey": "a/ö", "egokind": "account", "egonumber": "7", "egocommandid": "cmd", "correlationid": "cor",
			"causationid": "cau", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b",
		}, got)
		for name := range got {
			require.Regexp(t, `^[a-z0-9]{1,20}$`, name, "the names that the specification allows")
		}
	})
	t.Run("BinaryHasThePayloadAsBody", func(t *testing.T) {
		t.Parallel()
		for mode, want := range map[publisher.CloudEventsMode]struct{ contentType, body string }{
			publisher.CloudEventsBinary:     {"application/protobuf", string(newEvent(t).GetPayload().GetValue())},
			publisher.CloudEventsBinaryJSON: {"application/json", `"say \"hi\""`},
		} {
			encoder, err := publisher.CloudEvents("/bank", mode)
			require.NoError(t, err)
			m, err := encoder.EncodeEvent(newEvent(t))
			require.NoError(t, err)
			require.Equal(t, want.body, string(m.Body))
			require.Equal(t, want.contentType, m.Header(publisher.HeaderContentType))
			require.Equal(t, "a/ö/7", m.Header("ce-id"))
			require.Equal(t, "1.0", m.Header("ce-specversion"))
		}
	})
	t.Run("BadOnesAreRefused", func(t *testing.T) {
		t.Parallel()
		_, err := publisher.CloudEvents("", publisher.CloudEventsBinary)
		require.Error(t, err)
		_, err = publisher.CloudEvents("%zz", publisher.CloudEventsBinary)
		require.Error(t, err)
		_, err = publisher.CloudEvents("/bank", 7)
		require.Error(t, err)
		encoder, err := publisher.CloudEvents("/bank", publisher.CloudEventsBinary)
		require.NoError(t, err)
		_, err = encoder.EncodeState(&egopb.DurableState{PersistenceId: "a"})
		require.ErrorIs(t, err, publisher.ErrRejected)
	})
}

func TestEventID(t *testing.T) {
	t.Parallel()
	event := newEvent(t)
	event.Metadata = map[string]string{publisher.PartKey: "2"}
	require.Equal(t, "a/ö/7.2", publisher.EventID(event))
}
