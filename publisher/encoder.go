package publisher

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
)

// An Encoder makes messages of events and states. Its methods are safe for concurrent use. An error is one of [Reject]: the
// same event will never be encoded.
type Encoder interface {
	EncodeEvent(event *egopb.Event) (*Message, error)
	EncodeState(state *egopb.DurableState) (*Message, error)
}

// The content types of [Protobuf] and [JSON].
const (
	ContentTypeProtobuf = "application/protobuf"
	ContentTypeJSON     = "application/json"
)

// Protobuf returns the encoder whose bodies are the records themselves, in protobuf's binary form: ego.v1.Event and
// ego.v1.DurableState. It is the default of all publishers.
func Protobuf() Encoder { return recordEncoder{ContentTypeProtobuf, proto.MarshalOptions{}.Marshal} }

// JSON returns the encoder whose bodies are the records in protobuf's JSON form, payload included, so the types of all
// payloads must be linked into the program.
func JSON() Encoder { return recordEncoder{ContentTypeJSON, protojson.MarshalOptions{}.Marshal} }

type recordEncoder struct {
	contentType string
	marshal     func(m proto.Message) ([]byte, error)
}

// EncodeEvent encodes an event.
func (e recordEncoder) EncodeEvent(event *egopb.Event) (*Message, error) {
	return e.encode(eventRecord(event), event)
}

// EncodeState encodes a state.
func (e recordEncoder) EncodeState(state *egopb.DurableState) (*Message, error) {
	return e.encode(stateRecord(state), state)
}

func (e recordEncoder) encode(r *record, body proto.Message) (*Message, error) {
	m := r.message()
	m.add(HeaderContentType, e.contentType)
	var err error
	if m.Body, err = e.marshal(body); err != nil {
		return nil, Reject(fmt.Errorf("%s cannot be encoded: %w", r.id, err))
	}
	return m, nil
}
