package persistencetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func contextCases() []Case {
	return []Case{
		{"Context/EndedBefore", contextEndedBefore, 0},
		{"Context/EndedBeforeWriteIsNotWritten", contextEndedBeforeWrite, needEvents},
		{"Context/EndedDuringWrite", contextEndedDuringWrite, needEvents},
		{"Context/EndedDuringStateWrite", contextEndedDuringStateWrite, needStates},
		{"Context/EndedDuringReplay", contextEndedDuringReplay, needEvents},
	}
}

func contextEndedBefore(t testing.TB, s Stores) {
	lease := prepare(t, s)
	before := content(t, s)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for _, op := range operations(s, lease) {
		require.ErrorIs(t, op.call(canceled), context.Canceled, op.name)
		require.ErrorIs(t, op.call(expired), context.DeadlineExceeded, op.name)
	}
	require.Equal(t, before, content(t, s), "a call without time changed something")
}

func contextEndedBeforeWrite(t testing.TB, s Stores) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Events.WriteEvents(ctx, eventsOf("a", 1, 3))
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, persistence.NotWritten(err), "the outcome of a write that never began is known")
	requireNothing(t, s, "a")
	write(t, s, eventsOf("a", 1, 3)...)
}

// Writes are cut off at every point of their way, and what they say of their outcome is held against what is there.
const cutOffs = 60

// cutOff calls a function with a context that ends soon, a little later in each round.
func cutOff(t testing.TB, round int, call func(ctx context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(round*round)*time.Microsecond)
	defer cancel()
	err := call(ctx)
	if err != nil {
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	return err
}

func contextEndedDuringWrite(t testing.TB, s Stores) {
	outcomes := make([]error, cutOffs)
	batch := func(round int) (ids []string, events []*egopb.Event) {
		for i := range 5 {
			id := fmt.Sprintf("round-%d-%d", round, i)
			ids = append(ids, id)
			events = append(events, eventsOf(id, 1, 20)...)
		}
		return ids, events
	}
	for round := range outcomes {
		_, events := batch(round)
		outcomes[round] = cutOff(t, round, func(ctx context.Context) error { return s.Events.WriteEvents(ctx, events) })
	}
	for round, err := range outcomes {
		ids, _ := batch(round)
		stored := 0
		for _, id := range ids {
			stored += len(replay(t, s, id, 1, 100))
		}
		requireOutcome(t, err, stored, 100)
	}
	for shard := range s.Events.ShardCount() {
		shardEvents(t, s, shard, 100) // still without a gap
	}
}

// requireOutcome checks how much of a write is there against what its error says.
func requireOutcome(t testing.TB, err error, stored, all int) {
	t.Helper()
	switch {
	case err == nil:
		require.Equal(t, all, stored, "an acknowledged write is not there")
	case persistence.NotWritten(err):
		require.Zero(t, stored, "a write is there that was said not to be: %v", err)
	default:
		require.Contains(t, []int{0, all}, stored, "a write is there in part: %v", err)
	}
}

func contextEndedDuringStateWrite(t testing.TB, s Stores) {
	outcomes := make([]error, cutOffs)
	id := func(round int) string { return fmt.Sprintf("round-%d", round) }
	for round := range outcomes {
		outcomes[round] = cutOff(t, round, func(ctx context.Context) error {
			return s.States.WriteState(ctx, newState(id(round), 1))
		})
	}
	for round, err := range outcomes {
		stored := 0
		if latestState(t, s, id(round)) != nil {
			stored = 1
		}
		requireOutcome(t, err, stored, 1)
	}
}

func contextEndedDuringReplay(t testing.TB, s Stores) {
	const length, readable = 10_000, 5_000
	for from := uint64(1); from < length; from += 1_000 {
		write(t, s, eventsOf("a", from, from+999)...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var read int
	var failure error
	for _, err := range s.Events.ReplayEvents(ctx, "a", 1, length) {
		if err != nil {
			failure = err
			break
		}
		if read++; read == 10 {
			cancel()
		}
	}
	require.ErrorIs(t, failure, context.Canceled)
	require.Less(t, read, readable, "the replay went on long after its context had ended")
}
