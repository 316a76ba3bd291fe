package ego_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/eventadapter"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
)

// events returns the stored events of an entity.
func events(t testing.TB, store *memory.Store, id string) (all []*egopb.Event) {
	t.Helper()
	for event, err := range store.ReplayEvents(t.Context(), id, 1, 1_000) {
		require.NoError(t, err)
		all = append(all, event)
	}
	return all
}

func balance(t testing.TB, engine *ego.Engine, id string) int64 {
	t.Helper()
	state, _, err := engine.EntityState(t.Context(), id, patience)
	require.NoError(t, err)
	return state.(*testpb.Account).GetBalance()
}

func TestEncryption(t *testing.T) {
	t.Parallel()

	t.Run("SealsEverythingThatIsStored", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		option := ego.WithEncryption(encryption.NewAESEncryptor(store))
		engine := startEngine(t, store, option, ego.WithSnapshotInterval(2), ego.WithKinds(purseKind()))
		open(t, engine, "a")
		require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
		for range 5 {
			deposit(t, engine, "a", 1)
		}
		deposit(t, engine, "p", 3)
		stopEngine(t, engine) // snapshots are written
		snapshot, err := store.GetLatestSnapshot(t.Context(), "a")
		require.NoError(t, err)
		state, err := store.GetLatestState(t.Context(), "p")
		require.NoError(t, err)
		sealed := map[string]*anypb.Any{snapshot.GetKeyId(): snapshot.GetState(), state.GetKeyId(): state.GetState()}
		require.Len(t, sealed, 2, "a key per entity")
		for _, event := range events(t, store, "a") {
			require.Equal(t, snapshot.GetKeyId(), event.GetKeyId())
			sealed[event.GetKeyId()+event.String()] = event.GetPayload()
		}
		require.NotContains(t, sealed, "")
		for _, payload := range sealed {
			_, err := payload.UnmarshalNew()
			require.Error(t, err, payload.GetTypeUrl())
		}

		next := startEngine(t, store, option, ego.WithKinds(purseKind()))
		require.EqualValues(t, 5, balance(t, next, "a"))
		require.EqualValues(t, 4, deposit(t, next, "p", 1).GetBalance())
		numbers, _ := history(t, next, "a", 0, 0)
		require.Len(t, numbers, 5)
		at3, err := next.StateAt(t.Context(), testaccount.New("a"), 3)
		require.NoError(t, err)
		require.EqualValues(t, 3, at3.(*testpb.Account).GetBalance())
	})
	t.Run("OnAndOffAgain", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		on := ego.WithEncryption(encryption.NewAESEncryptor(store))
		off := ego.WithEncryption(encryption.NewAESEncryptor(store, encryption.WithoutSealing()))
		for _, opts := range [][]ego.Option{nil, {on}, {off}, {on}} {
			engine := startEngine(t, store, opts...)
			open(t, engine, "a")
			deposit(t, engine, "a", 1)
			stopEngine(t, engine)
		}
		var sealed []bool
		for _, event := range events(t, store, "a") {
			sealed = append(sealed, event.GetKeyId() != "")
		}
		require.Equal(t, []bool{false, true, false, true}, sealed)
		engine := startEngine(t, store, off)
		require.EqualValues(t, 4, balance(t, engine, "a"))

		without := startEngine(t, store)
		_, _, err := without.EntityState(t.Context(), "a", patience)
		require.ErrorIs(t, err, ego.ErrRecovery)
		require.ErrorContains(t, err, "it is sealed, and the engine has no encryptor")
		require.ErrorContains(t, err, `record 2 of entity "a"`)
	})
	t.Run("MovedEventIsRefused", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		option := ego.WithEncryption(encryption.NewAESEncryptor(store))
		engine := startEngine(t, store, option)
		open(t, engine, "a")
		deposit(t, engine, "a", 100)
		stopEngine(t, engine)
		again := events(t, store, "a")[0]
		again.SequenceNumber = 2 // the same deposit once more
		writeEvent(t, store, again)
		next := startEngine(t, store, option)
		_, _, err := next.EntityState(t.Context(), "a", patience)
		require.ErrorIs(t, err, ego.ErrRecovery)
		require.ErrorIs(t, err, encryption.ErrDamaged)
	})
	t.Run("KeyStoreIsDown", func(t *testing.T) { // G12
		t.Parallel()
		store := newStore(t)
		keys := &brittleKeys{KeyStore: encryption.NewMemoryKeyStore()}
		engine := startEngine(t, store, ego.WithEncryption(encryption.NewAESEncryptor(keys, encryption.WithCacheTime(1))))
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		keys.down.Store(true)
		_, _, err := engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, patience)
		require.ErrorIs(t, err, errKeysDown)
		var refused *ego.CommandError
		require.NotErrorAs(t, err, &refused, "nobody refused the command")
		keys.down.Store(false)
		require.EqualValues(t, 2, deposit(t, engine, "a", 1).GetBalance())

		broken := ego.NewEngine("test", store, ego.WithEncryption(encryption.NewAESEncryptor(nil)))
		require.ErrorContains(t, broken.Start(t.Context()), "the key store is nil")
	})
}

var errKeysDown = errors.New("the key store is down")

// brittleKeys is a key store that can go down.
type brittleKeys struct {
	encryption.KeyStore
	down atomic.Bool
}

func (k *brittleKeys) DataKeys(ctx context.Context, id string) ([]*egopb.DataKey, encryption.Life, error) {
	if k.down.Load() {
		return nil, encryption.Life{}, errKeysDown
	}
	return k.KeyStore.DataKeys(ctx, id)
}

func TestEventAdapters(t *testing.T) {
	t.Parallel()

	t.Run("ApplyWhereverEventsAreRead", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		engine := startEngine(t, store, ego.WithSnapshotInterval(0))
		open(t, engine, "a")
		for range 3 {
			deposit(t, engine, "a", 10)
		}
		stopEngine(t, engine)
		adapters := ego.WithEventAdapters(
			eventadapter.Upcast(func(old *testpb.Deposited) (*testpb.Deposited, error) {
				return &testpb.Deposited{Amount: 100 * old.GetAmount()}, nil
			}, eventadapter.Versions(0, 0)),
			eventadapter.Split(func(old *testpb.Deposited) ([]proto.Message, error) {
				return []proto.Message{&testpb.Deposited{Amount: old.GetAmount() - 1}, &testpb.Deposited{Amount: 1}}, nil
			}, eventadapter.Versions(1, 1)),
		)
		versioned := ego.EventSourcedKind("account", func(id string) ego.EventSourcedBehavior { return testaccount.New(id) }, ego.WithEventVersion(2))
		next := ego.NewEngine("test", store, adapters, ego.WithKinds(versioned))
		require.NoError(t, next.Start(t.Context()))
		t.Cleanup(func() { stopEngine(t, next) })
		account, revision, err := ego.Ask[*testpb.Account](t.Context(), next, "a", &testpb.Deposit{Amount: 7}, patience)
		require.NoError(t, err)
		require.EqualValues(t, 4, revision)
		require.EqualValues(t, 3_007, account.GetBalance())
		require.EqualValues(t, 2, events(t, store, "a")[3].GetSchemaVersion())
		numbers, _ := history(t, next, "a", 0, 0)
		require.Equal(t, []uint64{1, 1, 2, 2, 3, 3, 4}, numbers)
		at2, err := next.StateAt(t.Context(), testaccount.New("a"), 2)
		require.NoError(t, err)
		require.EqualValues(t, 2_000, at2.(*testpb.Account).GetBalance())
	})
	t.Run("SealedEventsAreAdaptedToo", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		option := ego.WithEncryption(encryption.NewAESEncryptor(store))
		engine := startEngine(t, store, option)
		open(t, engine, "a")
		deposit(t, engine, "a", 10)
		deposit(t, engine, "a", 10)
		stopEngine(t, engine)
		next := startEngine(t, store, option, ego.WithEventAdapters(eventadapter.Drop("egotest.v1.Deposited")))
		state, revision, err := next.EntityState(t.Context(), "a", patience)
		require.NoError(t, err)
		require.EqualValues(t, 2, revision, "dropped events keep their numbers")
		require.Zero(t, state.(*testpb.Account).GetBalance())
	})
	t.Run("TypesWithoutCode", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		payload, err := anypb.New(&testpb.Deposited{Amount: 5})
		require.NoError(t, err)
		payload.TypeUrl = "type.googleapis.com/bank.v0.Paid"
		writeEvent(t, store, &egopb.Event{PersistenceId: "a", SequenceNumber: 1, Kind: "account", Payload: payload})

		engine := startEngine(t, store)
		_, _, err = engine.EntityState(t.Context(), "a", patience)
		require.ErrorIs(t, err, ego.ErrRecovery)
		require.ErrorContains(t, err, `record 1 of entity "a" cannot be read as "type.googleapis.com/bank.v0.Paid"`)
		require.ErrorContains(t, err, "no event adapter takes it")
		renamed := startEngine(t, store, ego.WithEventAdapters(eventadapter.Rename("bank.v0.Paid", "egotest.v1.Deposited")))
		require.EqualValues(t, 5, balance(t, renamed, "a"))
	})
	t.Run("FailureIsTyped", func(t *testing.T) { // G11
		t.Parallel()
		store := newStore(t)
		writeEvent(t, store, &egopb.Event{PersistenceId: "a", SequenceNumber: 1, Kind: "account"})
		engine := startEngine(t, store, ego.WithEventAdapters(eventadapter.Upcast(
			func(*testpb.Deposited) (*testpb.Withdrawn, error) { panic("as asked") })))
		_, _, err := engine.EntityState(t.Context(), "a", patience)
		require.ErrorIs(t, err, ego.ErrRecovery)
		var failed *eventadapter.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, "a", failed.PersistenceID)
		var panicked *eventadapter.PanicError
		require.ErrorAs(t, err, &panicked)
	})
	t.Run("BadChainDoesNotStart", func(t *testing.T) {
		t.Parallel()
		engine := ego.NewEngine("test", newStore(t), ego.WithEventAdapters(
			eventadapter.Rename("x.A", "x.B"), eventadapter.Rename("x.B", "x.A")))
		require.ErrorContains(t, engine.Start(t.Context()), "the adapters turn in a circle: x.A → x.B → x.A")
	})
}
