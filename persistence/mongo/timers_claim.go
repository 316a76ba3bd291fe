package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego/egopb"
)

// A claim is one attempt at a version of a timer. The number of the attempt is taken by its unique _id, so of several
// claimers one gets it. Claims stay as long as the version does.
type claim struct {
	ID      string    `bson:"_id"`
	On      string    `bson:"t"` // _id of the version
	Attempt int64     `bson:"k"`
	Until   time.Time `bson:"u"` // clock of the server
}

func claimID(timer string, attempt int64) string { return fmt.Sprintf("%08x/%s", attempt, timer) }

// claimOf returns the claim with an _id, if it is the last on its timer.
func claimOf(last map[string]claim, id string) (claim, bool) {
	_, timer, _ := strings.Cut(id, "/")
	held, ok := last[timer]
	return held, ok && held.ID == id
}

// timerPage is how many timers are looked at in one go.
const timerPage = 128

// ClaimTimers implements [persistence.TimerStore]. Claims expire by the clock of the server, which has milliseconds. Timers
// that are due at the same time come in byte order of their owners and names. When the call fails, timers may have been
// claimed; they are handed out again when their claims have expired.
func (s *Store) ClaimTimers(ctx context.Context, now time.Time, term time.Duration, limit int) ([]*egopb.Timer, error) {
	if limit < 1 || term <= 0 {
		return nil, invalid("limit %d and claim %v must be positive", limit, term)
	}
	var timers []*egopb.Timer
	err := s.write(ctx, "claim timers in", func(work context.Context, c *session) error {
		due := bson.D{{Key: "d", Value: bson.D{{Key: "$lte", Value: now.UnixNano()}}}}
		err := c.eachTimer(work, due, func(page []*timerRecord) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, uncertainIf(len(timers) > 0, err)
			}
			got, err := c.claim(work, page, term, limit-len(timers))
			if err != nil {
				return false, uncertain(err)
			}
			timers = append(timers, got...)
			return len(timers) < limit, nil
		})
		c.sweepBatches(work)
		return err
	})
	if err != nil {
		return nil, err
	}
	return timers, nil
}

func uncertainIf(started bool, err error) error {
	if started {
		return uncertain(err)
	}
	return err
}

// eachTimer calls see with pages of the timers that match, by their due times, until it returns false.
func (c *session) eachTimer(ctx context.Context, filter bson.D, see func(page []*timerRecord) (bool, error)) error {
	order := options.Find().SetSort(bson.D{{Key: "d", Value: 1}, {Key: "o", Value: 1}, {Key: "n", Value: 1}})
	more := true
	var page []*timerRecord
	flush := func() (err error) {
		if page, err = c.onlyCounting(ctx, page); err != nil {
			return err
		}
		more, err = see(page)
		page = nil
		return err
	}
	err := each(ctx, c.timers, filter, order, func(raw bson.Raw) (bool, error) {
		r := new(timerRecord)
		if err := bson.Unmarshal(raw, r); err != nil {
			return false, err
		}
		if page = append(page, r); len(page) < timerPage {
			return true, nil
		}
		err := flush()
		return more, err
	})
	if err == nil && more && len(page) > 0 {
		err = flush()
	}
	return err
}

// onlyCounting drops records that have been superseded or do not count yet.
func (c *session) onlyCounting(ctx context.Context, page []*timerRecord) ([]*timerRecord, error) {
	if len(page) == 0 {
		return nil, nil
	}
	var owners, names bson.A
	for _, r := range page {
		owners, names = append(owners, r.Owner), append(names, r.Name)
	}
	counting, err := c.countingTimers(ctx, bson.D{
		{Key: "o", Value: bson.D{{Key: "$in", Value: owners}}}, {Key: "n", Value: bson.D{{Key: "$in", Value: names}}},
	})
	ids := make(map[string]bool)
	for _, r := range counting {
		ids[r.ID] = true
	}
	return slices.DeleteFunc(page, func(r *timerRecord) bool { return !ids[r.ID] }), err
}

// claimsOn returns the last claim on each of the timers that has one.
func (c *session) claimsOn(ctx context.Context, timers []*timerRecord) (map[string]claim, error) {
	last := make(map[string]claim)
	if len(timers) == 0 {
		return last, nil
	}
	ids := make(bson.A, len(timers))
	for i, r := range timers {
		ids[i] = r.ID
	}
	err := each(ctx, c.claims, bson.D{{Key: "t", Value: bson.D{{Key: "$in", Value: ids}}}}, options.Find(), func(raw bson.Raw) (bool, error) {
		var found claim
		err := bson.Unmarshal(raw, &found)
		if found.Attempt > last[found.On].Attempt {
			last[found.On] = found
		}
		return true, err
	})
	return last, err
}

// claim claims timers that nobody holds, at most limit, and returns those that it got.
func (c *session) claim(ctx context.Context, page []*timerRecord, term time.Duration, limit int) ([]*egopb.Timer, error) {
	now, err := c.clock(ctx)
	if err != nil {
		return nil, err
	}
	last, err := c.claimsOn(ctx, page)
	if err != nil {
		return nil, err
	}
	batches, err := c.timerBatches(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range batches {
		for _, id := range b.Freed {
			if held, ok := claimOf(last, id); ok {
				held.Until = time.Time{}
				last[held.On] = held
			}
		}
	}
	free := slices.DeleteFunc(page, func(r *timerRecord) bool { return last[r.ID].Until.After(now) })
	var timers []*egopb.Timer
	for len(free) > 0 && len(timers) < limit {
		some := free[:min(limit-len(timers), len(free))]
		free = free[len(some):]
		got, err := c.insertClaims(ctx, some, last, expiry(now, term))
		if err != nil {
			return nil, err
		}
		for _, r := range got {
			timer, err := r.decode(last[r.ID].Attempt+1, c.shards)
			if err != nil {
				return nil, err
			}
			timers = append(timers, timer)
		}
	}
	return timers, nil
}

// insertClaims inserts a claim on each of the timers and returns those where it was the first, and that are still there.
func (c *session) insertClaims(ctx context.Context, timers []*timerRecord, last map[string]claim, until time.Time) ([]*timerRecord, error) {
	claims := make([]claim, len(timers))
	for i, r := range timers {
		attempt := last[r.ID].Attempt + 1
		claims[i] = claim{ID: claimID(r.ID, attempt), On: r.ID, Attempt: attempt, Until: until}
	}
	lost := make(map[string]bool)
	_, err := c.claims.InsertMany(ctx, claims, options.InsertMany().SetOrdered(false))
	var bulk driver.BulkWriteException
	switch {
	case err == nil:
	case !errors.As(err, &bulk) || bulk.WriteConcernError != nil:
		return nil, err
	default:
		for _, failure := range bulk.WriteErrors {
			if failure.Code != codeDuplicateKey {
				return nil, err
			}
			lost[timers[failure.Index].ID] = true
		}
	}
	ids := make(bson.A, 0, len(timers))
	for _, r := range timers {
		if !lost[r.ID] {
			ids = append(ids, r.ID)
		}
	}
	return c.stillThere(ctx, timers, ids)
}

// stillThere returns the claimed timers that were not completed or replaced while they were claimed.
func (c *session) stillThere(ctx context.Context, timers []*timerRecord, claimed bson.A) ([]*timerRecord, error) {
	if len(claimed) == 0 {
		return nil, nil
	}
	there := make(map[string]bool)
	fields := options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}})
	err := each(ctx, c.timers, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: claimed}}}}, fields, func(raw bson.Raw) (bool, error) {
		there[raw.Lookup("_id").StringValue()] = true
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	var gone bson.A
	for _, id := range claimed {
		if !there[id.(string)] { //nolint:forcetypeassert // made by the caller
			gone = append(gone, id)
		}
	}
	if len(gone) > 0 {
		_, _ = c.claims.DeleteMany(ctx, bson.D{{Key: "t", Value: bson.D{{Key: "$in", Value: gone}}}}) // they harm nobody
	}
	return slices.DeleteFunc(slices.Clone(timers), func(r *timerRecord) bool { return !there[r.ID] }), nil
}
