package pulsar_test

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// A record is a message of Pulsar's protocol. The client keeps its Go types to itself, but they are registered by name.
type record struct{ protoreflect.Message }

func newRecord(name protoreflect.FullName) record {
	found, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		panic(err)
	}
	return record{found.New()}
}

func parse(name protoreflect.FullName, data []byte) (record, error) {
	r := newRecord(name)
	return r, proto.Unmarshal(data, r.Interface())
}

func (r record) field(name protoreflect.Name) protoreflect.Value {
	return r.Get(r.Descriptor().Fields().ByName(name))
}

func (r record) number(name protoreflect.Name) uint64 {
	v := r.field(name)
	if n, ok := v.Interface().(int32); ok {
		return uint64(n)
	}
	return v.Uint()
}

func (r record) text(name protoreflect.Name) string { return r.field(name).String() }
func (r record) sub(name protoreflect.Name) record  { return record{r.field(name).Message()} }

// kind is the name of a command's type.
func (r record) kind() string {
	field := r.Descriptor().Fields().ByName("type")
	return string(field.Enum().Values().ByNumber(r.Get(field).Enum()).Name())
}

// pairs are the key values of a field.
func (r record) pairs(name protoreflect.Name) map[string]string {
	list, all := r.field(name).List(), make(map[string]string)
	for i := range list.Len() {
		pair := record{list.Get(i).Message()}
		all[pair.text("key")] = pair.text("value")
	}
	return all
}

const (
	baseCommand    = "pulsar.proto.BaseCommand"
	metadata       = "pulsar.proto.MessageMetadata"
	singleMetadata = "pulsar.proto.SingleMessageMetadata"
	magic          = 0x0e01 // a checksum follows
)

// command returns the frame of a command that is given as text.
func command(format string, args ...any) []byte {
	r := newRecord(baseCommand)
	if err := prototext.Unmarshal(fmt.Appendf(nil, format, args...), r.Interface()); err != nil {
		panic(err)
	}
	body, err := proto.Marshal(r.Interface())
	if err != nil {
		panic(err)
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(body)))
	return append(frame, body...)
}

// readFrame reads a command and what comes with it.
func readFrame(from *bufio.Reader) (cmd record, rest []byte, err error) {
	var size uint32
	if err := binary.Read(from, binary.BigEndian, &size); err != nil {
		return cmd, nil, err
	}
	frame := make([]byte, size)
	if _, err := io.ReadFull(from, frame); err != nil {
		return cmd, nil, err
	}
	body, rest, err := sized(frame)
	if err != nil {
		return cmd, nil, err
	}
	cmd, err = parse(baseCommand, body)
	return cmd, rest, err
}

// sized cuts off what a length of four bytes announces.
func sized(data []byte) (head, rest []byte, err error) {
	if len(data) < 4 || uint64(binary.BigEndian.Uint32(data)) > uint64(len(data)-4) {
		return nil, nil, errors.New("the frame is cut off")
	}
	end := 4 + binary.BigEndian.Uint32(data)
	return data[4:end], data[end:], nil
}

// A stored message is what the fake keeps of one.
type stored struct {
	partition, key, producer string
	sequence, batch          uint64 // ids of the message and of the batch it came in
	properties               map[string]string
	eventTime                uint64
	body                     []byte
}

// messagesOf reads what comes with a SEND: checksum, metadata, and one message or a batch of them.
func messagesOf(data []byte) (messages []stored, err error) {
	if len(data) < 6 || binary.BigEndian.Uint16(data) != magic {
		return nil, errors.New("there is no checksum")
	}
	if sum := crc32.Checksum(data[6:], crc32.MakeTable(crc32.Castagnoli)); sum != binary.BigEndian.Uint32(data[2:]) {
		return nil, errors.New("the checksum is wrong")
	}
	head, payload, err := sized(data[6:])
	if err != nil {
		return nil, err
	}
	meta, err := parse(metadata, head)
	if err != nil {
		return nil, err
	}
	if payload, err = uncompressed(meta, payload); err != nil {
		return nil, err
	}
	if !meta.Has(meta.Descriptor().Fields().ByName("num_messages_in_batch")) {
		return []stored{single(meta, meta, payload)}, nil
	}
	for range meta.number("num_messages_in_batch") {
		var head []byte
		if head, payload, err = sized(payload); err != nil {
			return nil, err
		}
		of, err := parse(singleMetadata, head)
		if err != nil {
			return nil, err
		}
		size := of.number("payload_size")
		if size > uint64(len(payload)) {
			return nil, errors.New("a message is cut off")
		}
		messages = append(messages, single(meta, of, payload[:size]))
		payload = payload[size:]
	}
	if len(payload) > 0 {
		return nil, errors.New("the batch has more than it says")
	}
	return messages, nil
}

func single(meta, of record, body []byte) stored {
	return stored{
		key: of.text("partition_key"), producer: meta.text("producer_name"), properties: of.pairs("properties"),
		sequence: of.number("sequence_id"), batch: meta.number("sequence_id"), eventTime: of.number("event_time"), body: body,
	}
}

func uncompressed(meta record, payload []byte) ([]byte, error) {
	const none, zlibbed = 0, 2
	switch kind := meta.field("compression").Enum(); kind {
	case none:
		return payload, nil
	case zlibbed:
		r, err := zlib.NewReader(bytes.NewReader(payload))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	default:
		return nil, fmt.Errorf("the fake knows no compression %d", kind)
	}
}
