package memory

import (
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// maxPooledBatch is the largest buffer that is kept for later writes.
const maxPooledBatch = 1 << 20

// A batch is the memory that one write of events needs while it is under way.
type batch struct {
	data []byte // the records, one after another
	ends []int  // where each record ends
	runs []persistence.Run

	places []uint32 // the shard of each run
	shards []uint32 // the shards of all runs, ascending
}

var batches = sync.Pool{New: func() any { return new(batch) }} //nolint:gochecknoglobals // a pool

func (b *batch) free() {
	if cap(b.data) > maxPooledBatch {
		return
	}
	clear(b.runs) // let go of the ids
	b.data, b.ends, b.runs, b.places, b.shards = b.data[:0], b.ends[:0], b.runs[:0], b.places[:0], b.shards[:0]
	batches.Put(b)
}

// encode checks the events and serializes them.
func (b *batch) encode(events []*egopb.Event, d *dictionary) (err error) {
	if b.runs, err = persistence.AppendRuns(b.runs, events); err != nil {
		return err
	}
	for _, event := range events {
		b.data, err = d.encodeEvent(b.data, event)
		if err != nil {
			return &persistence.InvalidRecordError{PersistenceID: event.GetPersistenceId(), Reason: err.Error()}
		}
		b.ends = append(b.ends, len(b.data))
	}
	return nil
}

// record returns the bytes of the i-th event.
func (b *batch) record(i int) []byte {
	if i == 0 {
		return b.data[:b.ends[0]]
	}
	return b.data[b.ends[i-1]:b.ends[i]]
}

// encode serializes a record other than an event.
func encode(persistenceID string, message proto.Message) ([]byte, error) {
	data, err := proto.Marshal(message)
	if err != nil {
		return nil, &persistence.InvalidRecordError{PersistenceID: persistenceID, Reason: err.Error()}
	}
	return data, nil
}

// decode fills a fresh message. It copies out of data.
func decode[M proto.Message](data []byte, message M) (M, error) {
	err := proto.Unmarshal(data, message)
	return message, err
}

// tombstone returns what is left of a deleted event.
func tombstone(event *egopb.Event) *egopb.Event {
	return &egopb.Event{
		PersistenceId:  event.GetPersistenceId(),
		SequenceNumber: event.GetSequenceNumber(),
		Shard:          event.GetShard(),
		Position:       event.GetPosition(),
		Kind:           event.GetKind(),
		TimeUnixNano:   event.GetTimeUnixNano(),
		Deleted:        true,
	}
}
