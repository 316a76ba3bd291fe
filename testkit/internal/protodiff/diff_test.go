package protodiff_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/testkit/internal/protodiff"
)

type everything = testpb.Everything

func TestCompare(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want, got proto.Message
		lines     []string
	}{
		"Truth":         {&everything{Truth: true}, &everything{}, []string{`truth: want true, got false`}},
		"Small":         {&everything{Small: 1}, &everything{Small: -2}, []string{`small: want 1, got -2`}},
		"Unsigned":      {&everything{Unsigned: math.MaxUint64}, &everything{}, []string{`unsigned: want 18446744073709551615, got 0`}},
		"Ratio":         {&everything{Ratio: 0.1}, &everything{Ratio: 0.2}, []string{`ratio: want 0.1, got 0.2`}},
		"Precise":       {&everything{Precise: 0.1}, &everything{Precise: math.Inf(1)}, []string{`precise: want 0.1, got +Inf`}},
		"NegativeZero":  {&everything{Precise: math.Copysign(0, -1)}, &everything{}, []string{`precise: want -0, got 0`}},
		"NotANumber":    {&everything{Precise: math.NaN()}, &everything{Precise: math.NaN()}, nil},
		"Text":          {&everything{Text: "a"}, &everything{Text: "b\n"}, []string{`text: want "a", got "b\n"`}},
		"TextAndNone":   {&everything{Text: "a"}, &everything{}, []string{`text: want "a", got ""`}},
		"InvalidText":   {&everything{Text: "\xff"}, &everything{Text: "\ufffd"}, []string{`text: want "\xff", got "` + "\ufffd" + `"`}},
		"Accents":       {&everything{Text: "é"}, &everything{Text: "e\u0301"}, []string{`text: want "\u00e9", got "e\u0301"`}},
		"Bytes":         {&everything{Raw: []byte{0, 1}}, &everything{Raw: []byte("hi")}, []string{`raw: want "\x00\x01", got "hi"`}},
		"NoBytes":       {&everything{Raw: []byte{}}, &everything{}, nil},
		"Enum":          {&everything{Color: 1}, &everything{}, []string{`color: want COLOR_RED, got COLOR_UNSPECIFIED`}},
		"EnumNoName":    {&everything{Color: 77}, &everything{Color: 2}, []string{`color: want 77, got COLOR_BLUE`}},
		"Nested":        {&everything{Child: &everything{Small: 1}}, &everything{Child: &everything{Small: 2}}, []string{`child.small: want 1, got 2`}},
		"NestedUnset":   {&everything{Child: &everything{Small: 1}}, &everything{}, []string{`child: want {small:1}, got unset`}},
		"NestedEmpty":   {&everything{}, &everything{Child: &everything{}}, []string{`child: want unset, got {}`}},
		"OptionalUnset": {&everything{Nickname: new("")}, &everything{}, []string{`nickname: want "", got unset`}},
		"OptionalSet":   {&everything{}, &everything{Limit: new(int64(0))}, []string{`limit: want unset, got 0`}},
		"OptionalBoth":  {&everything{Limit: new(int64(1))}, &everything{Limit: new(int64(2))}, []string{`limit: want 1, got 2`}},
		"List":          {&everything{Numbers: []int64{1, 2, 3}}, &everything{Numbers: []int64{1, 5}}, []string{`numbers[1]: want 2, got 5`, `numbers[2]: want 3, got nothing`}},
		"ListLonger":    {&everything{}, &everything{Lines: []string{"a"}}, []string{`lines[0]: want nothing, got "a"`}},
		"ListOfMessages": {
			&everything{Children: []*everything{{Small: 1}, {Text: "x"}}}, &everything{Children: []*everything{{Small: 2}}},
			[]string{`children[0].small: want 1, got 2`, `children[1]: want {text:"x"}, got nothing`},
		},
		"Map": {
			&everything{Labels: map[string]string{"a": "1", "b": "2"}}, &everything{Labels: map[string]string{"b": "3", "c": "4"}},
			[]string{`labels["a"]: want "1", got nothing`, `labels["b"]: want "2", got "3"`, `labels["c"]: want nothing, got "4"`},
		},
		"MapOfMessages": {
			&everything{ByNumber: map[int32]*everything{-1: {Small: 1}, 10: {}, 9: {}}}, &everything{ByNumber: map[int32]*everything{-1: {}}},
			[]string{`by_number[-1].small: want 1, got 0`, `by_number[9]: want {}, got nothing`, `by_number[10]: want {}, got nothing`},
		},
		"MapOfEnums": {
			&everything{ByTruth: map[bool]testpb.Color{true: 1, false: 2}}, &everything{},
			[]string{`by_truth[false]: want COLOR_BLUE, got nothing`, `by_truth[true]: want COLOR_RED, got nothing`},
		},
		"MapOfBytes": {
			&everything{BySize: map[uint64][]byte{7: []byte("a")}}, &everything{BySize: map[uint64][]byte{7: []byte("b"), 12: nil, 9: nil}},
			[]string{`by_size[7]: want "a", got "b"`, `by_size[9]: want nothing, got ""`, `by_size[12]: want nothing, got ""`},
		},
		"OneofMembers": {
			&everything{Choice: &testpb.Everything_ChoiceText{ChoiceText: "a"}}, &everything{Choice: &testpb.Everything_ChoiceNumber{}},
			[]string{`choice: want choice_text "a", got choice_number 0`},
		},
		"OneofUnset": {
			&everything{Choice: &testpb.Everything_ChoiceChild{ChoiceChild: &everything{Small: 1}}}, &everything{},
			[]string{`choice: want choice_child {small:1}, got unset`},
		},
		"OneofSameMember": {
			&everything{Choice: &testpb.Everything_ChoiceChild{ChoiceChild: &everything{Small: 1}}},
			&everything{Choice: &testpb.Everything_ChoiceChild{ChoiceChild: &everything{Small: 2}}},
			[]string{`choice_child.small: want 1, got 2`},
		},
		"Any": {
			&everything{Payload: packed(t, &testpb.Deposited{Amount: 1})}, &everything{Payload: packed(t, &testpb.Deposited{Amount: 2})},
			[]string{`payload(egotest.v1.Deposited).amount: want 1, got 2`},
		},
		"AnyOfOtherType": {
			&everything{Payload: packed(t, &testpb.Deposited{})}, &everything{Payload: packed(t, &testpb.Withdrawn{})},
			[]string{
				"payload.type_url:\n    want \"type.googleapis.com/egotest.v1.Deposited\"\n    got  \"type.googleapis.com/egotest.v1.Withdrawn\"",
			},
		},
		"AnyUnset": {
			&everything{Payload: packed(t, &testpb.Deposited{Amount: 1})}, &everything{},
			[]string{`payload: want {(egotest.v1.Deposited){amount:1}}, got unset`},
		},
		"AnyNotLinked": {
			&anypb.Any{TypeUrl: "x/unknown", Value: []byte("a")}, &anypb.Any{TypeUrl: "x/unknown", Value: []byte("b")},
			[]string{`value: want "a", got "b"`},
		},
		"AnyNotReadable": {
			&anypb.Any{TypeUrl: "x/egotest.v1.Deposited", Value: []byte("\x08")}, &anypb.Any{TypeUrl: "x/egotest.v1.Deposited"},
			[]string{`value: want "\b", got ""`},
		},
		"AnyWrittenOtherwise": { // the same fields in another order
			&anypb.Any{TypeUrl: "x/egotest.v1.Deposited", Value: []byte("\x08\x01\x12\x01a")},
			&anypb.Any{TypeUrl: "x/egotest.v1.Deposited", Value: []byte("\x12\x01a\x08\x01")},
			[]string{`value: want "\b\x01\x12\x01a", got "\x12\x01a\b\x01"`},
		},
		"Timestamp": {
			&everything{At: timestamppb.New(time.Unix(1, 5))}, &everything{At: timestamppb.New(time.Unix(1, 0))},
			[]string{`at: want 1970-01-01T00:00:01.000000005Z, got 1970-01-01T00:00:01Z`},
		},
		"InvalidTimestamp": {
			&everything{At: &timestamppb.Timestamp{Nanos: -1}}, &everything{At: &timestamppb.Timestamp{}},
			[]string{`at.nanos: want -1, got 0`},
		},
		"Duration": {
			&everything{Lasted: durationpb.New(-1500 * time.Millisecond)}, &everything{Lasted: durationpb.New(time.Minute)},
			[]string{`lasted: want -1.5s, got 60s`},
		},
		"InvalidDuration": {
			&everything{Lasted: &durationpb.Duration{Seconds: 1, Nanos: -1}}, &everything{Lasted: &durationpb.Duration{Seconds: 1}},
			[]string{`lasted.nanos: want -1, got 0`},
		},
		"EndlessDuration": {
			&everything{Lasted: &durationpb.Duration{Seconds: math.MinInt64}}, &everything{Lasted: &durationpb.Duration{Seconds: math.MaxInt64}},
			[]string{`lasted.seconds: want -9223372036854775808, got 9223372036854775807`},
		},
		"Types":        {&testpb.Deposited{Amount: 1}, &testpb.Withdrawn{Amount: 1}, []string{`want egotest.v1.Deposited{amount:1}, got egotest.v1.Withdrawn{amount:1}`}},
		"Nil":          {&testpb.Deposited{}, nil, []string{`want egotest.v1.Deposited{}, got nil`}},
		"NilOfType":    {&testpb.Deposited{}, (*testpb.Deposited)(nil), []string{`want egotest.v1.Deposited{}, got nil egotest.v1.Deposited`}},
		"NilOfNoType":  {nil, (*testpb.Deposited)(nil), []string{`want nil, got nil egotest.v1.Deposited`}},
		"BothNil":      {nil, nil, nil},
		"BothNilTyped": {(*testpb.Deposited)(nil), (*testpb.Deposited)(nil), nil},
		"Default":      {&testpb.Legacy{Answer: new(int32(42))}, &testpb.Legacy{}, []string{`answer: want 42, got unset`}},
		"Group":        {&testpb.Legacy{Group: &testpb.Legacy_Group{Depth: new(int32(1))}}, &testpb.Legacy{Group: &testpb.Legacy_Group{}}, []string{`Group.depth: want 1, got unset`}},
		"Extension":    {extended("a"), extended("b"), []string{`[egotest.v1.comment]: want "a", got "b"`}},
		"ExtensionList": {
			extended("", &testpb.Legacy{Name: new("x")}), extended("", &testpb.Legacy{}),
			[]string{`[egotest.v1.related][0].name: want "x", got unset`},
		},
		"Unknown":           {unknown(77, 1), &testpb.Deposited{}, []string{`unknown field 77: want 0xe80401, got unset`}},
		"UnknownReordered":  {unknown(77, 1, 78, 2), unknown(78, 2, 77, 1), nil},
		"UnknownInsideTime": {&everything{At: withUnknown(&timestamppb.Timestamp{}, 77, 1)}, &everything{At: &timestamppb.Timestamp{}}, []string{`at.unknown field 77: want 0xe80401, got unset`}},
		"Several": {
			&testpb.Account{Owner: "Ann", Balance: 1}, &testpb.Account{Owner: "Bob", Changes: 1},
			[]string{`owner: want "Ann", got "Bob"`, `balance: want 1, got 0`, `changes: want 0, got 1`},
		},
		"Same": {&testpb.Account{Owner: "Ann"}, &testpb.Account{Owner: "Ann"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			differences := protodiff.Compare(c.want, c.got)
			require.Equal(t, strings.Join(c.lines, "\n"), protodiff.Text(differences, "want", "got"))
			require.Equal(t, proto.Equal(c.want, c.got), len(differences) == 0)
		})
	}

	t.Run("AnotherVersionOfTheType", func(t *testing.T) {
		t.Parallel()
		file, err := protodesc.NewFile(protodesc.ToFileDescriptorProto(testpb.File_egotest_v1_account_proto), nil)
		require.NoError(t, err)
		other := dynamicpb.NewMessage(file.Messages().ByName("Deposited"))
		require.Equal(t, []protodiff.Difference{{Want: "egotest.v1.Deposited{}", Got: "another version of it"}},
			protodiff.Compare(&testpb.Deposited{}, other))
	})
	t.Run("UnknownFieldsThatAreNone", func(t *testing.T) {
		t.Parallel()
		broken := &testpb.Deposited{}
		broken.ProtoReflect().SetUnknown([]byte{0xff})
		require.Equal(t, []protodiff.Difference{{Path: "unknown field 0", Want: "0xff", Got: "unset"}},
			protodiff.Compare(broken, &testpb.Deposited{}))
	})
}

func packed(t *testing.T, message proto.Message) *anypb.Any {
	t.Helper()
	result, err := anypb.New(message)
	require.NoError(t, err)
	return result
}

func extended(comment string, related ...*testpb.Legacy) *testpb.Legacy {
	m := &testpb.Legacy{}
	proto.SetExtension(m, testpb.E_Comment, comment)
	proto.SetExtension(m, testpb.E_Related, related)
	return m
}

func unknown(pairs ...uint64) *testpb.Deposited { return withUnknown(&testpb.Deposited{}, pairs...) }

// withUnknown gives a message unknown fields, each a number and a value.
func withUnknown[M proto.Message](m M, pairs ...uint64) M {
	var raw []byte
	for ; len(pairs) > 0; pairs = pairs[2:] {
		raw = protowire.AppendTag(raw, protowire.Number(pairs[0]), protowire.VarintType)
		raw = protowire.AppendVarint(raw, pairs[1])
	}
	m.ProtoReflect().SetUnknown(raw)
	return m
}
