package eventadapter

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/actorkeep/ego/egopb"
)

// An Event is a stored event on its way through the adapters. It is never modified: an adapter makes other events of it.
type Event struct {
	PersistenceID  string
	Kind           string
	SequenceNumber uint64
	Time           time.Time
	Version        uint32 // of the schema

	name    protoreflect.FullName
	value   []byte
	message proto.Message // nil when nobody has needed it yet
}

// NewEvent returns the event of a record whose payload has been opened: a type url and a value. It keeps the value.
func NewEvent(record *egopb.Event, typeURL string, value []byte) *Event {
	return &Event{
		PersistenceID:  record.GetPersistenceId(),
		Kind:           record.GetKind(),
		SequenceNumber: record.GetSequenceNumber(),
		Time:           time.Unix(0, record.GetTimeUnixNano()),
		Version:        record.GetSchemaVersion(),
		name:           nameOf(typeURL),
		value:          value,
	}
}

// nameOf returns the full name in a type url, or in a full name.
func nameOf(typeURL string) protoreflect.FullName {
	return protoreflect.FullName(typeURL[strings.LastIndexByte(typeURL, '/')+1:])
}

// Type returns the full name of the message.
func (e *Event) Type() protoreflect.FullName { return e.name }

// Message returns the message, which must not be modified. It is protoregistry.NotFound when its type is not linked into
// the program.
func (e *Event) Message() (proto.Message, error) {
	if e.message != nil {
		return e.message, nil
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(e.name)
	if err != nil {
		return nil, err
	}
	message := kind.New().Interface()
	if err := proto.Unmarshal(e.value, message); err != nil {
		return nil, err
	}
	e.message = message
	return message, nil
}

// Unmarshal reads the message into another, whatever the type of that is.
func (e *Event) Unmarshal(into proto.Message) error {
	value, err := e.Value()
	if err != nil {
		return err
	}
	return proto.Unmarshal(value, into)
}

// Value returns the message in the wire format. It must not be modified.
func (e *Event) Value() ([]byte, error) {
	if e.value == nil && e.message != nil {
		return proto.Marshal(e.message)
	}
	return e.value, nil
}

// WithMessage returns the event with another message in it.
func (e *Event) WithMessage(message proto.Message) *Event {
	next := *e
	next.name, next.value, next.message = message.ProtoReflect().Descriptor().FullName(), nil, message
	return &next
}

// WithType returns the event with its value read as another type, named by its full name or type url.
func (e *Event) WithType(typeURL string) (*Event, error) {
	value, err := e.Value()
	if err != nil {
		return nil, err
	}
	next := *e
	next.name, next.value, next.message = nameOf(typeURL), value, nil
	return &next, nil
}

// WithVersion returns the event with another schema version.
func (e *Event) WithVersion(version uint32) *Event {
	next := *e
	next.Version = version
	return &next
}

func (e *Event) String() string {
	return fmt.Sprintf("event %d of %q, %s version %d", e.SequenceNumber, e.PersistenceID, e.name, e.Version)
}
