package memory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
)

func TestEventCodec(t *testing.T) {
	t.Parallel()
	roundTrip := func(t *testing.T, d *dictionary, event *egopb.Event) {
		t.Helper()
		data, err := d.encodeEvent([]byte("before"), event)
		require.NoError(t, err)
		decoded, err := d.decodeEvent(data[len("before"):])
		require.NoError(t, err)
		require.True(t, proto.Equal(event, decoded), "%v is not %v", decoded, event)
	}
	newDictionary := func() *dictionary {
		d := new(dictionary)
		d.init()
		return d
	}

	t.Run("KeepsWhatIsRare", func(t *testing.T) {
		t.Parallel()
		d := newDictionary()
		unknown := protowire.AppendVarint(protowire.AppendTag(nil, 9_999, protowire.VarintType), 7)
		event := &egopb.Event{SequenceNumber: 1, Kind: "kind", Payload: &anypb.Any{TypeUrl: "type"}, TimeUnixNano: -1}
		event.ProtoReflect().SetUnknown(unknown)
		roundTrip(t, d, event)
		event = &egopb.Event{SequenceNumber: 1, Payload: &anypb.Any{TypeUrl: "type", Value: []byte("value")}}
		event.Payload.ProtoReflect().SetUnknown(unknown)
		roundTrip(t, d, event)
		roundTrip(t, d, &egopb.Event{Payload: new(anypb.Any)})
		roundTrip(t, d, new(egopb.Event))
		roundTrip(t, d, &egopb.Event{Deleted: true, Kind: "kind"})
	})
	t.Run("KeepsWhatTheDictionaryDoesNotTake", func(t *testing.T) {
		t.Parallel()
		d := newDictionary()
		event := func(name string) *egopb.Event {
			return &egopb.Event{Kind: name, WriterId: name, Payload: &anypb.Any{TypeUrl: name, Value: []byte{1}}}
		}
		roundTrip(t, d, event(strings.Repeat("x", maxEntry+1)))
		for i := range maxDictionary + 10 {
			roundTrip(t, d, event(fmt.Sprint("name ", i)))
		}
		require.LessOrEqual(t, len(d.entries.Load().names), maxDictionary+1)
	})
	t.Run("RefusesWhatIsNoText", func(t *testing.T) {
		t.Parallel()
		_, err := newDictionary().encodeEvent(nil, &egopb.Event{Kind: "\xff"})
		require.Error(t, err)
	})
}
