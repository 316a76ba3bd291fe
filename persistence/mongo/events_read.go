package mongo

import (
	"context"
	"fmt"
	"iter"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A page of a replay has at least replayPage events, or replayBytes, when there are as many. Batches may have far more of
// other entities, which are not kept.
const (
	replayPage  = 10_000
	replayBytes = 4 << 20
)

// ReplayEvents implements [persistence.EventsStore]. No cursor is open while the loop's body runs. Events that are written
// meanwhile may be part of the replay, those that are deleted meanwhile may be missing.
func (s *Store) ReplayEvents(ctx context.Context, persistenceID string, from, to uint64) iter.Seq2[*egopb.Event, error] {
	return func(yield func(*egopb.Event, error) bool) {
		r := &replay{id: persistenceID, shard: persistence.ShardOf(persistenceID, s.shards), next: max(from, 1), to: to}
		for more := true; more; {
			var events []*egopb.Event
			err := s.read(ctx, "replay events from", func(ctx context.Context, c *session) (err error) {
				events, more, err = r.page(ctx, c)
				return err
			})
			for _, event := range events {
				if !yield(event, nil) {
					return
				}
				if ctx.Err() != nil {
					yield(nil, s.fail(ctx, "replay events from", ctx.Err()))
					return
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// A replay is where a replay has come to.
type replay struct {
	id       string
	shard    uint32
	next, to uint64 // numbers still to be read
	entry    uint64 // batch to go on at; zero before the first page
}

// page returns the next events, and whether there are more.
func (r *replay) page(ctx context.Context, c *session) ([]*egopb.Event, bool, error) {
	if r.entry == 0 {
		more, err := r.begin(ctx, c)
		if err != nil || !more {
			return nil, false, err
		}
	}
	p := &replayedPage{replay: r, next: r.next, entry: r.entry}
	if err := p.read(ctx, c.journal); err != nil {
		return nil, false, err
	}
	r.next, r.entry = p.next, p.entry
	return p.events, p.next <= r.to, nil
}

// A replayedPage is the page of a replay that is being read.
type replayedPage struct {
	*replay
	next   uint64 // number that follows
	entry  uint64 // batch that follows
	events []*egopb.Event
	size   int
}

func (p *replayedPage) full() bool { return len(p.events) >= replayPage || p.size >= replayBytes }

// add takes over what a batch has, and reports whether the page goes on.
func (p *replayedPage) add(e *entry) (bool, error) {
	found, err := e.eventsOf(p.id, p.shard, p.next, p.to)
	if err != nil {
		return false, err
	}
	for _, event := range found {
		if event.GetSequenceNumber() != p.next {
			return false, fmt.Errorf("the journal of %q has number %d where %d belongs", p.id, event.GetSequenceNumber(), p.next)
		}
		if p.next++; !event.GetDeleted() {
			p.events, p.size = append(p.events, event), p.size+proto.Size(event)
		}
	}
	p.entry = e.number + 1
	return !p.full() && p.next <= p.to, nil
}

// read reads from memory what is there, and the rest from the server.
func (p *replayedPage) read(ctx context.Context, j *journal) error {
	for e := j.remembered(p.entry); e != nil; e = j.remembered(p.entry) {
		if _, ok := e.spans[p.id]; !ok {
			p.entry++
			continue
		}
		if more, err := p.add(e); err != nil || !more {
			return err
		}
	}
	filter := bson.D{{Key: "i", Value: p.id}, {Key: "_id", Value: bson.D{{Key: "$gte", Value: entryID(p.entry)}}}}
	if err := j.scan(ctx, filter, shardFields(p.shard), 0, p.add); err != nil {
		return err
	}
	if !p.full() && p.next <= p.to {
		return fmt.Errorf("the journal of %q ends at number %d instead of %d", p.id, p.next-1, p.to)
	}
	return nil
}

// begin finds out which numbers there are, and the batch that has the first. It reports false when there are none.
func (r *replay) begin(ctx context.Context, c *session) (bool, error) {
	if err := c.journal.catchUp(ctx); err != nil {
		return false, err
	}
	stored, err := c.journal.headOf(ctx, r.id, r.shard)
	if err != nil {
		return false, err
	}
	deleted, err := c.deletedTo(ctx, r.id)
	if err != nil {
		return false, err
	}
	r.to = min(r.to, stored.number)
	r.next = max(r.next, deleted.to+1)
	if r.next > r.to {
		return false, nil
	}
	r.entry, err = c.journal.entryOf(ctx, r.id, r.shard, r.next)
	return true, err
}

// entryOf returns the batch that has a number of an entity, or one before it. It walks back from the end, as what is asked
// for is mostly what follows a snapshot.
func (j *journal) entryOf(ctx context.Context, id string, shard uint32, number uint64) (uint64, error) {
	if recent, ok := j.recall(id, number); ok {
		return recent, nil
	}
	found := uint64(1)
	if number == 1 {
		return found, nil
	}
	opts := options.Find().SetSort(bson.D{{Key: "_id", Value: -1}}).SetProjection(shardFields(shard)).SetBatchSize(64)
	err := each(ctx, j.log, bson.D{{Key: "i", Value: id}}, opts, func(raw bson.Raw) (bool, error) {
		e, err := decodeEntry(raw, j.shards)
		if err != nil {
			return false, err
		}
		s, err := e.spanOf(id, shard)
		found = e.number
		return s.first > number, err
	})
	return found, err
}

// GetLatestEvent implements [persistence.EventsStore].
func (s *Store) GetLatestEvent(ctx context.Context, persistenceID string) (event *egopb.Event, err error) {
	shard := persistence.ShardOf(persistenceID, s.shards)
	err = s.read(ctx, "read the latest event from", func(ctx context.Context, c *session) error {
		if err := c.journal.catchUp(ctx); err != nil {
			return err
		}
		stored, err := c.journal.headOf(ctx, persistenceID, shard)
		if err != nil || stored.number == 0 {
			return err
		}
		e, err := c.journal.at(ctx, stored.entry)
		if err != nil {
			return err
		}
		events, err := e.eventsOf(persistenceID, shard, stored.number, stored.number)
		if err != nil {
			return err
		}
		if len(events) != 1 {
			return fmt.Errorf("batch %d of the log has %d times number %d of %q", e.number, len(events), stored.number, persistenceID)
		}
		event = events[0]
		return c.hideDeleted(ctx, events)
	})
	if err != nil {
		return nil, err
	}
	return event, nil
}

// GetShardEvents implements [persistence.EventsStore].
func (s *Store) GetShardEvents(ctx context.Context, shard uint32, afterPosition uint64, limit int) (events []*egopb.Event, err error) {
	if err := s.checkPage(shard, limit); err != nil {
		return nil, err
	}
	err = s.read(ctx, "read events of a shard from", func(ctx context.Context, c *session) (err error) {
		if events, err = c.journal.shardEvents(ctx, shard, afterPosition, limit); err != nil {
			return err
		}
		return c.hideDeleted(ctx, events)
	})
	if err != nil {
		return nil, err
	}
	return events, nil
}

// pageBytes bounds the batches that one read of a shard goes through.
const pageBytes = 16 << 20

func (j *journal) shardEvents(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
	if err := j.catchUp(ctx); err != nil {
		return nil, err
	}
	if _, heads := j.next(); after >= heads[shard] {
		return nil, nil
	}
	number, err := j.locate(ctx, shard, after)
	if err != nil {
		return nil, err
	}
	var events []*egopb.Event
	size, last := 0, number
	collect := func(e *entry) (bool, error) {
		more, err := e.events(shard, after, limit-len(events))
		if err != nil {
			return false, err
		}
		for _, event := range more {
			if event.GetPosition() != after+1 {
				return false, fmt.Errorf("shard %d has position %d where %d belongs", shard, event.GetPosition(), after+1)
			}
			after++
		}
		events, size, last = append(events, more...), size+len(e.raw), e.number
		return len(events) < limit && size < pageBytes, nil
	}
	if err := j.walk(ctx, shard, number, limit, collect); err != nil {
		return nil, err
	}
	j.remember(shard, after, last)
	return events, nil
}

// walk calls see with the batches from a number on, until it returns false or the log ends.
func (j *journal) walk(ctx context.Context, shard uint32, number uint64, limit int, see func(e *entry) (bool, error)) error {
	for {
		e := j.remembered(number)
		if e == nil {
			break
		}
		more, err := see(e)
		if err != nil || !more {
			return err
		}
		number++
	}
	if next, _ := j.next(); number >= next {
		return nil
	}
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: entryID(number)}}}}
	return j.scan(ctx, filter, shardFields(shard), 0, func(e *entry) (bool, error) {
		if e.number != number {
			return false, fmt.Errorf("the log has batch %d where %d belongs", e.number, number)
		}
		number++
		return see(e)
	})
}

// ShardPositions implements [persistence.EventsStore].
func (s *Store) ShardPositions(ctx context.Context) (map[uint32]uint64, error) {
	positions := make(map[uint32]uint64)
	err := s.read(ctx, "read positions from", func(ctx context.Context, c *session) error {
		if err := c.journal.catchUp(ctx); err != nil {
			return err
		}
		_, heads := c.journal.next()
		for shard, position := range heads {
			if position > 0 {
				positions[uint32(shard)] = position
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return positions, nil
}
