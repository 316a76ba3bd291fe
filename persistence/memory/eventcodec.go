package memory

import (
	"encoding/binary"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
)

// Events are most of what a store holds, so they have an encoding of their own that takes a third of the room and of the
// time of their protobuf encoding. What an event shares with many others, the names of its kind, its type and its writer,
// is a reference into a dictionary. What few events have follows behind the rest, as a protobuf message:
//
//	flags │ number │ kind │ type │ writer │ time │ [size, payload] │ [the other fields as an egopb.Event]
//
// The entity, the shard and the position are known from where the event stands.
const (
	hasPayload = 1 << iota
	hasOthers
	isDeleted
)

// encodeEvent appends an event to data.
func (d *dictionary) encodeEvent(data []byte, event *egopb.Event) ([]byte, error) {
	payload, others := event.GetPayload(), otherFields(event)
	kind, fits := d.reference(event.GetKind())
	if !fits {
		others = orNew(others)
		others.Kind = event.GetKind()
	}
	writer, fits := d.reference(event.GetWriterId())
	if !fits {
		others = orNew(others)
		others.WriterId = event.GetWriterId()
	}
	typeURL, fits := d.reference(payload.GetTypeUrl())
	if !fits || len(payload.ProtoReflect().GetUnknown()) > 0 {
		typeURL, others = 0, orNew(others)
		others.Payload, payload = payload, nil
	}

	flags := byte(0)
	if payload != nil {
		flags |= hasPayload
	}
	if others != nil {
		flags |= hasOthers
	}
	if event.GetDeleted() {
		flags |= isDeleted
	}
	data = append(data, flags)
	data = binary.AppendUvarint(data, event.GetSequenceNumber())
	data = binary.AppendUvarint(data, kind)
	data = binary.AppendUvarint(data, typeURL)
	data = binary.AppendUvarint(data, writer)
	data = binary.LittleEndian.AppendUint64(data, uint64(event.GetTimeUnixNano()))
	if payload != nil {
		data = binary.AppendUvarint(data, uint64(len(payload.GetValue())))
		data = append(data, payload.GetValue()...)
	}
	if others != nil {
		return proto.MarshalOptions{}.MarshalAppend(data, others)
	}
	return data, nil
}

func orNew(event *egopb.Event) *egopb.Event {
	if event == nil {
		return new(egopb.Event)
	}
	return event
}

// otherFields returns what the encoding has no place for, nil when there is nothing.
func otherFields(event *egopb.Event) *egopb.Event {
	unknown := event.ProtoReflect().GetUnknown()
	if event.GetCommandId() == "" && event.GetCorrelationId() == "" && event.GetCausationId() == "" && event.GetKeyId() == "" &&
		event.GetSchemaVersion() == 0 && event.GetTrace() == nil && len(event.GetTags()) == 0 && len(event.GetMetadata()) == 0 && len(unknown) == 0 {
		return nil
	}
	others := &egopb.Event{
		CommandId:     event.GetCommandId(),
		CorrelationId: event.GetCorrelationId(),
		CausationId:   event.GetCausationId(),
		Trace:         event.GetTrace(),
		Tags:          event.GetTags(),
		Metadata:      event.GetMetadata(),
		KeyId:         event.GetKeyId(),
		SchemaVersion: event.GetSchemaVersion(),
	}
	others.ProtoReflect().SetUnknown(unknown)
	return others
}

// decodeEvent returns an event that shares nothing with data.
func (d *dictionary) decodeEvent(data []byte) (*egopb.Event, error) {
	event := new(egopb.Event)
	r := reader{data: data}
	flags := r.byte()
	number, kind, typeURL, writer, nanos := r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint(), r.uint64()
	var payload *anypb.Any
	if flags&hasPayload != 0 {
		payload = &anypb.Any{TypeUrl: d.name(typeURL), Value: append([]byte{}, r.bytes()...)}
	}
	if flags&hasOthers != 0 {
		if err := proto.Unmarshal(r.data, event); err != nil {
			return nil, err
		}
	}
	event.SequenceNumber = number
	event.TimeUnixNano = int64(nanos)
	event.Deleted = flags&isDeleted != 0
	if kind != 0 {
		event.Kind = d.name(kind)
	}
	if writer != 0 {
		event.WriterId = d.name(writer)
	}
	if payload != nil {
		event.Payload = payload
	}
	return event, nil
}

// A reader takes apart what encodeEvent has put together.
type reader struct{ data []byte }

func (r *reader) byte() byte {
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	r.data = r.data[n:]
	return v
}

func (r *reader) uint64() uint64 {
	v := binary.LittleEndian.Uint64(r.data)
	r.data = r.data[8:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}
