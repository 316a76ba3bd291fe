package persistencetest

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// fill sets every field of a message to something that is not its default, but for those named.
func fill[M proto.Message](message M, except ...protoreflect.Name) M {
	fillMessage(message.ProtoReflect(), except)
	return message
}

func fillMessage(message protoreflect.Message, except []protoreflect.Name) {
	if packed, ok := message.Interface().(*anypb.Any); ok {
		packed.TypeUrl, packed.Value = "type.googleapis.com/ego.test.v1.Payload", []byte{0, 1, 0xff, 0, '\'', '"', '\\', '\n'}
		return
	}
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if slices.Contains(except, field.Name()) {
			continue
		}
		switch {
		case field.IsMap():
			entries := message.Mutable(field).Map()
			for n := range 3 {
				entries.Set(scalar(field.MapKey(), n).MapKey(), scalar(field.MapValue(), n))
			}
		case field.IsList():
			list := message.Mutable(field).List()
			for n := range 3 {
				list.Append(element(list, field, n))
			}
		case field.Message() != nil:
			fillMessage(message.Mutable(field).Message(), nil)
		default:
			message.Set(field, scalar(field, 0))
		}
	}
}

func element(list protoreflect.List, field protoreflect.FieldDescriptor, n int) protoreflect.Value {
	if field.Message() == nil {
		return scalar(field, n)
	}
	value := list.NewElement()
	fillMessage(value.Message(), nil)
	return value
}

// scalar returns the n-th value for a field. Values of different fields differ.
func scalar(field protoreflect.FieldDescriptor, n int) protoreflect.Value {
	number := 1000*int(field.Number()) + n
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s-%d é\u4e16 '\"\\%%_", field.Name(), n))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(fmt.Appendf(nil, "%s-%d", field.Name(), n))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(number)) //nolint:gosec // small
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(number))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(number))
	default:
		panic(fmt.Sprintf("persistencetest: no value for fields of kind %v", field.Kind()))
	}
}
