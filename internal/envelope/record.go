package envelope

import (
	"sync"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/projection"
)

// maxPooledPayload keeps one huge event from pinning its buffer for ever.
const maxPooledPayload = 64 << 10

// records holds event records with their payloads. A record is given back once the write that carried it has ended:
// stores never keep what they are handed.
var records = sync.Pool{New: func() any { return &egopb.Event{Payload: new(anypb.Any)} }} //nolint:gochecknoglobals // a pool

// NewRecord returns an event record that is empty but for an empty payload.
func NewRecord() *egopb.Event {
	return records.Get().(*egopb.Event)
}

// ReleaseRecord gives a record back. Nobody may use it afterwards.
func ReleaseRecord(event *egopb.Event) {
	payload := event.Payload
	if payload == nil || cap(payload.Value) > maxPooledPayload {
		return
	}
	payload.TypeUrl, payload.Value = "", payload.Value[:0]
	event.Reset()
	event.Payload = payload
	records.Put(event)
}

// Stamp writes the metadata of a command to the record of one of its events.
func Stamp(event *egopb.Event, metadata *projection.Metadata) {
	if metadata == nil {
		return
	}
	event.CommandId = metadata.CommandID
	event.CorrelationId = metadata.CorrelationID
	event.CausationId = metadata.CausationID
	event.Tags = metadata.Tags
	event.Metadata = metadata.Values
	if metadata.TraceParent != "" {
		event.Trace = &egopb.TraceContext{Traceparent: metadata.TraceParent, Tracestate: metadata.TraceState}
	}
}

// StampState writes the metadata of a command to the record of the state it made.
func StampState(state *egopb.DurableState, metadata *projection.Metadata) {
	if metadata == nil {
		return
	}
	state.CommandId = metadata.CommandID
	state.CorrelationId = metadata.CorrelationID
	state.CausationId = metadata.CausationID
	state.Tags = metadata.Tags
	state.Metadata = metadata.Values
	if metadata.TraceParent != "" {
		state.Trace = &egopb.TraceContext{Traceparent: metadata.TraceParent, Tracestate: metadata.TraceState}
	}
}
