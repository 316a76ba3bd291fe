package ego_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// An erasure is cut off at each of its calls to the store, once before the call takes effect and once after, and finished by
// the next start or the next call.
func TestErasureIsCutOff(t *testing.T) { // G10
	t.Parallel()
	cut := errors.New("cut off")
	for way := range ways(nil) {
		for _, op := range []string{"GetLatestEvent", "WriteEvents", "DeleteEvents", "DeleteSnapshots", "GetLatestState", "CancelTimers"} {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/After=%t", way, op, after), func(t *testing.T) {
					t.Parallel()
					store := newStore(t)
					faults := persistencetest.NewFaults()
					faulty := &faultyStore{Backend: faults.Backend(store), KeyStore: store}
					opts := append([]ego.Option{ego.WithSnapshotInterval(2)}, ways(store)[way]...)
					engine := startEngine(t, faulty, opts...)
					open(t, engine, "a")
					for range 5 {
						deposit(t, engine, "a", 1)
					}
					rule := faults.On(op)
					if after {
						rule.FailAfterCommit(cut)
					} else {
						rule.Fail(cut)
					}
					require.ErrorIs(t, engine.EraseEntity(t.Context(), "a"), cut)
					faults.Clear()
					stopEngine(t, engine)

					next := startEngine(t, faulty, opts...)
					require.NoError(t, next.Health(t.Context()))
					if op != "GetLatestEvent" { // nothing had begun
						requireNothingLeft(t, store, "a")
					}
					require.NoError(t, next.EraseEntity(t.Context(), "a"))
					requireNothingLeft(t, store, "a")
					_, _, err := next.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, patience)
					require.ErrorIs(t, err, ego.ErrErased)
				})
			}
		}
	}
}

// faultyStore is a store of which everything but the keys can fail.
type faultyStore struct {
	persistencetest.Backend
	encryption.KeyStore
}
