package mongo_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
)

// Codes of a server that is the primary no more, see https://www.mongodb.com/docs/manual/reference/error-codes/.
const (
	steppedDown  = 189   // PrimarySteppedDown: it was when the command began
	stateChange  = 11602 // InterruptedDueToReplStateChange: the same
	notPrimary   = 10107 // NotWritablePrimary: it was not when the command came
	notSecondary = 13435 // NotPrimaryNoSecondaryOk: the same
)

// retryable is what a server tells a driver by that may send a command again.
const retryable = "RetryableWriteError"

// An ambush awaits inserts into a collection. Each of its verdicts is for one of them. When it stays there is no primary after
// the first: the last verdict is for all inserts that follow, and nothing can be read.
type ambush struct {
	collection string

	mu       sync.Mutex
	verdicts []mongotest.Verdict
	stays    bool
	met      int
}

func (a *ambush) judge(c mongotest.Command) mongotest.Verdict {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stays && a.met > 0 && c.Name() == "find" {
		return mongotest.Fails(notSecondary, "NotPrimaryNoSecondaryOk")
	}
	if !c.Is("insert", a.collection) || len(a.verdicts) == 0 {
		return mongotest.Verdict{}
	}
	a.met++
	v := a.verdicts[0]
	if !a.stays || len(a.verdicts) > 1 {
		a.verdicts = a.verdicts[1:]
	}
	return v
}

func (a *ambush) lay(stays bool, verdicts ...mongotest.Verdict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.verdicts, a.stays, a.met = verdicts, stays, 0
}

func (a *ambush) sprung() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.met
}

// A stepDown is what becomes of inserts around the end of a primary.
type stepDown struct {
	verdicts []mongotest.Verdict
	stays    bool  // no other server becomes the primary while the command waits
	want     error // of the command; nil when it succeeds
	stored   bool  // what the command asked for is there, whatever was said
}

func stepDowns() map[string]stepDown {
	fails, done := mongotest.Fails, mongotest.FailsWhenDone
	return map[string]stepDown{
		"RefusedAsNoPrimary":     {verdicts: []mongotest.Verdict{fails(notPrimary, "NotWritablePrimary")}, want: ego.ErrWriteFailed},
		"RefusedAsNoPrimaryEver": {verdicts: []mongotest.Verdict{fails(notPrimary, "NotWritablePrimary")}, stays: true, want: ego.ErrWriteFailed},
		"RefusedByASecondary":    {verdicts: []mongotest.Verdict{fails(notSecondary, "NotPrimaryNoSecondaryOk")}, want: ego.ErrWriteFailed},
		"SteppedDownBefore":      {verdicts: []mongotest.Verdict{fails(steppedDown, "PrimarySteppedDown")}, stored: true},
		"SteppedDownAfter":       {verdicts: []mongotest.Verdict{done(steppedDown, "PrimarySteppedDown")}, stored: true},
		"InterruptedBefore":      {verdicts: []mongotest.Verdict{fails(stateChange, "InterruptedDueToReplStateChange")}, stored: true},
		"InterruptedAfter":       {verdicts: []mongotest.Verdict{done(stateChange, "InterruptedDueToReplStateChange")}, stored: true},
		"SteppedDownBeforeAMajority": {
			verdicts: []mongotest.Verdict{mongotest.NotMajority(steppedDown, "PrimarySteppedDown")}, stored: true},
		"NoPrimaryBeforeAMajority": {
			verdicts: []mongotest.Verdict{mongotest.NotMajority(notPrimary, "NotWritablePrimary")}, stored: true},
		"SteppedDownAfterAndNoOtherIsElected": {
			verdicts: []mongotest.Verdict{done(steppedDown, "PrimarySteppedDown"), fails(notPrimary, "NotWritablePrimary")},
			stays:    true, want: ego.ErrOutcomeUnknown, stored: true},
		"SteppedDownBeforeAndNoOtherIsElected": {
			verdicts: []mongotest.Verdict{fails(steppedDown, "PrimarySteppedDown"), fails(notPrimary, "NotWritablePrimary")},
			stays:    true, want: ego.ErrOutcomeUnknown},
		"NoPrimaryBeforeAMajorityAndNoOtherIsElected": {
			verdicts: []mongotest.Verdict{mongotest.NotMajority(notPrimary, "NotWritablePrimary"), fails(notPrimary, "NotWritablePrimary")},
			stays:    true, want: ego.ErrOutcomeUnknown, stored: true},
	}
}

// TestStepDowns has the primary step down around the insert of a command: the command says what is true of it, the next one
// works, and nothing is there twice. The driver does not retry, so all is up to the store.
func TestStepDowns(t *testing.T) { // G1, G9
	t.Parallel()
	for name, c := range stepDowns() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &ambush{collection: "ego_log"}
			store, _, _ := replicated(t, mongotest.Database(t), "&retryWrites=false", a.judge)
			engine := ego.NewEngine("test", store, ego.WithWriteTimeout(2*time.Second))
			require.NoError(t, engine.Start(t.Context()))
			t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })
			require.NoError(t, engine.Entity(t.Context(), testaccount.New("a")))
			send := func() (uint64, error) {
				_, revision, err := engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, time.Minute)
				return revision, err
			}
			revision, err := send()
			require.NoError(t, err)
			require.Equal(t, uint64(1), revision)

			a.lay(c.stays, c.verdicts...)
			_, err = send()
			require.NotZero(t, a.sprung())
			a.lay(false)
			if c.want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, c.want)
			}
			want := []uint64{1, 2}
			if c.stored {
				want = append(want, 3)
			}
			revision, err = send()
			require.NoError(t, err)
			require.Equal(t, uint64(len(want)), revision)
			require.Equal(t, want, replay(t, store, "a", 1))
		})
	}
}

// TestStepDownsUnderTheDriver is with a driver that sends again what the server says that it may: it gets to the next primary.
func TestStepDownsUnderTheDriver(t *testing.T) { // G1
	t.Parallel()
	for name, verdict := range map[string]mongotest.Verdict{
		"RefusedAsNoPrimary": mongotest.Fails(notPrimary, "NotWritablePrimary", retryable),
		"SteppedDownBefore":  mongotest.Fails(steppedDown, "PrimarySteppedDown", retryable),
		"SteppedDownAfter":   mongotest.FailsWhenDone(steppedDown, "PrimarySteppedDown", retryable),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &ambush{collection: "ego_log"}
			store, _, _ := replicated(t, mongotest.Database(t), "", a.judge)
			for number := uint64(1); number <= 3; number++ {
				a.lay(false, verdict)
				require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", number)}))
				require.Equal(t, 1, a.sprung())
			}
			require.Equal(t, []uint64{1, 2, 3}, replay(t, store, "a", 1))
		})
	}
}

// TestStepDownsOfOtherWrites is TestStepDowns for states, timers and offsets, whose inserts are the fence as well.
func TestStepDownsOfOtherWrites(t *testing.T) { // G2, G5, G9
	t.Parallel()
	for name, c := range stepDowns() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("State", func(t *testing.T) {
				t.Parallel()
				a := &ambush{collection: "ego_states"}
				store, _, _ := replicated(t, mongotest.Database(t), "&retryWrites=false", a.judge)
				requireOutcome(t, a, c, func(ctx context.Context) error {
					return store.WriteState(ctx, &egopb.DurableState{PersistenceId: "a", Revision: 1})
				}, func() bool {
					state, err := store.GetLatestState(t.Context(), "a")
					require.NoError(t, err)
					require.LessOrEqual(t, state.GetPosition(), uint64(1))
					return state.GetRevision() == 1
				})
			})
			t.Run("Timer", func(t *testing.T) {
				t.Parallel()
				a := &ambush{collection: "ego_timers"}
				store, _, _ := replicated(t, mongotest.Database(t), "&retryWrites=false", a.judge)
				requireOutcome(t, a, c, func(ctx context.Context) error {
					return store.ScheduleTimers(ctx, []*egopb.Timer{{Owner: "a", Name: "one", DueUnixNano: 1}})
				}, func() bool {
					timers, err := store.OwnerTimers(t.Context(), "a")
					require.NoError(t, err)
					require.LessOrEqual(t, len(timers), 1)
					return len(timers) == 1
				})
			})
			t.Run("Offset", func(t *testing.T) {
				t.Parallel()
				a := &ambush{collection: "ego_consumers"}
				store, _, _ := replicated(t, mongotest.Database(t), "&retryWrites=false", a.judge)
				leases, err := store.AcquireLeases(t.Context(), "c", "one", []uint32{3}, time.Minute)
				require.NoError(t, err)
				requireOutcome(t, a, c, func(ctx context.Context) error { return store.CommitOffset(ctx, leases[0], 7) }, func() bool {
					offsets, err := store.Offsets(t.Context(), "c")
					require.NoError(t, err)
					return len(offsets) == 1 && offsets[0].GetPosition() == 7
				})
				require.NoError(t, store.CommitOffset(t.Context(), leases[0], 8))
			})
		})
	}
}

// requireOutcome requires that a write says what is true of it.
func requireOutcome(t *testing.T, a *ambush, c stepDown, write func(ctx context.Context) error, stored func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	a.lay(c.stays, c.verdicts...)
	err := write(ctx)
	require.NotZero(t, a.sprung())
	a.lay(false)
	switch {
	case c.want == nil:
		require.NoError(t, err)
	case errors.Is(c.want, ego.ErrWriteFailed):
		require.True(t, persistence.NotWritten(err), "%v", err)
		require.ErrorIs(t, err, mongo.ErrUnavailable)
	default:
		require.Error(t, err)
		require.False(t, persistence.NotWritten(err), "%v", err)
	}
	require.Equal(t, c.stored, stored())
}
