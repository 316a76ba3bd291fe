package testkit_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/testkit"
)

// Every message makes the round trip, wherever it comes from.
func TestWire(t *testing.T) {
	t.Parallel()
	bad := &testpb.Account{Owner: "\xff"}
	const reason = `cannot be marshalled: string field contains invalid UTF-8 (owner: "\xff")`
	event := func(f eventHandler) *account { return &account{event: f} }
	for name, c := range map[string]struct {
		scenario func(tb testing.TB)
		want     string
	}{
		"EventOfCommand": {
			func(tb testing.TB) {
				testkit.New(tb, testaccount.New("a")).When(&testpb.Misbehave{How: "invalid utf8"}).ThenError("UTF-8")
			},
			"When(egotest.v1.Misbehave): event 1 from HandleCommand egotest.v1.Deposited cannot be marshalled: " +
				`string field contains invalid UTF-8 (note: "\xff")`,
		},
		"StateOfEvent": {
			func(tb testing.TB) {
				testkit.New(tb, event(func(context.Context, proto.Message, proto.Message) (proto.Message, error) { return bad, nil })).
					When(&testpb.Deposit{Amount: 1}).ThenError("UTF-8")
			},
			"When(egotest.v1.Deposit): the state that HandleEvent returned for event 1 (egotest.v1.Deposited): egotest.v1.Account " + reason,
		},
		"StateOfGivenEvent": {
			func(tb testing.TB) {
				testkit.New(tb, event(func(context.Context, proto.Message, proto.Message) (proto.Message, error) { return bad, nil })).
					Given(&testpb.Deposited{})
			},
			"Given: event 1: the state that HandleEvent returned for event 1 (egotest.v1.Deposited): egotest.v1.Account " + reason,
		},
		"DurableState": {
			func(tb testing.TB) {
				p := newPurse()
				p.command = func(context.Context, proto.Message, proto.Message, uint64) (proto.Message, error) { return bad, nil }
				testkit.NewDurableState(tb, p).When(&testpb.Deposit{}).ThenError("UTF-8")
			},
			"When(egotest.v1.Deposit): the state that HandleCommand returned: egotest.v1.Account " + reason,
		},
		"GivenDurableState": {
			func(tb testing.TB) { testkit.NewDurableState(tb, newPurse()).Given(bad, 1) },
			"Given: the state egotest.v1.Account " + reason,
		},
		"NestedText": {
			when(&testpb.Everything{Children: []*testpb.Everything{{}, {ByNumber: map[int32]*testpb.Everything{4: {Text: "\xff"}}}}}),
			"When(egotest.v1.Everything): the command egotest.v1.Everything cannot be marshalled: string field contains invalid UTF-8 " +
				`(children[1].by_number[4].text: "\xff")`,
		},
		"KeyOfMap": {
			when(&testpb.Everything{Labels: map[string]string{"\xff": "a"}}),
			"When(egotest.v1.Everything): the command egotest.v1.Everything cannot be marshalled: string field contains invalid UTF-8 " +
				`(labels["\xff"]: "\xff")`,
		},
		"RequiredField": {
			when(&descriptorpb.UninterpretedOption_NamePart{NamePart: new("a")}),
			"When(google.protobuf.UninterpretedOption.NamePart): the command google.protobuf.UninterpretedOption.NamePart " +
				"cannot be marshalled: proto: required field google.protobuf.UninterpretedOption.NamePart.is_extension not set",
		},
		"UnknownFieldThatIsKnown": {
			when(withUnknown(&testpb.Deposit{}, 0x08, 7)),
			"When(egotest.v1.Deposit): the command egotest.v1.Deposit loses data when it is marshalled and read back:\n" +
				"    amount: was 0, is now 7\n" +
				"    unknown field 1: was 0x0807, is now unset",
		},
		"TypeThatIsNotLinked": {
			when(notLinked(t)),
			"When(egotest.v1.Unlinked): the command egotest.v1.Unlinked cannot be read back from its marshalled form: proto: not found",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, plain(failureOf(t, c.scenario)))
		})
	}

	t.Run("EveryFieldSurvives", func(t *testing.T) {
		t.Parallel()
		requirePasses(t, func(tb testing.TB) {
			full := &testpb.Everything{
				Text: "é", Raw: []byte{0xff}, Color: 9, Nickname: new(""), Labels: map[string]string{"": ""},
				Children: []*testpb.Everything{nil, {}}, Choice: &testpb.Everything_ChoiceNumber{},
			}
			testkit.New(tb, &account{
				initial: func() proto.Message { return full },
				command: func(_ context.Context, command, _ proto.Message) ([]proto.Message, error) {
					return []proto.Message{command}, nil
				},
				event: func(_ context.Context, event, _ proto.Message) (proto.Message, error) { return event, nil },
			}).When(full).ThenEvents(full).ThenState(full)
		})
	})
}

// when is a scenario that only has a command.
func when(command proto.Message) func(tb testing.TB) {
	return func(tb testing.TB) { testkit.New(tb, testaccount.New("a")).When(command).ThenError("e") }
}

// withUnknown gives a message a field that its type does not know, or should not.
func withUnknown(message proto.Message, raw ...byte) proto.Message {
	message.ProtoReflect().SetUnknown(raw)
	return message
}

// notLinked returns a message of a type that the program does not know.
func notLinked(t *testing.T) proto.Message {
	t.Helper()
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name:        new("unlinked.proto"),
		Package:     new("egotest.v1"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Unlinked")}},
	}, nil)
	require.NoError(t, err)
	return dynamicpb.NewMessage(file.Messages().ByName(protoreflect.Name("Unlinked")))
}
