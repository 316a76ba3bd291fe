// Package envelope turns user messages into the payloads of stored records and back: it seals and opens them and lets
// old events through their adapters. It is the only place that looks inside a payload.
//
//	a message → marshal → seal ─► record ─► unseal → adapt → unmarshal → messages
//
// Without an encryptor and without adapters both ways do no more than marshal and unmarshal.
package envelope

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/eventadapter"
)

// A DecodeError reports a stored payload that cannot be read back. Number is zero for a record without a number.
type DecodeError struct {
	PersistenceID string
	Number        uint64
	TypeURL       string
	Err           error // what is wrong; protoregistry.NotFound when the type is not linked into the program
}

func (e *DecodeError) Error() string {
	reason := e.Err.Error()
	if errors.Is(e.Err, protoregistry.NotFound) {
		reason = "the type is not linked into this program, and no event adapter takes it"
	}
	return fmt.Sprintf("record %d of entity %q cannot be read as %q: %s", e.Number, e.PersistenceID, e.TypeURL, reason)
}

func (e *DecodeError) Unwrap() error { return e.Err }

// ErrNoEncryptor reports a sealed record in an engine that has no encryptor.
var ErrNoEncryptor = errors.New("it is sealed, and the engine has no encryptor")

// A KeyError reports a record that could not be sealed or opened because its key could not be had: the key store or the
// wrapper failed, or the context ended. Nothing is wrong with the record; trying again may work.
type KeyError struct {
	PersistenceID string
	Number        uint64
	Err           error
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("no key for record %d of entity %q: %s", e.Number, e.PersistenceID, e.Err)
}

func (e *KeyError) Unwrap() error { return e.Err }

// keyError says what an error of the encryptor means.
func keyError(at *encryption.Record, err error) error {
	for _, permanent := range []error{encryption.ErrErased, encryption.ErrDamaged, encryption.ErrUnknownKey} {
		if errors.Is(err, permanent) {
			return err
		}
	}
	return &KeyError{PersistenceID: at.PersistenceID, Number: at.Number, Err: err}
}

// Codec packs and opens payloads. The zero value is ready, for plain payloads. It is safe for concurrent use.
type Codec struct {
	encryptor encryption.Encryptor // nil: plain
	adapters  *eventadapter.Chain  // nil: none

	typeURLs   sync.Map  // protoreflect.MessageDescriptor → string; saves building the same string for each event
	plaintexts sync.Pool // *[]byte; cleared before they are put back

	erasures atomic.Int64 // how many are under way in this process
	mu       sync.Mutex
	erasing  map[string]int // and of which entities
}

// New returns a codec that seals with an encryptor and opens through adapters. Both may be nil.
func New(encryptor encryption.Encryptor, adapters *eventadapter.Chain) *Codec {
	return &Codec{encryptor: encryptor, adapters: adapters}
}

// PackEvent writes a message into the payload of an event, whose other fields are set, reusing the payload's buffer. A
// [KeyError] says that it could not be sealed now, [encryption.ErrErased] that it never can, and any other error that it
// cannot be stored.
func (c *Codec) PackEvent(ctx context.Context, event *egopb.Event, message proto.Message) (err error) {
	if c.encryptor == nil {
		return c.pack(event.Payload, message)
	}
	at := encryption.Record{Kind: encryption.EventRecord, PersistenceID: event.GetPersistenceId(), Number: event.GetSequenceNumber()}
	event.KeyId, err = c.Pack(ctx, at, event.Payload, message)
	return err
}

// PackSnapshot writes a state into a snapshot, whose other fields are set, under the rules of [Codec.PackEvent].
func (c *Codec) PackSnapshot(ctx context.Context, snapshot *egopb.Snapshot, state proto.Message) (err error) {
	at := encryption.Record{Kind: encryption.SnapshotRecord, PersistenceID: snapshot.GetPersistenceId(), Number: snapshot.GetSequenceNumber()}
	snapshot.State = new(anypb.Any)
	snapshot.KeyId, err = c.Pack(ctx, at, snapshot.State, state)
	return err
}

// PackState writes a state into a durable state, whose other fields are set, under the rules of [Codec.PackEvent].
func (c *Codec) PackState(ctx context.Context, record *egopb.DurableState, state proto.Message) (err error) {
	at := encryption.Record{Kind: encryption.StateRecord, PersistenceID: record.GetPersistenceId(), Number: record.GetRevision()}
	record.State = new(anypb.Any)
	record.KeyId, err = c.Pack(ctx, at, record.State, state)
	return err
}

// PackTimer writes a message into a timer, whose other fields are set, under the rules of [Codec.PackEvent].
func (c *Codec) PackTimer(ctx context.Context, timer *egopb.Timer, message proto.Message) (err error) {
	at := encryption.Record{Kind: encryption.TimerRecord, PersistenceID: timer.GetOwner(), Name: timer.GetName()}
	timer.Payload = new(anypb.Any)
	timer.KeyId, err = c.Pack(ctx, at, timer.Payload, message)
	return err
}

// Pack writes a message into a payload that belongs to a place, reusing the payload's buffer, and returns the id of the
// key that sealed it, empty for none. The type url of the place is set here.
func (c *Codec) Pack(ctx context.Context, at encryption.Record, payload *anypb.Any, message proto.Message) (keyID string, err error) {
	if c.encryptor == nil {
		return "", c.pack(payload, message)
	}
	if err := checkUserMessage(message); err != nil {
		return "", err
	}
	plaintext := c.plaintext()
	defer c.release(plaintext)
	if *plaintext, err = (proto.MarshalOptions{}).MarshalAppend(*plaintext, message); err != nil {
		return "", err
	}
	at.TypeURL = c.typeURL(message.ProtoReflect().Descriptor())
	buffer := payload.Value[:0]
	sealed, keyID, err := c.encryptor.Seal(ctx, &at, buffer, *plaintext)
	if err != nil {
		return "", keyError(&at, err)
	}
	if keyID == "" {
		sealed = append(sealed, *plaintext...)
	}
	payload.TypeUrl, payload.Value = at.TypeURL, sealed
	return keyID, nil
}

// pack serialises a message into a payload.
func (c *Codec) pack(payload *anypb.Any, message proto.Message) error {
	if err := checkUserMessage(message); err != nil {
		return err
	}
	value, err := proto.MarshalOptions{}.MarshalAppend(payload.Value[:0], message)
	if err != nil {
		return err
	}
	payload.TypeUrl, payload.Value = c.typeURL(message.ProtoReflect().Descriptor()), value
	return nil
}

// checkUserMessage refuses a message that means something to ego itself.
func checkUserMessage(message proto.Message) error {
	if _, reserved := message.(*egopb.Erased); reserved {
		return errors.New("the message is reserved for the erasure of entities")
	}
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

// plaintext returns an empty buffer.
func (c *Codec) plaintext() *[]byte {
	if buffer, ok := c.plaintexts.Get().(*[]byte); ok {
		return buffer
	}
	return new([]byte)
}

// release clears a buffer and gives it back.
func (c *Codec) release(buffer *[]byte) {
	if cap(*buffer) > maxPooledPayload {
		return
	}
	clear((*buffer)[:cap(*buffer)])
	*buffer = (*buffer)[:0]
	c.plaintexts.Put(buffer)
}
