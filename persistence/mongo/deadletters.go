package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
)

// A letterRecord is a dead letter as it is stored. It is written before it counts: what makes the letters of a call visible,
// all at once, is a change of the register of their shard that names them, which fails when the lease is stale. The next
// change of the register marks them for good before it takes its place.
type letterRecord struct {
	ID       string      `bson:"_id"`
	Consumer string      `bson:"c"`
	Shard    int64       `bson:"s"`
	Position int64       `bson:"p"`
	Of       string      `bson:"i"`
	Call     string      `bson:"w"`           // call that wrote it
	Written  time.Time   `bson:"t"`           // clock of the server
	Visible  int64       `bson:"g,omitempty"` // number of the change that made it visible, once it is marked
	Record   bson.Binary `bson:"r"`           // ego.v1.DeadLetter
}

// letterPage is how many dead letters are read at once.
const letterPage = 250

// ParkEvents implements [offsetstore.DeadLetterStore]. A dead letter that names no consumer is one of the lease's.
func (s *Store) ParkEvents(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error {
	call := fmt.Sprintf("%x", newToken())
	records := make([]*letterRecord, len(letters))
	for i, letter := range letters {
		record, err := letterOf(lease, letter, call)
		if err != nil {
			return err
		}
		records[i] = record
	}
	records = lastOfEach(records)
	return s.write(ctx, "park events in", func(work context.Context, c *session) error {
		if len(records) > 0 {
			now, err := c.clock(work)
			if err != nil {
				return err
			}
			for _, r := range records {
				r.Written = now
			}
			if _, err := c.letters.InsertMany(work, records); err != nil {
				return err // they are not visible
			}
		}
		err := c.update(ctx, work, lease.Consumer, []uint32{lease.Shard}, func(_ uint32, r *register, _ time.Time) (bool, error) {
			if err := r.check(lease); err != nil {
				return false, err
			}
			r.Parked = call
			return len(records) > 0, nil
		})
		var open *outcomeError
		if err != nil && !errors.As(err, &open) {
			_, _ = c.letters.DeleteMany(work, bson.D{{Key: "w", Value: call}}) // what stays is never seen
		}
		return err
	})
}

func letterOf(lease offsetstore.Lease, letter *egopb.DeadLetter, call string) (*letterRecord, error) {
	id, position := letter.GetEvent().GetPersistenceId(), letter.GetEvent().GetPosition()
	letter, err := offsetstore.CheckLetter(lease, letter)
	if err != nil {
		return nil, err
	}
	if err := checkNumbered(id, "position", position); err != nil {
		return nil, err
	}
	record, err := marshal(id, letter)
	return &letterRecord{
		ID: fmt.Sprintf("%s-%016x", call, position), Consumer: lease.Consumer, Shard: int64(lease.Shard), Position: int64(position),
		Of: id, Call: call, Record: record,
	}, err
}

// lastOfEach drops letters that are followed by another one at their position.
func lastOfEach(records []*letterRecord) []*letterRecord {
	last := make(map[string]*letterRecord)
	for _, r := range records {
		last[r.ID] = r
	}
	return slices.DeleteFunc(records, func(r *letterRecord) bool { return last[r.ID] != r })
}

// deliver marks the letters that a change has made visible, and removes those that they replace or that the change voided. It
// is done before the change is superseded, and may be done any number of times.
func (c *session) deliver(ctx context.Context, r *register) error {
	if r.Reset {
		_, err := c.letters.DeleteMany(ctx, bson.D{
			{Key: "c", Value: r.Consumer}, {Key: "s", Value: r.Shard}, {Key: "p", Value: bson.D{{Key: "$gt", Value: r.Position}}},
			{Key: "g", Value: bson.D{{Key: "$lt", Value: r.Number}}},
		})
		return err
	}
	if r.Parked == "" {
		return nil
	}
	of := bson.D{{Key: "w", Value: r.Parked}}
	if _, err := c.letters.UpdateMany(ctx, of, bson.D{{Key: "$set", Value: bson.D{{Key: "g", Value: r.Number}}}}); err != nil {
		return err
	}
	var positions bson.A
	err := each(ctx, c.letters, of, options.Find().SetProjection(bson.D{{Key: "p", Value: 1}}), func(raw bson.Raw) (bool, error) {
		positions = append(positions, raw.Lookup("p").AsInt64())
		return true, nil
	})
	if err != nil || len(positions) == 0 {
		return err
	}
	_, err = c.letters.DeleteMany(ctx, bson.D{
		{Key: "c", Value: r.Consumer}, {Key: "s", Value: r.Shard}, {Key: "p", Value: bson.D{{Key: "$in", Value: positions}}},
		{Key: "g", Value: bson.D{{Key: "$lt", Value: r.Number}}},
	})
	return err
}

// visible returns the filter for the letters of a consumer that count.
func (c *session) visible(ctx context.Context, consumer string, shards ...uint32) (bson.D, error) {
	known, err := c.registersOf(ctx, consumer, shards...)
	if err != nil {
		return nil, err
	}
	fresh, void := bson.A{}, bson.A{}
	for _, r := range known {
		if r.Reset {
			void = append(void, bson.D{{Key: "s", Value: r.Shard}, {Key: "p", Value: bson.D{{Key: "$gt", Value: r.Position}}}})
		}
		if r.Parked != "" {
			fresh = append(fresh, r.Parked)
		}
	}
	filter := bson.D{{Key: "c", Value: consumer}, {Key: "$or", Value: bson.A{
		bson.D{{Key: "g", Value: bson.D{{Key: "$exists", Value: true}}}},
		bson.D{{Key: "w", Value: bson.D{{Key: "$in", Value: fresh}}}},
	}}}
	if len(void) > 0 {
		filter = append(filter, bson.E{Key: "$nor", Value: void})
	}
	if len(shards) > 0 {
		filter = append(filter, bson.E{Key: "s", Value: bson.D{{Key: "$in", Value: shards}}})
	}
	return filter, nil
}

// DeadLetters implements [offsetstore.DeadLetterStore]. No cursor is open while the loop's body runs.
func (s *Store) DeadLetters(ctx context.Context, consumer string, persistenceIDs ...string) iter.Seq2[*egopb.DeadLetter, error] {
	ids := slices.Clone(persistenceIDs)
	return func(yield func(*egopb.DeadLetter, error) bool) {
		after := &letterRecord{Shard: -1}
		for {
			var page []*letterRecord
			err := s.read(ctx, "read dead letters from", func(ctx context.Context, c *session) (err error) {
				page, err = c.letterPage(ctx, consumer, ids, after)
				return err
			})
			for i := 0; i < len(page) && err == nil; i++ {
				letter := new(egopb.DeadLetter)
				if err = proto.Unmarshal(page[i].Record.Data, letter); err == nil && !yield(letter, nil) {
					return
				}
				after = page[i]
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page) < letterPage {
				return
			}
		}
	}
}

// letterPage returns the letters behind one. Of several at one position the last that became visible counts.
func (c *session) letterPage(ctx context.Context, consumer string, ids []string, after *letterRecord) ([]*letterRecord, error) {
	filter, err := c.visible(ctx, consumer)
	if err != nil {
		return nil, err
	}
	filter = bson.D{{Key: "$and", Value: bson.A{filter, bson.D{{Key: "$or", Value: bson.A{
		bson.D{{Key: "s", Value: bson.D{{Key: "$gt", Value: after.Shard}}}},
		bson.D{{Key: "s", Value: after.Shard}, {Key: "p", Value: bson.D{{Key: "$gt", Value: after.Position}}}},
	}}}}}}
	if len(ids) > 0 {
		filter = append(filter, bson.E{Key: "i", Value: bson.D{{Key: "$in", Value: ids}}})
	}
	var page []*letterRecord
	order := options.Find().SetSort(bson.D{{Key: "s", Value: 1}, {Key: "p", Value: 1}})
	err = each(ctx, c.letters, filter, order, func(raw bson.Raw) (bool, error) {
		r := new(letterRecord)
		if err := bson.Unmarshal(raw, r); err != nil {
			return false, err
		}
		if n := len(page); n > 0 && page[n-1].Shard == r.Shard && page[n-1].Position == r.Position {
			page[n-1] = newer(page[n-1], r)
			return true, nil
		}
		if len(page) == letterPage {
			return false, nil
		}
		page = append(page, r)
		return true, nil
	})
	return page, err
}

// newer returns the letter that became visible last. One that is not marked yet is the newest.
func newer(a, b *letterRecord) *letterRecord {
	if cmp.Compare(uint64(a.Visible-1), uint64(b.Visible-1)) > 0 {
		return a
	}
	return b
}

// ParkedEntities implements [offsetstore.DeadLetterStore].
func (s *Store) ParkedEntities(ctx context.Context, consumer string, shard uint32) (ids []string, err error) {
	err = s.read(ctx, "read dead letters from", func(ctx context.Context, c *session) error {
		filter, err := c.visible(ctx, consumer, shard)
		if err != nil {
			return err
		}
		ids = nil
		return each(ctx, c.letters, filter, options.Find().SetProjection(bson.D{{Key: "i", Value: 1}}), func(raw bson.Raw) (bool, error) {
			ids = append(ids, raw.Lookup("i").StringValue())
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// DeleteDeadLetters implements [offsetstore.DeadLetterStore].
func (s *Store) DeleteDeadLetters(ctx context.Context, consumer string, shard uint32, positions ...uint64) error {
	wanted := make(bson.A, len(positions))
	for i, position := range positions {
		wanted[i] = signed(position)
	}
	return s.write(ctx, "delete dead letters from", func(ctx context.Context, c *session) error {
		filter, err := c.visible(ctx, consumer, shard)
		if err != nil {
			return err
		}
		_, err = c.letters.DeleteMany(ctx, append(filter, bson.E{Key: "p", Value: bson.D{{Key: "$in", Value: wanted}}}))
		if err != nil {
			return uncertain(err)
		}
		return uncertain(c.sweepLetters(ctx, consumer, shard))
	})
}

// sweepLetters removes what calls have left that were cut off before their letters were visible, so that nothing of an entity
// stays there. No call that can still make them visible is as old.
func (c *session) sweepLetters(ctx context.Context, consumer string, shard uint32) error {
	now, err := c.clock(ctx)
	if err != nil {
		return err
	}
	known, err := c.registersOf(ctx, consumer, shard)
	if err != nil {
		return err
	}
	left := bson.D{
		{Key: "c", Value: consumer}, {Key: "s", Value: int64(shard)}, {Key: "g", Value: bson.D{{Key: "$exists", Value: false}}},
		{Key: "t", Value: bson.D{{Key: "$lt", Value: now.Add(-keepRegisters)}}},
	}
	if r := known[shard]; r != nil {
		left = append(left, bson.E{Key: "w", Value: bson.D{{Key: "$ne", Value: r.Parked}}})
	}
	_, err = c.letters.DeleteMany(ctx, left)
	return err
}
