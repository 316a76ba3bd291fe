package testkit

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
)

// roundTrip returns what is left of a message after it was stored, or sent to another process, and read back. It is an
// error when that is not the same. The error reads on from what the message is.
func roundTrip(message proto.Message) (proto.Message, error) {
	packed, err := anypb.New(message)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be marshalled: %w%s", nameOf(message), err, invalidText(message))
	}
	back, err := packed.UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read back from its marshalled form: %w", nameOf(message), err)
	}
	if !proto.Equal(message, back) {
		return nil, fmt.Errorf("%s loses data when it is marshalled and read back:%s", nameOf(message), diff(message, back, "was", "is now"))
	}
	return back, nil
}

// invalidText says which text in a message is not UTF-8, nothing when all are.
func invalidText(message proto.Message) string {
	found := ""
	look := func(values protopath.Values) error {
		last := values.Index(-1)
		text, isText := last.Value.Interface().(string)
		if last.Step.Kind() == protopath.MapIndexStep {
			if key, ok := last.Step.MapIndex().Interface().(string); ok && !utf8.ValidString(key) {
				text, isText = key, true
			}
		}
		if !isText || utf8.ValidString(text) {
			return nil
		}
		found = fmt.Sprintf(" (%s: %q)", strings.TrimPrefix(values.Path[1:].String(), "."), text)
		return protorange.Terminate
	}
	options := protorange.Options{Stable: true, Resolver: (*protoregistry.Types)(nil)} // what is in an Any is only bytes
	_ = options.Range(message.ProtoReflect(), look, nil)                               // look has no errors
	return found
}
