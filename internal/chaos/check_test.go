package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/actorkeep/ego/persistence"
)

// A promise is what a projection must keep.
type promise struct {
	projection string
	once       bool // exactly once, else at least once
}

// check compares the read models with the journal, and returns all that is wrong with them: what is missing, what is there
// twice, what came out of order within its entity, what the journal does not know.
func check(ctx context.Context, journal persistence.EventsStore, rows []row, promises ...promise) error {
	events, err := read(ctx, journal)
	if err != nil {
		return err
	}
	var problems []error
	for _, p := range promises {
		problems = append(problems, p.check(events, rows)...)
	}
	const enough = 20
	return errors.Join(problems[:min(len(problems), enough)]...)
}

// read returns the highest number of each entity, and checks that positions and numbers have no gaps.
func read(ctx context.Context, journal persistence.EventsStore) (map[string]uint64, error) {
	numbers := make(map[string]uint64)
	for shard := range journal.ShardCount() {
		events, err := journal.GetShardEvents(ctx, shard, 0, math.MaxInt32)
		if err != nil {
			return nil, err
		}
		for i, event := range events {
			id := event.GetPersistenceId()
			if event.GetPosition() != uint64(i)+1 {
				return nil, fmt.Errorf("the journal has position %d in place %d of shard %d", event.GetPosition(), i+1, shard)
			}
			if numbers[id]++; event.GetSequenceNumber() != numbers[id] {
				return nil, fmt.Errorf("the journal of %s has event %d in place %d", id, event.GetSequenceNumber(), numbers[id])
			}
		}
	}
	return numbers, nil
}

func (p promise) check(events map[string]uint64, rows []row) (problems []error) {
	complain := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(p.projection+": "+format, args...))
	}
	highest := make(map[string]uint64, len(events))
	for _, r := range rows {
		switch {
		case r.projection != p.projection:
		case r.number > events[r.entity]:
			complain("%s has event %d, which the journal does not have", r.entity, r.number)
		case r.number == highest[r.entity]+1:
			highest[r.entity] = r.number
		case r.number > highest[r.entity]:
			complain("%s goes from event %d to %d", r.entity, highest[r.entity], r.number)
			highest[r.entity] = r.number
		case p.once:
			complain("%s has event %d after %d: twice, or out of order", r.entity, r.number, highest[r.entity])
		}
	}
	for id, last := range events {
		if highest[id] < last {
			complain("%s ends at event %d of %d", id, highest[id], last)
		}
	}
	return problems
}
