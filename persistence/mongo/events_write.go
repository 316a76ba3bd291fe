package mongo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// maxDocument is what a batch may have in bytes. A document of MongoDB has at most 16 MiB.
const maxDocument = 16<<20 - 64<<10

// WriteEvents implements [persistence.EventsStore]. All events of a call are one document, so the call is limited to
// almost 16 MB; more is a [persistence.InvalidRecordError].
func (s *Store) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	runs, err := persistence.Runs(events)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return s.check(ctx)
	}
	b, err := newBatch(events, runs, s.shards)
	if err != nil {
		return err
	}
	return s.write(ctx, "write events to", func(work context.Context, c *session) error {
		return c.journal.append(ctx, work, b)
	})
}

// A batch is the events of one call on their way into the log.
type batch struct {
	token   []byte
	runs    []persistence.Run
	ids     bson.A
	created bson.A
	events  bson.D            // by shard
	counts  map[uint32]uint64 // events by shard

	registered bool // its new entities are noted
}

func newBatch(events []*egopb.Event, runs []persistence.Run, shards uint32) (*batch, error) {
	b := &batch{token: newToken(), runs: runs, created: bson.A{}, counts: make(map[uint32]uint64)}
	lists := make(map[uint32]int)
	size := 64 + 5*int(shards)
	for _, event := range events {
		id := event.GetPersistenceId()
		record, err := proto.Marshal(event)
		if err != nil {
			return nil, &persistence.InvalidRecordError{PersistenceID: id, Reason: err.Error()}
		}
		if size += max(len(record), remnantSize(event)) + 16; size > maxDocument {
			return nil, &persistence.InvalidRecordError{PersistenceID: id, Reason: fmt.Sprintf(
				"the batch is too large: with event %d of %d bytes it exceeds %d bytes", event.GetSequenceNumber(), len(record), maxDocument)}
		}
		shard := persistence.ShardOf(id, shards)
		i, ok := lists[shard]
		if !ok {
			i = len(b.events)
			lists[shard] = i
			b.events = append(b.events, bson.E{Key: strconv.FormatUint(uint64(shard), 10), Value: bson.A{}})
		}
		b.events[i].Value = append(b.events[i].Value.(bson.A), bson.Binary{Data: record}) //nolint:forcetypeassert // made above
		b.counts[shard]++
	}
	for _, run := range runs {
		b.ids = append(b.ids, run.PersistenceID)
		size += 2*len(run.PersistenceID) + 32
		if run.First == 1 {
			b.created = append(b.created, run.PersistenceID)
		}
	}
	if size > maxDocument {
		return nil, &persistence.InvalidRecordError{PersistenceID: runs[0].PersistenceID, Reason: "the batch is too large: it has too many entities"}
	}
	return b, nil
}

// newToken returns random bytes that nobody else has.
func newToken() []byte {
	token := make([]byte, 12)
	_, _ = rand.Read(token) // never fails
	return token
}

// document makes the document of the batch at a number of the log.
func (b *batch) document(number uint64, before []uint64) (bson.Raw, error) {
	heads := make([]uint64, len(before))
	copy(heads, before)
	for shard, count := range b.counts {
		heads[shard] += count
	}
	return bson.Marshal(bson.D{
		{Key: "_id", Value: entryID(number)},
		{Key: "b", Value: bson.Binary{Data: b.token}},
		{Key: "h", Value: packHeads(heads)},
		{Key: "i", Value: b.ids},
		{Key: "c", Value: b.created},
		{Key: "e", Value: b.events},
	})
}

// append puts a batch at the end of the log. The insert under the next number is the fence: it succeeds for one writer
// only, who has read every batch before and so knows where journals and shards end. One that lost reads what was first
// and tries again, if its events still continue the stored ones. ctx is the caller's, work outlives it by the grace.
func (j *journal) append(ctx, work context.Context, b *batch) error {
	select {
	case j.slot <- struct{}{}:
		defer func() { <-j.slot }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := j.grant(work); err != nil {
		return err
	}
	if j.turns.begin(time.Now()) {
		looked := j.turns.look(work)
		defer looked()
	}
	defer func() { j.turns.ended = time.Now() }()
	for losses := 1; ; losses++ {
		if err := ctx.Err(); err != nil {
			return contended(losses-1, err)
		}
		if done, err := j.attempt(work, b); done || err != nil {
			return err
		}
		if err := j.readOn(work); err != nil {
			return errors.Join(ErrContended, err)
		}
		if losses < lossesToAsk {
			continue
		}
		if err := j.await(work, b.token); err != nil {
			return errors.Join(ErrContended, err)
		}
	}
}

// attempt tries once to append a batch, and reports false when another one was first.
func (j *journal) attempt(ctx context.Context, b *batch) (bool, error) {
	at, err := j.admit(ctx, b)
	if err != nil {
		return false, err
	}
	if err := j.register(ctx, b); err != nil {
		return false, err
	}
	return j.insert(ctx, b, at)
}

// insert tries to put the batch where it was admitted, and reports false when another one was first. While the outcome of an
// insert is open it inserts the same again: the number can be taken only once, so what is found there then tells.
func (j *journal) insert(ctx context.Context, b *batch, at slot) (bool, error) {
	document, err := b.document(at.number, at.before)
	if err != nil {
		return false, err
	}
	open := false
	for attempt := 0; ; attempt++ {
		_, err := j.log.InsertOne(ctx, document)
		switch {
		case err == nil:
			return true, j.take(document)
		case driver.IsDuplicateKeyError(err):
			stored, err := j.fetch(ctx, at.number)
			if err != nil {
				return false, unknownIf(open, err)
			}
			if stored == nil { // a majority does not have it yet, or never will
				if err := pause(ctx, attempt); err != nil {
					return false, unknownIf(open, contended(1, err))
				}
				continue
			}
			if err := j.apply(stored); err != nil {
				return false, unknownIf(open, err)
			}
			return equalBatch(stored, b.token), nil
		case refused(err) && !open:
			return false, err
		}
		open = open || !refused(err)
		if pause(ctx, attempt) != nil {
			return false, unknownIf(open, err)
		}
	}
}

// take takes over the writer's own batch.
func (j *journal) take(document bson.Raw) error {
	e, err := decodeEntry(document, j.shards)
	if err == nil {
		err = j.apply(e)
	}
	if err != nil {
		return &outcomeError{err}
	}
	return nil
}

// A slot is the next number of the log at some moment.
type slot struct {
	number uint64
	before []uint64 // positions of the shards before it
}

// admit checks that the events of a batch continue the stored ones, and returns the slot that this holds for. The slot is
// taken before the check: readers move on in the log at any time, and what they read in between must make the insert fail.
// Before it refuses, it reads the log to its end.
func (j *journal) admit(ctx context.Context, b *batch) (slot, error) {
	if err := j.learn(ctx, b); err != nil {
		return slot{}, err
	}
	number, before := j.next()
	err := j.conflict(ctx, b)
	if errors.Is(err, persistence.ErrConflict) {
		if err := j.catchUp(ctx); err != nil {
			return slot{}, err
		}
		number, before = j.next()
		err = j.conflict(ctx, b)
	}
	return slot{number, before}, err
}

func (j *journal) conflict(ctx context.Context, b *batch) error {
	for _, run := range b.runs {
		stored, err := j.headOf(ctx, run.PersistenceID, persistence.ShardOf(run.PersistenceID, j.shards))
		if err != nil {
			return err
		}
		if run.First != stored.number+1 {
			return &persistence.ConflictError{PersistenceID: run.PersistenceID, Expected: run.First, Actual: stored.number}
		}
	}
	return nil
}

// learn asks for all entities at once that a batch begins and that nothing is known of: in most cases there are none.
func (j *journal) learn(ctx context.Context, b *batch) error {
	var unknown bson.A
	j.mu.Lock()
	for _, id := range b.created {
		if _, ok := j.known.get(id.(string)); !ok { //nolint:forcetypeassert // made above
			unknown = append(unknown, id)
		}
	}
	j.mu.Unlock()
	if len(unknown) < 2 {
		return nil
	}
	err := j.log.FindOne(ctx, bson.D{{Key: "i", Value: bson.D{{Key: "$in", Value: unknown}}}},
		options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Err()
	if !errors.Is(err, driver.ErrNoDocuments) {
		return err // some exist: they are asked for one by one
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, id := range unknown {
		j.known.put(id.(string), head{}) //nolint:forcetypeassert // made above
	}
	return nil
}
