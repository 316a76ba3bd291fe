package entity_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/snapshot"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
)

func TestWrites(t *testing.T) {
	t.Parallel()

	t.Run("DefiniteFailureChangesNothing", func(t *testing.T) { // G1
		t.Parallel()
		f := newFixture(t, entity.Settings{})
		f.process(deposits(1)...)
		f.journal.next = append(f.journal.next, storeDown)
		failed := f.process(deposits(2)...)[0]
		require.ErrorIs(t, failed.err, entity.ErrWriteFailed)
		require.ErrorIs(t, failed.err, errStoreDown)
		require.NotErrorIs(t, failed.err, entity.ErrOutcomeUnknown)
		require.EqualValues(t, 5, f.process(deposits(4)...)[0].account.GetBalance())
	})
	t.Run("UnknownOutcomeIsReadBack", func(t *testing.T) { // G9
		t.Parallel()
		for name, c := range map[string]struct {
			fate    func(func() error) error
			balance int64
		}{"Stored": {lostReply, 7}, "NotStored": {neverSent, 5}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, entity.Settings{})
				f.process(deposits(1)...)
				f.journal.next = append(f.journal.next, c.fate)
				unknown := f.process(deposits(2)...)[0]
				require.ErrorIs(t, unknown.err, entity.ErrOutcomeUnknown)
				require.ErrorIs(t, unknown.err, errLostReply)
				require.Equal(t, c.balance, f.process(deposits(4)...)[0].account.GetBalance())
			})
		}
	})
	t.Run("ConflictRecovers", func(t *testing.T) { // G2
		t.Parallel()
		f := newFixture(t, entity.Settings{})
		f.process(deposits(1)...)
		payload, err := anypb.New(&testpb.Deposited{Amount: 10})
		require.NoError(t, err)
		require.NoError(t, f.store.WriteEvents(t.Context(), []*egopb.Event{{PersistenceId: "a", SequenceNumber: 2, Payload: payload}}))
		lost := f.process(deposits(2)...)[0]
		require.ErrorIs(t, lost.err, persistence.ErrConflict)
		won := f.process(deposits(4)...)[0]
		require.NoError(t, won.err)
		require.EqualValues(t, 15, won.account.GetBalance())
		require.EqualValues(t, 3, won.revision)
	})
	t.Run("RecoveryThatFailsBacksOffAndAnswersAll", func(t *testing.T) { // G12
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, entity.Settings{})
			require.NoError(t, f.store.Disconnect(t.Context()))
			var waited []time.Duration
			for range 8 {
				before := time.Now()
				for _, failed := range f.process(deposits(1, 2, 3)...) {
					require.ErrorIs(t, failed.err, entity.ErrRecovery)
					require.ErrorIs(t, failed.err, persistence.ErrNotConnected)
				}
				waited = append(waited, time.Since(before))
			}
			const ms = time.Millisecond
			require.Equal(t, []time.Duration{0, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, 1000 * ms}, waited)
			require.NoError(t, f.store.Connect(t.Context()))
			require.NoError(t, f.process(deposits(1)...)[0].err)
		})
	})
}

func TestBatching(t *testing.T) {
	t.Parallel()

	t.Run("OffWritesEachCommandAlone", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, entity.Settings{})
		f.process(deposits(1, 2, 3)...)
		require.Equal(t, [][]uint64{{1}, {2}, {3}}, f.journal.writes)
	})
	t.Run("ThresholdWritesWhatHasQueuedUp", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, entity.Settings{BatchThreshold: 2})
		outcomes := f.process(deposits(1, 2, 3, 0)...)
		require.Equal(t, [][]uint64{{1, 2}, {3}}, f.journal.writes)
		for i, want := range []struct {
			balance  int64
			revision uint64
		}{{1, 1}, {3, 2}, {6, 3}, {6, 3}} {
			require.NoError(t, outcomes[i].err)
			require.Equal(t, want.balance, outcomes[i].account.GetBalance(), "each gets the state after its own events")
			require.Equal(t, want.revision, outcomes[i].revision)
		}
	})
	t.Run("FailureFailsTheWholeBatch", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, entity.Settings{BatchThreshold: 10})
		f.process(deposits(1)...)
		f.journal.next = append(f.journal.next, storeDown)
		commands := append(deposits(2, 3), &sent{command: &testpb.Withdraw{Amount: 100}}, &sent{})
		for _, failed := range f.process(commands...) {
			require.ErrorIs(t, failed.err, entity.ErrWriteFailed, "also what was only refused or asked on the lost state")
		}
		require.EqualValues(t, 1, f.process(&sent{})[0].account.GetBalance())
	})
	t.Run("PanicSparesTheOthers", func(t *testing.T) { // G11
		t.Parallel()
		f := newFixture(t, entity.Settings{BatchThreshold: 10})
		outcomes := f.process(append(append(deposits(1, 2), &sent{command: &testpb.Misbehave{How: "panic"}}), deposits(4)...)...)
		require.EqualValues(t, 3, outcomes[1].account.GetBalance())
		require.ErrorContains(t, outcomes[2].err, "panicked")
		require.EqualValues(t, 7, outcomes[3].account.GetBalance())
		require.Equal(t, [][]uint64{{1, 2}, {3}}, f.journal.writes)
	})
	t.Run("WindowWaitsForMore", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, entity.Settings{BatchThreshold: 3, BatchFlushWindow: time.Second})
			first := f.requests.New(t.Context(), &testpb.Deposit{Amount: 1}, nil)
			require.Equal(t, time.Second, f.entity.Process(t.Context(), first))
			require.False(t, first.Answered())
			advance(300 * time.Millisecond)
			second := f.requests.New(t.Context(), &testpb.Deposit{Amount: 1}, nil)
			require.Equal(t, 700*time.Millisecond, f.entity.Process(t.Context(), second))
			require.Empty(t, f.journal.writes)
			advance(700 * time.Millisecond)
			require.Zero(t, f.entity.Process(t.Context(), nil))
			require.True(t, first.Answered() && second.Answered())

			require.Equal(t, time.Second, f.entity.Process(t.Context(), f.requests.New(t.Context(), &testpb.Deposit{Amount: 1}, nil)))
			f.entity.Flush(t.Context())
			require.Equal(t, [][]uint64{{1, 2}, {3}}, f.journal.writes)

			third := f.requests.New(t.Context(), nil, nil)
			require.Zero(t, f.entity.Process(t.Context(), third), "what writes nothing waits for nothing")
			require.True(t, third.Answered())
		})
	})
}

// advance lets the time of a synctest bubble pass.
func advance(d time.Duration) { <-time.After(d) }

func TestSnapshots(t *testing.T) {
	t.Parallel()

	t.Run("AreTakenAtTheInterval", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, entity.Settings{SnapshotInterval: 3, BatchThreshold: 2})
		f.process(deposits(1, 1, 1, 1, 1, 1, 1, 1)...)
		require.Equal(t, []uint64{4, 8}, f.snapshots.taken, "of what is durable, at the end of a batch")
		f.snapshots.full = true
		f.process(deposits(1, 1, 1)...)
		f.snapshots.full = false
		f.process(deposits(1)...)
		require.Equal(t, []uint64{4, 8, 12}, f.snapshots.taken, "offered again when there was no room")
	})
	t.Run("RecoveryRestsOnTheNewest", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, entity.Settings{SnapshotInterval: 3})
		f.process(deposits(1, 1, 1, 1, 1, 1, 1)...)
		require.NoError(t, f.store.DeleteEvents(t.Context(), "a", 6))
		f.restart()
		require.EqualValues(t, 7, f.process(&sent{})[0].account.GetBalance())
		require.Equal(t, []uint64{3, 6}, f.snapshots.taken)
		f.process(deposits(1, 1)...)
		require.Equal(t, []uint64{3, 6, 9}, f.snapshots.taken, "counting from the one it recovered from")
	})
	t.Run("UnreadableOnesArePassedOver", func(t *testing.T) {
		t.Parallel()
		for name, damage := range map[string]func(*egopb.Snapshot){
			"UnknownType": func(s *egopb.Snapshot) { s.State.TypeUrl = "type.googleapis.com/gone.State" },
			"Damaged":     func(s *egopb.Snapshot) { s.State.Value = []byte{0xff} },
			"NoState":     func(s *egopb.Snapshot) { s.State = nil },
			"NewerSchema": func(s *egopb.Snapshot) { s.SchemaVersion++ },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, entity.Settings{SnapshotInterval: 3})
				f.process(deposits(1, 1, 1, 1, 1, 1, 1)...)
				newest, err := f.store.GetLatestSnapshot(t.Context(), "a")
				require.NoError(t, err)
				damage(newest)
				require.NoError(t, f.store.WriteSnapshot(t.Context(), newest))

				f.restart()
				require.EqualValues(t, 7, f.process(&sent{})[0].account.GetBalance(), "from the older one")
				oldest, err := f.store.GetSnapshot(t.Context(), "a", 3)
				require.NoError(t, err)
				damage(oldest)
				require.NoError(t, f.store.WriteSnapshot(t.Context(), oldest))
				f.restart()
				require.EqualValues(t, 7, f.process(&sent{})[0].account.GetBalance(), "from the events")

				require.NoError(t, f.store.DeleteEvents(t.Context(), "a", 2))
				f.restart()
				require.ErrorIs(t, f.process(&sent{})[0].err, entity.ErrRecovery, "never a wrong state")
			})
		}
	})
	t.Run("AheadOfTheJournalIsPassedOver", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, entity.Settings{SnapshotInterval: 3})
		f.process(deposits(1, 1, 1, 1)...)
		taken, err := f.store.GetLatestSnapshot(t.Context(), "a")
		require.NoError(t, err)
		taken.SequenceNumber = 99
		require.NoError(t, f.store.WriteSnapshot(t.Context(), taken))
		f.restart()
		got := f.process(&sent{})[0]
		require.EqualValues(t, 4, got.account.GetBalance())
		require.EqualValues(t, 4, got.revision)
	})
	t.Run("OfAnotherKindIsAnError", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, entity.Settings{})
		f.process(deposits(1)...)
		require.NoError(t, f.store.WriteSnapshot(t.Context(), &egopb.Snapshot{PersistenceId: "a", SequenceNumber: 1, Kind: "other"}))
		f.restart()
		require.ErrorIs(t, f.process(&sent{})[0].err, entity.ErrKindMismatch)
	})
	t.Run("StateAtRestsOnThem", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, entity.Settings{SnapshotInterval: 3, Retention: snapshot.Retention{Events: true, Keep: 1}})
		f.process(deposits(1, 1, 1, 1, 1, 1, 1)...) // snapshots at 3 and 6, events 6 and 7 are left
		for revision, found := range map[uint64]bool{0: true, 1: false, 3: true, 4: false, 6: true, 7: true, 8: false} {
			state, err := entity.StateAt(context.Background(), "a", "account", testaccount.New("a"), revision, &f.settings, f.shared)
			if !found {
				require.Error(t, err, revision)
				continue
			}
			require.NoError(t, err, revision)
			require.EqualValues(t, revision, state.(*testpb.Account).GetBalance())
		}
	})
}

// An activation that another has overtaken answers nothing from its memory when it verifies.
func TestVerify(t *testing.T) { // G2
	t.Parallel()
	overtaken := func(t *testing.T, verify bool) *fixture {
		t.Helper()
		f := newFixture(t, entity.Settings{DedupWindow: 10})
		f.shared.Verify = verify
		require.NoError(t, f.process(&sent{&testpb.Deposit{Amount: 5}, "first"})[0].err)
		stale := f.entity
		f.restart()
		require.NoError(t, f.process(deposits(1)...)[0].err)
		f.entity = stale
		return f
	}
	for name, c := range map[string]*sent{
		"Question": {}, "Refusal": {command: &testpb.Withdraw{Amount: 6}}, "NoEvent": {command: &testpb.Deposit{}},
		"Repeat": {&testpb.Deposit{Amount: 5}, "first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := overtaken(t, true)
			require.ErrorIs(t, f.process(c)[0].err, persistence.ErrConflict)
			again := f.process(&sent{})[0]
			require.NoError(t, again.err)
			require.EqualValues(t, 6, again.account.GetBalance())
			require.EqualValues(t, 2, again.revision)
		})
	}
	t.Run("OffByDefault", func(t *testing.T) {
		t.Parallel()
		require.EqualValues(t, 1, overtaken(t, false).process(&sent{})[0].revision)
	})
}
