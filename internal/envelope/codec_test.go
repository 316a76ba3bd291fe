package envelope_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/eventadapter"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/testpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newRecord(id string, number uint64) *egopb.Event {
	return &egopb.Event{PersistenceId: id, SequenceNumber: number, Payload: new(anypb.Any)}
}

func sealing(t testing.TB) (*envelope.Codec, *encryption.AESEncryptor) {
	t.Helper()
	e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
	return envelope.New(e, nil), e
}

func TestCodec(t *testing.T) {
	t.Parallel()

	t.Run("EveryRecordOpensInItsPlace", func(t *testing.T) {
		t.Parallel()
		sealed, _ := sealing(t)
		for name, codec := range map[string]*envelope.Codec{"Plain": new(envelope.Codec), "Sealed": sealed} {
			want := &testpb.Deposited{Amount: 5, Note: "é"}
			event := newRecord("a", 1)
			require.NoError(t, codec.PackEvent(t.Context(), event, want))
			opened, err := codec.Open(t.Context(), event)
			require.NoError(t, err)
			require.Len(t, opened, 1)
			require.True(t, proto.Equal(want, opened[0].Message))

			snapshot := &egopb.Snapshot{PersistenceId: "a", SequenceNumber: 1}
			require.NoError(t, codec.PackSnapshot(t.Context(), snapshot, want))
			state := &egopb.DurableState{PersistenceId: "a", Revision: 1}
			require.NoError(t, codec.PackState(t.Context(), state, want))
			timer := &egopb.Timer{Owner: "a", Name: "n"}
			require.NoError(t, codec.PackTimer(t.Context(), timer, want))
			for what, open := range map[string]func() (proto.Message, error){
				"snapshot": func() (proto.Message, error) { return codec.OpenSnapshot(t.Context(), snapshot) },
				"state":    func() (proto.Message, error) { return codec.OpenState(t.Context(), state) },
				"timer":    func() (proto.Message, error) { return codec.OpenTimer(t.Context(), timer) },
			} {
				got, err := open()
				require.NoError(t, err, what)
				require.True(t, proto.Equal(want, got), what)
			}
			for _, keyID := range []string{event.GetKeyId(), snapshot.GetKeyId(), state.GetKeyId(), timer.GetKeyId()} {
				require.Equal(t, name == "Sealed", keyID != "")
			}
			if name == "Plain" {
				continue
			}
			snapshot.State = event.GetPayload() // of the same entity, number, type and key
			_, err = codec.OpenSnapshot(t.Context(), snapshot)
			require.ErrorIs(t, err, encryption.ErrDamaged)
			timer.Name = "m"
			_, err = codec.OpenTimer(t.Context(), timer)
			require.ErrorIs(t, err, encryption.ErrDamaged)
		}
	})
	t.Run("ErasedIsToldFromBroken", func(t *testing.T) {
		t.Parallel()
		codec, e := sealing(t)
		event := newRecord("a", 1)
		require.NoError(t, codec.PackEvent(t.Context(), event, &testpb.Deposited{Amount: 5}))
		end := newRecord("a", 2)
		end.Payload = envelope.NewErasure(1)
		_, err := codec.Open(t.Context(), end)
		require.ErrorIs(t, err, encryption.ErrErased)
		require.True(t, envelope.IsErasure(end))
		require.False(t, envelope.IsErasure(event))

		require.NoError(t, e.BeginErasure(t.Context(), "a"))
		_, err = codec.Open(t.Context(), event)
		require.ErrorIs(t, err, encryption.ErrErased)
		var broken *envelope.DecodeError
		require.NotErrorAs(t, err, &broken)
		require.ErrorIs(t, codec.PackEvent(t.Context(), newRecord("a", 3), &testpb.Deposited{}), encryption.ErrErased)

		opened, err := codec.Open(t.Context(), &egopb.Event{PersistenceId: "a", SequenceNumber: 1, Deleted: true})
		require.NoError(t, err)
		require.Empty(t, opened)
		require.ErrorContains(t, codec.PackEvent(t.Context(), newRecord("b", 1), &egopb.Erased{}), "reserved")
		require.ErrorContains(t, new(envelope.Codec).PackEvent(t.Context(), newRecord("b", 1), &egopb.Erased{}), "reserved")
	})
	t.Run("KeyThatCannotBeHadIsNotTheRecordsFault", func(t *testing.T) {
		t.Parallel()
		codec, _ := sealing(t)
		event := newRecord("a", 1)
		require.NoError(t, codec.PackEvent(t.Context(), event, &testpb.Deposited{Amount: 5}))
		cold, _ := sealing(t)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		var missing *envelope.KeyError
		_, err := cold.Open(ended, event)
		require.ErrorAs(t, err, &missing)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorAs(t, cold.PackEvent(ended, newRecord("b", 1), &testpb.Deposited{}), &missing)
		_, err = cold.Open(t.Context(), event)
		var broken *envelope.DecodeError
		require.ErrorAs(t, err, &broken, "another key store knows nothing of the key")
		require.ErrorIs(t, err, encryption.ErrUnknownKey)
	})
	t.Run("ClosedWhileItIsBeingErased", func(t *testing.T) {
		t.Parallel()
		codec := new(envelope.Codec)
		require.False(t, codec.Guards())
		first, second := codec.CloseFor("a"), codec.CloseFor("a")
		for _, reopen := range []func(){first, first, second} {
			require.True(t, codec.Guards())
			life, err := codec.LifeOf(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, encryption.Erasing, life.Phase)
			life, err = codec.LifeOf(t.Context(), "b")
			require.NoError(t, err)
			require.Equal(t, encryption.Alive, life.Phase)
			reopen()
		}
		require.False(t, codec.Guards())
	})
}

// FuzzOpen opens records that are damaged, cut, moved or put together from others. What opens is what was sealed there.
// The input says what is done to which of the sealed records: each process of a fuzzer has keys of its own.
func FuzzOpen(f *testing.F) {
	e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
	chain, err := eventadapter.NewChain(eventadapter.Drop("egotest.v1.Withdrawn"))
	require.NoError(f, err)
	codec := envelope.New(e, chain)
	const sealed = 3
	var genuine []*egopb.Event
	for number := range uint64(sealed) {
		event := newRecord("a", number+1)
		require.NoError(f, codec.PackEvent(f.Context(), event, &testpb.Deposited{Amount: int64(number) + 1}))
		genuine = append(genuine, event)
	}
	url := genuine[0].GetPayload().GetTypeUrl()
	for which := range uint8(sealed) {
		f.Add(which, uint64(which)+1, url, true, []byte(nil), uint16(0), uint8(0), uint16(0))
		f.Add(which, uint64(which)+2, url, true, []byte(nil), uint16(0), uint8(0), uint16(0))
		f.Add(which, uint64(which)+1, url, false, []byte(nil), uint16(0), uint8(0), uint16(0))
		f.Add(which, uint64(which)+1, url, true, []byte{1}, uint16(20), uint8(1), uint16(3))
		f.Add(which, uint64(which)+1, "type.googleapis.com/egotest.v1.Withdrawn", true, []byte(nil), uint16(0), uint8(0), uint16(0))
		f.Add(which, uint64(which)+1, "type.googleapis.com/ego.v1.Erased", true, []byte(nil), uint16(0), uint8(0), uint16(0))
	}
	f.Fuzz(func(t *testing.T, which uint8, number uint64, url string, keyed bool, extra []byte, at uint16, flip uint8, cut uint16) {
		original := genuine[int(which)%sealed]
		value := append(append([]byte(nil), original.GetPayload().GetValue()...), extra...)
		value[int(at)%len(value)] ^= flip
		value = value[:len(value)-int(cut)%len(value)]
		event := &egopb.Event{PersistenceId: "a", SequenceNumber: number, Payload: &anypb.Any{TypeUrl: url, Value: value}}
		if keyed {
			event.KeyId = original.GetKeyId()
		}
		opened, err := codec.Open(t.Context(), event)
		intact := string(value) == string(original.GetPayload().GetValue())
		switch {
		case err != nil:
			require.Empty(t, opened)
		case keyed:
			require.True(t, intact && number == original.GetSequenceNumber() && url == original.GetPayload().GetTypeUrl(), "it opened what nobody sealed there")
			require.EqualValues(t, number, opened[0].Message.(*testpb.Deposited).GetAmount())
		case intact:
			require.Empty(t, opened, "a sealed value was read as a plain one")
		}
	})
}
