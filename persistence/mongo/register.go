package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A register is what is known of one shard of a consumer: its lease, its offset and the letters that were parked last. It
// is never changed. Each change is a new document with the next number, and as the number is taken by a unique _id, one
// insert is the compare-and-set. The highest number counts. Documents that were superseded stay for a while, so that a
// change that rests on an old one still fails.
type register struct {
	ID       string    `bson:"_id"`
	Consumer string    `bson:"c"`
	Shard    int64     `bson:"s"`
	Number   int64     `bson:"q"`
	Written  time.Time `bson:"t"`           // clock of the server
	Token    string    `bson:"b"`           // tells the change from one of another writer with the same number
	Live     bool      `bson:"y,omitempty"` // not known to be superseded

	Leased bool      `bson:"l,omitempty"` // it has been leased since the consumer was deleted last
	Epoch  int64     `bson:"e"`           // grows for ever
	Owner  string    `bson:"o,omitempty"` // empty when released
	Until  time.Time `bson:"u,omitempty"`

	Committed bool      `bson:"h,omitempty"` // it has an offset
	Position  int64     `bson:"p,omitempty"`
	ByEpoch   int64     `bson:"pe,omitempty"`
	At        time.Time `bson:"pt,omitempty"`

	Parked string `bson:"lb,omitempty"` // letters that this change made visible
	Reset  bool   `bson:"rs,omitempty"` // this change set the offset, and voided the letters above it that were visible before
}

const (
	// keepRegisters is how long a superseded change stays, and longestChange how long one may take from reading to
	// the end of its insert to be certain that what it rests on was still the last.
	keepRegisters = time.Minute
	longestChange = 20 * time.Second

	// markEvery is how many changes of a register make one mark those before it, so that readers find few.
	markEvery = 8
)

func registerID(consumer string, shard uint32, number int64) string {
	return fmt.Sprintf("%04x-%016x/%s", shard, number, consumer)
}

// registersOf returns what is known of the shards of a consumer, in the state of their last changes.
func (c *session) registersOf(ctx context.Context, consumer string, shards ...uint32) (map[uint32]*register, error) {
	filter := bson.D{{Key: "c", Value: consumer}, {Key: "y", Value: true}}
	if len(shards) > 0 {
		filter = append(filter, bson.E{Key: "s", Value: bson.D{{Key: "$in", Value: shards}}})
	}
	found := make(map[uint32]*register)
	err := each(ctx, c.consumers, filter, options.Find(), func(raw bson.Raw) (bool, error) {
		r := new(register)
		if err := bson.Unmarshal(raw, r); err != nil {
			return false, err
		}
		shard := uint32(r.Shard) //nolint:gosec // it was one
		if known := found[shard]; known == nil || known.Number < r.Number {
			found[shard] = r
		}
		return true, nil
	})
	return found, err
}

// A change makes the next state of a register from the last, or returns false to leave it. An error ends the call.
type change func(shard uint32, r *register, now time.Time) (bool, error)

// update changes registers of a consumer. Each is changed by itself: when the call fails, some may have been.
func (c *session) update(ctx, work context.Context, consumer string, shards []uint32, apply change) error {
	unlock, err := c.registers.lock(ctx, consumer, shards)
	if err != nil {
		return err
	}
	defer unlock()
	u := &updating{session: c, consumer: consumer, token: fmt.Sprintf("%x", newToken()), apply: apply}
	pending := shards
	for attempt := 0; len(pending) > 0; attempt++ {
		if err := ctx.Err(); err != nil && !u.open {
			return u.failed(contended(attempt, err))
		}
		left, err := u.round(work, pending)
		if err != nil && !u.again(err) {
			return u.failed(err)
		}
		if pending = left; len(pending) == 0 {
			break
		}
		if cut := pause(work, attempt); cut != nil {
			return u.failed(errors.Join(ErrContended, cut, err))
		}
	}
	c.sweepRegisters(work, consumer)
	return nil
}

// updating is a call that changes registers.
type updating struct {
	*session
	consumer string
	token    string
	apply    change
	done     bool // something was changed
	open     bool // the outcome of an insert is unknown
}

func (u *updating) failed(err error) error {
	if u.done {
		return &outcomeError{&partialError{err}}
	}
	return unknownIf(u.open, err)
}

// again reports whether a round that failed can be repeated: what it has done is found by its token.
func (u *updating) again(err error) bool {
	var open *outcomeError
	if errors.As(err, &open) || contractError(err) {
		return false
	}
	return driver.IsNetworkError(err) || u.open
}

// round tries to change registers and returns those that somebody else has changed meanwhile. It begins with what this store
// wrote itself, if that is all there is to know: the insert fails when it is no longer the last.
func (u *updating) round(ctx context.Context, shards []uint32) ([]uint32, error) {
	begun := time.Now()
	now, err := u.clock(ctx)
	if err != nil {
		return shards, err
	}
	if known, since := u.registers.recall(u.consumer, shards); known != nil {
		documents, err := u.changes(ctx, known, shards, now)
		if err == nil && len(documents) == len(shards) {
			return u.insert(ctx, documents, since)
		}
	}
	known, err := u.registersOf(ctx, u.consumer, shards...)
	if err != nil {
		return shards, err
	}
	documents, err := u.changes(ctx, known, shards, now)
	if err != nil {
		return shards, err
	}
	if len(documents) == 0 {
		return nil, nil
	}
	return u.insert(ctx, documents, begun)
}

// changes makes what follows the last states of registers.
func (u *updating) changes(ctx context.Context, known map[uint32]*register, shards []uint32, now time.Time) ([]*register, error) {
	var documents []*register
	for _, shard := range shards {
		next := &register{}
		if last := known[shard]; last != nil {
			if last.Token == u.token { // an insert that nothing was heard of
				u.done = true
				continue
			}
			if err := u.deliver(ctx, last); err != nil {
				return nil, err
			}
			*next = *last
		}
		next.Parked, next.Reset = "", false
		changed, err := u.apply(shard, next, now)
		if err != nil {
			return nil, err
		}
		if !changed {
			continue
		}
		next.follow(u.consumer, shard, u.token, now)
		documents = append(documents, next)
	}
	return documents, nil
}

// follow makes a register the one behind that of which it is a copy.
func (r *register) follow(consumer string, shard uint32, token string, now time.Time) {
	r.Consumer, r.Shard, r.Number, r.Live = consumer, int64(shard), r.Number+1, true
	r.ID, r.Token, r.Written = registerID(consumer, shard, r.Number), token, now
}

// insert inserts changes that rest on what was known at a moment, and returns the shards where another one was first.
func (u *updating) insert(ctx context.Context, documents []*register, since time.Time) ([]uint32, error) {
	of := make([]uint32, len(documents))
	for i, r := range documents {
		of[i] = uint32(r.Shard) //nolint:gosec // it was one
	}
	u.registers.forget(u.consumer, of)
	begun := time.Now()
	_, err := u.consumers.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	if time.Since(since) > longestChange {
		u.open = true
		return nil, &outcomeError{errors.Join(errors.New("the change took too long to be certain of"), err)}
	}
	if err == nil {
		u.done = true
		u.registers.remember(u.consumer, documents, begun)
		for _, r := range documents {
			_ = u.mark(ctx, r) // the next one marks them as well
		}
		return nil, nil
	}
	var bulk driver.BulkWriteException
	if !errors.As(err, &bulk) || bulk.WriteConcernError != nil {
		u.open = u.open || !refused(err)
		return of, err
	}
	var lost []uint32
	for _, failure := range bulk.WriteErrors {
		if failure.Code != codeDuplicateKey {
			u.done = len(documents) > 1
			return of, err
		}
		lost = append(lost, of[failure.Index])
	}
	u.done = u.done || len(lost) < len(of)
	return lost, nil
}

// mark marks, now and then, the registers before one as superseded.
func (c *session) mark(ctx context.Context, r *register) error {
	if r.Number%markEvery != 0 {
		return nil
	}
	before := bson.D{
		{Key: "c", Value: r.Consumer}, {Key: "y", Value: true}, {Key: "s", Value: r.Shard},
		{Key: "q", Value: bson.D{{Key: "$lt", Value: r.Number}}},
	}
	_, err := c.consumers.UpdateMany(ctx, before, bson.D{{Key: "$unset", Value: bson.D{{Key: "y", Value: ""}}}})
	return err
}

// sweepRegisters removes, now and then, what was superseded.
func (c *session) sweepRegisters(ctx context.Context, consumer string) {
	if !c.consumerWrites.due(64, 2*time.Second) {
		return
	}
	now, err := c.clock(ctx)
	if err != nil {
		return // the next one takes what is left
	}
	last, err := c.registersOf(ctx, consumer)
	if err != nil {
		return
	}
	for shard, r := range last {
		old := bson.D{
			{Key: "c", Value: consumer}, {Key: "y", Value: bson.D{{Key: "$exists", Value: false}}}, {Key: "s", Value: shard},
			{Key: "q", Value: bson.D{{Key: "$lt", Value: r.Number}}},
			{Key: "t", Value: bson.D{{Key: "$lt", Value: now.Add(-keepRegisters)}}},
		}
		if _, err := c.consumers.DeleteMany(ctx, old); err != nil {
			return
		}
	}
}
