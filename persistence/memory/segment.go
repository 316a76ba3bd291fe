package memory

import (
	"sort"
	"sync"
)

// The capacity of a segment starts at minSegment and doubles up to maxSegment. A larger record has a segment of its own.
const (
	minSegment = 4 << 10
	maxSegment = 256 << 10
)

// A shard is the events of its entities in order of their positions, in segments.
type shard struct {
	mu       sync.Mutex
	entities map[string]*entityLog
	byNumber []*entityLog
	segments []*segment
	last     uint64 // highest position
}

// A segment holds the events at first, first+1, …. Bytes of data that an entry covers are never changed, so a reader may
// go on using them after it gave the lock back, even when the segment has been compacted since.
type segment struct {
	first   uint64
	data    []byte
	entries []entry
	dead    int // bytes of deleted events in data
}

// An entry is the place of one event; it starts where the entry before it ends. It has no pointer, so that the garbage
// collector need not look at journals.
type entry struct {
	end    uint32
	entity uint32 // its number
	state  entryState
}

type entryState uint32

const (
	live     entryState = iota
	deleted             // the bytes are still those of the event
	stripped            // the bytes are those of a tombstone
)

// A record is an event as it is stored.
type record struct {
	data     []byte
	entity   *entityLog // only its identity may be read without the lock of the shard
	position uint64
	deleted  bool // data is more than the caller may see
}

// append adds an event and returns its position.
func (s *shard) append(entity uint32, data []byte) uint64 {
	seg := s.tail(len(data))
	seg.data = append(seg.data, data...)
	seg.entries = append(seg.entries, entry{end: uint32(len(seg.data)), entity: entity}) //nolint:gosec // protobuf allows 2 GiB at most
	s.last++
	return s.last
}

// tail returns the segment that takes the next event of the size given.
func (s *shard) tail(size int) *segment {
	capacity, entries := minSegment, 16
	if n := len(s.segments); n > 0 {
		seg := s.segments[n-1]
		if cap(seg.data)-len(seg.data) >= size {
			return seg
		}
		capacity = min(2*cap(seg.data), maxSegment)
		entries = len(seg.entries)*capacity/cap(seg.data)*9/8 + 8 // enough when records stay as large as they are
	}
	seg := &segment{
		first:   s.last + 1,
		data:    make([]byte, 0, max(capacity, size)),
		entries: make([]entry, 0, entries),
	}
	s.segments = append(s.segments, seg)
	return seg
}

// find returns the index of the segment with a position, which must exist.
func (s *shard) find(position uint64) int {
	return sort.Search(len(s.segments), func(i int) bool { return s.segments[i].first > position }) - 1
}

// record returns the event at a position, which must exist.
func (s *shard) record(position uint64) record {
	seg := s.segments[s.find(position)]
	return s.recordAt(seg, int(position-seg.first))
}

// after returns at most limit events with positions above the one given.
func (s *shard) after(position uint64, limit int) []record {
	if position >= s.last {
		return nil
	}
	n := int(min(s.last-position, uint64(limit)))
	records := make([]record, 0, n)
	for i := s.find(position + 1); len(records) < n; i++ {
		seg := s.segments[i]
		for j := int(position + 1 - seg.first); j < len(seg.entries) && len(records) < n; j++ {
			records = append(records, s.recordAt(seg, j))
			position++
		}
	}
	return records
}

// delete turns the event at a position into a tombstone. The position must exist and the event be live.
func (s *shard) delete(position uint64, names *dictionary) error {
	seg := s.segments[s.find(position)]
	i := int(position - seg.first)
	seg.entries[i].state = deleted
	seg.dead += len(seg.bytes(i))
	if 2*seg.dead > cap(seg.data) {
		return seg.compact(seg == s.segments[len(s.segments)-1], names)
	}
	return nil
}

func (s *segment) bytes(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = s.entries[i-1].end
	}
	end := s.entries[i].end
	return s.data[start:end:end]
}

func (s *shard) recordAt(seg *segment, i int) record {
	return record{
		data:     seg.bytes(i),
		position: seg.first + uint64(i),
		entity:   s.byNumber[seg.entries[i].entity],
		deleted:  seg.entries[i].state == deleted,
	}
}

// compact moves the segment to memory of its own without the bytes of deleted events. Since it happens when half of the
// segment is dead, each byte is moved once for each byte that is freed, at most.
func (s *segment) compact(open bool, names *dictionary) error {
	size := 0
	if open {
		size = cap(s.data) // the next events go here
	}
	data, entries := make([]byte, 0, size), make([]entry, 0, cap(s.entries))
	for i, e := range s.entries {
		if raw := s.bytes(i); e.state != deleted {
			data = append(data, raw...)
		} else {
			event, err := names.decodeEvent(raw)
			if err != nil {
				return err
			}
			if data, err = names.encodeEvent(data, tombstone(event)); err != nil {
				return err
			}
			e.state = stripped
		}
		e.end = uint32(len(data)) //nolint:gosec // smaller than it was
		entries = append(entries, e)
	}
	s.data, s.entries, s.dead = data, entries, 0
	return nil
}
