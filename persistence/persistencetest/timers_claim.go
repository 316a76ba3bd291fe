package persistencetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func claimCases() []Case {
	return []Case{
		{"Timers/ClaimDueOnly", claimDueOnly, needTimers},
		{"Timers/ClaimEarliestFirst", claimEarliestFirst, needTimers},
		{"Timers/ClaimIsExclusive", claimExclusive, needTimers},
		{"Timers/ClaimByManyClaimers", claimConcurrent, needTimers},
		{"Timers/ClaimExpires", claimExpires, needTimers},
		{"Timers/ClaimInvalidArguments", claimInvalid, needTimers},
		{"Timers/Complete", timerComplete, needTimers},
		{"Timers/CompleteOfOldVersion", timerCompleteOld, needTimers},
		{"Timers/CompleteAfterReschedule", timerCompleteRecreated, needTimers},
		{"Timers/ReplacedWhileClaimed", timerReplacedWhileClaimed, needTimers},
		{"Timers/ReleaseMany", timerReleaseMany, needTimerBatches},
		{"Timers/CompleteMany", timerCompleteMany, needTimerBatches},
	}
}

// claim claims timers that are due at a time, for longer than a case takes.
func claim(t testing.TB, s Stores, now int64, limit int) []*egopb.Timer {
	t.Helper()
	timers, err := s.Timers.ClaimTimers(t.Context(), time.Unix(0, now), time.Hour, limit)
	require.NoError(t, err)
	require.LessOrEqual(t, len(timers), limit, "more timers than asked for")
	return timers
}

func claimDueOnly(t testing.TB, s Stores) {
	require.Empty(t, claim(t, s, 1<<60, 10))
	schedule(t, s, newTimer("a", "x", 100), newTimer("b", "x", 200), newTimer("c", "x", 300))
	require.Empty(t, claim(t, s, 99, 10))
	timers := claim(t, s, 200, 10) // due at the very time
	require.Len(t, timers, 2)
	requireTimer(t, newTimer("a", "x", 100), timers[0], 1)
	requireTimer(t, newTimer("b", "x", 200), timers[1], 1)
	if shards := shardsOf(s); shards > 0 {
		require.Equal(t, persistence.ShardOf("a", shards), timers[0].GetShard())
	}
	require.Empty(t, claim(t, s, 299, 10))
	require.Len(t, claim(t, s, 300, 10), 1)
}

// shardsOf returns the shard count of the stores, zero when none of them knows.
func shardsOf(s Stores) uint32 {
	switch {
	case s.Events != nil:
		return s.Events.ShardCount()
	case s.States != nil:
		return s.States.ShardCount()
	default:
		return 0
	}
}

func claimEarliestFirst(t testing.TB, s Stores) {
	for _, due := range []int64{50, 10, 90, 30, 70, 20, 80, 40, 60} {
		schedule(t, s, newTimer("saga", fmt.Sprint(due), due))
	}
	require.Equal(t, []string{"10", "20"}, names(claim(t, s, 1_000, 2)))
	require.Equal(t, []string{"30"}, names(claim(t, s, 1_000, 1)))
	require.Equal(t, []string{"40", "50", "60"}, names(claim(t, s, 65, 10)))
	schedule(t, s, newTimer("saga", "5", 5))
	require.Equal(t, []string{"5", "70", "80", "90"}, names(claim(t, s, 1_000, 100)))
}

func claimExclusive(t testing.TB, s Stores) {
	schedule(t, s, newTimer("a", "x", 1), newTimer("b", "x", 2))
	require.Len(t, claim(t, s, 10, 10), 2)
	require.Empty(t, claim(t, s, 10, 10))
	require.Empty(t, claim(t, s, 1<<60, 10), "claims are measured by the clock of the store")
	schedule(t, s, newTimer("c", "x", 3))
	require.Len(t, claim(t, s, 10, 10), 1)
}

func claimConcurrent(t testing.TB, s Stores) {
	const claimers, timers = 16, 64
	for i := range timers {
		schedule(t, s, newTimer(fmt.Sprintf("saga-%d", i), "x", int64(i)))
	}
	var mu sync.Mutex
	claimed := make(map[string]int)
	total := 0
	deadline := time.Now().Add(patience)
	err := together(claimers, func(int) error {
		for {
			got, err := s.Timers.ClaimTimers(t.Context(), time.Unix(0, 1_000), time.Hour, 3)
			if err != nil {
				return err
			}
			mu.Lock()
			for _, timer := range got {
				claimed[timer.GetOwner()]++
				total++
			}
			done := total >= timers
			mu.Unlock()
			if done || time.Now().After(deadline) {
				return nil
			}
			if len(got) == 0 {
				<-time.After(time.Millisecond) // others are at it
			}
		}
	})
	require.NoError(t, err)
	require.Len(t, claimed, timers, "timers that nobody got")
	require.Equal(t, timers, total, "timers that several got")
	require.Empty(t, claim(t, s, 1_000, 100))
}

func claimExpires(t testing.TB, s Stores) {
	schedule(t, s, newTimer("saga", "a", 1))
	var versions []uint64
	for attempt := uint32(1); attempt <= 3; attempt++ {
		var timers []*egopb.Timer
		eventually(t, "a timer is handed out again when its claim has expired", func() bool {
			var err error
			timers, err = s.Timers.ClaimTimers(t.Context(), time.Unix(0, 1), 20*time.Millisecond, 10)
			require.NoError(t, err)
			return len(timers) > 0
		})
		require.Len(t, timers, 1)
		requireTimer(t, newTimer("saga", "a", 1), timers[0], attempt)
		requireTimer(t, newTimer("saga", "a", 1), onlyTimer(t, s, "saga"), attempt)
		versions = append(versions, timers[0].GetVersion())
	}
	require.Equal(t, []uint64{versions[0], versions[0], versions[0]}, versions, "a claim is no new version")
	require.NoError(t, s.Timers.CompleteTimer(t.Context(), "saga", "a", versions[0]))
	require.Empty(t, ownerTimers(t, s, "saga"))
}

func claimInvalid(t testing.TB, s Stores) {
	schedule(t, s, newTimer("a", "x", 1))
	for _, c := range []struct {
		claim time.Duration
		limit int
	}{{time.Minute, 0}, {time.Minute, -1}, {0, 1}, {-time.Minute, 1}} {
		_, err := s.Timers.ClaimTimers(t.Context(), time.Unix(0, 10), c.claim, c.limit)
		require.ErrorIs(t, err, persistence.ErrInvalidArgument, "claim %v limit %d", c.claim, c.limit)
	}
	require.Len(t, claim(t, s, 10, 10), 1)
}

func complete(t testing.TB, s Stores, timer *egopb.Timer) {
	t.Helper()
	require.NoError(t, s.Timers.CompleteTimer(t.Context(), timer.GetOwner(), timer.GetName(), timer.GetVersion()))
}

func timerComplete(t testing.TB, s Stores) {
	schedule(t, s, newTimer("saga", "a", 1), newTimer("saga", "b", 2), newTimer("other", "a", 1))
	timers := claim(t, s, 1, 10)
	require.Len(t, timers, 2)
	for range 2 { // the second time there is nothing to complete
		for _, timer := range timers {
			complete(t, s, timer)
		}
		require.Equal(t, []string{"b"}, names(ownerTimers(t, s, "saga")))
		require.Empty(t, ownerTimers(t, s, "other"))
	}
	require.NoError(t, s.Timers.CompleteTimer(t.Context(), "unknown", "a", 1))
	require.Len(t, claim(t, s, 10, 10), 1)
}

func timerCompleteOld(t testing.TB, s Stores) { // G7
	schedule(t, s, newTimer("saga", "a", 1))
	old := claim(t, s, 1, 1)
	schedule(t, s, newTimer("saga", "a", 5))
	complete(t, s, old[0])
	requireTimer(t, newTimer("saga", "a", 5), onlyTimer(t, s, "saga"), 0)
	next := claim(t, s, 5, 1)
	require.Len(t, next, 1)
	complete(t, s, old[0])
	require.Len(t, ownerTimers(t, s, "saga"), 1)
	complete(t, s, next[0])
	require.Empty(t, ownerTimers(t, s, "saga"))
}

// timerCompleteRecreated completes a timer that was canceled, or completed, and set again meanwhile.
func timerCompleteRecreated(t testing.TB, s Stores) { // G7
	schedule(t, s, newTimer("canceled", "a", 1), newTimer("completed", "a", 1))
	old := claim(t, s, 1, 10)
	require.Len(t, old, 2)
	require.NoError(t, s.Timers.CancelTimers(t.Context(), "canceled", "a"))
	complete(t, s, old[1])
	require.Empty(t, ownerTimers(t, s, "completed"))
	for _, timer := range old {
		schedule(t, s, newTimer(timer.GetOwner(), "a", 5))
		complete(t, s, timer)
		requireTimer(t, newTimer(timer.GetOwner(), "a", 5), onlyTimer(t, s, timer.GetOwner()), 0)
	}
}

func timerReplacedWhileClaimed(t testing.TB, s Stores) {
	schedule(t, s, newTimer("saga", "a", 1))
	old := claim(t, s, 1, 1)
	require.Len(t, old, 1)
	schedule(t, s, newTimer("saga", "a", 1))
	next := claim(t, s, 1, 1)
	require.Len(t, next, 1, "a claim on the old version no longer counts")
	require.Equal(t, old[0].GetVersion()+1, next[0].GetVersion())
	require.Equal(t, uint32(1), next[0].GetAttempts())
}

// aftermath claims timers and lets something happen to each but the first, and returns them as they were claimed.
func aftermath(t testing.TB, s Stores) []*egopb.Timer {
	t.Helper()
	schedule(t, s, newTimer("saga", "held", 1), newTimer("saga", "anew", 2), newTimer("saga", "gone", 3), newTimer("saga", "again", 4))
	claimed := claim(t, s, 3, 10)
	require.Len(t, claimed, 3)
	brief, err := s.Timers.ClaimTimers(t.Context(), time.Unix(0, 4), time.Millisecond, 1)
	require.NoError(t, err)
	eventually(t, "a timer is handed out again when its claim has expired", func() bool { return len(claim(t, s, 4, 10)) == 1 })
	schedule(t, s, newTimer("saga", "anew", 2))
	require.NoError(t, s.Timers.CancelTimers(t.Context(), "saga", "gone"))
	return append(claimed, brief...)
}

func timerReleaseMany(t testing.TB, s Stores) {
	batches := s.Timers.(persistence.TimerBatchStore) //nolint:forcetypeassert // see needTimerBatches
	require.NoError(t, batches.ReleaseTimers(t.Context(), nil))
	claimed := aftermath(t, s)
	require.NoError(t, batches.ReleaseTimers(t.Context(), claimed))
	again := claim(t, s, 10, 10)
	require.Equal(t, []string{"held", "anew"}, names(again), "one that others hold stays theirs")
	require.EqualValues(t, 2, again[0].GetAttempts())
	require.NoError(t, batches.ReleaseTimers(t.Context(), claimed))
	require.Empty(t, claim(t, s, 10, 10), "an older claim releases no newer one")
	require.Len(t, ownerTimers(t, s, "saga"), 3, "what is gone stays gone")
}

func timerCompleteMany(t testing.TB, s Stores) {
	batches := s.Timers.(persistence.TimerBatchStore) //nolint:forcetypeassert // see needTimerBatches
	require.NoError(t, batches.CompleteTimers(t.Context(), nil))
	claimed := aftermath(t, s)
	for range 2 { // the second time there is nothing to complete
		require.NoError(t, batches.CompleteTimers(t.Context(), claimed))
		require.Equal(t, []string{"anew", "again"}, names(ownerTimers(t, s, "saga")))
	}
}
