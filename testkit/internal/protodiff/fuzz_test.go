package protodiff_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/testkit/internal/protodiff"
)

// types are the types that are fuzzed.
var types = []proto.Message{
	&testpb.Everything{}, &testpb.Legacy{}, &egopb.Event{}, &structpb.Value{}, &descriptorpb.FileDescriptorProto{}, &anypb.Any{},
	&timestamppb.Timestamp{}, &durationpb.Duration{},
}

func FuzzCompare(f *testing.F) {
	full := &testpb.Everything{
		Truth: true, Small: -1, Big: 1, Unsigned: 1, Ratio: 0.5, Precise: math.NaN(), Text: "é", Raw: []byte{0xff}, Color: 9,
		Child: &testpb.Everything{Nickname: new("")}, Limit: new(int64(0)), Numbers: []int64{1, 2}, Lines: []string{"a"},
		Children: []*testpb.Everything{{}}, Labels: map[string]string{"a": "b"}, ByNumber: map[int32]*testpb.Everything{1: {}},
		ByTruth: map[bool]testpb.Color{true: 1}, BySize: map[uint64][]byte{1: nil}, At: &timestamppb.Timestamp{Nanos: 1},
		Lasted: &durationpb.Duration{Nanos: -1}, Choice: &testpb.Everything_ChoiceNumber{},
	}
	full.Payload, _ = anypb.New(full)
	seeds := []proto.Message{
		&testpb.Everything{}, full, extended("a", &testpb.Legacy{Level: new(testpb.Level(1))}), unknown(77, 1, 78, 2),
		structpb.NewNumberValue(math.Copysign(0, -1)), &descriptorpb.FileDescriptorProto{Name: new("a"), Dependency: []string{"b"}},
	}
	for _, seed := range seeds {
		raw, err := proto.Marshal(seed)
		require.NoError(f, err)
		for i := range byte(len(types)) {
			f.Add(i, i, raw, raw)
			f.Add(i, i, raw, append(raw, 0x10, 7))
			f.Add(i, i+1, raw, []byte{})
		}
	}
	f.Fuzz(func(t *testing.T, wantType, gotType byte, wantRaw, gotRaw []byte) {
		want, got := parse(wantType, wantRaw), parse(gotType, gotRaw)
		differences := protodiff.Compare(want, got)
		require.Equal(t, proto.Equal(want, got), len(differences) == 0, "%v", differences)
		for _, d := range differences {
			require.NotEqual(t, d.Want, d.Got, "%s reads the same on both sides", d.Path)
		}
		_ = protodiff.Text(differences, "want", "got")
		_ = protodiff.Format(want)

		reverse := protodiff.Compare(got, want)
		require.Len(t, reverse, len(differences))
		for i, d := range differences {
			require.Equal(t, d.Path, reverse[i].Path)
		}
	})
}

// parse returns a message of one of the types with as much of raw as can be read as that.
func parse(messageType byte, raw []byte) proto.Message {
	message := types[int(messageType)%len(types)].ProtoReflect().New().Interface()
	_ = proto.UnmarshalOptions{AllowPartial: true}.Unmarshal(raw, message) // what came before an error stays
	return message
}
