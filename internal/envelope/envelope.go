// Package envelope turns user messages into the payloads of stored records and back. It is the only place that looks
// inside a payload.
package envelope

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/projection"
)

// A DecodeError reports a stored payload that cannot be read back. Number is zero for a state.
type DecodeError struct {
	PersistenceID string
	Number        uint64
	TypeURL       string
	Err           error // what is wrong; protoregistry.NotFound when the type is not linked into the program
}

func (e *DecodeError) Error() string {
	reason := e.Err.Error()
	if errors.Is(e.Err, protoregistry.NotFound) {
		reason = "the type is not linked into this program"
	}
	return fmt.Sprintf("record %d of entity %q cannot be read as %q: %s", e.Number, e.PersistenceID, e.TypeURL, reason)
}

func (e *DecodeError) Unwrap() error { return e.Err }

// Codec packs and opens payloads. The zero value is ready.
type Codec struct {
	typeURLs sync.Map // protoreflect.MessageDescriptor → string; saves building the same string for each event
}

// Pack serialises a message into payload, reusing its buffer.
func (c *Codec) Pack(payload *anypb.Any, message proto.Message) error {
	value, err := proto.MarshalOptions{}.MarshalAppend(payload.Value[:0], message)
	if err != nil {
		return err
	}
	payload.TypeUrl, payload.Value = c.typeURL(message.ProtoReflect().Descriptor()), value
	return nil
}

func (c *Codec) typeURL(descriptor protoreflect.MessageDescriptor) string {
	if url, ok := c.typeURLs.Load(descriptor); ok {
		return url.(string)
	}
	url := "type.googleapis.com/" + string(descriptor.FullName())
	c.typeURLs.Store(descriptor, url)
	return url
}

// Open reads a payload back. The error is a [DecodeError].
func (c *Codec) Open(persistenceID string, number uint64, payload *anypb.Any) (proto.Message, error) {
	if payload == nil {
		return nil, &DecodeError{PersistenceID: persistenceID, Number: number, Err: errors.New("the payload is missing")}
	}
	message, err := payload.UnmarshalNew()
	if err != nil {
		return nil, &DecodeError{PersistenceID: persistenceID, Number: number, TypeURL: payload.GetTypeUrl(), Err: err}
	}
	return message, nil
}

// OpenEvent returns the event as user code sees it.
func (c *Codec) OpenEvent(event *egopb.Event) (*projection.Event, error) {
	message, err := c.Open(event.GetPersistenceId(), event.GetSequenceNumber(), event.GetPayload())
	if err != nil {
		return nil, err
	}
	return &projection.Event{
		PersistenceID:  event.GetPersistenceId(),
		Kind:           event.GetKind(),
		SequenceNumber: event.GetSequenceNumber(),
		Position:       event.GetPosition(),
		Shard:          event.GetShard(),
		Time:           time.Unix(0, event.GetTimeUnixNano()),
		Message:        message,
		Metadata: projection.Metadata{
			CommandID:     event.GetCommandId(),
			CorrelationID: event.GetCorrelationId(),
			CausationID:   event.GetCausationId(),
			TraceParent:   event.GetTrace().GetTraceparent(),
			TraceState:    event.GetTrace().GetTracestate(),
			Tags:          event.GetTags(),
			Values:        event.GetMetadata(),
		},
	}, nil
}
