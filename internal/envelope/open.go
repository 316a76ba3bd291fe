package envelope

import (
	"bytes"
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/eventadapter"
	"github.com/actorkeep/ego/projection"
)

// Open returns what user code sees of a stored event: one event, or after adapters none or several. A tombstone is none.
//
// An event of an erased entity is an error that matches [encryption.ErrErased]: readers pass over it and go on. The event
// that ends the life of an erased entity is one of these; [IsErasure] tells it from the others. A [KeyError] may
// go away; every other error is a [DecodeError] and stays until something is changed.
func (c *Codec) Open(ctx context.Context, event *egopb.Event) ([]*projection.Event, error) {
	var one [1]proto.Message
	messages, err := c.OpenMessages(ctx, event, one[:0])
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	opened := make([]*projection.Event, len(messages))
	for i, message := range messages {
		opened[i] = userEvent(event, message)
	}
	return opened, nil
}

// OpenChange returns a change of a durable state as user code sees it, under the rules of [Codec.Open]: its number is the
// revision, its message the state.
func (c *Codec) OpenChange(ctx context.Context, state *egopb.DurableState) ([]*projection.Event, error) {
	message, err := c.OpenState(ctx, state)
	if err != nil {
		return nil, err
	}
	return []*projection.Event{{
		PersistenceID:  state.GetPersistenceId(),
		Kind:           state.GetKind(),
		SequenceNumber: state.GetRevision(),
		Position:       state.GetPosition(),
		Shard:          state.GetShard(),
		Time:           time.Unix(0, state.GetTimeUnixNano()),
		Message:        message,
		Metadata: projection.Metadata{
			CommandID:     state.GetCommandId(),
			CorrelationID: state.GetCorrelationId(),
			CausationID:   state.GetCausationId(),
			TraceParent:   state.GetTrace().GetTraceparent(),
			TraceState:    state.GetTrace().GetTracestate(),
			Tags:          state.GetTags(),
			Values:        state.GetMetadata(),
		},
	}}, nil
}

func userEvent(event *egopb.Event, message proto.Message) *projection.Event {
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
	}
}

// OpenMessages appends the messages of an event to a slice, under the rules of [Codec.Open].
func (c *Codec) OpenMessages(ctx context.Context, event *egopb.Event, messages []proto.Message) ([]proto.Message, error) {
	if event.GetDeleted() {
		return messages, nil
	}
	adapt := c.adapters.Takes(event.GetPayload().GetTypeUrl())
	if event.GetKeyId() == "" && !adapt { // the usual way, and the fastest
		message, err := openPlain(event.GetPersistenceId(), event.GetSequenceNumber(), event.GetPayload())
		if err != nil {
			return messages, err
		}
		return append(messages, message), nil
	}
	at := encryption.Record{Kind: encryption.EventRecord, PersistenceID: event.GetPersistenceId(), Number: event.GetSequenceNumber()}
	if !adapt {
		message, err := c.OpenPayload(ctx, at, event.GetKeyId(), event.GetPayload())
		if err != nil {
			return messages, err
		}
		return append(messages, message), nil
	}
	return c.openAdapted(ctx, event, &at, messages)
}

// openAdapted is OpenMessages for an event that some adapter takes.
func (c *Codec) openAdapted(ctx context.Context, event *egopb.Event, at *encryption.Record, messages []proto.Message) ([]proto.Message, error) {
	err := c.withValue(ctx, at, event.GetKeyId(), event.GetPayload(), func(value []byte) error {
		adapted, err := c.adapters.Apply(ctx, eventadapter.NewEvent(event, at.TypeURL, bytes.Clone(value)))
		if err != nil {
			return err
		}
		for _, one := range adapted {
			message, err := one.Message()
			if err != nil {
				return &DecodeError{PersistenceID: at.PersistenceID, Number: at.Number, TypeURL: string(one.Type()), Err: err}
			}
			messages = append(messages, message)
		}
		return nil
	})
	return messages, err
}

// OpenSnapshot returns the state in a snapshot. The error is a [DecodeError] or a [KeyError], or matches
// [encryption.ErrErased].
func (c *Codec) OpenSnapshot(ctx context.Context, snapshot *egopb.Snapshot) (proto.Message, error) {
	at := encryption.Record{Kind: encryption.SnapshotRecord, PersistenceID: snapshot.GetPersistenceId(), Number: snapshot.GetSequenceNumber()}
	return c.OpenPayload(ctx, at, snapshot.GetKeyId(), snapshot.GetState())
}

// OpenState returns the state in a durable state, under the rules of [Codec.OpenSnapshot].
func (c *Codec) OpenState(ctx context.Context, state *egopb.DurableState) (proto.Message, error) {
	at := encryption.Record{Kind: encryption.StateRecord, PersistenceID: state.GetPersistenceId(), Number: state.GetRevision()}
	return c.OpenPayload(ctx, at, state.GetKeyId(), state.GetState())
}

// OpenTimer returns the message in a timer, under the rules of [Codec.OpenSnapshot].
func (c *Codec) OpenTimer(ctx context.Context, timer *egopb.Timer) (proto.Message, error) {
	at := encryption.Record{Kind: encryption.TimerRecord, PersistenceID: timer.GetOwner(), Name: timer.GetName()}
	return c.OpenPayload(ctx, at, timer.GetKeyId(), timer.GetPayload())
}

// OpenPayload returns the message in a payload that belongs to a place, under the rules of [Codec.OpenSnapshot]. The type
// url of the place is set here.
func (c *Codec) OpenPayload(ctx context.Context, at encryption.Record, keyID string, payload *anypb.Any) (message proto.Message, err error) {
	if keyID == "" {
		return openPlain(at.PersistenceID, at.Number, payload)
	}
	err = c.withValue(ctx, &at, keyID, payload, func(value []byte) error {
		message, err = unmarshal(at.TypeURL, value)
		return err
	})
	return message, err
}

// openPlain returns the message in a payload that is not sealed.
func openPlain(persistenceID string, number uint64, payload *anypb.Any) (proto.Message, error) {
	if payload.GetTypeUrl() == erasedTypeURL {
		return nil, &encryption.ErasedError{PersistenceID: persistenceID, Number: number}
	}
	message, err := proto.Message(nil), errNoPayload
	if payload != nil {
		message, err = unmarshal(payload.GetTypeUrl(), payload.GetValue())
	}
	if err != nil {
		return nil, &DecodeError{PersistenceID: persistenceID, Number: number, TypeURL: payload.GetTypeUrl(), Err: err}
	}
	return message, nil
}

var errNoPayload = errors.New("the payload is missing")

// withValue calls use with the plain value of a payload, which it must not keep.
func (c *Codec) withValue(ctx context.Context, at *encryption.Record, keyID string, payload *anypb.Any, use func(value []byte) error) error {
	at.TypeURL = payload.GetTypeUrl()
	value, err := payload.GetValue(), error(nil)
	switch {
	case payload == nil:
		err = errNoPayload
	case keyID != "" && c.encryptor == nil:
		err = ErrNoEncryptor
	case keyID != "":
		plaintext := c.plaintext()
		defer c.release(plaintext)
		if value, err = c.encryptor.Open(ctx, at, keyID, *plaintext, value); err != nil {
			err = keyError(at, err)
			break
		}
		*plaintext = value // cleared with the rest
	}
	if err == nil {
		err = use(value)
	}
	if err == nil || errors.Is(err, encryption.ErrErased) || isOurs(err) {
		return err
	}
	return &DecodeError{PersistenceID: at.PersistenceID, Number: at.Number, TypeURL: at.TypeURL, Err: err}
}

// isOurs reports whether an error names its record already.
func isOurs(err error) bool {
	_, decode := errors.AsType[*DecodeError](err)
	_, key := errors.AsType[*KeyError](err)
	return decode || key
}

// unmarshal reads a message of a type that is linked into the program.
func unmarshal(typeURL string, value []byte) (proto.Message, error) {
	messageType, err := protoregistry.GlobalTypes.FindMessageByURL(typeURL)
	if err != nil {
		return nil, err
	}
	message := messageType.New().Interface()
	return message, proto.Unmarshal(value, message)
}
