package mongo

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
)

// An entry is one document of the log: a batch of events that was written all at once.
//
//	_id  number of the batch, 1, 2, 3 … without a gap, as 16 hexadecimal digits
//	b    random bytes that tell the batch from one of another writer with the same number
//	h    position of every shard after the batch, as varints
//	i    ids of the entities that it has events of
//	c    ids of the entities that begin with it
//	e    by shard, its events in order of their positions: the serialized record, or what is left of a deleted one
type entry struct {
	number uint64
	heads  []uint64
	raw    bson.Raw
	spans  map[string]span // by entity; only of batches that are kept in memory
}

// entryID returns the _id of a batch. It is a string whose order is that of the numbers.
func entryID(number uint64) string { return fmt.Sprintf("%016x", number) }

// decodeEntry checks a document of the log.
func decodeEntry(raw bson.Raw, shards uint32) (*entry, error) {
	id, _ := raw.Lookup("_id").StringValueOK()
	number, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		return nil, fmt.Errorf("a batch of the log has the id %q: %w", id, err)
	}
	_, packed, ok := raw.Lookup("h").BinaryOK()
	if !ok {
		return nil, fmt.Errorf("batch %d has no positions", number)
	}
	heads := make([]uint64, shards)
	for i := range heads {
		head, n := binary.Uvarint(packed)
		if n <= 0 {
			return nil, fmt.Errorf("batch %d has positions of %d shards, not of %d", number, i, shards)
		}
		heads[i], packed = head, packed[n:]
	}
	return &entry{number: number, heads: heads, raw: raw}, nil
}

// packHeads makes the field h.
func packHeads(heads []uint64) bson.Binary {
	packed := make([]byte, 0, 4*len(heads))
	for _, head := range heads {
		packed = binary.AppendUvarint(packed, head)
	}
	return bson.Binary{Data: packed}
}

// batch returns the bytes that name the writer's batch.
func (e *entry) batch() []byte {
	_, data, _ := e.raw.Lookup("b").BinaryOK()
	return data
}

// values returns the events of a shard as they are stored.
func (e *entry) values(shard uint32) ([]bson.RawValue, error) {
	value, err := e.raw.LookupErr("e", strconv.FormatUint(uint64(shard), 10))
	if err != nil {
		return nil, nil //nolint:nilerr // the batch has no events of the shard
	}
	array, ok := value.ArrayOK()
	if !ok {
		return nil, fmt.Errorf("batch %d: the events of shard %d are no array", e.number, shard)
	}
	return array.Values()
}

// A remnant is what is left of a deleted event.
type remnant struct {
	PersistenceID  string `bson:"i"`
	SequenceNumber int64  `bson:"q"`
	Kind           string `bson:"k"`
}

// remnantSize bounds the bytes of what would be left of an event.
func remnantSize(event *egopb.Event) int {
	return 40 + len(event.GetPersistenceId()) + len(event.GetKind())
}

// decodeEvent makes an event of a stored value. The caller sets shard and position.
func decodeEvent(value bson.RawValue) (*egopb.Event, error) {
	if _, record, ok := value.BinaryOK(); ok {
		event := new(egopb.Event)
		return event, proto.Unmarshal(record, event)
	}
	var left remnant
	if err := value.Unmarshal(&left); err != nil {
		return nil, err
	}
	return &egopb.Event{PersistenceId: left.PersistenceID, SequenceNumber: uint64(left.SequenceNumber), Kind: left.Kind, Deleted: true}, nil
}

// events returns the events of a shard with positions above after, at most limit.
func (e *entry) events(shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
	values, err := e.values(shard)
	if err != nil {
		return nil, err
	}
	first := e.heads[shard] - uint64(len(values)) + 1
	skip := 0
	if after >= first {
		skip = min(int(after-first+1), len(values))
	}
	events := make([]*egopb.Event, 0, min(len(values)-skip, limit))
	for i := skip; i < len(values) && len(events) < limit; i++ {
		event, err := decodeEvent(values[i])
		if err != nil {
			return nil, fmt.Errorf("event at position %d of shard %d: %w", first+uint64(i), shard, err)
		}
		event.Shard, event.Position = shard, first+uint64(i)
		events = append(events, event)
	}
	return events, nil
}

// A mention is what a stored value says of its event without being decoded in full.
type mention struct {
	id      string
	number  uint64
	deleted bool
}

// mentionOf reads entity and number of a stored value.
func mentionOf(value bson.RawValue) (mention, error) {
	_, record, ok := value.BinaryOK()
	if !ok {
		var left remnant
		err := value.Unmarshal(&left)
		return mention{id: left.PersistenceID, number: uint64(left.SequenceNumber), deleted: true}, err
	}
	var m mention
	for len(record) > 0 && (m.id == "" || m.number == 0) {
		field, kind, n := protowire.ConsumeTag(record)
		if n < 0 {
			return m, protowire.ParseError(n)
		}
		record = record[n:]
		switch {
		case field == 1 && kind == protowire.BytesType:
			id, n := protowire.ConsumeString(record)
			if n < 0 {
				return m, protowire.ParseError(n)
			}
			m.id, record = id, record[n:]
		case field == 2 && kind == protowire.VarintType:
			number, n := protowire.ConsumeVarint(record)
			if n < 0 {
				return m, protowire.ParseError(n)
			}
			m.number, record = number, record[n:]
		default:
			n := protowire.ConsumeFieldValue(field, kind, record)
			if n < 0 {
				return m, protowire.ParseError(n)
			}
			record = record[n:]
		}
	}
	return m, nil
}

// A span is the part of one entity's journal that a batch holds.
type span struct{ first, last uint64 }

// spanOf returns the part of an entity that the batch holds; last is zero when it has none.
func (e *entry) spanOf(id string, shard uint32) (s span, err error) {
	values, err := e.values(shard)
	if err != nil {
		return s, err
	}
	for _, value := range values {
		m, err := mentionOf(value)
		if err != nil {
			return s, fmt.Errorf("batch %d: %w", e.number, err)
		}
		if m.id != id {
			continue
		}
		if s.first == 0 {
			s.first = m.number
		}
		s.last = m.number
	}
	return s, nil
}

// eventsOf returns the events of an entity that are numbered from to to, tombstones included.
func (e *entry) eventsOf(id string, shard uint32, from, to uint64) ([]*egopb.Event, error) {
	values, err := e.values(shard)
	if err != nil {
		return nil, err
	}
	first := e.heads[shard] - uint64(len(values)) + 1
	var events []*egopb.Event
	for i, value := range values {
		m, err := mentionOf(value)
		if err != nil {
			return nil, fmt.Errorf("batch %d: %w", e.number, err)
		}
		if m.id != id || m.number < from || m.number > to {
			continue
		}
		event, err := decodeEvent(value)
		if err != nil {
			return nil, fmt.Errorf("event %d of %q: %w", m.number, id, err)
		}
		event.Shard, event.Position = shard, first+uint64(i)
		events = append(events, event)
	}
	return events, nil
}
