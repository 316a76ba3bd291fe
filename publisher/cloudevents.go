package publisher

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
)

// A CloudEventsMode is how a CloudEvent becomes a message.
type CloudEventsMode int

const (
	// CloudEventsBinary puts the attributes into headers, "ce-" before their names ("ce_" in Kafka, as its binding says),
	// and the payload into the body, in protobuf's binary form.
	CloudEventsBinary CloudEventsMode = iota
	// CloudEventsBinaryJSON is the same with the payload in protobuf's JSON form.
	CloudEventsBinaryJSON
	// CloudEventsStructured puts attributes and payload, in protobuf's JSON form, into a body of JSON.
	CloudEventsStructured
)

// CloudEvents returns the encoder of CloudEvents 1.0. The source is a URI reference that names the service; it and the id,
// see [EventID], identify an event. The type is the full name of the payload's message and the subject the entity; kind,
// number, command, correlation and trace context are extension attributes. The modes with JSON need the types of all
// payloads linked into the program. An unknown mode, or a source that is empty or no URI reference, is an error.
func CloudEvents(source string, mode CloudEventsMode) (Encoder, error) {
	if _, err := url.Parse(source); err != nil || source == "" {
		return nil, fmt.Errorf("publisher: the source %q of cloud events is no URI reference", source)
	}
	if mode < CloudEventsBinary || mode > CloudEventsStructured {
		return nil, fmt.Errorf("publisher: there is no mode %d of cloud events", mode)
	}
	return &cloudEncoder{source: source, mode: mode}, nil
}

const contentTypeCloudEvents = "application/cloudevents+json; charset=UTF-8"

type cloudEncoder struct {
	source string
	mode   CloudEventsMode
}

// EncodeEvent encodes an event.
func (e *cloudEncoder) EncodeEvent(event *egopb.Event) (*Message, error) {
	return e.encode(eventRecord(event), event.GetPayload())
}

// EncodeState encodes a state.
func (e *cloudEncoder) EncodeState(state *egopb.DurableState) (*Message, error) {
	return e.encode(stateRecord(state), state.GetState())
}

func (e *cloudEncoder) encode(r *record, payload *anypb.Any) (*Message, error) {
	m := &Message{ID: r.id, Key: r.entity, Kind: r.kind, Type: typeName(r.typeURL), Time: r.time}
	if m.Type == "" {
		return nil, Rejectf("%s has no payload, and so no type", r.id)
	}
	attributes := e.attributes(r, m.Type)
	body, err := e.data(payload)
	if err != nil {
		return nil, Reject(fmt.Errorf("%s cannot be encoded: %w", r.id, err))
	}
	if e.mode == CloudEventsStructured {
		m.Body, err = structured(attributes, body)
		m.add(HeaderContentType, contentTypeCloudEvents)
		if err != nil {
			return nil, Reject(fmt.Errorf("%s cannot be encoded: %w", r.id, err))
		}
		return m, nil
	}
	m.Body = body
	for _, a := range attributes {
		if a.Name == "datacontenttype" {
			m.add(HeaderContentType, a.Value)
		} else {
			m.add("ce-"+a.Name, a.Value)
		}
	}
	return m, nil
}

// attributes returns the context attributes of an event. Their values are strings of the specification's type system.
func (e *cloudEncoder) attributes(r *record, typeName string) []Header {
	contentType := ContentTypeJSON
	if e.mode == CloudEventsBinary {
		contentType = ContentTypeProtobuf
	}
	all := []Header{
		{"specversion", "1.0"},
		{"id", r.id},
		{"source", e.source},
		{"type", typeName},
		{"subject", r.entity},
		{"time", r.time.Format(time.RFC3339Nano)},
		{"datacontenttype", contentType},
		{"partitionkey", r.entity},
		{"egokind", r.kind},
		{"egonumber", strconv.FormatUint(r.number, 10)},
		{"egocommandid", r.command},
		{"correlationid", r.correlation},
		{"causationid", r.causation},
		{"traceparent", r.trace.GetTraceparent()},
		{"tracestate", r.trace.GetTracestate()},
	}
	kept := all[:0]
	for _, a := range all {
		if a.Value != "" {
			kept = append(kept, a)
		}
	}
	return kept
}

// data returns the payload as the mode has it.
func (e *cloudEncoder) data(payload *anypb.Any) ([]byte, error) {
	if e.mode == CloudEventsBinary {
		return payload.GetValue(), nil
	}
	message, err := payload.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(message)
}

// structured returns the JSON format of a cloud event.
func structured(attributes []Header, data []byte) ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for _, a := range attributes {
		name, err := json.Marshal(a.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(a.Value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
		b.WriteByte(',')
	}
	if !json.Valid(data) {
		return nil, errors.New("the payload is no JSON")
	}
	b.WriteString(`"data":`)
	b.Write(data)
	b.WriteByte('}')
	return []byte(b.String()), nil
}
