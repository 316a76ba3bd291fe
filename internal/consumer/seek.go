package consumer

import (
	"context"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// seekPage is how many records a search by time reads at once.
const seekPage = 1000

// A reader reads the next records of a shard after a position.
type reader func(after uint64) ([]*egopb.Event, error)

// startPosition returns the position after which the worker starts a consumer that has no offset in its shard.
func (w *worker) startPosition() (uint64, error) {
	return w.spec.start(w.shard, func(after uint64) (page []*egopb.Event, err error) {
		err = w.persist("find where to start", func(ctx context.Context) error {
			page, err = w.spec.Feed.source.Read(ctx, w.shard, after, seekPage)
			return err
		})
		return page, err
	})
}

// start is where the consumer starts in a shard that it has no offset for.
func (s *Spec) start(shard uint32, read reader) (uint64, error) {
	switch {
	case s.FromNow:
		return s.heads[shard], nil
	case s.StartFrom.IsZero():
		return 0, nil
	default:
		return before(s.StartFrom, read)
	}
}

// before returns the position right before the first record of a shard that is not older than a time, or the last position
// when all are older. Times are what the clocks of writers said, and not in order, so nothing but looking at the records
// from the first one is exact.
func before(from time.Time, read reader) (uint64, error) {
	position, since := uint64(0), from.UnixNano()
	for {
		page, err := read(position)
		if err != nil {
			return 0, err
		}
		for _, record := range page {
			if isSince(record, since) {
				return record.GetPosition() - 1, nil
			}
			position = record.GetPosition()
		}
		if len(page) < seekPage {
			return position, nil
		}
	}
}

// isSince reports whether a record is not older than a time. What was deleted is passed over anyway, and has no time in some
// stores.
func isSince(record *egopb.Event, since int64) bool {
	return !record.GetDeleted() && record.GetTimeUnixNano() >= since
}
