package mongo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The newest batches are kept in memory for those who follow the log.
const (
	recentBytes   = 16 << 20
	recentEntries = 4096
)

// probes is how many batches are fetched one by one before the rest is fetched by pages.
const (
	probes    = 4
	syncPage  = 256
	syncBytes = 8 << 20
)

// A journal is the log as far as this store has read it, which is without a gap from where it began.
type journal struct {
	*config
	log      *driver.Collection
	entities *driver.Collection
	slot     chan struct{} // held by the one who appends
	turns    turns
	sync     syncing

	mu     sync.Mutex
	tail   uint64   // number of the last batch read
	heads  []uint64 // positions after it
	known  headCache
	recent []*entry // the last batches, without a gap
	size   int      // bytes of recent
	places placeCache
}

// openJournal finds the end of the log.
func openJournal(ctx context.Context, c *config) (*journal, error) {
	j := &journal{config: c, log: c.collection(logCollection), entities: c.collection(entityCollection), slot: make(chan struct{}, 1),
		turns: turns{asked: c.collection(turnCollection)}, sync: newSyncing(), heads: make([]uint64, c.shards)}
	raw, err := j.log.FindOne(ctx, bson.D{}, options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}})).Raw()
	if errors.Is(err, driver.ErrNoDocuments) {
		j.known.complete = true
		return j, nil
	}
	if err != nil {
		return nil, err
	}
	last, err := decodeEntry(raw, c.shards)
	if err != nil {
		return nil, err
	}
	j.tail, j.heads = last.number, last.heads
	return j, nil
}

// next returns the number of the batch that will follow those that were read, and the positions before it.
func (j *journal) next() (uint64, []uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tail + 1, j.heads
}

// catchUp reads the log to its end as it is when the call is made, or later.
func (j *journal) catchUp(ctx context.Context) error { return j.sync.do(ctx, j.readOn) }

// readOn reads the log to its end.
func (j *journal) readOn(ctx context.Context) error {
	for range probes {
		if found, err := j.readOne(ctx); !found || err != nil {
			return err
		}
	}
	for {
		number, _ := j.next()
		n := 0
		err := j.scan(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: entryID(number)}}}}, nil, syncPage, func(e *entry) (bool, error) {
			n++
			return true, j.apply(e)
		})
		if err != nil || n < syncPage {
			return err
		}
	}
}

// readOne reads the next batch, and reports whether there is one.
func (j *journal) readOne(ctx context.Context) (bool, error) {
	number, _ := j.next()
	found, err := j.fetch(ctx, number)
	if found == nil || err != nil {
		return false, err
	}
	return true, j.apply(found)
}

// fetch returns a batch, nil when there is none of that number.
func (j *journal) fetch(ctx context.Context, number uint64) (*entry, error) {
	raw, err := j.log.FindOne(ctx, bson.D{{Key: "_id", Value: entryID(number)}}).Raw()
	if errors.Is(err, driver.ErrNoDocuments) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeEntry(raw, j.shards)
}

// scan calls see with the batches that match a filter, in order, at most limit, until it returns false.
func (j *journal) scan(ctx context.Context, filter, fields bson.D, limit int64, see func(e *entry) (bool, error)) error {
	opts := options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(limit)
	if fields != nil {
		opts = opts.SetProjection(fields)
	}
	return each(ctx, j.log, filter, opts, func(raw bson.Raw) (bool, error) {
		e, err := decodeEntry(slices.Clone(raw), j.shards)
		if err != nil {
			return false, err
		}
		return see(e)
	})
}

// each calls see with the documents that match a filter until it returns false. The document is only valid for the call.
func each(ctx context.Context, from *driver.Collection, filter any, opts *options.FindOptionsBuilder, see func(raw bson.Raw) (bool, error)) error {
	cursor, err := from.Find(ctx, filter, opts)
	if err != nil {
		return err
	}
	more := true
	for more && err == nil && cursor.Next(ctx) {
		more, err = see(cursor.Current)
	}
	if err == nil {
		err = cursor.Err()
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	_ = cursor.Close(limit) // what it read is read; the server forgets an open cursor by itself
	return err
}

// apply takes over the batch that follows those that were read. One that was read before is passed over.
func (j *journal) apply(e *entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.number <= j.tail {
		return nil
	}
	if e.number != j.tail+1 {
		return fmt.Errorf("the log has batch %d after batch %d", e.number, j.tail)
	}
	e.spans = make(map[string]span)
	for shard := range j.shards {
		if e.heads[shard] == j.heads[shard] {
			continue
		}
		values, err := e.values(shard)
		if err != nil {
			return err
		}
		if e.heads[shard] != j.heads[shard]+uint64(len(values)) {
			return fmt.Errorf("batch %d of the log has %d events of shard %d between positions %d and %d",
				e.number, len(values), shard, j.heads[shard], e.heads[shard])
		}
		for _, value := range values {
			m, err := mentionOf(value)
			if err != nil {
				return fmt.Errorf("batch %d of the log: %w", e.number, err)
			}
			s, again := e.spans[m.id]
			if !again {
				s.first = m.number
			}
			s.last = m.number
			e.spans[m.id] = s
			j.known.put(m.id, head{m.number, e.number})
		}
	}
	j.push(e)
	return nil
}

// push makes a batch the last one. The lock is held.
func (j *journal) push(e *entry) {
	j.tail, j.heads = e.number, e.heads
	j.recent, j.size = append(j.recent, e), j.size+len(e.raw)
	drop := 0
	for drop < len(j.recent)-1 && (j.size > recentBytes || len(j.recent)-drop > recentEntries) {
		j.size -= len(j.recent[drop].raw)
		drop++
	}
	if drop > 0 {
		clear(j.recent[:drop])
		j.recent = j.recent[drop:]
	}
}

// remembered returns a batch that is in memory, or nil.
func (j *journal) remembered(number uint64) *entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.recent) == 0 || number < j.recent[0].number || number > j.tail {
		return nil
	}
	return j.recent[number-j.recent[0].number]
}

// recall returns the batch in memory that has a number of an entity, or the last one before it.
func (j *journal) recall(id string, number uint64) (uint64, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range slices.Backward(j.recent) {
		if s, ok := e.spans[id]; ok && s.first <= number {
			return e.number, true
		}
	}
	return 0, false
}

// forget drops batches from memory, as what is stored of them has changed.
func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.recent, j.size = nil, 0
}

// at returns a batch that exists.
func (j *journal) at(ctx context.Context, number uint64) (*entry, error) {
	if e := j.remembered(number); e != nil {
		return e, nil
	}
	e, err := j.fetch(ctx, number)
	if err == nil && e == nil {
		err = fmt.Errorf("batch %d of the log is missing", number)
	}
	return e, err
}

// headOf returns where the journal of an entity ends. It is at least as new as what was read of the log.
func (j *journal) headOf(ctx context.Context, id string, shard uint32) (head, error) {
	j.mu.Lock()
	found, ok := j.known.get(id)
	j.mu.Unlock()
	if ok {
		return found, nil
	}
	raw, err := j.log.FindOne(ctx, bson.D{{Key: "i", Value: id}}, options.FindOne().
		SetSort(bson.D{{Key: "_id", Value: -1}}).SetProjection(shardFields(shard))).Raw()
	switch {
	case errors.Is(err, driver.ErrNoDocuments):
	case err != nil:
		return head{}, err
	default:
		e, err := decodeEntry(raw, j.shards)
		if err != nil {
			return head{}, err
		}
		s, err := e.spanOf(id, shard)
		if err != nil {
			return head{}, err
		}
		found = head{s.last, e.number}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.known.put(id, found)
	found, _ = j.known.get(id)
	return found, nil
}

// shardFields selects of a batch what concerns one shard.
func shardFields(shard uint32) bson.D {
	return bson.D{{Key: "h", Value: 1}, {Key: fmt.Sprintf("e.%d", shard), Value: 1}}
}

// equalBatch reports whether a stored batch is the one that a writer made.
func equalBatch(e *entry, batch []byte) bool { return bytes.Equal(e.batch(), batch) }

// placeCache remembers in which batch a reader of a shard left off.
type placeCache map[place]uint64

type place struct {
	shard uint32
	after uint64
}

// locate returns the number of the first batch with an event of a shard above a position, which must exist. It costs
// nothing for those who go on reading, and a binary search over the log for others.
func (j *journal) locate(ctx context.Context, shard uint32, after uint64) (uint64, error) {
	j.mu.Lock()
	number, hinted := j.places[place{shard, after}]
	low, high, recent := uint64(1), j.tail, j.recent
	j.mu.Unlock()
	if hinted {
		return number, nil
	}
	if len(recent) > 0 {
		if i := sort.Search(len(recent), func(i int) bool { return recent[i].heads[shard] > after }); i > 0 {
			return recent[i].number, nil
		}
		high = recent[0].number // it may have the event, and is the first in memory that could
	}
	for low < high {
		middle := low + (high-low)/2
		e := j.remembered(middle)
		if e == nil {
			raw, err := j.log.FindOne(ctx, bson.D{{Key: "_id", Value: entryID(middle)}},
				options.FindOne().SetProjection(bson.D{{Key: "h", Value: 1}})).Raw()
			if err != nil {
				return 0, fmt.Errorf("batch %d of the log: %w", middle, err)
			}
			if e, err = decodeEntry(raw, j.shards); err != nil {
				return 0, err
			}
		}
		if e.heads[shard] > after {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low, nil
}

// remember keeps the batch in which a reader will go on.
func (j *journal) remember(shard uint32, after, number uint64) {
	const most = 1024
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.places == nil || len(j.places) >= most {
		j.places = make(placeCache)
	}
	j.places[place{shard, after}] = number
}
