package protodiff

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// The fields of google.protobuf.Any.
const (
	typeURLNumber = 1
	valueNumber   = 2
)

func isAny(descriptor protoreflect.MessageDescriptor) bool {
	return descriptor.FullName() == "google.protobuf.Any"
}

// payload compares two messages google.protobuf.Any, by what they hold if both hold the same type and can be opened.
func (c *comparison) payload(path string, want, got protoreflect.Message) {
	inWant, inGot := open(want), open(got)
	if inWant == nil || inGot == nil || typeURL(want) != typeURL(got) {
		c.fields(path, want, got)
		return
	}
	before := len(c.differences)
	c.message(path+"("+string(inWant.Descriptor().FullName())+")", inWant, inGot)
	if len(c.differences) == before { // the same content can be written in more than one way
		c.fields(path, want, got)
		return
	}
	c.unknown(path, want.GetUnknown(), got.GetUnknown())
}

// open returns what a google.protobuf.Any holds, nil when it cannot be opened.
func open(m protoreflect.Message) protoreflect.Message {
	messageType, err := protoregistry.GlobalTypes.FindMessageByURL(typeURL(m))
	if err != nil {
		return nil
	}
	content := messageType.New()
	options := proto.UnmarshalOptions{AllowPartial: true}
	if options.Unmarshal(m.Get(m.Descriptor().Fields().ByNumber(valueNumber)).Bytes(), content.Interface()) != nil {
		return nil
	}
	return content
}

func typeURL(m protoreflect.Message) string {
	return m.Get(m.Descriptor().Fields().ByNumber(typeURLNumber)).String()
}
