package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A timerRecord is one version of a timer; the highest that counts is the timer. Versions of a name that was not taken begin
// at a random number, so that none is ever used again. A version that was set together with others counts once the call
// that set them has its document in the collection of batches.
type timerRecord struct {
	ID      string      `bson:"_id"`
	Owner   string      `bson:"o"`
	Name    string      `bson:"n"`
	Version int64       `bson:"v"`
	Due     int64       `bson:"d"` // Unix nanoseconds
	Call    string      `bson:"w"` // call that set it
	Batch   string      `bson:"b"` // the same while it does not count by itself
	Record  bson.Binary `bson:"r"` // ego.v1.Timer
}

// A timerName names a timer.
type timerName struct{ owner, name string }

func (r *timerRecord) of() timerName { return timerName{r.Owner, r.Name} }

func timerID(n timerName, version int64) string {
	return fmt.Sprintf("%016x/%d/%s/%s", version, len(n.owner), n.owner, n.name)
}

// ScheduleTimers implements [persistence.TimerStore].
func (s *Store) ScheduleTimers(ctx context.Context, timers []*egopb.Timer) error {
	call := &scheduling{token: fmt.Sprintf("%x", newToken()), raised: make(map[timerName]int64)}
	for _, timer := range timers {
		if err := call.add(timer); err != nil {
			return err
		}
	}
	if len(timers) == 0 {
		return s.check(ctx)
	}
	return s.write(ctx, "schedule timers in", func(work context.Context, c *session) error {
		if err := call.set(ctx, work, c); err != nil {
			return err
		}
		call.settle(work, c)
		return nil
	})
}

// scheduling is a call that sets timers.
type scheduling struct {
	token   string
	records []*timerRecord
	raised  map[timerName]int64 // how often the call sets a name
	older   bson.A              // versions that it replaces
}

func (s *scheduling) add(timer *egopb.Timer) error {
	if timer == nil {
		return &persistence.InvalidRecordError{Reason: "the timer is nil"}
	}
	owner := timer.GetOwner()
	if err := persistence.CheckID(owner); err != nil {
		return err
	}
	if timer.GetName() == "" {
		return &persistence.InvalidRecordError{PersistenceID: owner, Reason: "the name of the timer is empty"}
	}
	record, err := marshal(owner, timer)
	if err != nil {
		return err
	}
	r := &timerRecord{Owner: owner, Name: timer.GetName(), Due: timer.GetDueUnixNano(), Call: s.token, Record: record}
	s.records = append(slices.DeleteFunc(s.records, func(old *timerRecord) bool { return old.of() == r.of() }), r)
	s.raised[r.of()]++
	return nil
}

// set inserts the records under versions that nobody has, and makes them count.
func (s *scheduling) set(ctx, work context.Context, c *session) error {
	open := false
	for attempt := 0; ; attempt++ {
		if err := ctx.Err(); err != nil && !open {
			return err
		}
		done, err := s.insert(work, c, &open)
		if err == nil && done {
			break
		}
		if err != nil && !open {
			return err
		}
		if cut := pause(work, attempt); cut != nil {
			return unknownIf(open, errors.Join(ErrContended, cut, err))
		}
	}
	if len(s.records) == 1 {
		return nil
	}
	return c.insertOnce(work, c.batches, timerBatch{ID: s.token})
}

// insert inserts the records, and reports false when a version was taken meanwhile.
func (s *scheduling) insert(ctx context.Context, c *session, open *bool) (bool, error) {
	versions, own, err := s.versions(ctx, c)
	if err != nil {
		return false, err
	}
	if own == len(s.records) {
		return true, nil // an insert that nothing was heard of
	}
	if own > 0 {
		if _, err := c.timers.DeleteMany(ctx, bson.D{{Key: "w", Value: s.token}}); err != nil {
			return false, err
		}
		return false, nil
	}
	for _, r := range s.records {
		highest, taken := versions[r.of()]
		if !taken {
			highest = rand.Int64N(1<<52) << 8
		}
		r.Version = highest + s.raised[r.of()]
		r.ID = timerID(r.of(), r.Version)
		if r.Batch = ""; len(s.records) > 1 {
			r.Batch = s.token
		}
	}
	_, err = c.timers.InsertMany(ctx, s.records)
	if err == nil {
		return true, nil
	}
	if hasCode(err, codeDuplicateKey) {
		return false, nil
	}
	*open = *open || len(s.records) == 1 && !refused(err)
	return false, err
}

// versions returns the highest version of each name of the call, and how many of its records are there.
func (s *scheduling) versions(ctx context.Context, c *session) (map[timerName]int64, int, error) {
	var owners, names bson.A
	for _, r := range s.records {
		owners, names = append(owners, r.Owner), append(names, r.Name)
	}
	filter := bson.D{{Key: "o", Value: bson.D{{Key: "$in", Value: owners}}}, {Key: "n", Value: bson.D{{Key: "$in", Value: names}}}}
	highest, own := make(map[timerName]int64), 0
	s.older = nil
	fields := options.Find().SetProjection(bson.D{{Key: "r", Value: 0}})
	err := each(ctx, c.timers, filter, fields, func(raw bson.Raw) (bool, error) {
		var r timerRecord
		if err := bson.Unmarshal(raw, &r); err != nil {
			return false, err
		}
		if r.Call == s.token {
			own++
			return true, nil
		}
		highest[r.of()] = max(highest[r.of()], r.Version)
		if s.raised[r.of()] > 0 {
			s.older = append(s.older, r.ID)
		}
		return true, nil
	})
	return highest, own, err
}

// settle removes what the timers replace and makes them count by themselves. Whoever reads before passes over the former
// and finds the latter by their batch, so it may fail.
func (s *scheduling) settle(ctx context.Context, c *session) {
	if len(s.records) > 1 && c.finishBatch(ctx, timerBatch{ID: s.token}) != nil {
		return
	}
	if len(s.older) > 0 { // those that were seen, as a name that is free again may begin anywhere
		_ = c.removeTimers(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: s.older}}}}, 0)
	}
}

// removeTimers removes versions of timers and the claims on them, those that are superseded first, so that a call that is
// cut off brings none of them back. With a version, it removes nothing unless that one is among them.
func (c *session) removeTimers(ctx context.Context, filter any, version int64) error {
	found, err := c.findTimers(ctx, filter, options.Find().SetProjection(bson.D{{Key: "r", Value: 0}}))
	if err != nil || len(found) == 0 {
		return err
	}
	if version > 0 && !slices.ContainsFunc(found, func(r *timerRecord) bool { return r.Version == version }) {
		return nil
	}
	slices.SortFunc(found, func(a, b *timerRecord) int { return cmp.Compare(a.Version, b.Version) })
	highest := make(map[timerName]*timerRecord)
	for _, r := range found {
		highest[r.of()] = r
	}
	var first, last bson.A
	for _, r := range found {
		if highest[r.of()] == r {
			last = append(last, r.ID)
		} else {
			first = append(first, r.ID)
		}
	}
	for _, ids := range []bson.A{first, last} {
		if len(ids) == 0 {
			continue
		}
		if _, err := c.timers.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}); err != nil {
			return err
		}
	}
	_, _ = c.claims.DeleteMany(ctx, bson.D{{Key: "t", Value: bson.D{{Key: "$in", Value: append(first, last...)}}}})
	return nil
}

func (c *session) findTimers(ctx context.Context, filter any, opts *options.FindOptionsBuilder) (found []*timerRecord, err error) {
	err = each(ctx, c.timers, filter, opts, func(raw bson.Raw) (bool, error) {
		r := new(timerRecord)
		found = append(found, r)
		return true, bson.Unmarshal(raw, r)
	})
	return found, err
}

// CancelTimers implements [persistence.TimerStore].
func (s *Store) CancelTimers(ctx context.Context, owner string, names ...string) error {
	filter := bson.D{{Key: "o", Value: owner}}
	if len(names) > 0 {
		filter = append(filter, bson.E{Key: "n", Value: bson.D{{Key: "$in", Value: names}}})
	}
	return s.write(ctx, "cancel timers in", func(ctx context.Context, c *session) error {
		return uncertain(c.removeTimers(ctx, filter, 0))
	})
}

// CompleteTimer implements [persistence.TimerStore]. The versions below go too, unless the one that is completed is gone: then
// they are of a timer that was set anew.
func (s *Store) CompleteTimer(ctx context.Context, owner, name string, version uint64) error {
	filter := bson.D{{Key: "o", Value: owner}, {Key: "n", Value: name}, {Key: "v", Value: bson.D{{Key: "$lte", Value: signed(version)}}}}
	return s.write(ctx, "complete a timer in", func(ctx context.Context, c *session) error {
		if version == 0 {
			return nil
		}
		return uncertain(c.removeTimers(ctx, filter, signed(version)))
	})
}

// OwnerTimers implements [persistence.TimerStore].
func (s *Store) OwnerTimers(ctx context.Context, owner string) (timers []*egopb.Timer, err error) {
	err = s.read(ctx, "read timers from", func(ctx context.Context, c *session) error {
		found, err := c.countingTimers(ctx, bson.D{{Key: "o", Value: owner}})
		if err != nil {
			return err
		}
		claims, err := c.claimsOn(ctx, found)
		if err != nil {
			return err
		}
		timers = nil
		for _, r := range found {
			timer, err := r.decode(claims[r.ID].Attempt, s.shards)
			if err != nil {
				return err
			}
			timers = append(timers, timer)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return timers, nil
}

// countingTimers returns the timers among the records that match, by their due times.
func (c *session) countingTimers(ctx context.Context, filter any) ([]*timerRecord, error) {
	found, err := c.findTimers(ctx, filter, options.Find())
	if err != nil {
		return nil, err
	}
	if found, err = c.dropUncounted(ctx, found); err != nil {
		return nil, err
	}
	highest := make(map[timerName]*timerRecord)
	for _, r := range found {
		if known := highest[r.of()]; known == nil || known.Version < r.Version {
			highest[r.of()] = r
		}
	}
	found = slices.DeleteFunc(found, func(r *timerRecord) bool { return highest[r.of()] != r })
	slices.SortFunc(found, byDue)
	return found, nil
}

func byDue(a, b *timerRecord) int {
	return cmp.Or(cmp.Compare(a.Due, b.Due), strings.Compare(a.Owner, b.Owner), strings.Compare(a.Name, b.Name))
}

// dropUncounted drops records of calls that have not set all of theirs, and records that a call has ended.
func (c *session) dropUncounted(ctx context.Context, found []*timerRecord) ([]*timerRecord, error) {
	if len(found) == 0 {
		return found, nil
	}
	batches, err := c.timerBatches(ctx)
	if err != nil {
		return nil, err
	}
	counts, ended := make(map[string]bool), make(map[string]bool)
	for _, b := range batches {
		counts[b.ID] = len(b.Ended)+len(b.Freed) == 0
		for _, id := range b.Ended {
			ended[id] = true
		}
	}
	var doubtful bson.A
	for _, r := range found {
		if r.Batch != "" && !counts[r.Batch] {
			doubtful = append(doubtful, r.ID)
		}
	}
	if len(doubtful) > 0 {
		// A batch goes once its records count by themselves, which may have been since they were read.
		again, err := c.findTimers(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: doubtful}}}}, options.Find().SetProjection(bson.D{{Key: "r", Value: 0}}))
		if err != nil {
			return nil, err
		}
		for _, r := range again {
			if r.Batch == "" {
				counts[r.Call] = true
			}
		}
	}
	return slices.DeleteFunc(found, func(r *timerRecord) bool { return ended[r.ID] || r.Batch != "" && !counts[r.Call] }), nil
}

// NextTimer implements [persistence.TimerStore].
func (s *Store) NextTimer(ctx context.Context) (due time.Time, ok bool, err error) {
	err = s.read(ctx, "read timers from", func(ctx context.Context, c *session) error {
		due, ok = time.Time{}, false
		return c.eachTimer(ctx, bson.D{}, func(page []*timerRecord) (bool, error) {
			if len(page) > 0 {
				due, ok = time.Unix(0, page[0].Due), true
			}
			return !ok, nil
		})
	})
	return due, ok && err == nil, err
}

func (r *timerRecord) decode(attempts int64, shards uint32) (*egopb.Timer, error) {
	timer := new(egopb.Timer)
	if err := proto.Unmarshal(r.Record.Data, timer); err != nil {
		return nil, fmt.Errorf("timer %q of %q: %w", r.Name, r.Owner, err)
	}
	timer.Shard = persistence.ShardOf(r.Owner, shards)
	timer.Version, timer.Attempts = uint64(r.Version), uint32(attempts) //nolint:gosec // small
	return timer, nil
}
