package persistencetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func timerCases() []Case {
	return []Case{
		{"Timers/Schedule", timerSchedule, needTimers},
		{"Timers/ScheduleAgainReplaces", timerReplace, needTimers},
		{"Timers/ScheduleIsAtomic", timerScheduleAtomic, needTimers},
		{"Timers/AllFields", timerAllFields, needTimers},
		{"Timers/OddIDs", timerOddIDs, needTimers},
		{"Timers/CancelNamed", timerCancelNamed, needTimers},
		{"Timers/CancelAll", timerCancelAll, needTimers},
		{"Timers/Next", timerNext, needTimers},
		{"Timers/KeepsAndSharesNothing", timerAliasing, needTimers},
	}
}

func schedule(t testing.TB, s Stores, timers ...*egopb.Timer) {
	t.Helper()
	require.NoError(t, s.Timers.ScheduleTimers(t.Context(), timers))
}

// ownerTimers returns the timers of an owner, and checks that they come in order.
func ownerTimers(t testing.TB, s Stores, owner string) []*egopb.Timer {
	t.Helper()
	timers, err := s.Timers.OwnerTimers(t.Context(), owner)
	require.NoError(t, err)
	for i := 1; i < len(timers); i++ {
		require.LessOrEqual(t, timers[i-1].GetDueUnixNano(), timers[i].GetDueUnixNano(), "timers must be in order of their due times")
	}
	return timers
}

// onlyTimer returns the one timer that an owner has.
func onlyTimer(t testing.TB, s Stores, owner string) *egopb.Timer {
	t.Helper()
	timers := ownerTimers(t, s, owner)
	require.Len(t, timers, 1)
	return timers[0]
}

// names returns the names of timers.
func names(timers []*egopb.Timer) []string {
	found := []string{}
	for _, timer := range timers {
		found = append(found, timer.GetName())
	}
	return found
}

// requireTimer checks a timer that was read against the one that was scheduled.
func requireTimer(t testing.TB, want, got *egopb.Timer, attempts uint32) {
	t.Helper()
	require.NotNil(t, got)
	require.NotZero(t, got.GetVersion())
	want = proto.CloneOf(want)
	want.Shard, want.Version, want.Attempts = got.GetShard(), got.GetVersion(), attempts
	requireProto(t, want, got)
}

func timerSchedule(t testing.TB, s Stores) {
	require.Empty(t, ownerTimers(t, s, "saga"))
	schedule(t, s)
	schedule(t, s, newTimer("saga", "late", 300), newTimer("saga", "early", 100), newTimer("other", "early", 50))
	schedule(t, s, newTimer("saga", "middle", 200))
	timers := ownerTimers(t, s, "saga")
	require.Equal(t, []string{"early", "middle", "late"}, names(timers))
	requireTimer(t, newTimer("saga", "early", 100), timers[0], 0)
	require.Equal(t, []string{"early"}, names(ownerTimers(t, s, "other")))
	require.Empty(t, ownerTimers(t, s, "unknown"))
}

func timerReplace(t testing.TB, s Stores) {
	schedule(t, s, newTimer("saga", "a", 100), newTimer("saga", "b", 100), newTimer("other", "a", 100))
	first := ownerTimers(t, s, "saga")[0].GetVersion()
	for round := uint64(1); round <= 3; round++ {
		next := newTimer("saga", "a", 10+int64(round))
		next.Kind = "changed"
		schedule(t, s, next)
		timers := ownerTimers(t, s, "saga")
		require.Equal(t, []string{"a", "b"}, names(timers))
		requireTimer(t, next, timers[0], 0)
		require.Equal(t, first+round, timers[0].GetVersion())
	}
	requireTimer(t, newTimer("other", "a", 100), onlyTimer(t, s, "other"), 0)
}

func timerScheduleAtomic(t testing.TB, s Stores) {
	schedule(t, s, newTimer("saga", "a", 100))
	version := onlyTimer(t, s, "saga").GetVersion()
	for name, invalid := range map[string]*egopb.Timer{
		"nil": nil, "no owner": newTimer("", "a", 1), "no name": newTimer("saga", "", 1),
	} {
		err := s.Timers.ScheduleTimers(t.Context(), []*egopb.Timer{newTimer("saga", "a", 1), newTimer("new", "a", 1), invalid})
		require.ErrorIs(t, err, persistence.ErrInvalidRecord, name)
		require.True(t, persistence.NotWritten(err), name)
		requireTimer(t, newTimer("saga", "a", 100), onlyTimer(t, s, "saga"), 0)
		require.Equal(t, version, onlyTimer(t, s, "saga").GetVersion())
		require.Empty(t, ownerTimers(t, s, "new"))
	}
}

func timerAllFields(t testing.TB, s Stores) {
	full := fill(new(egopb.Timer))
	full.Owner, full.DueUnixNano = "full", 1
	empty := &egopb.Timer{
		Owner: "empty", Name: "a", DueUnixNano: 2, Payload: &anypb.Any{}, Trace: &egopb.TraceContext{}, Metadata: map[string]string{"": ""},
	}
	bare := &egopb.Timer{Owner: "bare", Name: "a"}
	large := newTimer("large", "a", 3)
	large.Payload.Value = make([]byte, 1<<20)
	timers := []*egopb.Timer{bare, full, empty, large} // in order of their due times
	for _, timer := range timers {
		schedule(t, s, timer)
		requireTimer(t, timer, onlyTimer(t, s, timer.GetOwner()), 0)
	}
	for i, claimed := range claim(t, s, 10, 10) {
		requireTimer(t, timers[i], claimed, 1)
	}
}

func timerOddIDs(t testing.TB, s Stores) {
	for i, id := range odd() {
		schedule(t, s, newTimer(id, odd()[len(odd())-1-i], int64(i)))
	}
	require.NoError(t, s.Timers.CancelTimers(t.Context(), odd()[0]))
	require.Empty(t, ownerTimers(t, s, odd()[0]))
	for i, id := range odd()[1:] {
		requireTimer(t, newTimer(id, odd()[len(odd())-2-i], int64(i+1)), onlyTimer(t, s, id), 0)
	}
}

func timerCancelNamed(t testing.TB, s Stores) {
	schedule(t, s, newTimer("saga", "a", 1), newTimer("saga", "b", 2), newTimer("saga", "c", 3), newTimer("other", "b", 1))
	require.NoError(t, s.Timers.CancelTimers(t.Context(), "saga", "b", "unknown", "c"))
	require.Equal(t, []string{"a"}, names(ownerTimers(t, s, "saga")))
	require.Equal(t, []string{"b"}, names(ownerTimers(t, s, "other")))
	require.NoError(t, s.Timers.CancelTimers(t.Context(), "saga", "unknown"))
	require.Equal(t, []string{"a"}, names(ownerTimers(t, s, "saga")))
	require.NoError(t, s.Timers.CancelTimers(t.Context(), "unknown", "a"))
	require.ElementsMatch(t, []string{"a", "b"}, names(claim(t, s, 100, 10)))
}

func timerCancelAll(t testing.TB, s Stores) {
	schedule(t, s, newTimer("saga", "a", 1), newTimer("saga", "b", 2), newTimer("other", "c", 1))
	require.Len(t, claim(t, s, 1, 10), 2)
	require.NoError(t, s.Timers.CancelTimers(t.Context(), "saga")) // the claimed one too
	require.Empty(t, ownerTimers(t, s, "saga"))
	require.Equal(t, []string{"c"}, names(ownerTimers(t, s, "other")))
	require.Empty(t, claim(t, s, 100, 10))
}

func timerNext(t testing.TB, s Stores) {
	next := func(want int64) {
		t.Helper()
		due, ok, err := s.Timers.NextTimer(t.Context())
		require.NoError(t, err)
		require.Equal(t, want != 0, ok)
		if ok {
			require.Equal(t, want, due.UnixNano())
		}
	}
	next(0)
	base := time.Date(2030, 1, 2, 3, 4, 5, 123456789, time.UTC).UnixNano() // to the nanosecond
	schedule(t, s, newTimer("a", "x", base+20))
	next(base + 20)
	schedule(t, s, newTimer("b", "x", base+10), newTimer("c", "x", base+30))
	next(base + 10)
	require.Len(t, claim(t, s, base+10, 10), 1)
	next(base + 10) // it stays until it is completed
	require.NoError(t, s.Timers.CancelTimers(t.Context(), "b"))
	next(base + 20)
	schedule(t, s, newTimer("a", "x", base+40))
	next(base + 30)
	require.NoError(t, s.Timers.CancelTimers(t.Context(), "a"))
	require.NoError(t, s.Timers.CancelTimers(t.Context(), "c"))
	next(0)
}

func timerAliasing(t testing.TB, s Stores) {
	timer := newTimer("saga", "a", 1)
	timer.Metadata = map[string]string{"k": "v"}
	want := proto.CloneOf(timer)
	schedule(t, s, timer)
	for range 3 { // what was written, then what was read
		clear(timer.GetPayload().GetValue())
		clear(timer.GetMetadata())
		timer.Owner, timer.Version, timer.DueUnixNano = "changed", 99, 99
		timer = onlyTimer(t, s, "saga")
		requireTimer(t, want, timer, 0)
	}
	claimed := claim(t, s, 1, 10)
	require.Len(t, claimed, 1)
	requireTimer(t, want, claimed[0], 1)
	clear(claimed[0].GetPayload().GetValue())
	requireTimer(t, want, onlyTimer(t, s, "saga"), 1)
}
