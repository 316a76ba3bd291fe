package ego_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
)

// cuts are the calls that an erasure makes, in order.
var cuts = []string{
	"GetLatestEvent", "BeginErasure", "WriteEvents", "DeleteEvents", "DeleteSnapshots", "GetLatestState", "CancelTimers", "Scrub", "FinishErasure",
}

// An erasure is cut off at each of its calls to the store, once before the call takes effect and once after, and finished by
// the next start or the next call.
func TestErasureIsCutOff(t *testing.T) { // G10
	t.Parallel()
	cut := errors.New("cut off")
	for way := range ways(nil) {
		for _, op := range cuts {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/After=%t", way, op, after), func(t *testing.T) {
					t.Parallel()
					store := newStore(t)
					faulty := &hookedStore{fullStore: store}
					opts := append([]ego.Option{ego.WithSnapshotInterval(2)}, ways(faulty)[way]...)
					engine := startEngine(t, faulty, opts...)
					open(t, engine, "a")
					for range 5 {
						deposit(t, engine, "a", 1)
					}
					faulty.on(op, func(call func() error) error {
						if after {
							return errors.Join(call(), cut)
						}
						return cut
					})
					require.ErrorIs(t, engine.EraseEntity(t.Context(), "a"), cut)
					faulty.on("", nil)
					stopEngine(t, engine)

					next := startEngine(t, faulty, opts...)
					require.NoError(t, next.Health(t.Context()))
					if op != "GetLatestEvent" && (op != "BeginErasure" || after) { // something had begun
						requireNothingLeft(t, store, "a")
						requireErased(t, next, "a")
					}
					require.NoError(t, next.EraseEntity(t.Context(), "a"))
					requireNothingLeft(t, store, "a")
					requireErased(t, next, "a")
				})
			}
		}
	}
}

// While an erasure is at work in a process, at whichever of its steps, that process answers nobody from what it still has of
// the entity. If it is cut off, a plain entity whose end is not stored is as it was, and every other stays refused.
func TestErasureClosesTheEntity(t *testing.T) { // G10
	t.Parallel()
	cut := errors.New("cut off")
	for way := range ways(nil) {
		for i, op := range cuts[1:] {
			t.Run(way+"/"+op, func(t *testing.T) {
				t.Parallel()
				store := &hookedStore{fullStore: newStore(t)}
				engine := startEngine(t, store, append([]ego.Option{ego.WithMemoryTime(1)}, ways(store)[way]...)...)
				open(t, engine, "a")
				open(t, engine, "b")
				deposit(t, engine, "a", 1)
				deposit(t, engine, "a", 1)
				entered, leave := make(chan struct{}), make(chan struct{})
				store.on(op, func(call func() error) error {
					select {
					case <-entered:
						return call() // for another entity
					default:
						close(entered)
						<-leave
						return cut
					}
				})
				erased := make(chan error, 1)
				go func() { erased <- engine.EraseEntity(context.Background(), "a") }()
				<-entered
				_, _, err := engine.EntityState(t.Context(), "a", patience)
				require.ErrorIs(t, err, ego.ErrErased)
				_, _, err = engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, patience)
				require.ErrorIs(t, err, ego.ErrErased)
				if op != "WriteEvents" { // nobody writes while the store does not return
					deposit(t, engine, "b", 1)
				}
				store.on("", nil)
				close(leave)
				require.ErrorIs(t, <-erased, cut)

				_, _, err = engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, patience)
				if begun := i > 0; begun && way == "Encrypted" || i > 1 {
					require.ErrorIs(t, err, ego.ErrErased)
				} else if err != nil {
					require.ErrorIs(t, err, ego.ErrEntityNotFound, "it was let go, and has no kind")
				}
				require.NoError(t, engine.EraseEntity(t.Context(), "a"))
				requireErased(t, engine, "a")
				requireNothingLeft(t, store, "a")
			})
		}
	}
}

// A pending erasure keeps an entity from starting anew, as whoever finishes the erasure would erase the new life too.
func TestPendingErasureKeepsFromStartingAnew(t *testing.T) { // G1, G10
	t.Parallel()
	cut := errors.New("cut off")
	for way := range ways(nil) {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			store := &hookedStore{fullStore: newStore(t)}
			policy := ego.WithErasurePolicy(ego.ErasurePolicy{StartAnew: true})
			engine := startEngine(t, store, append([]ego.Option{policy}, ways(store)[way]...)...)
			open(t, engine, "a")
			require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
			for _, id := range []string{"a", "p"} {
				deposit(t, engine, id, 1)
				store.on("CancelTimers", func(func() error) error { return cut })
				require.ErrorIs(t, engine.EraseEntity(t.Context(), id), cut)
				_, _, err := engine.SendCommand(t.Context(), id, &testpb.Deposit{Amount: 5}, patience)
				require.Error(t, err)
				store.on("", nil)
				if id == "a" {
					require.ErrorIs(t, engine.Entity(t.Context(), testaccount.New("a")), ego.ErrErased)
				} else {
					require.ErrorIs(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")), ego.ErrErased)
				}
				require.NoError(t, engine.EraseEntity(t.Context(), id))
			}
			open(t, engine, "a")
			require.EqualValues(t, 5, deposit(t, engine, "a", 5).GetBalance())
			require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
			require.Zero(t, balance(t, engine, "p"))
			stopEngine(t, engine)
			next := startEngine(t, store, append([]ego.Option{policy}, ways(store)[way]...)...)
			open(t, next, "a")
			require.EqualValues(t, 5, balance(t, next, "a"), "the start has nothing to finish")
		})
	}
}

// What a start could not finish is seen in Health until it is finished, by whomever.
func TestUnfinishedErasuresAreUnhealthy(t *testing.T) { // G12
	t.Parallel()
	store := &hookedStore{fullStore: newStore(t)}
	engine := startEngine(t, store)
	open(t, engine, "a")
	deposit(t, engine, "a", 1)
	cut := errors.New("cut off")
	store.on("DeleteEvents", func(func() error) error { return cut })
	require.ErrorIs(t, engine.EraseEntity(t.Context(), "a"), cut)
	require.NoError(t, engine.Health(t.Context()))
	next := startEngine(t, store)
	require.ErrorIs(t, next.Health(t.Context()), cut)
	store.on("", nil)
	require.ErrorIs(t, next.Health(t.Context()), cut)
	require.NoError(t, engine.EraseEntity(t.Context(), "a"))
	require.NoError(t, next.Health(t.Context()))
}
