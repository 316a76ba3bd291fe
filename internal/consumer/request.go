package consumer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// A request asks the owner of a shard in another process to do something to dead letters. It is stored, one letter for an
// entity, so whoever is the owner by the time it is read obeys it.
type request struct {
	group    *Group
	consumer string
	shard    uint32
	what     order

	letters []*egopb.DeadLetter // what is filed; nil: nothing
	quiet   time.Time           // since when nothing has happened
	left    work                // then
}

// work is what is left to do of a request; a change shows that somebody is at it.
type work struct{ letters, attempts uint64 }

func (g *Group) newRequest(consumer string, shard uint32, what order) *request {
	return &request{group: g, consumer: consumer, shard: shard, what: what}
}

// ask files the request, once, and reports whether it has been carried out since. When nothing at all happens for longer than
// an owner can be dead, it withdraws the request and is [ErrNoAnswer].
func (r *request) ask(ctx context.Context) (done bool, err error) {
	if r.letters == nil {
		if r.left, err = r.count(ctx); err == nil {
			err = r.file(ctx)
		}
		return false, err
	}
	open, err := r.group.openRequests(ctx)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(r.letters, func(l *egopb.DeadLetter) bool { return open[keyOf(l)] != nil }) {
		return true, nil
	}
	patience := r.group.config.answerWithin()
	if time.Since(r.quiet) < patience {
		return false, nil
	}
	left, err := r.count(ctx)
	if err != nil {
		return false, err
	}
	if left != r.left {
		r.left, r.quiet = left, time.Now()
		return false, nil
	}
	if err := r.withdraw(ctx); err != nil {
		return false, err
	}
	return false, fmt.Errorf("%w: shard %d of consumer %q, for %v", ErrNoAnswer, r.shard, r.consumer, patience)
}

// count returns what is left to do.
func (r *request) count(ctx context.Context) (left work, err error) {
	err = r.group.config.call(ctx, func(ctx context.Context) error {
		left = work{}
		for letter, err := range r.group.config.Letters.DeadLetters(ctx, r.consumer, r.what.ids...) {
			if err != nil {
				return err
			}
			left.letters++
			left.attempts += uint64(letter.GetAttempts())
		}
		return nil
	})
	return left, err
}

// file stores the request, which takes a lease as all dead letters do. Others hold that lease for moments only.
func (r *request) file(ctx context.Context) error {
	g := r.group
	holds, err := g.keeper.acquire(ctx, requestsName, g.config.Owner+"#letters", r.shard)
	if err != nil || len(holds) == 0 {
		return err
	}
	defer g.keeper.release(holds...)
	letters := make([]*egopb.DeadLetter, len(r.what.ids))
	for i, id := range r.what.ids {
		letters[i] = &egopb.DeadLetter{
			Consumer: requestsName,
			Event: &egopb.Event{
				PersistenceId: id, SequenceNumber: max(r.what.end, 1), Shard: r.shard, Kind: r.consumer,
				Position: uint64(time.Now().UnixNano()) + uint64(i), // tells it from all others
			},
			Reason:       string(r.what.action),
			TimeUnixNano: time.Now().UnixNano(),
		}
	}
	err = g.config.call(ctx, func(ctx context.Context) error {
		return g.config.Letters.ParkEvents(ctx, holds[0].lease, letters)
	})
	if err == nil {
		r.letters, r.quiet = letters, time.Now()
	}
	return err
}

// withdraw deletes what is filed.
func (r *request) withdraw(ctx context.Context) error {
	if r.letters == nil {
		return nil
	}
	positions := make([]uint64, len(r.letters))
	for i, letter := range r.letters {
		positions[i] = keyOf(letter).position
	}
	err := r.group.config.call(ctx, func(ctx context.Context) error {
		return r.group.config.Letters.DeleteDeadLetters(ctx, requestsName, r.shard, positions...)
	})
	if err == nil {
		r.letters = nil
	}
	return err
}
