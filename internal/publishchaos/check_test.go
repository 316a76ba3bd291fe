package publishchaos_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/persistence"
)

// An arrival is an event that the broker holds.
type arrival struct {
	entity string
	number uint64
}

// check compares what a broker holds, in its order for each entity, with the journal, and returns what is wrong: what is
// missing, whose first arrivals are out of order, what the journal does not know. Repeats are allowed.
func check(journal map[string]uint64, arrivals []arrival) error {
	var problems []error
	complain := func(format string, args ...any) {
		const enough = 20
		if len(problems) < enough {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	highest := make(map[string]uint64, len(journal))
	for _, a := range arrivals {
		switch next := highest[a.entity] + 1; {
		case a.number > journal[a.entity]:
			complain("%s has event %d, which the journal does not have", a.entity, a.number)
		case a.number > next:
			complain("%s goes from event %d to %d", a.entity, next-1, a.number)
			highest[a.entity] = a.number
		case a.number == next:
			highest[a.entity] = next
		}
	}
	for entity, last := range journal {
		if highest[entity] < last {
			complain("%s ends at event %d of %d", entity, highest[entity], last)
		}
	}
	return errors.Join(problems...)
}

// readJournal returns the highest number of each entity, and checks that numbers have no gaps.
func readJournal(ctx context.Context, journal persistence.EventsStore) (map[string]uint64, error) {
	numbers := make(map[string]uint64)
	for shard := range journal.ShardCount() {
		events, err := journal.GetShardEvents(ctx, shard, 0, math.MaxInt32)
		if err != nil {
			return nil, err
		}
		for _, event := range events {
			id := event.GetPersistenceId()
			if numbers[id]++; event.GetSequenceNumber() != numbers[id] {
				return nil, fmt.Errorf("the journal of %s has event %d in place %d", id, event.GetSequenceNumber(), numbers[id])
			}
		}
	}
	return numbers, nil
}

func TestCheck(t *testing.T) {
	t.Parallel()
	journal := map[string]uint64{"a": 3, "b": 1}
	for name, c := range map[string]struct {
		arrivals []arrival
		want     string
	}{
		"Sound":           {[]arrival{{"a", 1}, {"b", 1}, {"a", 2}, {"a", 3}}, ""},
		"Repeats":         {[]arrival{{"a", 1}, {"a", 2}, {"a", 1}, {"a", 2}, {"b", 1}, {"a", 3}, {"b", 1}}, ""},
		"LastIsMissing":   {[]arrival{{"a", 1}, {"b", 1}, {"a", 2}}, "a ends at event 2 of 3"},
		"MiddleIsMissing": {[]arrival{{"a", 1}, {"b", 1}, {"a", 3}}, "a goes from event 1 to 3"},
		"AllIsMissing":    {nil, "b ends at event 0 of 1"},
		"OutOfOrder":      {[]arrival{{"a", 2}, {"a", 1}, {"a", 2}, {"a", 3}, {"b", 1}}, "a goes from event 0 to 2"},
		"Unknown":         {[]arrival{{"a", 1}, {"b", 1}, {"a", 2}, {"a", 3}, {"b", 2}}, "b has event 2, which the journal does not have"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := check(journal, c.arrivals)
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}
