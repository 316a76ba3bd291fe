package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A deletion says how far the events of an entity are deleted. There may be several for one entity; the highest counts, and
// the others go when they are met. It is inserted before the content is taken out of the log, and readers heed it, so it
// does not matter when, or how often, the latter happens.
type deletion struct {
	ID    string `bson:"_id"`
	Of    string `bson:"i"`
	To    int64  `bson:"q"`
	Entry string `bson:"n,omitempty"` // batch up to which the log is cleared, once it is
}

func deletionID(id string, to uint64) string { return fmt.Sprintf("%016x/%s", to, id) }

// deleted is how far the events of an entity are deleted, zero when they are not.
type deleted struct {
	to      uint64
	cleared string // _id of the batch up to which the log is cleared; empty when it is not known to be
}

// deletedTo returns how far the events of an entity are deleted.
func (c *session) deletedTo(ctx context.Context, id string) (deleted, error) {
	var found deletion
	err := c.deletions.FindOne(ctx, bson.D{{Key: "i", Value: id}}, options.FindOne().SetSort(bson.D{{Key: "q", Value: -1}})).Decode(&found)
	if errors.Is(err, driver.ErrNoDocuments) {
		return deleted{}, nil
	}
	return deleted{uint64(found.To), found.Entry}, err
}

// hideDeleted makes tombstones of the events that are deleted but whose content is still in the log, or in memory.
func (c *session) hideDeleted(ctx context.Context, events []*egopb.Event) error {
	var ids bson.A
	limits := make(map[string]uint64)
	for _, event := range events {
		id := event.GetPersistenceId()
		if _, ok := limits[id]; !ok && !event.GetDeleted() {
			limits[id] = 0
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	filter := bson.D{{Key: "i", Value: bson.D{{Key: "$in", Value: ids}}}}
	found := 0
	err := each(ctx, c.deletions, filter, options.Find(), func(raw bson.Raw) (bool, error) {
		var d deletion
		if err := bson.Unmarshal(raw, &d); err != nil {
			return false, err
		}
		limits[d.Of] = max(limits[d.Of], uint64(d.To))
		found++
		return true, nil
	})
	if err != nil || found == 0 {
		return err
	}
	for i, event := range events {
		if event.GetSequenceNumber() <= limits[event.GetPersistenceId()] {
			events[i] = tombstone(event)
		}
	}
	return nil
}

func tombstone(event *egopb.Event) *egopb.Event {
	return &egopb.Event{
		PersistenceId:  event.GetPersistenceId(),
		SequenceNumber: event.GetSequenceNumber(),
		Shard:          event.GetShard(),
		Position:       event.GetPosition(),
		Kind:           event.GetKind(),
		Deleted:        true,
	}
}

// DeleteEvents implements [persistence.EventsStore]. The deletion counts once it is recorded, for all readers. Then the
// content is taken out of the log, batch by batch. When that fails, [persistence.NotWritten] does not hold for the error,
// and the next call for the entity finishes it.
func (s *Store) DeleteEvents(ctx context.Context, persistenceID string, toSequenceNumber uint64) error {
	shard := persistence.ShardOf(persistenceID, s.shards)
	return s.write(ctx, "delete events from", func(work context.Context, c *session) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.journal.catchUp(work); err != nil {
			return err
		}
		stored, err := c.journal.headOf(work, persistenceID, shard)
		if err != nil {
			return err
		}
		before, err := c.deletedTo(work, persistenceID)
		if err != nil {
			return err
		}
		to := max(min(toSequenceNumber, stored.number), before.to)
		if to == 0 || to == before.to && before.cleared != "" {
			return nil
		}
		d := deletion{ID: deletionID(persistenceID, to), Of: persistenceID, To: int64(to)}
		if err := c.insertOnce(work, c.deletions, d); err != nil {
			return err
		}
		if err := c.clear(ctx, work, shard, d); err != nil {
			return &outcomeError{&partialError{err}}
		}
		return nil
	})
}

// insertOnce inserts a document whose _id says everything that it says, so it may be there before.
func (c *session) insertOnce(ctx context.Context, into *driver.Collection, document any) error {
	open := false
	for attempt := 0; ; attempt++ {
		_, err := into.InsertOne(ctx, document)
		if err == nil || driver.IsDuplicateKeyError(err) {
			return nil
		}
		if refused(err) && !open {
			return err
		}
		open = open || !refused(err)
		if pause(ctx, attempt) != nil {
			return unknownIf(open, err)
		}
	}
}

// clear takes what is deleted out of the log, from where the deletion before it ended.
func (c *session) clear(ctx, work context.Context, shard uint32, d deletion) error {
	start := entryID(0)
	err := each(work, c.deletions, bson.D{{Key: "i", Value: d.Of}}, options.Find(), func(raw bson.Raw) (bool, error) {
		var other deletion
		err := bson.Unmarshal(raw, &other)
		if other.To < d.To {
			start = max(start, other.Entry)
		}
		return true, err
	})
	if err != nil {
		return err
	}
	filter := bson.D{{Key: "i", Value: d.Of}, {Key: "_id", Value: bson.D{{Key: "$gte", Value: start}}}}
	last, cleared := start, 0
	err = c.journal.scan(work, filter, shardFields(shard), 0, func(e *entry) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		more, err := c.clearEntry(work, e, shard, d)
		last, cleared = entryID(e.number), cleared+1
		return more, err
	})
	if cleared > 0 {
		c.journal.forget()
	}
	if err != nil {
		return err
	}
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "n", Value: last}}}}
	if _, err := c.deletions.UpdateOne(work, bson.D{{Key: "_id", Value: d.ID}}, set); err != nil {
		return err
	}
	superseded := bson.D{{Key: "i", Value: d.Of}, {Key: "q", Value: bson.D{{Key: "$lt", Value: d.To}}}}
	_, err = c.deletions.DeleteMany(work, superseded)
	return err
}

// clearAtOnce bounds the events that one command clears, whose size is bounded as that of a document is.
const clearAtOnce = 4096

// clearEntry clears one batch, and reports whether later ones may have deleted events too.
func (c *session) clearEntry(ctx context.Context, e *entry, shard uint32, d deletion) (more bool, err error) {
	values, err := e.values(shard)
	if err != nil {
		return false, err
	}
	more = true
	var changes bson.D
	for i, value := range values {
		m, err := mentionOf(value)
		if err != nil {
			return false, fmt.Errorf("batch %d: %w", e.number, err)
		}
		if m.id != d.Of || m.deleted {
			continue
		}
		if m.number > uint64(d.To) {
			more = false
			continue
		}
		event, err := decodeEvent(value)
		if err != nil {
			return false, err
		}
		changes = append(changes, bson.E{Key: fmt.Sprintf("e.%d.%d", shard, i), Value: remnant{d.Of, int64(m.number), event.GetKind()}})
	}
	for some := range slices.Chunk(changes, clearAtOnce) {
		_, err = c.journal.log.UpdateOne(ctx, bson.D{{Key: "_id", Value: entryID(e.number)}}, bson.D{{Key: "$set", Value: some}})
		if err != nil {
			return more, err
		}
	}
	return more, nil
}
